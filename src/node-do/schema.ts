/**
 * The member's own tables beside the state machine's: identity, hard state, log, configurations.
 *
 * One schema version for all four; a newer one than this code knows is refused, so that an old
 * deployment never writes into tables it does not understand.
 */
import type { Sql } from '../kv/sql.ts';

export const schemaVersion = 1;

const statements = [
  // One row. `birth` is the encoded BirthRecord, null while the member belongs to no group.
  `CREATE TABLE raft_identity (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     schema_version INTEGER NOT NULL,
     incarnation TEXT NOT NULL,
     boot INTEGER NOT NULL,
     birth BLOB
   )`,
  // One row: term, vote and the mark of the term's leader move together or not at all.
  `CREATE TABLE raft_hard_state (
     one INTEGER PRIMARY KEY CHECK (one = 1),
     term INTEGER NOT NULL,
     vote TEXT,
     term_leader TEXT,
     term_leader_boot INTEGER NOT NULL
   )`,
  // kind: 0 noop, 1 data, 2 configuration. One row a batch of commands.
  'CREATE TABLE raft_log (idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL, data BLOB)',
  // The configurations of the log, so that a cold start finds the newest without reading it.
  'CREATE TABLE raft_configuration (idx INTEGER PRIMARY KEY, data BLOB NOT NULL)',
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
  sql.run('INSERT INTO raft_identity VALUES (1, ?, ?, 0, NULL)', schemaVersion, incarnation);
}
