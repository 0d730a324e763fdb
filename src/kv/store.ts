/**
 * What the parts of the state machine share: the database, its progress in memory, the limits, and
 * the leases, records, users and alarms.
 */
import type { EtcdErrorName } from '../api/errors.ts';
import {
  maxChangesPerEntry,
  maxOnceRecords,
  maxOnceReplyBytes,
  maxReplyBytes,
  maxVisitsPerEntry,
} from '../api/limits.ts';
import type { Alarms } from './alarms.ts';
import type { Auth } from './auth/auth.ts';
import type { Leases } from './leases.ts';
import type { OpenSnapshots } from './open-snapshots.ts';
import type { Records } from './records.ts';
import { defaultPageLimits, type PageLimits } from './scan.ts';
import type { Progress } from './schema.ts';
import type { SetSql } from './table-sets.ts';

/**
 * Part of the rules that apply an entry: all members must use the same, so only tests set others.
 * (`pages` may differ: no answer depends on it.)
 */
export interface Limits {
  /** Bytes charged for one reply (see ReplyBudget). */
  readonly replyBytes: number;
  /** Bytes charged for the replies of one log entry together. */
  readonly entryReplyBytes: number;
  /** Rows of history that one log entry may add. */
  readonly changes: number;
  /** Keys that the compares and ranges of one log entry may look at. */
  readonly visits: number;
  /** Answers kept of commands that take effect once. */
  readonly onceRecords: number;
  /** Bytes charged for the reply of one of them. */
  readonly onceReplyBytes: number;
  readonly pages: PageLimits;
}

export const defaultLimits: Limits = {
  replyBytes: maxReplyBytes,
  entryReplyBytes: 2 * maxReplyBytes,
  changes: maxChangesPerEntry,
  visits: maxVisitsPerEntry,
  onceRecords: maxOnceRecords,
  onceReplyBytes: maxOnceReplyBytes,
  pages: defaultPageLimits,
};

export interface Store {
  /** On the active set of tables. */
  readonly sql: SetSql;
  readonly progress: Progress;
  readonly limits: Limits;
  readonly leases: Leases;
  readonly records: Records;
  readonly snapshots: OpenSnapshots;
  readonly auth: Auth;
  readonly alarms: Alarms;
}

export type Outcome<T> =
  | { readonly ok: true; readonly response: T }
  | { readonly ok: false; readonly error: EtcdErrorName };

export function failure(error: EtcdErrorName): {
  readonly ok: false;
  readonly error: EtcdErrorName;
} {
  return { ok: false, error };
}
