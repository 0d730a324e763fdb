import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import { RangeRequest_SortTarget as Target } from '../../src/api/gen/rpc_pb.js';
import { recordOverheadBytes } from '../../src/kv/reply.ts';
import { bytes, del, Machine, put, set, txn, zero } from './support.ts';

const all = { key: zero, rangeEnd: zero };
const getAll = { request: { case: 'requestRange' as const, value: all } };
const putOf = (key: string, value = '', prevKv = false) => ({
  request: { case: 'requestPut' as const, value: { key: bytes(key), value: bytes(value), prevKv } },
});
const delOf = (key: string, rangeEnd = '', prevKv = false) => ({
  request: {
    case: 'requestDeleteRange' as const,
    value: { key: bytes(key), rangeEnd: bytes(rangeEnd), prevKv },
  },
});

const rows = (machine: Machine): string[] =>
  machine.dump().filter((row) => !row.startsWith('kv_meta'));

/** Ten keys k0 to k9, one byte of value each; a record is charged with its overhead and 3 bytes. */
function tenKeys(limits: { replyBytes?: number; entryReplyBytes?: number; changes?: number }) {
  const machine = new Machine({ changes: 100, ...limits });
  for (let at = 0; at < 10; at += 1) machine.apply(set(`k${at}`, 'v'));
  return machine;
}
const recordBytes = recordOverheadBytes + 3;

describe('a reply that is too large', () => {
  test('is refused, and one that just fits is not', () => {
    expect(tenKeys({ replyBytes: 10 * recordBytes }).range(all).kvs.length).toBe(10);
    const machine = tenKeys({ replyBytes: 10 * recordBytes - 1 });
    expect(machine.rangeError(all)).toBe('ReplyTooLarge');
    expect(machine.rangeError({ ...all, sortTarget: Target.VERSION })).toBe('ReplyTooLarge');
    expect(machine.rangeError({ ...all, limit: 9n })).toBe('ok');
    expect(machine.rangeError({ ...all, sortTarget: Target.VALUE, limit: 9n })).toBe('ok');
    expect(machine.rangeError({ ...all, countOnly: true })).toBe('ok');
    expect(machine.rangeError({ ...all, keysOnly: true })).toBe('ok');
  });

  test.each([
    ['a delete that returns what it deleted', del({ ...all, prevKv: true })],
    ['a range after writes', txn({ success: [putOf('x'), delOf('k1'), getAll] })],
    ['previous values', txn({ success: [putOf('x'), delOf('k', 'l', true)] })],
    [
      'a nested range after a key was written twice',
      txn({
        success: [
          { request: { case: 'requestTxn', value: { success: [putOf('k0')] } } },
          { request: { case: 'requestTxn', value: { success: [delOf('k0'), delOf('k1')] } } },
          getAll,
        ],
      }),
    ],
  ])('takes back all that %s wrote', (_, command) => {
    const machine = tenKeys({ replyBytes: 8 * recordBytes - 1 });
    const before = rows(machine);
    expect(machine.error(command)).toBe('ReplyTooLarge');
    expect(rows(machine)).toEqual(before);
    expect(machine.machine.revision).toBe(11);
    expect(machine.ok('put', set('y')).header?.revision).toBe(12n);
  });

  test('counts the values in it, previous ones too', () => {
    const machine = tenKeys({ replyBytes: 3 * recordBytes });
    machine.apply(set('k0', 'x'.repeat(3 * recordBytes)));
    expect(machine.rangeError({ key: bytes('k0') })).toBe('ReplyTooLarge');
    expect(machine.error(put({ key: bytes('k0'), prevKv: true }))).toBe('ReplyTooLarge');
    expect(machine.error(del({ key: bytes('k0'), prevKv: true }))).toBe('ReplyTooLarge');
    expect(machine.error(txn({ success: [putOf('k0', '', true)] }))).toBe('ReplyTooLarge');
    expect(machine.error(put({ key: bytes('k1'), prevKv: true }))).toBe('ok');
    expect(machine.rangeError({ key: bytes('k0'), keysOnly: true })).toBe('ok');
  });

  test('for the rest of its entry asks to try again, for no fault of its own', () => {
    const machine = tenKeys({ replyBytes: 10 * recordBytes, entryReplyBytes: 25 * recordBytes });
    const ask = txn({ success: [getAll, putOf('k0', 'w')] });
    const results = machine.apply(ask, ask, ask, set('z'));
    expect(results.map((result) => (result.ok ? 'ok' : result.error))).toEqual([
      'ok',
      'ok',
      'TooManyRequests',
      'ok',
    ]);
    expect(machine.error(ask)).toBe('ReplyTooLarge');
    expect(machine.range({ key: bytes('k0') }).kvs[0]?.version).toBe(3n);
  });
});

describe('an entry that changes too many keys', () => {
  test('is refused before the first write', () => {
    const machine = tenKeys({ changes: 9 });
    const before = machine.sql.counters.rowsWritten;
    expect(machine.error(del(all))).toBe('TooManyChanges');
    expect(machine.error(txn({ success: [putOf('a'), delOf('k', 'l')] }))).toBe('TooManyChanges');
    expect(machine.sql.counters.rowsWritten - before).toBe(2);
    expect(machine.error(del({ key: bytes('k1'), rangeEnd: zero }))).toBe('ok');
  });

  test('shares its budget between its commands', () => {
    const machine = tenKeys({ changes: 4 });
    const fiveth = set('e');
    const results = machine.apply(
      set('a'),
      del({ key: bytes('k8'), rangeEnd: zero }),
      set('d'),
      fiveth,
    );
    expect(results.map(({ ok }) => ok)).toEqual([true, true, true, false]);
    expect(machine.error(fiveth)).toBe('ok');
  });

  test('is not charged for what was taken back', () => {
    const machine = tenKeys({ changes: 4, replyBytes: 8 * recordBytes });
    const takenBack = txn({ success: [putOf('a'), putOf('b'), getAll] });
    const results = machine.apply(takenBack, set('a'), set('b'), set('c'), set('d'), set('e'));
    expect(results.map((result) => (result.ok ? 'ok' : result.error))).toEqual([
      'ReplyTooLarge',
      ...Array(4).fill('ok'),
      'TooManyRequests',
    ]);
  });

  test('counts a key once that several deletes of a transaction name', () => {
    const machine = tenKeys({ changes: 10 });
    const twice = txn({ success: [delOf('k0', 'k8'), delOf('k2', 'l'), delOf('k', 'k5')] });
    expect(machine.error(twice)).toBe('ok');
    expect(machine.contents()).toEqual([]);
  });

  test('by deleting what it has put itself is taken back', () => {
    const machine = tenKeys({ changes: 10 });
    const nested = (op: ReturnType<typeof putOf> | ReturnType<typeof delOf>) => ({
      request: { case: 'requestTxn' as const, value: { success: [op] } },
    });
    const before = rows(machine);
    // One put and ten deletes by the state before, but the key that was put is deleted as well.
    const command = txn({ success: [nested(putOf('j')), nested(delOf('j', 'k9'))] });
    expect(machine.error(command)).toBe('TooManyChanges');
    expect(rows(machine)).toEqual(before);
    expect(machine.error(set('after'))).toBe('ok');
  });
});

describe('a command that nobody understands', () => {
  test.each<[string, Uint8Array, string]>([
    ['is empty', new Uint8Array(0), 'NotCapable'],
    ['is no protobuf', new Uint8Array([0xff, 0xff, 0xff]), 'NotCapable'],
    ['is cut short', set('key', 'value').subarray(0, 6), 'NotCapable'],
    ['is of a kind to come', new Uint8Array([0x7a, 0x00]), 'NotCapable'],
    [
      'is larger than any request',
      put({ key: bytes('a'), value: new Uint8Array(1.6e6) }),
      'RequestTooLarge',
    ],
  ])('because it %s is an error result, and the next one is applied', (_, command, error) => {
    const machine = new Machine();
    const results = machine.apply(command, set('a'));
    expect(results[0]).toEqual({ ok: false, error });
    expect(results[1]?.ok).toBe(true);
  });

  test('because it is nested too deep changes nothing', () => {
    let request: Uint8Array = new Uint8Array(0);
    const field = (tag: number, data: Uint8Array): Uint8Array => {
      const size: number[] = [];
      for (let rest = data.length; ; rest >>>= 7) {
        if (rest < 0x80) {
          size.push(rest);
          break;
        }
        size.push((rest & 0x7f) | 0x80);
      }
      return new Uint8Array([(tag << 3) | 2, ...size, ...data]);
    };
    // TxnRequest.success = 2, RequestOp.request_txn = 4, Command.txn = 3.
    for (let depth = 0; depth < 1000; depth += 1) request = field(2, field(4, request));
    const machine = new Machine();
    const [result] = machine.apply(field(3, request));
    expect(result?.ok).toBe(false);
    expect(machine.machine.revision).toBe(1);
    const fine = toBinary(
      CommandSchema,
      create(CommandSchema, { op: { case: 'txn', value: {} } } as never),
    );
    expect(machine.error(fine)).toBe('ok');
  });
});
