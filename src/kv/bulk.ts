/**
 * Statements over many rows at once: in the object a statement costs more than the row it touches.
 * A statement's text depends on how many rows it takes, so the numbers are few and fixed.
 */
import type { SqlValue } from './sql.ts';
import { perSet, type SetQuery, type SetSql, type SetTables } from './table-sets.ts';

/** Rows of one statement. The platform binds 100 parameters at most; an index row has six. */
const chunkSizes = [16, 8, 4, 2, 1] as const;

export type BulkQuery = ReadonlyMap<number, SetQuery>;

export function perChunk(text: (rows: number, tables: SetTables) => string): BulkQuery {
  return new Map(chunkSizes.map((size) => [size, perSet((tables) => text(size, tables))]));
}

export function queryFor(queries: BulkQuery, size: number): SetQuery {
  return queries.get(size) as SetQuery;
}

/** `rows` times the same thing, with commas. */
export function list(rows: number, item: (at: number) => string): string {
  return Array.from({ length: rows }, (_, at) => item(at)).join(', ');
}

export function inChunks<T>(
  items: readonly T[],
  run: (chunk: readonly T[], size: number) => void,
): void {
  let from = 0;
  for (const size of chunkSizes) {
    for (; items.length - from >= size; from += size) run(items.slice(from, from + size), size);
  }
}

/** Each row is the bindings of one. */
export function runInChunks(sql: SetSql, queries: BulkQuery, rows: readonly SqlValue[][]): void {
  inChunks(rows, (chunk, size) => sql.run(queryFor(queries, size), ...chunk.flat()));
}
