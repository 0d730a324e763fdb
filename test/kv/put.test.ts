import { expect, test } from 'vitest';
import { bytes, del, Machine, put, set, text } from './support.ts';

test('an empty store stands at revision 1, and the first write makes 2', () => {
  const machine = new Machine();
  expect(machine.range({ key: bytes('a') }).header?.revision).toBe(1n);
  expect(machine.ok('put', set('a', '1')).header?.revision).toBe(2n);
});

test('a put of the same value is a change', () => {
  const machine = new Machine();
  machine.apply(set('a', '1'), set('a', '1'));
  const [kv] = machine.range({ key: bytes('a') }).kvs;
  expect(kv).toMatchObject({ createRevision: 2n, modRevision: 3n, version: 2n });
});

test('a key that is put again after a delete begins at version 1 with a new create revision', () => {
  const machine = new Machine();
  machine.apply(set('a', '1'), set('a', '2'), del({ key: bytes('a') }), set('a', '3'));
  const [kv] = machine.range({ key: bytes('a') }).kvs;
  expect(kv).toMatchObject({ createRevision: 5n, modRevision: 5n, version: 1n });
});

test('the previous value is returned only when asked for and only when there was one', () => {
  const machine = new Machine();
  expect(machine.ok('put', put({ key: bytes('a'), prevKv: true })).prevKv).toBeUndefined();
  const { prevKv } = machine.ok('put', put({ key: bytes('a'), value: bytes('x'), prevKv: true }));
  expect(prevKv).toMatchObject({ createRevision: 2n, modRevision: 2n, version: 1n });
  expect(prevKv?.value.length).toBe(0);
  expect(machine.ok('put', set('a', 'y')).prevKv).toBeUndefined();
  machine.apply(del({ key: bytes('a') }));
  expect(machine.ok('put', put({ key: bytes('a'), prevKv: true })).prevKv).toBeUndefined();
});

test('ignore_value keeps the value, and the change counts', () => {
  const machine = new Machine();
  machine.apply(set('a', 'kept'));
  machine.apply(put({ key: bytes('a'), ignoreValue: true }));
  const [kv] = machine.range({ key: bytes('a') }).kvs;
  expect(text(kv?.value as Uint8Array)).toBe('kept');
  expect(kv?.version).toBe(2n);
});

test.each([
  ['an empty key', put({ value: bytes('x') }), 'EmptyKey'],
  [
    'ignore_value with a value',
    put({ key: bytes('a'), value: bytes('x'), ignoreValue: true }),
    'ValueProvided',
  ],
  [
    'ignore_lease with a lease',
    put({ key: bytes('a'), lease: 7n, ignoreLease: true }),
    'LeaseProvided',
  ],
  ['ignore_value of a missing key', put({ key: bytes('no'), ignoreValue: true }), 'KeyNotFound'],
  ['ignore_lease of a missing key', put({ key: bytes('no'), ignoreLease: true }), 'KeyNotFound'],
  ['ignore_value of a deleted key', put({ key: bytes('gone'), ignoreValue: true }), 'KeyNotFound'],
  ['a lease', put({ key: bytes('a'), lease: 123456n }), 'LeaseNotFound'],
  ['a negative lease', put({ key: bytes('a'), lease: -1n }), 'LeaseNotFound'],
])('a put with %s is refused and changes nothing', (_, command, error) => {
  const machine = new Machine();
  machine.apply(set('a', '1'), set('gone'), del({ key: bytes('gone') }));
  const before = machine.machine.revision;
  expect(machine.error(command)).toBe(error);
  expect(machine.machine.revision).toBe(before);
});

test('a put writes two rows and a turn one more', () => {
  const machine = new Machine();
  machine.apply(set('a', '1'));
  const before = machine.sql.counters.rowsWritten;
  machine.apply(set('a', '2'), set('b', '2'), set('c', '2'));
  expect(machine.sql.counters.rowsWritten - before).toBe(2 * 3 + 1);
});

test('a lease and a value stay apart from numbers and from NULL', () => {
  const machine = new Machine();
  machine.apply(set('a', ''), del({ key: bytes('a') }));
  expect(
    machine.sql.all('SELECT typeof(value) FROM kv_data ORDER BY rev').map(([type]) => type),
  ).toEqual(['blob', 'null']);
  expect(machine.sql.first('SELECT typeof(lease) FROM kv_index')).toEqual(['text']);
});
