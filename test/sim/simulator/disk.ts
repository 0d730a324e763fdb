/**
 * The storage of one place: what is written, and what of it is durable.
 *
 * Everything written since the last flush is one open SQLite transaction. A flush makes all of it
 * durable, a crash may lose all of it; so what survives is always a prefix of the turns, which is
 * what the output gate promises and no more. A turn that throws within its transaction must end its
 * life: half of it is written, and only losing all of it is left.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { BirthRecordSchema } from '../../../src/api/gen/peer_pb.js';
import type { Row, Sql, SqlValue } from '../../../src/kv/sql.ts';
import { memberId } from '../../../src/node-do/identity.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import { NodeSql } from '../../support/node-sql.ts';

export interface Backup {
  readonly schema: readonly string[];
  readonly tables: readonly { readonly name: string; readonly rows: readonly Row[] }[];
}

export class Disk {
  private sql = new NodeSql();
  /** Something is written and not durable. */
  isDirty = false;
  /** So it stays after a throw: half a turn is written, and must not become durable. */
  private inTransaction = false;

  /** Called by the life that lives on this disk, and by nobody else. */
  transaction(work: () => void): void {
    if (this.inTransaction) throw new Error('a transaction within a transaction');
    this.begin();
    this.inTransaction = true;
    work();
    this.inTransaction = false;
  }

  /** Every write counts, whether or not somebody has opened a transaction for it. */
  run(query: string, bindings: SqlValue[]): void {
    this.begin();
    this.sql.run(query, ...bindings);
  }

  get reader(): Pick<Sql, 'all' | 'first'> {
    return this.sql;
  }

  /** The one that the place gives out or lives under; null: it was never asked for any. */
  get incarnation(): string | null {
    const table = "SELECT 1 FROM sqlite_master WHERE name = 'raft_identity'";
    if (!this.sql.first(table)) return null;
    return String(this.sql.first('SELECT incarnation FROM raft_identity')?.[0]);
  }

  /** Its group was born: it is a member, or was one. */
  get knowsGroup(): boolean {
    if (this.incarnation === null) return false;
    const known = 'SELECT 1 FROM raft_identity WHERE birth IS NOT NULL OR tombstone IS NOT NULL';
    return this.sql.first(known) !== undefined;
  }

  /** Who founded the group whose birth record is here: the one that it names first. */
  get founder(): MemberId | null {
    if (this.incarnation === null) return null;
    const record = this.sql.first('SELECT birth FROM raft_identity')?.[0];
    if (!(record instanceof Uint8Array)) return null;
    const first = fromBinary(BirthRecordSchema, record).founding?.voters[0];
    return first ? memberId(first.place, first.incarnation) : null;
  }

  flush(): void {
    if (this.inTransaction) throw new Error('half a turn would become durable');
    if (this.isDirty) this.sql.run('COMMIT');
    this.isDirty = false;
  }

  lose(): void {
    if (this.isDirty) this.sql.run('ROLLBACK');
    this.isDirty = false;
    this.inTransaction = false;
  }

  /** As deleteAll() would. */
  wipe(): void {
    this.close();
    this.sql = new NodeSql();
  }

  close(): void {
    this.lose();
    this.sql.close();
  }

  /** A copy of what is durable; the caller has seen to it that nothing else is there. */
  backUp(): Backup {
    const { sql } = this;
    const objects = sql.all("SELECT name, sql FROM sqlite_master WHERE type = 'table'");
    return {
      schema: objects.map(([, statement]) => String(statement)),
      tables: objects.map(([name]) => ({
        name: String(name),
        rows: sql.all(`SELECT * FROM ${name}`),
      })),
    };
  }

  restore({ schema, tables }: Backup): void {
    this.wipe();
    for (const statement of schema) this.sql.run(statement);
    for (const { name, rows } of tables)
      for (const row of rows)
        this.sql.run(`INSERT INTO ${name} VALUES (${row.map(() => '?').join()})`, ...row);
  }

  private begin(): void {
    if (this.isDirty) return;
    this.sql.run('BEGIN');
    this.isDirty = true;
  }
}
