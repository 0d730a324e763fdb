/** What is asked of a tenant's group, and how it ends. */
import type { EtcdErrorName } from '../../api/errors.ts';
import type { Server } from '../../api/gen/member_pb.js';
import type { Credentials } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import type { Deadline } from '../http/deadline.ts';
import type { AskKind, MemberOp, ReadTerms } from './call.ts';
import type { Courier } from './courier.ts';
import type { Via } from './nearest.ts';

export interface Ask {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly kind: AskKind;
  readonly op: MemberOp;
  /** Of whoever is to get the answer. */
  readonly credentials: Credentials;
  readonly deadline: Deadline;
  /** A write that takes effect once, however often it is sent (src/kv/once.ts). */
  readonly repeatable?: boolean;
  /** A range whose count nobody needs. */
  readonly withoutCount?: boolean;
  /** Who is to serve a read, before anybody else is asked; a place: it alone. */
  readonly via?: Via | number;
  readonly terms?: ReadTerms;
  /** Its answer is small, and it may travel with others of the same client. */
  readonly courier?: Courier;
}

export type Answer = Served | Refused;

export interface Served {
  readonly ok: true;
  readonly response: Uint8Array;
  readonly servedBy: Server | undefined;
  /** How long the members took, all attempts together. */
  readonly membersMs: number;
}

export interface Refused {
  readonly ok: false;
  readonly error: EtcdErrorName;
  /** True only for a write that may or may not have been applied, now or later. */
  readonly outcomeUnknown: boolean;
  readonly detail: string;
  readonly servedBy: Server | undefined;
  /** With Compacted, when a member said it. */
  readonly compactRevision?: number;
}
