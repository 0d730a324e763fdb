/**
 * The member's own tables beside the state machine's: identity, hard state, log, configurations.
 *
 * One schema version for all four; a newer one than this code knows is refused, so that an old
 * deployment never writes into tables it does not understand.
 */
import type { Sql } from '../kv/sql.ts';

export const schemaVersion = 1;

const statements = [
  // One row. `birth` is the encoded BirthRecord, null while the member belongs to no group;
  // `tombstone` says why it does not any more. `repair_ms`: the repair alarm's last interval.
  `CREATE TABLE raft_identity (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     schema_version INTEGER NOT NULL,
     incarnation TEXT NOT NULL,
     boot INTEGER NOT NULL,
     birth BLOB,
     tombstone BLOB,
     repair_ms INTEGER NOT NULL
   )`,
  // One row: term, vote and the mark of the term's leader move together or not at all. The log
  // starts after (start_index, start_term).
  `CREATE TABLE raft_hard_state (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     term INTEGER NOT NULL,
     vote TEXT,
     term_leader TEXT,
     term_leader_boot INTEGER NOT NULL,
     start_index INTEGER NOT NULL,
     start_term INTEGER NOT NULL
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
    'INSERT INTO raft_identity VALUES (1, ?, ?, 0, NULL, NULL, 0)',
    schemaVersion,
    incarnation,
  );
}
