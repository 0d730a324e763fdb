/**
 * The durable deadlines of leases (schema.ts, lease_deadline): rows of this member alone, written by
 * the member that leads. Ids are decimal text here; they never become JS numbers.
 */
import type { Sql } from '../kv/sql.ts';
import type { Term } from '../raft/types.ts';
import type { Deadline } from './lease-deadlines.ts';

/** A deadline holds in the office in which it was written, and in no other (consensus-rules.md 7). */
export interface DeadlineRow extends Deadline {
  readonly term: Term;
}

export class LeaseRows {
  private readonly sql: Sql;

  constructor(sql: Sql) {
    this.sql = sql;
  }

  save({ id, grant, at, term }: DeadlineRow): void {
    this.sql.run(
      'INSERT OR REPLACE INTO lease_deadline VALUES (?, ?, ?, ?)',
      id.toString(),
      grant,
      term,
      at,
    );
  }

  /** The lease is gone. */
  remove(id: bigint): void {
    this.sql.run('DELETE FROM lease_deadline WHERE id = ?', id.toString());
  }

  /** Unless it has been written anew. */
  removeOld({ id, grant, term }: DeadlineRow): void {
    this.sql.run(
      'DELETE FROM lease_deadline WHERE id = ? AND granted = ? AND term = ?',
      id.toString(),
      grant,
      term,
    );
  }

  /** In the order of the ids as texts. */
  page(after: bigint | null, limit: number): DeadlineRow[] {
    return this.sql
      .all(
        'SELECT id, granted, term, at FROM lease_deadline WHERE id > ? ORDER BY id LIMIT ?',
        after?.toString() ?? '',
        limit,
      )
      .map(([id, grant, term, at]) => ({
        id: BigInt(id as string),
        grant: Number(grant),
        term: Number(term),
        at: Number(at),
      }));
  }
}
