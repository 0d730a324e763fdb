import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { checkTxn, isReadOnlyTxn, isSerializableTxn } from '../../src/api/checks.ts';
import { CompareSchema, type RequestOpSchema, TxnRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { binaryString, IntervalSet } from '../../src/api/intervals.ts';
import { bytes } from './support.ts';

type Op = MessageInitShape<typeof RequestOpSchema>;

const put = (key: string): Op => ({ request: { case: 'requestPut', value: { key: bytes(key) } } });
const del = (key: string, end = ''): Op => ({
  request: { case: 'requestDeleteRange', value: { key: bytes(key), rangeEnd: bytes(end) } },
});
const get = (key = 'k', serializable = false): Op => ({
  request: { case: 'requestRange', value: { key: bytes(key), serializable } },
});
const nest = (success: Op[], failure: Op[] = []): Op => ({
  request: { case: 'requestTxn', value: { success, failure } },
});
const txn = (success: Op[], failure: Op[] = []) => create(TxnRequestSchema, { success, failure });
const times = (count: number, op: Op): Op[] => Array.from({ length: count }, () => op);

test.each<[string, Op[], string | null]>([
  ['two puts of one key', [put('a'), put('a')], 'DuplicateKey'],
  ['a put and a delete of it', [put('a'), del('a')], 'DuplicateKey'],
  ['a delete and a put of it', [del('a'), put('a')], 'DuplicateKey'],
  ['a put inside a deleted range', [del('a', 'c'), put('b')], 'DuplicateKey'],
  ['a put at the start of a deleted range', [del('a', 'c'), put('a')], 'DuplicateKey'],
  ['a put at the end of a deleted range', [del('a', 'c'), put('c')], null],
  ['a put between two deleted ranges', [del('a', 'b'), del('c', 'd'), put('b')], null],
  [
    'a put in the second of two joined ranges',
    [del('a', 'c'), del('b', 'e'), put('d')],
    'DuplicateKey',
  ],
  ['two deletes of one key', [del('a'), del('a'), del('a', 'z')], null],
  ['a put and an inverted delete', [del('c', 'a'), put('b')], null],
  ['a put and a delete to the end, as etcd has it', [del('a', '\0'), put('b')], null],
  ['a put and a nested put', [put('a'), nest([put('a')])], 'DuplicateKey'],
  ['a nested put and a later one outside', [nest([], [put('a')]), put('a')], 'DuplicateKey'],
  ['puts of nested siblings', [nest([put('a')]), nest([put('a')])], 'DuplicateKey'],
  ['puts in the two branches of one nested one', [nest([put('a')], [put('a')])], null],
  ['a nested put in a deleted range', [del('a', 'c'), nest([put('b')])], 'DuplicateKey'],
  [
    'a put in a range that a nested one deletes',
    [nest([], [del('a', 'c')]), put('b')],
    'DuplicateKey',
  ],
  ['a nested delete, then a sibling put', [nest([del('a')]), nest([put('a')])], 'DuplicateKey'],
  [
    'a nested put, then a sibling delete, as etcd has it',
    [nest([put('a')]), nest([del('a')])],
    null,
  ],
])('%s', (_, ops, expected) => {
  expect(checkTxn(txn(ops))).toBe(expected);
  expect(checkTxn(txn([], ops))).toBe(expected);
});

test('the same key in both branches is fine, since one of them runs', () => {
  expect(checkTxn(txn([put('a')], [put('a')]))).toBe(null);
});

test.each<[string, Op[], string | null]>([
  ['128 operations', times(128, get()), null],
  ['129 operations', times(129, get()), 'TooManyOps'],
  [
    'what 128 operations leave to a nested transaction',
    [...times(127, get()), nest([get()])],
    'TooManyOps',
  ],
  ['an empty nested transaction among 128', [...times(127, get()), nest([])], null],
  ['what one operation leaves', [nest(times(127, get()))], null],
  ['more than one operation leaves', [nest(times(128, get()))], 'TooManyOps'],
  ['an empty operation', [{}], 'KeyNotFound'],
  ['an empty nested operation', [nest([{}])], 'KeyNotFound'],
  ['a range without a key', [get('')], 'EmptyKey'],
  ['a nested put without a key', [nest([], [put('')])], 'EmptyKey'],
  ['16 levels', [deep(15)], null],
  ['17 levels', [deep(16)], 'TooManyOps'],
])('%s', (_, ops, expected) => {
  expect(checkTxn(txn(ops))).toBe(expected);
});

function deep(levels: number): Op {
  return levels === 1 ? nest([]) : nest([deep(levels - 1)]);
}

test('compares count against the limit, and need keys', () => {
  const compare = (count: number, key: string) =>
    create(TxnRequestSchema, {
      compare: Array.from({ length: count }, () => create(CompareSchema, { key: bytes(key) })),
    });
  expect(checkTxn(compare(128, 'k'))).toBe(null);
  expect(checkTxn(compare(129, 'k'))).toBe('TooManyOps');
  expect(checkTxn(compare(1, ''))).toBe('EmptyKey');
});

test('many nested writes are checked in about linear time', () => {
  // 42 * 42 * 42 deletes and as many puts, all disjoint: pairwise this would be 5 * 10^9 checks.
  let serial = 0;
  const leaf = (): Op => {
    const name = `${1e6 + serial++}`;
    return serial % 2 ? put(`${name}p`) : del(name, `${name}a`);
  };
  const level = (depth: number): Op[] =>
    Array.from({ length: 42 }, () => (depth === 0 ? leaf() : nest(level(depth - 1))));
  const request = txn(level(2));
  const began = performance.now();
  expect(checkTxn(request)).toBe(null);
  expect(performance.now() - began).toBeLessThan(5_000);
});

describe('a transaction', () => {
  test.each<[string, ReturnType<typeof txn>, boolean, boolean]>([
    ['of nothing', txn([]), true, false],
    ['of ranges', txn([get()], [get()]), true, false],
    ['of serializable ranges', txn([get('a', true)], [nest([get('a', true)])]), true, true],
    ['of which one range is not serializable', txn([get('a', true)], [get()]), true, false],
    ['with a put in the other branch', txn([get()], [put('a')]), false, false],
    ['with a nested delete', txn([nest([], [nest([del('a')])])]), false, false],
  ])('%s', (_, request, readOnly, serializable) => {
    expect([isReadOnlyTxn(request), isSerializableTxn(request)]).toEqual([readOnly, serializable]);
  });
});

test('binary strings compare as the bytes do', () => {
  const keys = [[], [0], [0, 0], [0x7f], [0x80], [0xc3, 0xa4], [0xff], [0xff, 0]];
  const texts = keys.map((key) => binaryString(new Uint8Array(key)));
  expect(texts.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(texts);
  expect(binaryString(new Uint8Array(100_000).fill(0xfe)).length).toBe(100_000);
});

test('a set of intervals joins what touches and drops what is empty', () => {
  const set = IntervalSet.of([
    ['m', 'p'],
    ['a', 'c'],
    ['c', 'd'],
    ['z', 'b'],
    ['n', 'o'],
  ]);
  expect(set.size).toBe(2);
  set.addAll(
    IntervalSet.of([
      ['d', 'e'],
      ['x', 'y'],
      ['l', 'm'],
    ]),
  );
  expect(set.size).toBe(3);
  const inside = [...'abcdefghijklmnopqrstuvwxyz'].filter((key) => set.has(key));
  expect(inside.join('')).toBe('abcdlmnox');
});
