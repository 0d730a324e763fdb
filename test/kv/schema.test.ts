/** Storage that older code has written is brought up to date where it is opened. */
import { expect, test } from 'vitest';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { NodeSql } from '../support/node-sql.ts';
import { bytes, grant, Machine, put, set } from './support.ts';

const ofSet = (suffix: string): string[] => [
  `CREATE TABLE kv_index${suffix} (
    key BLOB NOT NULL, rev INTEGER NOT NULL, sub INTEGER NOT NULL,
    created INTEGER NOT NULL, version INTEGER NOT NULL, lease TEXT NOT NULL,
    PRIMARY KEY (key, rev DESC)
  ) WITHOUT ROWID`,
  `CREATE TABLE kv_data${suffix} (
    rev INTEGER NOT NULL, sub INTEGER NOT NULL, key BLOB NOT NULL, value BLOB,
    PRIMARY KEY (rev, sub)
  ) WITHOUT ROWID`,
];

/** The tables of schema version 1, as its code has made them, with one key. */
const versionOne = [
  ...ofSet(''),
  ...ofSet('_1'),
  `CREATE TABLE kv_meta (
    id INTEGER NOT NULL PRIMARY KEY, schema INTEGER NOT NULL, rules INTEGER NOT NULL,
    applied INTEGER NOT NULL, revision INTEGER NOT NULL, compacted INTEGER NOT NULL,
    purged INTEGER NOT NULL, scan_rev INTEGER NOT NULL, scan_sub INTEGER NOT NULL,
    active INTEGER NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE kv_snapshot (
    one INTEGER NOT NULL PRIMARY KEY, id TEXT NOT NULL, header BLOB NOT NULL
  ) WITHOUT ROWID`,
  `CREATE TABLE kv_reception (
    one INTEGER NOT NULL PRIMARY KEY, id TEXT NOT NULL, cursor TEXT, header BLOB
  ) WITHOUT ROWID`,
  'INSERT INTO kv_meta VALUES (1, 1, 1, 1, 2, -1, 0, 0, 0, 0)',
  "INSERT INTO kv_index VALUES (x'6b', 2, 0, 2, 1, '')",
  "INSERT INTO kv_data VALUES (2, 0, x'6b', x'76')",
];

const authColumns = ['auth_revision', 'auth_enabled'];

function opened(): { machine: Machine; sql: NodeSql } {
  const sql = new NodeSql();
  for (const statement of versionOne) sql.run(statement);
  return { machine: new Machine({}, sql), sql };
}

test('schema 1 gets the tables of later ones and keeps what it holds', () => {
  const { machine, sql } = opened();
  expect(sql.first('SELECT schema FROM kv_meta')).toEqual([4]);
  expect(machine.contents()).toEqual(['k=v']);
  const fresh = new Machine();
  fresh.applyEntry(new Uint8Array(0));
  machine.apply(grant(7n));
  machine.apply(put({ key: bytes('k'), lease: 7n }));
  expect(machine.leaseKeys(7n)).toEqual(['k']);
  const names = "SELECT name FROM sqlite_master WHERE name LIKE 'kv%' ORDER BY name";
  expect(sql.all(names)).toEqual(fresh.sql.all(names));
});

test('an upgrade that was cut short goes on', () => {
  const { sql } = opened();
  sql.run('UPDATE kv_meta SET schema = 1');
  sql.run('DROP TABLE kv_lease_key_1');
  const machine = new Machine({}, sql);
  machine.apply(grant(7n));
  expect(sql.first('SELECT count(*) FROM kv_lease_key_1')).toEqual([0]);
});

test('schema 2 gets the tables and columns of answers that are kept, cut short or not', () => {
  for (const half of [false, true]) {
    const { machine, sql } = opened();
    machine.apply(set('a'));
    sql.run('DROP TABLE kv_once');
    for (const column of authColumns) sql.run(`ALTER TABLE kv_meta DROP COLUMN ${column}`);
    if (!half) sql.run('ALTER TABLE kv_meta DROP COLUMN once_first');
    sql.run('ALTER TABLE kv_meta DROP COLUMN once_last');
    sql.run('UPDATE kv_meta SET schema = 2');
    machine.reopen();
    expect(machine.contents()).toEqual(['a=', 'k=v']);
    expect(sql.first('SELECT schema, once_first, once_last FROM kv_meta')).toEqual([4, 1, 0]);
    expect(sql.first('SELECT count(*) FROM kv_once')).toEqual([0]);
  }
});

test('schema 3 gets the tables and columns of auth, cut short or not', () => {
  for (const half of [false, true]) {
    const { machine, sql } = opened();
    machine.apply(set('a'));
    sql.run('DROP TABLE kv_record_1');
    for (const column of authColumns.slice(half ? 1 : 0))
      sql.run(`ALTER TABLE kv_meta DROP COLUMN ${column}`);
    sql.run('UPDATE kv_meta SET schema = 3');
    machine.reopen();
    expect(machine.contents()).toEqual(['a=', 'k=v']);
    expect(sql.first('SELECT schema, auth_revision, auth_enabled FROM kv_meta')).toEqual([4, 1, 0]);
    expect(sql.first('SELECT count(*) FROM kv_record_1')).toEqual([0]);
  }
});

test('storage of this schema is opened without a write', () => {
  const { machine, sql } = opened();
  machine.apply(set('a'));
  const runs: string[] = [];
  const { run } = sql;
  sql.run = (query, ...bindings) => {
    runs.push(query);
    run.call(sql, query, ...bindings);
  };
  machine.reopen();
  expect(runs).toEqual([]);
});

test('storage of schema 1 can be forgotten', () => {
  const sql = new NodeSql();
  for (const statement of versionOne) sql.run(statement);
  StateMachine.destroy(sql);
  expect(StateMachine.exists(sql)).toBe(false);
  StateMachine.create(sql);
  expect(new Machine({}, sql).contents()).toEqual([]);
});
