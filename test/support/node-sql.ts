/**
 * The Sql interface (src/kv/sql.ts) on node:sqlite, for unit tests and simulations. Statements are
 * prepared once per text, as the platform does; blobs go in and come out as Uint8Array.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { Row, Sql, SqlValue } from '../../src/kv/sql.ts';

export interface NodeSqlCounters {
  /** Rows handed to the caller (the platform bills rows visited, which are at least as many). */
  rowsRead: number;
  /** Rows inserted, updated or deleted, as SQLite counts changes. */
  rowsWritten: number;
  statements: number;
}

/** The least: a transaction copies each page that it changes, and these databases have few rows. */
const pageBytes = 512;

export class NodeSql implements Sql {
  readonly database: DatabaseSync;
  readonly counters: NodeSqlCounters = { rowsRead: 0, rowsWritten: 0, statements: 0 };
  private readonly statements = new Map<string, StatementSync>();
  /** Statements that a loop of `iterate` holds open. */
  private readonly busy = new Set<StatementSync>();

  constructor(path = ':memory:') {
    this.database = new DatabaseSync(path);
    if (path === ':memory:') this.database.exec(`PRAGMA page_size = ${pageBytes}`);
  }

  run(query: string, ...bindings: SqlValue[]): void {
    const { changes } = this.prepare(query).run(...bindings);
    this.counters.rowsWritten += Number(changes);
  }

  all(query: string, ...bindings: SqlValue[]): Row[] {
    const rows = this.prepare(query).all(...bindings) as unknown as Row[];
    this.counters.rowsRead += rows.length;
    return rows;
  }

  first(query: string, ...bindings: SqlValue[]): Row | undefined {
    const row = this.prepare(query).get(...bindings) as unknown as Row | undefined;
    if (row) this.counters.rowsRead += 1;
    return row;
  }

  *iterate(query: string, ...bindings: SqlValue[]): Generator<Row, void> {
    const statement = this.prepare(query);
    this.busy.add(statement);
    try {
      for (const row of statement.iterate(...bindings)) {
        this.counters.rowsRead += 1;
        yield row as unknown as Row;
      }
    } finally {
      this.busy.delete(statement);
    }
  }

  /** As the platform tells it: pages that are free are not counted. */
  get bytesInUse(): number {
    const [row] = this.database
      .prepare(
        'SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s',
      )
      .all() as { bytes: number }[];
    return row?.bytes ?? 0;
  }

  /** All of `body` or nothing, like the object's transactionSync. */
  transaction<T>(body: () => T): T {
    this.database.exec('BEGIN');
    try {
      const result = body();
      this.database.exec('COMMIT');
      return result;
    } catch (error) {
      this.database.exec('ROLLBACK');
      throw error;
    }
  }

  close(): void {
    this.database.close();
  }

  private prepare(query: string): StatementSync {
    this.counters.statements += 1;
    const cached = this.statements.get(query);
    if (cached && !this.busy.has(cached)) return cached;
    const statement = this.database.prepare(query);
    statement.setReturnArrays(true);
    if (!cached) this.statements.set(query, statement);
    return statement;
  }
}
