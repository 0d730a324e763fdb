import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  type Compare,
  CompareSchema,
  type RequestOp,
  RequestOpSchema,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  type TxnRequestSchema,
} from '../../src/api/gen/rpc_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { drain } from '../../src/kv/range.ts';
import { bytes, compact, del, Machine, put, set, text, txn, zero } from './support.ts';

const op = (request: NonNullable<MessageInitShape<typeof RequestOpSchema>['request']>): RequestOp =>
  create(RequestOpSchema, { request } as MessageInitShape<typeof RequestOpSchema>);
const putOp = (key: string, value = '', more: object = {}): RequestOp =>
  op({ case: 'requestPut', value: { key: bytes(key), value: bytes(value), ...more } });
const delOp = (key: string, end = ''): RequestOp =>
  op({ case: 'requestDeleteRange', value: { key: bytes(key), rangeEnd: bytes(end) } });
const getOp = (key: string, revision = 0): RequestOp =>
  op({ case: 'requestRange', value: { key: bytes(key), revision: BigInt(revision) } });
const txnOp = (init: MessageInitShape<typeof TxnRequestSchema>): RequestOp =>
  op({ case: 'requestTxn', value: init });
const compare = (init: MessageInitShape<typeof CompareSchema>): Compare =>
  create(CompareSchema, init);
const never = compare({ key: bytes('a'), targetUnion: { case: 'version', value: 77n } });

test('all writes of a transaction share one revision and are numbered inside it', () => {
  const machine = new Machine();
  const { header, responses } = machine.ok(
    'txn',
    txn({ success: [putOp('a'), putOp('b'), delOp('b0', 'c'), putOp('c')] }),
  );
  expect(header?.revision).toBe(2n);
  expect(machine.machine.revision).toBe(2);
  expect(machine.sql.all('SELECT rev, sub FROM kv_data')).toEqual([
    [2, 0],
    [2, 1],
    [2, 2],
  ]);
  expect(responses.map(({ response }) => response.value?.header?.revision)).toEqual([
    2n,
    2n,
    2n,
    2n,
  ]);
});

test('what changes nothing makes no revision', () => {
  const machine = new Machine();
  machine.apply(set('a'));
  for (const command of [
    txn({}),
    txn({ success: [getOp('a')] }),
    txn({ success: [delOp('nothing')] }),
    txn({ compare: [never], success: [putOp('x')] }),
    del({ key: bytes('nothing') }),
  ]) {
    machine.apply(command);
    expect(machine.machine.revision).toBe(2);
  }
});

test('later operations see earlier ones, and a range tells whether anything was written yet', () => {
  const machine = new Machine();
  machine.apply(set('a', 'old'));
  const { responses } = machine.ok(
    'txn',
    txn({ success: [getOp('a'), delOp('none'), putOp('a', 'new'), getOp('a'), delOp('none')] }),
  );
  const seen = responses.map(({ response }) => [
    response.case === 'responseRange' ? text(response.value.kvs[0]?.value as Uint8Array) : '',
    response.value?.header?.revision,
  ]);
  expect(seen).toEqual([
    ['old', 2n],
    ['', 2n],
    ['', 3n],
    ['new', 3n],
    ['', 3n],
  ]);
});

test('nested compares are decided before the first operation runs', () => {
  const machine = new Machine();
  const exists = compare({
    key: bytes('q'),
    result: Result.GREATER,
    targetUnion: { case: 'version', value: 0n },
  });
  const nested = txnOp({ compare: [exists], success: [putOp('then')], failure: [putOp('else')] });
  machine.ok('txn', txn({ success: [putOp('q'), nested] }));
  expect(machine.contents()).toEqual(['else=', 'q=']);
});

test('the header of a nested transaction is empty, the ones around and inside it are not', () => {
  const machine = new Machine();
  const { header, responses } = machine.ok(
    'txn',
    txn({ success: [txnOp({ success: [putOp('a')] })] }),
  );
  const nested = responses[0]?.response.value;
  expect(header?.revision).toBe(2n);
  expect(nested?.header).toMatchObject({ revision: 0n });
  expect(nested).toMatchObject({
    succeeded: true,
    responses: [{ response: { value: { header: { revision: 2n } } } }],
  });
});

describe('compares', () => {
  const machine = new Machine();
  // t/a: created 2, modified 3, version 2. t/b: created and modified 4, version 1.
  machine.apply(set('t/a', '1'), set('t/a', '2'), set('t/b', '9'));
  const { VERSION, CREATE, MOD, VALUE, LEASE } = Target;
  const { EQUAL, GREATER, LESS, NOT_EQUAL } = Result;
  const version = (value: bigint) => ({ case: 'version' as const, value });
  const value = (value: string) => ({ case: 'value' as const, value: bytes(value) });

  test.each<[string, MessageInitShape<typeof CompareSchema>, boolean]>([
    ['version equal', { targetUnion: version(2n) }, true],
    ['version greater', { result: GREATER, targetUnion: version(1n) }, true],
    ['version less than itself', { result: LESS, targetUnion: version(2n) }, false],
    ['version not equal', { result: NOT_EQUAL, targetUnion: version(2n) }, false],
    ['create', { target: CREATE, targetUnion: { case: 'createRevision', value: 2n } }, true],
    ['mod', { target: MOD, targetUnion: { case: 'modRevision', value: 3n } }, true],
    ['no lease', { target: LEASE, targetUnion: { case: 'lease', value: 0n } }, true],
    [
      'a negative lease is less',
      { target: LEASE, result: GREATER, targetUnion: { case: 'lease', value: -1n } },
      true,
    ],
    ['value', { target: VALUE, targetUnion: value('2') }, true],
    ['value in byte order', { target: VALUE, result: LESS, targetUnion: value('20') }, true],
    ['nothing given means version 0', {}, false],
    [
      'the operand of another target counts as 0',
      { targetUnion: { case: 'modRevision', value: 2n } },
      false,
    ],
    [
      'the operand of another target counts as empty',
      { target: VALUE, result: GREATER, targetUnion: version(2n) },
      true,
    ],
    ['an unknown target is equal', { target: 9 as Target, targetUnion: version(5n) }, true],
    ['an unknown result holds', { result: 9 as Result, targetUnion: version(5n) }, true],
    ['a missing key has version 0', { key: bytes('no'), targetUnion: version(0n) }, true],
    ['a missing key has mod revision 0', { key: bytes('no'), target: MOD }, true],
    [
      'a missing key has no value, not even a different one',
      { key: bytes('no'), target: VALUE, result: NOT_EQUAL, targetUnion: value('x') },
      false,
    ],
    [
      'a range holds when every key does',
      { key: bytes('t/'), rangeEnd: bytes('t0'), result: GREATER, targetUnion: version(0n) },
      true,
    ],
    [
      'a range fails when one key does',
      { key: bytes('t/'), rangeEnd: bytes('t0'), targetUnion: version(1n) },
      false,
    ],
    [
      'a range of values',
      { key: bytes('t/'), rangeEnd: zero, target: VALUE, result: GREATER, targetUnion: value('1') },
      true,
    ],
    [
      'an empty range is compared once with zeros',
      { key: bytes('u/'), rangeEnd: bytes('u0'), targetUnion: version(0n) },
      true,
    ],
    [
      'an empty range has no version above 0',
      { key: bytes('u/'), rangeEnd: bytes('u0'), result: GREATER, targetUnion: version(0n) },
      false,
    ],
    [
      'an empty range has no value',
      { key: bytes('u/'), rangeEnd: bytes('u0'), target: VALUE, targetUnion: value('') },
      false,
    ],
    [
      'an inverted range is empty',
      { key: bytes('t/b'), rangeEnd: bytes('t/a'), targetUnion: version(0n) },
      true,
    ],
  ])('%s', (_, init, expected) => {
    const request = {
      compare: [compare({ key: bytes('t/a'), target: VERSION, result: EQUAL, ...init })],
    };
    expect(machine.ok('txn', txn(request)).succeeded).toBe(expected);
  });
});

describe('a transaction is refused as a whole, before any write', () => {
  test.each<[string, RequestOp, string]>([
    ['a lease that does not exist', putOp('b', '', { lease: 424242n }), 'LeaseNotFound'],
    ['a value to keep that is not there', putOp('none', '', { ignoreValue: true }), 'KeyNotFound'],
    ['a lease to keep that is not there', putOp('none', '', { ignoreLease: true }), 'KeyNotFound'],
    ['a range in the future', getOp('a', 100), 'FutureRev'],
    ['a range at its own revision', getOp('a', 6), 'FutureRev'],
    ['a compacted range', getOp('a', 2), 'Compacted'],
    ['a negative revision, once anything was compacted', getOp('a', -1), 'Compacted'],
  ])('%s', (_, bad, error) => {
    const machine = new Machine();
    machine.apply(set('a'), set('a'), set('a'), set('a'), compact(3));
    const written = machine.sql.counters.rowsWritten;
    expect(machine.error(txn({ success: [putOp('x'), bad] }))).toBe(error);
    expect(machine.error(txn({ success: [putOp('x'), txnOp({ success: [bad] })] }))).toBe(error);
    expect(machine.sql.counters.rowsWritten - written).toBe(2);
    expect(machine.machine.revision).toBe(5);
    // The branch that is not taken is not asked.
    const other = txn({ compare: [never], success: [bad], failure: [putOp('x')] });
    expect(machine.error(other)).toBe('ok');
  });

  test('a missing key is told before a missing lease, but by a put of its own after it', () => {
    const machine = new Machine();
    const init = { key: bytes('none'), ignoreValue: true, lease: 424242n };
    const both = txn({ success: [putOp('none', '', init)] });
    expect(machine.error(both)).toBe('KeyNotFound');
    expect(machine.error(put(init))).toBe('LeaseNotFound');
    // Entries of the rules before answer as they always did.
    expect(machine.applyEntry(encodeBatch([both], 3))).toEqual([
      expect.objectContaining({ error: 'LeaseNotFound' }),
    ]);
  });

  test('a key that only an earlier operation removes counts as present, then as missing', () => {
    const machine = new Machine();
    machine.apply(set('b', 'old'));
    const before = machine.dump().filter((row) => !row.startsWith('kv_meta'));
    // The delete to the end of the key space is not held against the put, as in etcd.
    const fromA = op({ case: 'requestDeleteRange', value: { key: bytes('a'), rangeEnd: zero } });
    const ops = [putOp('aa'), fromA, putOp('b', '', { ignoreValue: true })];
    expect(machine.error(txn({ success: ops }))).toBe('KeyNotFound');
    expect(machine.dump().filter((row) => !row.startsWith('kv_meta'))).toEqual(before);
    expect(machine.machine.revision).toBe(2);
    expect(machine.ok('put', set('c')).header?.revision).toBe(3n);
  });
});

describe('a key written twice in one revision', () => {
  const fromA = op({ case: 'requestDeleteRange', value: { key: bytes('a'), rangeEnd: zero } });

  test('deleted, then put: it is new', () => {
    const machine = new Machine();
    machine.apply(set('b', 'old'), txn({ success: [fromA, putOp('b', 'new')] }));
    expect(machine.range({ key: bytes('b') }).kvs[0]).toMatchObject({
      createRevision: 3n,
      modRevision: 3n,
      version: 1n,
    });
    expect(machine.contents(2)).toEqual(['b=old']);
  });

  test('put, then deleted: it is gone', () => {
    const machine = new Machine();
    const nested = [txnOp({ success: [putOp('b', 'x')] }), txnOp({ success: [delOp('b')] })];
    const { responses } = machine.ok('txn', txn({ success: nested }));
    expect(responses[1]?.response.value).toMatchObject({
      responses: [{ response: { value: { deleted: 1n } } }],
    });
    expect(machine.contents()).toEqual([]);
    // Both events stay in the history by revision.
    expect(machine.sql.all('SELECT rev, sub, value IS NULL FROM kv_data')).toEqual([
      [2, 0, 0],
      [2, 1, 1],
    ]);
  });
});

test('a read-only transaction answers as the applied one does', () => {
  const machine = new Machine();
  machine.apply(set('a', '1'), set('a', '2'));
  const request = { success: [getOp('a'), getOp('a', 2), txnOp({ success: [getOp('none')] })] };
  const applied = machine.ok('txn', txn(request));
  const read = drain(
    machine.machine.readTxn(
      txnOp(request).request.value as Parameters<typeof machine.machine.readTxn>[0],
    ),
  );
  expect(read).toEqual({ ok: true, response: applied });
  expect(() =>
    drain(machine.machine.readTxn(txnOp({ success: [putOp('a')] }).request.value as never)),
  ).toThrow();
});

describe('work', () => {
  const all = { key: zero, rangeEnd: zero };
  const rangeAll = { request: { case: 'requestRange' as const, value: all } };
  const filled = (visits: number) => {
    const machine = new Machine({ visits });
    machine.apply(...Array.from({ length: 20 }, (_, n) => set(`k${String(n).padStart(2, '0')}`)));
    return machine;
  };

  test.each([
    ['a range', { success: [rangeAll, putOp('x')] }],
    ['a compare', { compare: [{ ...all, result: 1 }], success: [putOp('x')] }],
    ['a nested range', { success: [txnOp({ success: [rangeAll] }), putOp('x')] }],
  ])('of a transaction that writes is bounded: %s over 20 keys', (_, request) => {
    expect(filled(19).error(txn(request as never))).toBe('TooManyVisits');
    const enough = filled(21);
    expect(enough.error(txn(request as never))).toBe('ok');
    expect(enough.machine.revision).toBe(22);
  });

  test('that others of the entry have used up may be asked for again', () => {
    const machine = filled(30);
    const heavy = txn({ success: [rangeAll, putOp('x')] } as never);
    const errors = machine.apply(heavy, heavy, set('y')).map((one) => (one.ok ? 'ok' : one.error));
    expect(errors).toEqual(['ok', 'TooManyRequests', 'ok']);
  });

  test('of a transaction that only reads is not bounded, and lets others in between', () => {
    const machine = filled(5);
    const request = txnOp({ success: [rangeAll, rangeAll] } as never).request.value as never;
    const read = machine.machine.readTxn(request);
    expect(drain(read)).toMatchObject({ ok: true });
  });
});

test('an error of a put comes before one of a range, as in etcd', () => {
  const machine = new Machine();
  const future = {
    request: { case: 'requestRange' as const, value: { key: bytes('b'), revision: 99n } },
  };
  const missing = {
    request: { case: 'requestPut' as const, value: { key: bytes('s'), ignoreLease: true } },
  };
  expect(machine.error(txn({ success: [future, missing] } as never))).toBe('KeyNotFound');
});
