/**
 * The tables of the state machine and its one row of progress and active set (table-sets.ts).
 *
 * kv_index holds one row per key and revision, newest first, so that "this key at that revision"
 * is one seek; kv_data holds keys and values by revision, so that history can be replayed in order.
 * A put without a lease writes one row into each and nothing else. Version 0 (index) and value NULL (data) mark a
 * tombstone. A lease is its int64 as decimal text, '' for none: it never becomes a JS number.
 *
 * kv_lease holds one row a lease: `granted` is the log index of its grant, `ttl` in seconds. `ended` is
 * the log index from which on it exists for nobody while keys of it are left (as a TTL of 0 says of
 * a lease that came with a snapshot), and `gone` that from which on it is not there at all; such a row
 * stays only for an open snapshot. kv_lease_key has a row for each key that is attached to a lease,
 * and may have others: kv_index tells which count.
 *
 * kv_once holds what commands that take effect once were answered, numbered without gaps: those that count
 * are once_first to once_last of kv_meta (src/kv/once.ts).
 *
 * kv_record holds what is small and of many kinds, users and roles first (src/kv/records.ts): `since` is the log index
 * that wrote the row, `gone` that from which on it is not there any more, for an open snapshot only.
 *
 * When one transaction writes a key twice, kv_index keeps the last write of the revision only;
 * kv_data keeps both, told apart by `sub`, the position inside the revision.
 */
import type { Sql } from './sql.ts';
import { type SetNumber, tableSets } from './table-sets.ts';

/** Version of the layout below. Older ones are upgraded by later code, newer ones are refused. */
const schemaVersion = 4;

const keyTables = tableSets.flatMap(({ index, data }) => [
  `CREATE TABLE ${index} (
    key BLOB NOT NULL, rev INTEGER NOT NULL, sub INTEGER NOT NULL,
    created INTEGER NOT NULL, version INTEGER NOT NULL, lease TEXT NOT NULL,
    PRIMARY KEY (key, rev DESC)
  ) WITHOUT ROWID`,
  `CREATE TABLE ${data} (
    rev INTEGER NOT NULL, sub INTEGER NOT NULL, key BLOB NOT NULL, value BLOB,
    PRIMARY KEY (rev, sub)
  ) WITHOUT ROWID`,
]);

/** Since schema version 2. An upgrade that was cut short begins again, so each may be there. */
const leaseTables = tableSets.flatMap(({ lease, leaseKey }) => [
  `CREATE TABLE IF NOT EXISTS ${lease} (
    id TEXT NOT NULL, granted INTEGER NOT NULL, ttl INTEGER NOT NULL,
    ended INTEGER, gone INTEGER, PRIMARY KEY (id, granted)
  ) WITHOUT ROWID`,
  // Only leases that an open snapshot still sees have a row in it.
  `CREATE INDEX IF NOT EXISTS ${lease}_gone ON ${lease} (gone) WHERE gone IS NOT NULL`,
  `CREATE TABLE IF NOT EXISTS ${leaseKey} (
    lease TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (lease, key)
  ) WITHOUT ROWID`,
]);

/** Since schema version 3. */
const onceTables = tableSets.flatMap(({ once }) => [
  `CREATE TABLE IF NOT EXISTS ${once} (
    seq INTEGER NOT NULL PRIMARY KEY, key BLOB NOT NULL, request BLOB NOT NULL,
    time INTEGER NOT NULL, result BLOB NOT NULL
  )`,
  `CREATE INDEX IF NOT EXISTS ${once}_key ON ${once} (key, seq)`,
]);

/** Since schema version 4. */
const recordTables = tableSets.flatMap(({ record }) => [
  `CREATE TABLE IF NOT EXISTS ${record} (
    kind INTEGER NOT NULL, name TEXT NOT NULL, since INTEGER NOT NULL, data BLOB NOT NULL,
    gone INTEGER, PRIMARY KEY (kind, name, since)
  ) WITHOUT ROWID`,
  // Only what an open snapshot still sees has a row in it.
  `CREATE INDEX IF NOT EXISTS ${record}_gone ON ${record} (gone) WHERE gone IS NOT NULL`,
]);

/** Of kv_meta: the first two since schema version 3, the others since 4. */
const laterColumns = [
  ['once_first', 1],
  ['once_last', 0],
  ['auth_revision', 1],
  ['auth_enabled', 0],
] as const;

const tables = [
  ...keyTables,
  ...leaseTables,
  ...onceTables,
  ...recordTables,
  `CREATE TABLE kv_meta (
    id INTEGER NOT NULL PRIMARY KEY, schema INTEGER NOT NULL, rules INTEGER NOT NULL,
    applied INTEGER NOT NULL, revision INTEGER NOT NULL, compacted INTEGER NOT NULL,
    purged INTEGER NOT NULL, scan_rev INTEGER NOT NULL, scan_sub INTEGER NOT NULL,
    active INTEGER NOT NULL,
    once_first INTEGER NOT NULL DEFAULT 1, once_last INTEGER NOT NULL DEFAULT 0,
    auth_revision INTEGER NOT NULL DEFAULT 1, auth_enabled INTEGER NOT NULL DEFAULT 0
  ) WITHOUT ROWID`,
  // One row for each snapshot that is open here, the first for another member; header is an encoded SnapshotHeader.
  `CREATE TABLE kv_snapshot (
    one INTEGER NOT NULL PRIMARY KEY, id TEXT NOT NULL, header BLOB NOT NULL
  ) WITHOUT ROWID`,
  // One row while a snapshot is being received; header is NULL before the first chunk, and cursor
  // NULL after the last.
  `CREATE TABLE kv_reception (
    one INTEGER NOT NULL PRIMARY KEY, id TEXT NOT NULL, cursor TEXT, header BLOB
  ) WITHOUT ROWID`,
];

/** All integers are below 2^53. */
export interface Progress {
  /** Version of the rules of the last entry applied; 0 before the first. */
  rulesVersion: number;
  /** Log index of the last entry applied. */
  appliedIndex: number;
  /** Revision of the last change; an empty store stands at 1, as etcd's does. */
  revision: number;
  /** Reads below it are refused. Before the first compaction -1, so that etcd's "compact 0" passes. */
  compactRevision: number;
  /** Versions superseded at or below it are gone from disk. purged <= max(compactRevision, 0). */
  purgedRevision: number;
  /** Next row of kv_data that physical compaction looks at, while purged < compact revision. */
  scanRevision: number;
  scanSub: number;
  /** The oldest answer that is kept of a command that takes effect once. */
  onceFirst: number;
  /** The newest; one less than `onceFirst` when there is none. */
  onceLast: number;
  /** 1 at first, as in etcd; one more for each change of users, roles, or of `authEnabled`. */
  authRevision: number;
  authEnabled: boolean;
}

const findTable = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'kv_meta'";
const insertMeta = 'INSERT INTO kv_meta VALUES (1, ?, 0, 0, 1, -1, 0, 0, 0, 0, 1, 0, 1, 0)';
const findColumn = "SELECT 1 FROM sqlite_master WHERE name = 'kv_meta' AND sql LIKE ?";
/** Older schemas have fewer columns, and no code has ever changed their order. */
const selectMeta = 'SELECT * FROM kv_meta WHERE id = 1';
const setProgress = `rules = ?, applied = ?, revision = ?, compacted = ?, purged = ?, scan_rev = ?,
  scan_sub = ?, once_first = ?, once_last = ?, auth_revision = ?, auth_enabled = ?`;
const updateMeta = `UPDATE kv_meta SET ${setProgress} WHERE id = 1`;
const switchMeta = `UPDATE kv_meta SET active = ?, ${setProgress} WHERE id = 1`;

/** Reads only: a schema statement would count as a write even when it changes nothing. */
export function tablesExist(sql: Sql): boolean {
  return sql.first(findTable) !== undefined;
}

export function createTables(sql: Sql): void {
  for (const table of tables) sql.run(table);
  sql.run(insertMeta, schemaVersion);
}

/** The version is written last: until then an older life finds what it knows. */
function upgrade(sql: Sql): void {
  for (const table of [...leaseTables, ...onceTables, ...recordTables]) sql.run(table);
  for (const [column, start] of laterColumns) {
    if (sql.first(findColumn, `%${column}%`) !== undefined) continue;
    sql.run(`ALTER TABLE kv_meta ADD COLUMN ${column} INTEGER NOT NULL DEFAULT ${start}`);
  }
  sql.run('UPDATE kv_meta SET schema = ?', schemaVersion);
}

/** Forgets the whole state. */
export function dropTables(sql: Sql): void {
  for (const table of tables) {
    const name = /^CREATE TABLE (?:IF NOT EXISTS )?(\w+)/.exec(table)?.[1];
    // Storage of an older schema has fewer.
    if (name) sql.run(`DROP TABLE IF EXISTS ${name}`);
  }
}

export interface Stored {
  readonly progress: Progress;
  readonly activeSet: SetNumber;
}

/** Brings older tables up to date. Throws when they are of a version that this code does not know. */
export function loadStored(sql: Sql): Stored {
  const row = sql.first(selectMeta) as readonly number[] | undefined;
  if (!row) throw new Error('kv: the state machine was never created here');
  const [, schema, ...rest] = row;
  if (schema !== undefined && schema >= 1 && schema < schemaVersion) upgrade(sql);
  else if (schema !== schemaVersion) {
    throw new Error(`kv: storage has schema ${schema}, this code knows ${schemaVersion}`);
  }
  const [rules, applied, revision, compacted, purged, scanRev, scanSub, activeSet] = rest;
  const [onceFirst = 1, onceLast = 0, authRevision = 1, authEnabled = 0] = rest.slice(8);
  const progress: Progress = {
    rulesVersion: rules as number,
    appliedIndex: applied as number,
    revision: revision as number,
    compactRevision: compacted as number,
    purgedRevision: purged as number,
    scanRevision: scanRev as number,
    scanSub: scanSub as number,
    onceFirst,
    onceLast,
    authRevision,
    authEnabled: authEnabled === 1,
  };
  return { progress, activeSet: activeSet === 1 ? 1 : 0 };
}

export function storeProgress(sql: Sql, progress: Progress): void {
  sql.run(updateMeta, ...columns(progress));
}

/** Makes `set` the active one, with the progress that its rows are of: one row for all of it. */
export function storeSwitch(sql: Sql, set: SetNumber, progress: Progress): void {
  sql.run(switchMeta, set, ...columns(progress));
}

/** In the order of the updates above. */
function columns(progress: Progress): number[] {
  return [
    progress.rulesVersion,
    progress.appliedIndex,
    progress.revision,
    progress.compactRevision,
    progress.purgedRevision,
    progress.scanRevision,
    progress.scanSub,
    progress.onceFirst,
    progress.onceLast,
    progress.authRevision,
    progress.authEnabled ? 1 : 0,
  ];
}
