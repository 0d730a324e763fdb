/**
 * The small records of the state, by kind and name: one for each user, each role, each alarm, each member
 * that has a name, and the secret of the tokens, from the log index of the entry that wrote it on. While a snapshot is open, a row that it sees and that is replaced or
 * deleted stays with the index at which it went (`gone`); afterwards such rows go in bounded steps.
 */
import type { OpenSnapshots } from './open-snapshots.ts';
import type { Row, SqlValue } from './sql.ts';
import { perSet, type SetSql } from './table-sets.ts';

/** Never used again for another one: rows of it may be on disks. */
export const kinds = {
  ...{ secret: 0, user: 1, role: 2, alarm: 3, member: 4 },
  /** The version that an operator has announced to go back to; no name. */
  downgrade: 5,
  /** The last ones (compactions.ts); no name. */
  compactions: 6,
} as const;
export type Kind = (typeof kinds)[keyof typeof kinds];

export interface StateRecord {
  readonly kind: number;
  readonly name: string;
  readonly since: number;
  readonly data: Uint8Array;
}

/** After the row of this kind, name and index. */
export interface RecordPosition {
  readonly kind: number;
  readonly name: string;
  readonly since: number;
}

const select = perSet(
  ({ record }) => `SELECT since, data FROM ${record} WHERE kind = ? AND name = ? AND gone IS NULL`,
);
const selectNames = perSet(
  ({ record }) => `SELECT name FROM ${record} WHERE kind = ? AND gone IS NULL ORDER BY name`,
);
const selectPage = perSet(
  ({ record }) => `
  SELECT kind, name, since, data FROM ${record}
  WHERE (kind, name, since) > (?, ?, ?) AND gone IS NULL ORDER BY kind, name, since LIMIT ?`,
);
const selectSeen = perSet(
  ({ record }) => `
  SELECT kind, name, since, data, since <= ?4 AND (gone IS NULL OR gone > ?4) FROM ${record}
  WHERE (kind, name, since) > (?1, ?2, ?3) ORDER BY kind, name, since LIMIT ?5`,
);
// An empty blob may be bound as NULL.
const insert = perSet(
  ({ record }) => `INSERT INTO ${record} VALUES (?, ?, ?, coalesce(?, x''), NULL)`,
);
const setGone = perSet(
  ({ record }) => `UPDATE ${record} SET gone = ? WHERE kind = ? AND name = ? AND since = ?`,
);
const remove = perSet(
  ({ record }) => `DELETE FROM ${record} WHERE kind = ? AND name = ? AND since = ?`,
);
const countGone = perSet(
  ({ record }) => `SELECT count(*) FROM (SELECT 1 FROM ${record} WHERE gone IS NOT NULL LIMIT ?)`,
);
const deleteGone = perSet(
  ({ record }) => `
  DELETE FROM ${record} WHERE (kind, name, since) IN (
    SELECT kind, name, since FROM ${record} WHERE gone IS NOT NULL LIMIT ?)`,
);

export class Records {
  private readonly sql: SetSql;
  private readonly snapshots: OpenSnapshots;
  private goneLeft: boolean;
  private changes = 0;

  constructor(sql: SetSql, snapshots: OpenSnapshots) {
    this.sql = sql;
    this.snapshots = snapshots;
    this.goneLeft = this.countGone(1) > 0;
  }

  /** Rises with every change, so that a reader in pages can tell that it has seen two states. */
  get changeCount(): number {
    return this.changes;
  }

  get(kind: Kind, name: string): Uint8Array | null {
    return (this.sql.first(select, kind, name)?.[1] as Uint8Array | undefined) ?? null;
  }

  /** In the order of their UTF-8 bytes. */
  names(kind: Kind): string[] {
    return this.sql.all(selectNames, kind).map(([name]) => name as string);
  }

  /** `index`: of the entry that writes it. */
  put(kind: Kind, name: string, data: Uint8Array, index: number): void {
    this.delete(kind, name, index);
    this.sql.run(insert, kind, name, index, data);
    this.changes += 1;
  }

  delete(kind: Kind, name: string, index: number): void {
    const since = this.sql.first(select, kind, name)?.[0] as number | undefined;
    if (since === undefined) return;
    const isSeen = this.snapshots.sees(since);
    if (isSeen) this.sql.run(setGone, index, kind, name, since);
    else this.sql.run(remove, kind, name, since);
    this.goneLeft ||= isSeen;
    this.changes += 1;
  }

  page({ kind, name, since }: RecordPosition, limit: number): StateRecord[] {
    return this.sql.all(selectPage, kind, name, since, limit).map(rowOf);
  }

  /**
   * What the snapshot fixed at `index` sees in the `rowsMax` rows after `after`; perhaps none of them.
   * `next`: where the rows after these begin; null: there are none.
   */
  seenPage(
    index: number,
    after: RecordPosition,
    rowsMax: number,
  ): { rows: StateRecord[]; next: RecordPosition | null } {
    const bindings: SqlValue[] = [after.kind, after.name, after.since, index, rowsMax];
    const found = this.sql.all(selectSeen, ...bindings);
    const last = found[rowsMax - 1];
    return {
      rows: found.filter((row) => row[4] === 1).map(rowOf),
      next: last ? rowOf(last) : null,
    };
  }

  /** Everything is another state from now on. */
  installed(): void {
    this.goneLeft = false;
    this.changes += 1;
  }

  /** Whether there are rows that only snapshots needed which are closed. */
  get sweepPending(): boolean {
    return this.goneLeft && !this.snapshots.any;
  }

  /** Deletes at most `rowsMax` of them; returns how many. */
  sweep(rowsMax: number): number {
    if (!this.sweepPending) return 0;
    const count = this.countGone(rowsMax);
    this.sql.run(deleteGone, count);
    this.goneLeft = count === rowsMax;
    return count;
  }

  private countGone(atMost: number): number {
    return this.sql.first(countGone, atMost)?.[0] as number;
  }
}

function rowOf([kind, name, since, data]: Row): StateRecord {
  return {
    kind: kind as number,
    name: name as string,
    since: since as number,
    data: data as Uint8Array,
  };
}
