/**
 * The leases of the replicated state: their rows, and what has become of them since the host last asked.
 *
 * No clock is here: that a lease has run out is what an entry says. While a snapshot is open, the row
 * of a lease that it sees stays with the log index at which the lease went, so that opening one copies
 * nothing; afterwards such rows go in bounded steps.
 */
import type { OpenSnapshots } from './open-snapshots.ts';
import type { SqlValue } from './sql.ts';
import { perSet, type SetSql } from './table-sets.ts';

export interface Lease {
  readonly id: bigint;
  /** Seconds, at least 2; 0: it is ending. It exists for nobody, and keys of it are left. */
  readonly ttl: number;
  /** Log index of the entry that granted it. An id may be granted again after its lease has ended. */
  readonly grant: number;
}

/** In the order in which the host acts on them: first `reset`, then `ended`, then `granted`. */
export interface LeaseChanges {
  /** A snapshot was installed: what was known of leases before counts for nothing. */
  readonly reset: boolean;
  /** Gone. */
  readonly ended: readonly Lease[];
  /** Granted, or begun to end (ttl 0) with keys left, and not gone since. One for an id. */
  readonly granted: readonly Lease[];
}

/** After the row of this lease, in the order of ids as text; '' and 0: before the first. */
export interface LeasePosition {
  readonly id: string;
  readonly grant: number;
}

const columns = 'id, granted, iif(ended IS NULL, ttl, 0)';
const insertLease = perSet(({ lease }) => `INSERT INTO ${lease} VALUES (?, ?, ?, NULL, NULL)`);
const selectLease = perSet(
  ({ lease }) => `SELECT ${columns} FROM ${lease} WHERE id = ? AND gone IS NULL`,
);
const selectPage = perSet(
  ({ lease }) =>
    `SELECT ${columns} FROM ${lease} WHERE id > ? AND gone IS NULL ORDER BY id LIMIT ?`,
);
/** The next rows, with the TTL that a snapshot fixed at ?3 sees; NULL: it does not see that lease. */
const selectSeen = perSet(
  ({ lease }) => `
  SELECT id, granted, CASE
    WHEN granted > ?3 OR gone <= ?3 THEN NULL
    WHEN ended <= ?3 THEN 0
    ELSE ttl END
  FROM ${lease} WHERE (id, granted) > (?1, ?2) ORDER BY id, granted LIMIT ?4`,
);
const setEnded = perSet(
  ({ lease }) => `UPDATE ${lease} SET ended = ? WHERE id = ? AND granted = ? AND ended IS NULL`,
);
const setGone = perSet(
  ({ lease }) =>
    `UPDATE ${lease} SET ended = ifnull(ended, ?1), gone = ?1 WHERE id = ?2 AND granted = ?3`,
);
const deleteLease = perSet(({ lease }) => `DELETE FROM ${lease} WHERE id = ? AND granted = ?`);
const countGone = perSet(
  ({ lease }) => `SELECT count(*) FROM (SELECT 1 FROM ${lease} WHERE gone IS NOT NULL LIMIT ?)`,
);
const deleteGone = perSet(
  ({ lease }) => `
  DELETE FROM ${lease} WHERE (id, granted) IN (
    SELECT id, granted FROM ${lease} WHERE gone IS NOT NULL LIMIT ?)`,
);

export class Leases {
  private readonly sql: SetSql;
  private readonly snapshots: OpenSnapshots;
  private goneLeft: boolean;
  private readonly granted = new Map<bigint, Lease>();
  private ended: Lease[] = [];
  private reset = false;
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

  find(id: bigint): Lease | null {
    const row = this.sql.first(selectLease, id.toString());
    return row ? leaseOf(row) : null;
  }

  /** In the order of their decimal texts. */
  page(after: bigint | null, limit: number): Lease[] {
    return this.sql.all(selectPage, after?.toString() ?? '', limit).map(leaseOf);
  }

  /**
   * What the snapshot fixed at `index` sees in the `rowsMax` rows after `after`; perhaps none of them.
   * `next`: where the rows after these begin; null: there are none.
   */
  seenPage(
    index: number,
    after: LeasePosition,
    rowsMax: number,
  ): { leases: Lease[]; next: LeasePosition | null } {
    const { id, grant } = after;
    const rows = this.sql.all(selectSeen, id, grant, index, rowsMax);
    const leases = rows.filter(([, , ttl]) => ttl !== null).map(leaseOf);
    const last = rows[rowsMax - 1];
    const next = last ? { id: last[0] as string, grant: last[1] as number } : null;
    return { leases, next };
  }

  grant(lease: Lease): void {
    this.sql.run(insertLease, lease.id.toString(), lease.grant, lease.ttl);
    this.note(lease);
  }

  /** From the entry at `index` on it exists for nobody, but keys of it are left. */
  beginEnd({ id, grant }: Lease, index: number): void {
    this.sql.run(setEnded, index, id.toString(), grant);
    this.note({ id, grant, ttl: 0 });
  }

  /** From the entry at `index` on it is not there. */
  end(lease: Lease, index: number): void {
    const { id, grant } = lease;
    const isSeen = this.snapshots.sees(grant);
    if (isSeen) this.sql.run(setGone, index, id.toString(), grant);
    else this.sql.run(deleteLease, id.toString(), grant);
    this.goneLeft ||= isSeen;
    this.granted.delete(id);
    this.ended.push(lease);
    this.changes += 1;
  }

  takeChanges(): LeaseChanges {
    const { granted, ended, reset } = this;
    const changes = { reset, ended, granted: [...granted.values()] };
    granted.clear();
    this.ended = [];
    this.reset = false;
    return changes;
  }

  /** Everything is another state from now on. */
  installed(): void {
    this.takeChanges();
    this.reset = true;
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

  private note(lease: Lease): void {
    this.granted.set(lease.id, lease);
    this.changes += 1;
  }
}

function leaseOf([id, grant, ttl]: readonly SqlValue[]): Lease {
  return { id: BigInt(id as string), grant: grant as number, ttl: ttl as number };
}
