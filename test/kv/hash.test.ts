/** The logical hash tells states apart, and only states: not how far compaction has come. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fnv64 } from '../../src/kv/hash.ts';
import { Model } from './model.ts';
import { anyStepOrCompaction, runStep } from './steps.ts';
import { bytes, compact, del, Machine, set, txn } from './support.ts';

test.each([
  ['', 'cbf29ce484222325'],
  ['a', 'af63dc4c8601ec8c'],
  ['foobar', '85944171f73967e8'],
])('FNV-1a of "%s" is the published one', (text, expected) => {
  const hash = new Fnv64();
  hash.addBytes(bytes(text));
  expect(hash.digest()).toBe(expected);
});

/** Versions above, at and below the compact revision, a delete at it, two writes in one revision. */
function sample(pageRows = 1000): Machine {
  const pages = { rowsMax: pageRows, countRowsMax: pageRows, bytesMax: 1 << 20 };
  const machine = new Machine({ pages });
  const key = bytes('twice');
  const success = [
    { request: { case: 'requestPut' as const, value: { key } } },
    { request: { case: 'requestDeleteRange' as const, value: { key, rangeEnd: bytes('\0') } } },
  ];
  machine.apply(set('a', '1'), set('b', '1'), set('a', '2'), del({ key: bytes('b') }), compact(5));
  machine.apply(set('a', '3'), set('c', ''), txn({ success }), set('d', 'x'));
  return machine;
}

describe('the hash', () => {
  test('does not depend on the size of its pages', () => {
    expect(new Set([1, 2, 3, 1000].map((rows) => sample(rows).hash())).size).toBe(1);
  });

  test.each([
    "UPDATE kv_data SET value = x'00' WHERE rev = 9",
    "UPDATE kv_data SET value = NULL WHERE key = CAST('c' AS BLOB) AND rev = 7",
    "UPDATE kv_data SET key = x'00' WHERE rev = 9",
    'UPDATE kv_index SET created = 3 WHERE rev = 6',
    'UPDATE kv_index SET version = 9 WHERE rev = 6',
    "UPDATE kv_index SET lease = '7' WHERE rev = 6",
    'DELETE FROM kv_index WHERE rev = 6',
    'DELETE FROM kv_data WHERE rev = 8 AND sub = 0',
    'DELETE FROM kv_data WHERE rev = 5',
    'UPDATE kv_meta SET revision = 10',
    'UPDATE kv_meta SET compacted = 4',
  ])('changes with %s', (statement) => {
    const machine = sample();
    const before = machine.hash();
    const { rowsWritten } = machine.sql.counters;
    machine.sql.run(statement);
    expect(machine.sql.counters.rowsWritten).toBe(rowsWritten + 1);
    machine.reopen();
    expect(machine.hash()).not.toBe(before);
  });

  test('is the same before and after the rows that a compaction dropped are gone', () => {
    const machine = new Machine();
    machine.apply(set('a', '1'), set('b'), del({ key: bytes('b') }), set('a', '2'), compact(5));
    machine.apply(set('a', '3'));
    const before = machine.hash();
    expect(machine.compactAll()).toBe(6);
    expect(machine.hash()).toBe(before);
  });

  test('is of the state at which it began, whatever is applied between its pages', () => {
    const machine = sample(1);
    const before = machine.hash();
    const pages = machine.machine.logicalHash();
    for (;;) {
      const page = pages.next();
      if (page.done) {
        expect(page.value).toBe(before);
        break;
      }
      machine.apply(set('a'), del({ key: bytes('c') }), set('new'));
    }
    expect(machine.hash()).not.toBe(before);
  });

  test('begins again when a compaction comes in between', () => {
    const machine = sample(1);
    const pages = machine.machine.logicalHash();
    pages.next();
    machine.apply(compact(9));
    machine.compactAll();
    for (;;) {
      const page = pages.next();
      if (!page.done) continue;
      expect(page.value).toBe(machine.hash());
      break;
    }
  });
});

test('members with the same entries have the same hash, however far compaction has come', () => {
  fc.assert(
    fc.property(fc.array(anyStepOrCompaction, { minLength: 15, maxLength: 40 }), (steps) => {
      const [some, none, all] = [new Machine(), new Machine(), new Machine()];
      const model = new Model();
      for (const step of steps) {
        const applied = some.entries.length;
        runStep(step, some, model);
        for (const entry of some.entries.slice(applied)) {
          none.applyEntry(entry);
          all.applyEntry(entry);
        }
        all.compactAll(3);
        expect([none.hash(), all.hash()]).toEqual([some.hash(), some.hash()]);
      }
    }),
    { numRuns: 40 },
  );
}, 60_000);
