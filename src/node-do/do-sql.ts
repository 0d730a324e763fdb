/** The Sql interface over `ctx.storage.sql`, counting the rows that the platform bills. */
import type { Row, Sql, SqlValue } from '../kv/sql.ts';
import type { Counters } from './counters.ts';

type Cursor = SqlStorageCursor<Record<string, SqlStorageValue>>;

export class DurableObjectSql implements Sql {
  private readonly storage: SqlStorage;
  private readonly counters: Counters;

  constructor(storage: SqlStorage, counters: Counters) {
    this.storage = storage;
    this.counters = counters;
  }

  run(query: string, ...bindings: SqlValue[]): void {
    this.count(this.storage.exec(query, ...bindings));
  }

  all(query: string, ...bindings: SqlValue[]): Row[] {
    const cursor = this.storage.exec(query, ...bindings);
    const rows = Array.from(cursor.raw(), toRow);
    this.count(cursor);
    return rows;
  }

  first(query: string, ...bindings: SqlValue[]): Row | undefined {
    return this.all(query, ...bindings)[0];
  }

  *iterate(query: string, ...bindings: SqlValue[]): Iterable<Row> {
    const cursor = this.storage.exec(query, ...bindings);
    try {
      for (const row of cursor.raw()) yield toRow(row);
    } finally {
      this.count(cursor);
    }
  }

  private count(cursor: Cursor): void {
    this.counters.rowsRead += cursor.rowsRead;
    this.counters.rowsWritten += cursor.rowsWritten;
  }
}

function toRow(row: SqlStorageValue[]): Row {
  for (let at = 0; at < row.length; at += 1) {
    const value = row[at];
    // BLOBs arrive as ArrayBuffer; everybody above works with views.
    if (value instanceof ArrayBuffer) (row as unknown[])[at] = new Uint8Array(value);
  }
  return row as unknown as Row;
}
