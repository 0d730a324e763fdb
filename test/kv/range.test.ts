import { create } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  RangeRequest_SortOrder as Order,
  RangeRequestSchema,
  RangeRequest_SortTarget as Target,
} from '../../src/api/gen/rpc_pb.js';
import { drain } from '../../src/kv/range.ts';
import type { RangeResult } from '../../src/kv/state-machine.ts';
import { bytes, compact, del, Machine, type RangeInit, set, text, zero } from './support.ts';

type RangeOptions = Omit<RangeInit, '$typeName'>;

const all = { key: zero, rangeEnd: zero };

describe('five keys', () => {
  const machine = new Machine();
  // Revisions 2 to 9; b has three versions, d two.
  beforeAll(() => {
    machine.apply(set('r/a', '5'), set('r/b', '3'), set('r/c', '4'), set('r/d', '1'));
    machine.apply(set('r/e', '2'), set('r/b', '30'), set('r/b', '31'), set('r/d', '10'));
  });

  const keysOf = (init: RangeOptions): string => {
    const { kvs, more, count } = machine.range({
      key: bytes('r/'),
      rangeEnd: bytes('r0'),
      ...init,
    });
    return `${kvs.map(({ key }) => text(key).slice(2)).join('')} ${count}${more ? ' more' : ''}`;
  };

  test.each<[string, RangeOptions, string]>([
    ['a prefix holds its keys in order', {}, 'abcde 5'],
    ['an interval is half-open', { key: bytes('r/b'), rangeEnd: bytes('r/d') }, 'bc 2'],
    ['an end equal to the key holds nothing', { rangeEnd: bytes('r/') }, ' 0'],
    ['an end before the key holds nothing', { rangeEnd: bytes('a') }, ' 0'],
    ['the end "\\0" means to the last key', { key: bytes('r/d'), rangeEnd: zero }, 'de 2'],
    ['a limit cuts and says so, the count does not', { limit: 2n }, 'ab 5 more'],
    ['a limit that is met exactly leaves no more', { limit: 5n }, 'abcde 5'],
    ['a negative limit is none', { limit: -1n }, 'abcde 5'],
    ['count_only ignores the limit', { countOnly: true, limit: 2n }, ' 5'],
    ['count ignores the filters', { minModRevision: 99n }, ' 5'],
    ['more is said of what passes the filters', { maxModRevision: 4n, limit: 1n }, 'a 5 more'],
    [
      'a filter that only just fills the limit leaves no more',
      { maxModRevision: 2n, limit: 1n },
      'a 5',
    ],
    ['modified at or after', { minModRevision: 8n }, 'bd 5'],
    ['modified at or before', { maxModRevision: 6n }, 'ace 5'],
    ['created at or after', { minCreateRevision: 5n }, 'de 5'],
    ['created at or before', { maxCreateRevision: 3n }, 'ab 5'],
    ['by key, descending', { sortOrder: Order.DESCEND }, 'edcba 5'],
    ['by version, ties by key', { sortTarget: Target.VERSION }, 'acedb 5'],
    [
      'by version, descending, ties by key still',
      { sortTarget: Target.VERSION, sortOrder: Order.DESCEND },
      'bdace 5',
    ],
    ['by create revision', { sortTarget: Target.CREATE, sortOrder: Order.DESCEND }, 'edcba 5'],
    ['by mod revision', { sortTarget: Target.MOD }, 'acebd 5'],
    ['by value', { sortTarget: Target.VALUE }, 'debca 5'],
    ['by value without showing it', { sortTarget: Target.VALUE, keysOnly: true }, 'debca 5'],
    [
      'the limit applies after the sort',
      { sortTarget: Target.VALUE, sortOrder: Order.DESCEND, limit: 2n },
      'ac 5 more',
    ],
    [
      'sorted, more is said of what passes the filters too',
      { sortTarget: Target.MOD, minModRevision: 8n, limit: 2n },
      'bd 5',
    ],
    [
      'an unknown order is key order',
      { sortOrder: 9 as Order, sortTarget: Target.VALUE },
      'abcde 5',
    ],
    ['an old revision shows what was', { revision: 3n }, 'ab 2'],
    ['a negative revision is now', { revision: -5n }, 'abcde 5'],
  ])('%s', (_, init, expected) => {
    expect(keysOf(init)).toBe(expected);
  });

  test('keys_only keeps the revisions', () => {
    const { kvs } = machine.range({ key: bytes('r/b'), keysOnly: true });
    expect(kvs[0]).toMatchObject({ createRevision: 3n, modRevision: 8n, version: 3n });
    expect(kvs[0]?.value.length).toBe(0);
  });

  test('the header tells the current revision, whichever is read', () => {
    expect(machine.range({ key: bytes('r/a'), revision: 2n }).header?.revision).toBe(9n);
  });

  test.each<[string, RangeOptions, string]>([
    ['an empty key', { key: bytes('') }, 'EmptyKey'],
    ['an empty key with an end', { key: bytes(''), rangeEnd: zero }, 'EmptyKey'],
    [
      'a revision to come, even for a missing key',
      { key: bytes('no'), revision: 10n },
      'FutureRev',
    ],
    [
      'a sort target that there is not',
      { key: bytes('a'), sortTarget: 9 as Target },
      'InvalidSortOption',
    ],
  ])('%s is refused', (_, init, error) => {
    expect(machine.rangeError(init)).toBe(error);
  });
});

/** Runs the range, and `between` at each of its yields. */
function interrupted(machine: Machine, request: RangeOptions, between: () => void) {
  const pages = machine.machine.range(create(RangeRequestSchema, request));
  let yields = 0;
  for (;;) {
    const step = pages.next();
    if (step.done) return { result: step.value as RangeResult, yields };
    yields += 1;
    between();
  }
}

function tenKeys(): Machine {
  const machine = new Machine({ pages: { rowsMax: 2, countRowsMax: 2, bytesMax: 1 << 20 } });
  for (let at = 0; at < 10; at += 1) machine.apply(set(`k${at}`, 'old'));
  return machine;
}

test.each<[string, RangeOptions]>([
  ['in key order', {}],
  ['counting', { countOnly: true }],
  ['cut', { limit: 3n }],
  ['sorted', { sortTarget: Target.VALUE, sortOrder: Order.DESCEND }],
  ['filtered', { minModRevision: 1n }],
])('a range %s is fixed at the revision at which it began', (_, init) => {
  const machine = tenKeys();
  const expected = machine.range({ ...all, ...init });
  let written = 0;
  const { result, yields } = interrupted(machine, { ...all, ...init }, () => {
    written += 1;
    machine.apply(set(`k${written % 10}`, 'new'), set(`j${written}`), del({ key: bytes('k5') }));
  });
  expect(yields).toBeGreaterThan(0);
  expect(result).toEqual({ ok: true, response: expected });
});

test.each<[string, RangeOptions]>([
  ['in key order', {}],
  ['counting', { countOnly: true }],
  ['cut', { limit: 3n }],
  ['sorted', { sortTarget: Target.MOD, sortOrder: Order.DESCEND }],
])('a range %s that compaction overtakes answers Compacted', (_, init) => {
  const machine = tenKeys();
  const { result } = interrupted(machine, { ...all, ...init }, () => {
    machine.apply(set('k1', 'new'));
    machine.apply(compact(machine.machine.revision));
  });
  expect(result).toEqual({ ok: false, error: 'Compacted' });
});

test('a compaction at the revision that is read does not disturb the range', () => {
  const machine = tenKeys();
  machine.apply(set('k3', 'new'), del({ key: bytes('k4') }));
  const expected = machine.range(all);
  let compacted = false;
  const { result } = interrupted(machine, all, () => {
    if (!compacted) machine.apply(compact(machine.machine.revision));
    compacted = true;
    machine.machine.compactStep(2);
  });
  expect(result).toEqual({ ok: true, response: expected });
});

test('values that share a long prefix still sort by their ends', () => {
  const machine = new Machine();
  const long = 'x'.repeat(500);
  machine.apply(set('a', `${long}3`), set('b', `${long}1`), set('c', long), set('d', `${long}2`));
  const sorted = (sortOrder: Order): string =>
    machine
      .range({ ...all, sortTarget: Target.VALUE, sortOrder })
      .kvs.map(({ key }) => text(key))
      .join('');
  expect(sorted(Order.ASCEND)).toBe('cbda');
  expect(sorted(Order.DESCEND)).toBe('adbc');
});

test('a page whose count nobody asks for reads nothing after it', () => {
  const machine = new Machine();
  machine.apply(...Array.from({ length: 5_000 }, (_, n) => set(`k${String(n).padStart(4, '0')}`)));
  const request = create(RangeRequestSchema, { ...all, limit: 10n });
  const statements = (withCount: boolean) => {
    const before = machine.sql.counters.statements;
    const result = drain(machine.machine.range(request, withCount));
    expect(result).toMatchObject({ ok: true, response: { more: true } });
    return machine.sql.counters.statements - before;
  };
  expect(statements(false)).toBe(1);
  expect(statements(true)).toBeGreaterThan(2);
});
