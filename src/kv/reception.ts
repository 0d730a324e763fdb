/**
 * The receiver's side of a snapshot: chunks fill the set of tables that is not active, and
 * installing makes that set the active one. One row remembers which snapshot is being received and
 * where the next chunk begins, so a new life goes on where the old one was.
 *
 * Rows of that set that no reception will use, left by one that was abandoned or by the state before
 * a switch, go in bounded steps; until then nothing can be received.
 */
import type {
  SnapshotLease,
  SnapshotOnce,
  SnapshotRecord,
  SnapshotVersion,
} from '../api/gen/snapshot_pb.js';
import { type BulkQuery, list, perChunk, runInChunks } from './bulk.ts';
import { type Progress, storeSwitch } from './schema.ts';
import { decodeChunk, decodeHeader, encodeHeader, progressOf } from './snapshot-format.ts';
import type { SqlValue } from './sql.ts';
import type { Store } from './store.ts';
import { perSet, type SetSql } from './table-sets.ts';

export interface Receiving {
  readonly id: string;
  /** Of the chunk that is expected next; null: all of it is here, and installing is what is left. */
  readonly cursor: string | null;
}

/**
 * notNext: of another snapshot, or not the chunk that is expected. unreadable: made by code that
 * this code does not understand. Nothing was written for either.
 */
export type Receipt = 'received' | 'notNext' | 'unreadable';

/** A step ends early when it has come so far: large values are many pages of the file. */
const clearedBytesPerStep = 8 * 1024 * 1024;

const selectReception = 'SELECT id, cursor, header FROM kv_reception';
const insertReception = "INSERT INTO kv_reception VALUES (1, ?, '', NULL)";
const updateReception = 'UPDATE kv_reception SET cursor = ?, header = ?';
const deleteReception = 'DELETE FROM kv_reception';

const insertIndex = perChunk(
  (rows, { index }) => `INSERT INTO ${index} VALUES ${list(rows, () => '(?, ?, ?, ?, ?, ?)')}`,
);
// An empty blob may be bound as NULL, which in kv_data means a tombstone: that is said on its own.
const insertData: BulkQuery = perChunk(
  (rows, { data }) =>
    `INSERT INTO ${data} VALUES ${list(rows, () => "(?, ?, ?, iif(?, NULL, coalesce(?, x'')))")}`,
);

const insertLeases = perChunk(
  (rows, { lease }) => `INSERT INTO ${lease} VALUES ${list(rows, () => '(?, ?, ?, NULL, NULL)')}`,
);
const insertKeys = perChunk(
  (rows, { leaseKey }) => `INSERT INTO ${leaseKey} VALUES ${list(rows, () => '(?, ?)')}`,
);

const insertOnces = perChunk(
  (rows, { once }) => `INSERT INTO ${once} VALUES ${list(rows, () => '(?, ?, ?, ?, ?)')}`,
);

const insertRecords = perChunk(
  (rows, { record }) =>
    `INSERT INTO ${record} VALUES ${list(rows, () => "(?, ?, ?, coalesce(?, x''), NULL)")}`,
);

const findRow = perSet(
  ({ data, lease, leaseKey, once, record }) => `
  SELECT 1 WHERE EXISTS (SELECT 1 FROM ${data}) OR EXISTS (SELECT 1 FROM ${lease})
    OR EXISTS (SELECT 1 FROM ${leaseKey}) OR EXISTS (SELECT 1 FROM ${once})
    OR EXISTS (SELECT 1 FROM ${record})`,
);
// length() of a blob does not read the blob.
const selectOldest = perSet(
  ({ data }) => `
  SELECT rev, sub, length(key) + ifnull(length(value), 0) FROM ${data} ORDER BY rev, sub LIMIT ?`,
);
const clearIndex = perSet(
  ({ index, data }) => `
  DELETE FROM ${index} WHERE (key, rev) IN (
    SELECT key, rev FROM ${data} WHERE (rev, sub) <= (?, ?))`,
);
const clearData = perSet(({ data }) => `DELETE FROM ${data} WHERE (rev, sub) <= (?, ?)`);
const clearKeys = perSet(
  ({ leaseKey }) => `
  DELETE FROM ${leaseKey} WHERE (lease, key) IN (SELECT lease, key FROM ${leaseKey} LIMIT ?)`,
);
const clearLeases = perSet(
  ({ lease }) => `
  DELETE FROM ${lease} WHERE (id, granted) IN (SELECT id, granted FROM ${lease} LIMIT ?)`,
);

const clearOnces = perSet(
  ({ once }) => `DELETE FROM ${once} WHERE seq IN (SELECT seq FROM ${once} LIMIT ?)`,
);

const clearRecords = perSet(
  ({ record }) => `
  DELETE FROM ${record} WHERE (kind, name, since) IN (SELECT kind, name, since FROM ${record} LIMIT ?)`,
);

export class Reception {
  private readonly store: Store;
  private receiving: Receiving | null = null;
  private header: Uint8Array | null = null;
  /** Whether the inactive set holds rows. */
  private filled: boolean;

  constructor(store: Store) {
    this.store = store;
    const row = store.sql.common.first(selectReception);
    if (row) {
      const [id, cursor, header] = row;
      this.receiving = { id: id as string, cursor: cursor as string | null };
      this.header = header as Uint8Array | null;
    }
    this.filled = holdsRows(store.sql.other());
  }

  get current(): Receiving | null {
    return this.receiving;
  }

  get canBegin(): boolean {
    return !this.receiving && !this.filled;
  }

  get clearPending(): boolean {
    return !this.receiving && this.filled;
  }

  /** True: chunks of `id` may come. False: clear first. Abandons the reception of any other. */
  begin(id: string): boolean {
    if (this.receiving?.id === id) return true;
    this.abandon();
    if (!this.canBegin) return false;
    this.store.sql.common.run(insertReception, id);
    this.receiving = { id, cursor: '' };
    return true;
  }

  abandon(): void {
    if (!this.receiving) return;
    this.store.sql.common.run(deleteReception);
    this.receiving = null;
    this.header = null;
  }

  receive(id: string, cursor: string, data: Uint8Array, next: string | null): Receipt {
    const { receiving } = this;
    if (receiving?.id !== id || receiving.cursor !== cursor) return 'notNext';
    const chunk = decodeChunk(data);
    if (!chunk || (cursor === '') !== (chunk.header !== undefined)) return 'unreadable';
    if (chunk.header) this.header = encodeHeader(chunk.header);
    const { sql } = this.store;
    const { versions, leases, onces, records } = chunk;
    const rows = versions.length + leases.length + onces.length + records.length;
    if (rows > 0) this.filled = true;
    writeVersions(sql.other(), versions);
    writeLeases(sql.other(), leases);
    writeOnces(sql.other(), onces);
    writeRecords(sql.other(), records);
    sql.common.run(updateReception, next, this.header);
    this.receiving = { id, cursor: next };
    return 'received';
  }

  /** Nothing follows the chunks that are here, which only the sender can know. */
  complete(): void {
    const { receiving } = this;
    if (!receiving || receiving.cursor === '') throw new Error('kv: no chunk has come yet');
    this.store.sql.common.run(updateReception, null, this.header);
    this.receiving = { id: receiving.id, cursor: null };
  }

  /**
   * Switches to what was received and returns its progress; the caller takes that over. `bump`: the
   * revision is so much higher than it was, and nothing below that can be read.
   */
  install(bump: number): Progress {
    const { receiving, header, store } = this;
    if (!header || receiving?.cursor !== null) throw new Error('kv: the snapshot is not complete');
    const progress = progressOf(decodeHeader(header));
    if (bump > 0) {
      progress.revision += bump;
      progress.compactRevision = progress.revision;
    }
    if (progress.appliedIndex <= store.progress.appliedIndex) {
      const { appliedIndex } = store.progress;
      throw new Error(`kv: snapshot at ${progress.appliedIndex}, but ${appliedIndex} is applied`);
    }
    storeSwitch(store.sql.common, store.sql.other().set, progress);
    this.abandon();
    store.sql.switchSet();
    this.filled = holdsRows(store.sql.other());
    return progress;
  }

  /** Deletes at most `rowsMax` rows (2 when that is less) that nobody will use; returns how many. */
  clearStep(rowsMax: number): number {
    if (!this.clearPending) return 0;
    const sql = this.store.sql.other();
    const pageRows = Math.max(1, Math.floor(rowsMax / 2));
    let rows = 0;
    let bytes = 0;
    let last: SqlValue[] = [];
    for (const [rev, sub, length] of sql.all(selectOldest, pageRows) as number[][]) {
      rows += 1;
      bytes += length as number;
      last = [rev as number, sub as number];
      if (bytes >= clearedBytesPerStep) break;
    }
    if (rows > 0) {
      sql.run(clearIndex, ...last);
      sql.run(clearData, ...last);
    } else {
      sql.run(clearKeys, pageRows);
      sql.run(clearLeases, pageRows);
      sql.run(clearOnces, pageRows);
      sql.run(clearRecords, pageRows);
    }
    this.filled = holdsRows(sql);
    return 2 * (rows || pageRows);
  }
}

/** No row of kv_index is without one in kv_data. */
function holdsRows(sql: SetSql): boolean {
  return sql.first(findRow) !== undefined;
}

function writeVersions(sql: SetSql, versions: readonly SnapshotVersion[]): void {
  const index: SqlValue[][] = [];
  const data: SqlValue[][] = [];
  const keys: SqlValue[][] = [];
  for (const message of versions) {
    const { rev, sub, key, value, replaced, created, version, lease, attached } = message;
    data.push([Number(rev), sub, key, value === undefined ? 1 : 0, value ?? null]);
    if (!replaced) index.push([key, Number(rev), sub, Number(created), Number(version), lease]);
    if (attached) keys.push([lease, key]);
  }
  runInChunks(sql, insertIndex, index);
  runInChunks(sql, insertData, data);
  runInChunks(sql, insertKeys, keys);
}

function writeLeases(sql: SetSql, leases: readonly SnapshotLease[]): void {
  const rows = leases.map(({ id, grant, ttl }) => [id.toString(), Number(grant), Number(ttl)]);
  runInChunks(sql, insertLeases, rows);
}

function writeOnces(sql: SetSql, onces: readonly SnapshotOnce[]): void {
  const rows = onces.map(({ seq, key, request, time, result }) => {
    return [Number(seq), key, request, Number(time), result];
  });
  runInChunks(sql, insertOnces, rows);
}

function writeRecords(sql: SetSql, records: readonly SnapshotRecord[]): void {
  const rows = records.map(({ kind, name, since, data }) => [kind, name, Number(since), data]);
  runInChunks(sql, insertRecords, rows);
}
