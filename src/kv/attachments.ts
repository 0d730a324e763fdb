/**
 * Which keys are attached to a lease: kv_lease_key, derived from the newest version of each key.
 *
 * Whoever writes a version with another lease than the one before it says so here, so a lease
 * that lives long does not collect the keys that it once had. A row counts only if the newest version of its
 * key has that lease: what a receiver of a snapshot or a change taken back leaves does no harm.
 */
import { keyAfter } from './bounds.ts';
import { list, perChunk, runInChunks } from './bulk.ts';
import { perSet, type SetSql } from './table-sets.ts';

/** Rows looked at in one statement. */
const pageRows = 1_000;
/** Keys are not empty, so none comes before this one. */
const firstKey = new Uint8Array([0]);

const insertRow = perSet(({ leaseKey }) => `INSERT OR IGNORE INTO ${leaseKey} VALUES (?, ?)`);
const deleteRow = perSet(({ leaseKey }) => `DELETE FROM ${leaseKey} WHERE lease = ? AND key = ?`);
const deleteRows = perChunk(
  (rows, { leaseKey }) =>
    `DELETE FROM ${leaseKey} WHERE (lease, key) IN (VALUES ${list(rows, () => '(?, ?)')})`,
);
const deleteUpTo = perSet(({ leaseKey }) => `DELETE FROM ${leaseKey} WHERE lease = ? AND key <= ?`);
const deleteLease = perSet(({ leaseKey }) => `DELETE FROM ${leaseKey} WHERE lease = ?`);
const selectPage = perSet(
  ({ leaseKey, index }) => `
  SELECT key, ?1 = (SELECT lease FROM ${index} WHERE key = k.key ORDER BY rev DESC LIMIT 1)
  FROM ${leaseKey} k WHERE lease = ?1 AND key >= ?2 ORDER BY key LIMIT ?3`,
);

/** A lease here is its decimal text, '' for none. */
export interface Attachment {
  readonly lease: string;
  readonly key: Uint8Array;
}

export function attach(sql: SetSql, { lease, key }: Attachment): void {
  sql.run(insertRow, lease, key);
}

export function detach(sql: SetSql, { lease, key }: Attachment): void {
  sql.run(deleteRow, lease, key);
}

export function detachAll(sql: SetSql, attachments: readonly Attachment[]): void {
  runInChunks(
    sql,
    deleteRows,
    attachments.map(({ lease, key }) => [lease, key]),
  );
}

/** Forgets the rows of a lease up to this key; null: all of them. */
export function forgetKeys(sql: SetSql, lease: string, last: Uint8Array | null): void {
  if (last) sql.run(deleteUpTo, lease, last);
  else sql.run(deleteLease, lease);
}

/** The keys attached to a lease in their order, a page at a time; a page may be empty. */
export function* attachedKeys(sql: SetSql, lease: string): Generator<Uint8Array[], void> {
  for (let start: Uint8Array | null = firstKey; start; ) {
    const rows = sql.all(selectPage, lease, start, pageRows);
    const last = rows[pageRows - 1];
    start = last ? keyAfter(last[0] as Uint8Array) : null;
    yield rows.filter(([, counts]) => counts === 1).map(([key]) => key as Uint8Array);
  }
}
