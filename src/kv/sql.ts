/**
 * The one way in which the state machine and the log speak to SQLite: `ctx.storage.sql` in the
 * object, `node:sqlite` in unit tests and simulations (test/support/node-sql.ts).
 *
 * Bindings: numbers are integers below 2^53, text, bytes or null; never a bigint (the platform
 * refuses it). Results: BLOB columns arrive as Uint8Array, INTEGER columns as numbers.
 */
export type SqlValue = number | string | Uint8Array | null;

export type Row = readonly SqlValue[];

export interface Sql {
  /** Runs one statement for its effect. */
  run(query: string, ...bindings: SqlValue[]): void;
  /** All rows, each as an array of its columns. For queries that a LIMIT or a key bounds. */
  all(query: string, ...bindings: SqlValue[]): Row[];
  /** The first row, or undefined. */
  first(query: string, ...bindings: SqlValue[]): Row | undefined;
  /**
   * Rows one by one. The caller finishes or abandons the loop before it runs another statement
   * that writes, and before any await.
   */
  iterate(query: string, ...bindings: SqlValue[]): Iterable<Row>;
}
