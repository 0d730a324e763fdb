/**
 * The member's own tables beside the state machine's: identity, hard state, log, configurations,
 * and the deadlines of leases.
 *
 * One schema version for all of them. An older one is upgraded; a newer one than this code knows is
 * refused, so that an old deployment never writes into tables it does not understand.
 */
import type { Sql } from '../kv/sql.ts';

export const schemaVersion = 2;

/** When leases end, at the member that leads: the wall time, in the office of `term` (lease-clock.ts). */
const deadlineTable = `CREATE TABLE lease_deadline (
     id TEXT NOT NULL PRIMARY KEY,
     granted INTEGER NOT NULL,
     term INTEGER NOT NULL,
     at INTEGER NOT NULL
   ) WITHOUT ROWID`;

const statements = [
  // One row. `birth` is the encoded BirthRecord, null while the member belongs to no group;
  // `tombstone` says why it does not any more. What the alarm is for (alarms.ts): the last interval of
  // repair and of the watchdog of leases, and the wall time of the next; 0: none.
  `CREATE TABLE raft_identity (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     schema_version INTEGER NOT NULL,
     incarnation TEXT NOT NULL,
     boot INTEGER NOT NULL,
     birth BLOB,
     tombstone BLOB,
     repair_ms INTEGER NOT NULL,
     repair_at INTEGER NOT NULL,
     watch_ms INTEGER NOT NULL,
     watch_at INTEGER NOT NULL
   )`,
  // One row: term, vote and the mark of the term's leader move together or not at all; `marked_at` is
  // the wall time at which that mark was made. The log starts after (start_index, start_term).
  `CREATE TABLE raft_hard_state (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     term INTEGER NOT NULL,
     vote TEXT,
     term_leader TEXT,
     term_leader_boot INTEGER NOT NULL,
     start_index INTEGER NOT NULL,
     start_term INTEGER NOT NULL,
     marked_at INTEGER NOT NULL
   )`,
  // kind: 0 noop, 1 data, 2 configuration. One row a batch of commands. bytes_to: bytes of data up to
  // and with this row since the member began, so that two rows tell the size of the log.
  `CREATE TABLE raft_log (
     idx INTEGER PRIMARY KEY,
     term INTEGER NOT NULL,
     kind INTEGER NOT NULL,
     data BLOB,
     bytes_to INTEGER NOT NULL
   )`,
  // The configurations of the log, so that a cold start finds the newest without reading it.
  'CREATE TABLE raft_configuration (idx INTEGER PRIMARY KEY, data BLOB NOT NULL)',
  // At most one row: the term and configuration of the snapshot that the state machine has open.
  `CREATE TABLE raft_snapshot (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     id TEXT NOT NULL,
     idx INTEGER NOT NULL,
     term INTEGER NOT NULL,
     configuration BLOB NOT NULL
   )`,
  deadlineTable,
];

/** From version 1, which knew no leases. */
const upgrade = [
  ...['repair_at', 'watch_ms', 'watch_at'].map(
    (column) => `ALTER TABLE raft_identity ADD COLUMN ${column} INTEGER NOT NULL DEFAULT 0`,
  ),
  'ALTER TABLE raft_hard_state ADD COLUMN marked_at INTEGER NOT NULL DEFAULT 0',
  deadlineTable,
];

export function hasSchema(sql: Sql): boolean {
  // A SELECT, since even CREATE TABLE IF NOT EXISTS counts as a write and closes the output gate.
  return (
    sql.first("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'raft_identity'") !==
    undefined
  );
}

export function createSchema(sql: Sql, incarnation: string): void {
  for (const statement of statements) sql.run(statement);
  sql.run(
    'INSERT INTO raft_identity VALUES (1, ?, ?, 0, NULL, NULL, 0, 0, 0, 0)',
    schemaVersion,
    incarnation,
  );
}

/** Within a transaction. An office that goes on counts from now: it knew no leases until now. */
export function upgradeSchema(sql: Sql, now: number): void {
  for (const statement of upgrade) sql.run(statement);
  sql.run('UPDATE raft_hard_state SET marked_at = ?', now);
  sql.run('UPDATE raft_identity SET schema_version = ?', schemaVersion);
}
