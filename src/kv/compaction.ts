/**
 * Physical compaction: deletes the versions that no read at or above the compact revision can see.
 * The compact command itself only moves that revision; this follows in bounded steps, each in a
 * turn of its own, and no answer depends on how far it has come.
 *
 * It walks kv_data in revision order from the previous compact revision to the new one. Each row
 * there supersedes the version of its key before it; since every superseded version has such a
 * successor, and earlier compactions left at most one version below where this one starts, that is
 * all of them. A tombstone below the compact revision goes too; one exactly at it stays, so that a
 * watch from there can tell the delete, and is met again by the next compaction, which therefore
 * starts at that revision and not after it.
 */
import type { Progress } from './schema.ts';
import type { Store } from './store.ts';
import { perSet } from './table-sets.ts';

/** rev, sub; sub and version of its index row; rev and sub of the version before it. */
const selectPage = perSet(
  ({ index, data }) => `
  SELECT d.rev, d.sub, i.sub, i.version, o.rev, o.sub
  FROM (
    SELECT rev, sub, key FROM ${data}
    WHERE (rev, sub) >= (?, ?) AND rev <= ? ORDER BY rev, sub LIMIT ?
  ) d
  LEFT JOIN ${index} i ON i.key = d.key AND i.rev = d.rev
  LEFT JOIN ${index} o ON o.key = d.key AND o.rev = (
    SELECT rev FROM ${index} WHERE key = d.key AND rev < d.rev ORDER BY rev DESC LIMIT 1)`,
);

// Both take a JSON array of [rev, sub]. Keys never leave SQLite: kv_data, still whole, tells them.
const deleteIndex = perSet(
  ({ index, data }) => `
  DELETE FROM ${index} WHERE (key, rev) IN (
    SELECT d.key, d.rev FROM json_each(?) j CROSS JOIN ${data} d
    WHERE d.rev = j.value ->> 0 AND d.sub = j.value ->> 1)`,
);
const deleteData = perSet(
  ({ data }) => `
  DELETE FROM ${data} WHERE (rev, sub) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))`,
);

/** A row may take itself and the version before it along, from both tables. */
const deletedPerRowMax = 4;

export function compactionPending({ compactRevision, purgedRevision }: Progress): boolean {
  return compactRevision > purgedRevision;
}

/** Called when the compact revision rises; a compaction that still runs goes on to the new one. */
export function startCompaction(progress: Progress, revision: number): void {
  progress.compactRevision = revision;
  // What the walk has passed in its last revision it passed under the old target: tombstones there
  // may have been kept for being exactly at it.
  progress.scanSub = 0;
}

/** Deletes at most `rowsMax` rows (4 when that is less) and returns how many. */
export function compactStep(store: Store, rowsMax: number): number {
  const { sql, progress } = store;
  if (!compactionPending(progress)) return 0;
  const target = progress.compactRevision;
  const pageRows = Math.max(1, Math.floor(rowsMax / deletedPerRowMax));
  const page = sql.all(selectPage, progress.scanRevision, progress.scanSub, target, pageRows);
  const versions = new Set<string>();
  const overwritten: string[] = [];
  for (const row of page as number[][]) {
    const [rev, sub, indexSub, version, oldRev, oldSub] = row as [number, number, ...number[]];
    if (indexSub === null) throw new Error(`kv: ${rev}.${sub} has data but no index`);
    // A later write of the same revision replaced this one in kv_index.
    if (indexSub !== sub) overwritten.push(`[${rev},${sub}]`);
    else if (version === 0 && rev < target) versions.add(`[${rev},${sub}]`);
    if (oldRev !== null) versions.add(`[${oldRev},${oldSub}]`);
    progress.scanRevision = rev;
    progress.scanSub = sub + 1;
  }
  if (versions.size > 0) sql.run(deleteIndex, `[${[...versions].join()}]`);
  const data = [...versions, ...overwritten];
  if (data.length > 0) sql.run(deleteData, `[${data.join()}]`);
  if (page.length < pageRows) {
    progress.purgedRevision = target;
    progress.scanRevision = target;
    progress.scanSub = 0;
  }
  return versions.size + data.length;
}
