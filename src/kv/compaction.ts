/**
 * Physical compaction: deletes the versions that no read at or above the compact revision can see.
 * The compact command itself only moves that revision; this follows in bounded steps, each in a
 * turn of its own, and no answer depends on how far it has come.
 *
 * It walks kv_data in revision order from the previous compact revision to the new one. A row there
 * supersedes every older version of its key, of which previous compactions have left at most a few.
 * A tombstone below the compact revision goes too; one exactly at it stays, so that a watch from
 * there can tell the delete, and is met again by the next compaction, which starts at that revision.
 */
import type { Progress } from './schema.ts';
import type { Row } from './sql.ts';
import type { Store } from './store.ts';

const selectData = `
  SELECT rev, sub, key FROM kv_data
  WHERE (rev, sub) >= (?, ?) AND rev <= ? ORDER BY rev, sub LIMIT ?`;
const selectVersions = `
  SELECT rev, sub, version FROM kv_index WHERE key = ? AND rev <= ? ORDER BY rev DESC LIMIT ?`;
const deleteIndex = 'DELETE FROM kv_index WHERE key = ? AND rev = ?';
const deleteData = 'DELETE FROM kv_data WHERE rev = ? AND sub = ?';

/** Rows of kv_data looked at in one step, per row that may be deleted. */
const scannedPerDeleted = 4;

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

/** Deletes about `rowsMax` rows at most and returns how many. Deterministic, but not replicated. */
export function compactStep(store: Store, rowsMax: number): number {
  const { sql, progress } = store;
  if (!compactionPending(progress)) return 0;
  const target = progress.compactRevision;
  const scanMax = Math.max(1, rowsMax * scannedPerDeleted);
  const rows = sql.all(selectData, progress.scanRevision, progress.scanSub, target, scanMax);
  let deleted = 0;
  for (const row of rows) {
    const removed = compactRow(store, row, target, rowsMax - deleted);
    deleted += removed.deleted;
    // The row itself may have more to remove: the next step begins with it again.
    progress.scanRevision = row[0] as number;
    progress.scanSub = (row[1] as number) + (removed.finished ? 1 : 0);
    if (!removed.finished || deleted >= rowsMax) return deleted;
  }
  if (rows.length === scanMax) return deleted;
  progress.purgedRevision = target;
  progress.scanRevision = target;
  progress.scanSub = 0;
  return deleted;
}

/** Removes what one row of kv_data supersedes, and itself when nothing needs it. */
function compactRow(
  store: Store,
  row: Row,
  target: number,
  rowsLeft: number,
): { deleted: number; finished: boolean } {
  const { sql } = store;
  const [rev, sub, key] = row as [number, number, Uint8Array];
  // Two rows per version; one version more than fits, to know whether all were seen.
  const versionsMax = Math.max(1, rowsLeft >>> 1);
  const versions = sql.all(selectVersions, key, rev, versionsMax + 2);
  const own = versions[0];
  if (own?.[0] !== rev) throw new Error(`kv: ${rev}.${sub} has data but no index`);
  if (own[1] !== sub) {
    // Overwritten inside its own revision: kv_index names the later write.
    sql.run(deleteData, rev, sub);
    return { deleted: 1, finished: true };
  }
  const older = versions.slice(1, 1 + versionsMax);
  for (const version of older)
    removeVersion(store, key, version[0] as number, version[1] as number);
  const deleted = 2 * older.length;
  if (versions.length - 1 > older.length) return { deleted, finished: false };
  if (own[2] === 0 && rev < target) {
    removeVersion(store, key, rev, sub);
    return { deleted: deleted + 2, finished: true };
  }
  return { deleted, finished: true };
}

function removeVersion({ sql }: Store, key: Uint8Array, rev: number, sub: number): void {
  sql.run(deleteIndex, key, rev);
  sql.run(deleteData, rev, sub);
}
