/** A command that takes effect once, however often it is in the log, and what is kept to tell. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandSchema, OnceSchema } from '../../src/api/gen/command_pb.js';
import { maxRequestBytes, onceKeptMs, onceRepeatedMs } from '../../src/api/limits.ts';
import { encodeBatch } from '../../src/kv/batch.ts';
import type { CommandResult } from '../../src/kv/state-machine.ts';
import { bytes, Machine, set } from './support.ts';
import { clearAll, Transfer } from './transfer.ts';

type Op = MessageInitShape<typeof CommandSchema>['op'];

const hash = (text: string): Uint8Array => {
  const hashed = new Uint8Array(16);
  hashed.set(bytes(text));
  return hashed;
};

interface Ask {
  readonly key: string;
  readonly request?: string;
  readonly time?: number;
  readonly op?: Op;
}

const putOf = (key: string, value = ''): Op => ({
  case: 'put',
  value: { key: bytes(key), value: bytes(value) },
});

/** A put to the key of the same name, unless another command is given. */
function once({ key, request = 'r', time = start, op = putOf(key) }: Ask): Uint8Array {
  const value = create(OnceSchema, {
    keyHash: hash(key),
    requestHash: hash(request),
    timeMs: BigInt(time),
    command: { op: op as never },
  });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'once', value } }));
}

const start = 1_800_000_000_000;

const said = (result: CommandResult | undefined): unknown =>
  result?.ok ? Number(result.response.value && revisionIn(result)) : result?.error;

function revisionIn(result: CommandResult & { ok: true }): bigint {
  const { value } = result.response;
  return 'header' in value ? (value.header?.revision ?? 0n) : 0n;
}

const kept = (machine: Machine): unknown =>
  machine.sql.first('SELECT once_last - once_first + 1 FROM kv_meta')?.[0];
const rows = (machine: Machine): unknown => machine.sql.first('SELECT count(*) FROM kv_once')?.[0];

describe('a command that takes effect once', () => {
  test('gets the first answer again, and changes nothing', () => {
    const machine = new Machine();
    expect(said(machine.apply(once({ key: 'a' }))[0])).toBe(2);
    machine.apply(set('a', 'other'));
    const before = machine.hash();
    expect(said(machine.apply(once({ key: 'a' }))[0])).toBe(2);
    expect([machine.hash(), machine.contents()]).toEqual([before, ['a=other']]);
  });

  test('is met again within one entry, in a later life, and by every member', () => {
    const [machine, other] = [new Machine(), new Machine()];
    const results = machine.apply(once({ key: 'a' }), set('b'), once({ key: 'a' }));
    expect(results.map(said)).toEqual([2, 3, 2]);
    machine.reopen();
    expect(said(machine.apply(once({ key: 'a' }))[0])).toBe(2);
    for (const entry of machine.entries) other.applyEntry(entry);
    expect(other.results).toEqual(machine.results);
    expect(other.hash()).toBe(machine.hash());
  });

  test.each<[string, Op]>([
    ['a put with what was before', { case: 'put', value: { key: bytes('x'), prevKv: true } }],
    ['a delete', { case: 'deleteRange', value: { key: bytes('x'), prevKv: true } }],
    [
      'a transaction',
      {
        case: 'txn',
        value: {
          success: [
            { request: { case: 'requestRange', value: { key: bytes('x') } } },
            { request: { case: 'requestPut', value: { key: bytes('y') } } },
          ],
        },
      },
    ],
    ['a grant', { case: 'leaseGrant', value: { ID: 7n, TTL: 60n } }],
  ])('%s is answered the second time as the first, to the byte', (_, op) => {
    const machine = new Machine();
    machine.apply(set('x', 'was'));
    const [first] = machine.apply(once({ key: 'k', op }));
    const dump = machine.dump();
    machine.reopen();
    const [second] = machine.apply(once({ key: 'k', op }));
    expect(first?.ok).toBe(true);
    expect(second).toEqual(first);
    expect(machine.dump().filter((row) => !row.startsWith('kv_meta'))).toEqual(
      dump.filter((row) => !row.startsWith('kv_meta')),
    );
  });

  test('refuses its key to another request, which changes nothing', () => {
    const machine = new Machine();
    machine.apply(once({ key: 'a' }));
    const other = once({ key: 'a', request: 'other', op: putOf('b') });
    expect(said(machine.apply(other)[0])).toBe('IdempotencyMismatch');
    expect(machine.contents()).toEqual(['a=']);
    expect(said(machine.apply(once({ key: 'a' }))[0])).toBe(2);
  });

  test('keeps a refusal too: what was refused once is not done later', () => {
    const machine = new Machine();
    const op: Op = { case: 'put', value: { key: bytes('x'), ignoreValue: true } };
    expect(said(machine.apply(once({ key: 'k', op }))[0])).toBe('KeyNotFound');
    machine.apply(set('x'));
    expect(said(machine.apply(once({ key: 'k', op }))[0])).toBe('KeyNotFound');
  });

  test('keeps no refusal that says to try again', () => {
    const machine = new Machine({ changes: 1 });
    const [, refused] = machine.apply(set('b'), once({ key: 'a' }));
    expect(said(refused)).toBe('TooManyRequests');
    expect(kept(machine)).toBe(0);
    expect(said(machine.apply(once({ key: 'a' }))[0])).toBe(3);
  });

  test('is answered with no more than is worth keeping; the whole of it is taken back', () => {
    const machine = new Machine({ onceReplyBytes: 1_000 });
    machine.apply(set('big', 'x'.repeat(900)), set('small', 'x'));
    const read = (key: string): Op => ({
      case: 'txn',
      value: {
        success: [
          { request: { case: 'requestPut', value: { key: bytes('n') } } },
          { request: { case: 'requestRange', value: { key: bytes(key) } } },
        ],
      },
    });
    expect(said(machine.apply(once({ key: 'k', op: read('big') }))[0])).toBe('ReplyTooLarge');
    expect(machine.contents()).not.toContain('n=');
    expect(said(machine.apply(once({ key: 'l', op: read('small') }))[0])).toBe(4);
  });

  test('again and again in one entry answers no more than an entry may', () => {
    const machine = new Machine({ entryReplyBytes: 2_000 });
    machine.apply(set('x', 'y'.repeat(900)));
    const asked = once({ key: 'k', op: { case: 'put', value: { key: bytes('x'), prevKv: true } } });
    expect(said(machine.apply(asked)[0])).toBe(3);
    const again = machine.apply(asked, asked, asked).map(said);
    expect(again).toEqual([3, 3, 'TooManyRequests']);
  });

  test('takes a request of the largest size', () => {
    const machine = new Machine();
    const op: Op = {
      case: 'put',
      value: { key: bytes('k'), value: new Uint8Array(maxRequestBytes - 20) },
    };
    expect(said(machine.apply(once({ key: 'k', op }))[0])).toBe(2);
  });
});

describe('what is no such command', () => {
  const readable = {
    keyHash: hash('k'),
    requestHash: hash('r'),
    timeMs: BigInt(start),
    command: { op: putOf('a') as never },
  };
  test.each<[string, MessageInitShape<typeof OnceSchema>]>([
    ['nothing within', { ...readable, command: undefined as never }],
    ['an unknown command within', { ...readable, command: {} }],
    ['a compaction within', { ...readable, command: { op: { case: 'compact', value: {} } } }],
    ['another one within', { ...readable, command: { op: { case: 'once', value: readable } } }],
    ['an expiry within', { ...readable, command: { op: { case: 'leaseExpire', value: {} } } }],
    ['no hash of a key', { ...readable, keyHash: new Uint8Array(0) }],
    ['a longer hash', { ...readable, keyHash: new Uint8Array(17) }],
    ['no hash of a request', { ...readable, requestHash: new Uint8Array(0) }],
    ['a time beyond all numbers', { ...readable, timeMs: 2n ** 64n - 1n }],
  ])('%s: the same refusal everywhere, and nothing is kept', (_, init) => {
    const machine = new Machine();
    const command = create(CommandSchema, { op: { case: 'once', value: init } });
    expect(said(machine.apply(toBinary(CommandSchema, command))[0])).toBe('NotCapable');
    expect([machine.contents(), kept(machine)]).toEqual([[], 0]);
  });

  test('under the first rules it is an unknown command, as older members have it', () => {
    const machine = new Machine();
    const [result] = machine.applyEntry(encodeBatch([once({ key: 'a' })], 1));
    expect([said(result), machine.contents(), kept(machine)]).toEqual(['NotCapable', [], 0]);
  });
});

describe('what is kept', () => {
  test('is kept for a day of the time that commands carry', () => {
    const machine = new Machine();
    machine.apply(once({ key: 'a' }));
    const later = start + onceKeptMs;
    expect(said(machine.apply(once({ key: 'a', time: later }))[0])).toBe(2);
    expect(said(machine.apply(once({ key: 'a', time: later + 1 }))[0])).toBe(3);
    // The new answer is the one that counts, for older clocks too.
    expect(said(machine.apply(once({ key: 'a', time: start }))[0])).toBe(3);
  });

  test('goes when it is old: a few with each new one, the oldest first', () => {
    const machine = new Machine();
    for (let n = 0; n < 10; n += 1) machine.apply(once({ key: `${n}` }));
    const time = start + onceKeptMs + 1;
    machine.apply(once({ key: 'x', time }));
    expect([kept(machine), rows(machine)]).toEqual([7, 7]);
    machine.apply(once({ key: 'y', time }), once({ key: 'z', time }));
    expect([kept(machine), rows(machine)]).toEqual([3, 3]);
    expect(said(machine.apply(once({ key: 'x', time }))[0])).toBe(12);
  });

  test('has room for so many: the oldest goes, unless somebody may still repeat it', () => {
    const machine = new Machine({ onceRecords: 3 });
    for (const key of ['a', 'b', 'c']) machine.apply(once({ key }));
    const soon = start + onceRepeatedMs - 1;
    expect(said(machine.apply(once({ key: 'd', time: soon }))[0])).toBe('TooManyRequests');
    expect(machine.contents()).toEqual(['a=', 'b=', 'c=']);
    expect(said(machine.apply(once({ key: 'a', time: soon }))[0])).toBe(2);
    expect(said(machine.apply(once({ key: 'd', time: soon + 1 }))[0])).toBe(5);
    expect([kept(machine), rows(machine)]).toEqual([3, 3]);
    // The key of the one that went is free, and b's is not.
    expect(said(machine.apply(once({ key: 'b', time: soon + 1 }))[0])).toBe(3);
    expect(said(machine.apply(once({ key: 'a', time: soon + 1 }))[0])).toBe(6);
  });

  test('is not stopped for long by a clock that was far ahead', () => {
    const machine = new Machine({ onceRecords: 2 });
    machine.apply(once({ key: 'a', time: start + 1e12 }), once({ key: 'b' }));
    expect(said(machine.apply(once({ key: 'c' }))[0])).toBe(4);
  });

  test('costs the same whatever is kept, and a plain command nothing', () => {
    const machine = new Machine({ onceRecords: 50 });
    const costs: number[][] = [];
    for (let n = 0; n < 200; n += 1) {
      const { rowsRead, rowsWritten } = machine.sql.counters;
      machine.apply(once({ key: `${n}`, time: start + n * onceRepeatedMs }));
      const { counters } = machine.sql;
      costs.push([counters.rowsRead - rowsRead, counters.rowsWritten - rowsWritten]);
    }
    const [read, written] = [0, 1].map((at) =>
      Math.max(...costs.map((cost) => cost[at] as number)),
    );
    expect(read).toBeLessThan(20);
    expect(written).toBeLessThan(12);
    expect(rows(machine)).toBe(50);
    const before = machine.sql.counters.rowsWritten;
    machine.apply(set('plain'));
    expect(machine.sql.counters.rowsWritten - before).toBe(3);
  });

  test.each([
    "UPDATE kv_once SET key = x'00' WHERE seq = 2",
    "UPDATE kv_once SET request = x'00' WHERE seq = 2",
    'UPDATE kv_once SET time = 1 WHERE seq = 2',
    "UPDATE kv_once SET result = x'00' WHERE seq = 2",
    'UPDATE kv_meta SET once_first = 2',
  ])('is in the logical hash: %s changes it', (statement) => {
    const machine = new Machine();
    machine.apply(once({ key: 'a' }), once({ key: 'b' }));
    const before = machine.hash();
    machine.sql.run(statement);
    machine.reopen();
    expect(machine.hash()).not.toBe(before);
  });
});

describe('a snapshot', () => {
  /** With some let go already, and one snapshot open. */
  function opened(): { from: Machine; hash: string } {
    const from = new Machine({ onceRecords: 10 });
    for (let n = 0; n < 25; n += 1)
      from.apply(once({ key: `${n}`, time: start + n * onceRepeatedMs }));
    from.machine.openSnapshot('s');
    return { from, hash: from.hash() };
  }

  test.each([1, 300, 1 << 18])('carries what is kept, in chunks of %i bytes', (maxBytes) => {
    const { from, hash: before } = opened();
    const to = new Machine({ onceRecords: 10 });
    let n = 25;
    new Transfer(from, to, 's', maxBytes).run(() => {
      // The sender lets go of all that the snapshot sees.
      for (let more = 0; more < 4; more += 1, n += 1)
        from.apply(once({ key: `${n}`, time: start + n * onceRepeatedMs }));
      from.reopen();
      to.reopen();
    });
    expect(to.hash()).toBe(before);
    expect(kept(to)).toBe(10);
    for (let at = to.machine.appliedIndex; at < from.entries.length; at += 1)
      expect(to.applyEntry(from.entries[at] as Uint8Array)).toEqual(from.results[at]);
    expect(to.hash()).toBe(from.hash());
    const time = start + 24 * onceRepeatedMs;
    for (const machine of [from, to])
      expect(said(machine.apply(once({ key: `${n - 1}`, time }))[0])).toBe(n + 1);
  });

  test('that is open keeps the rows that it sees; they go in steps afterwards', () => {
    const { from } = opened();
    for (let n = 25; n < 60; n += 1)
      from.apply(once({ key: `${n}`, time: start + n * onceRepeatedMs }));
    expect([kept(from), rows(from)]).toEqual([10, 45]);
    from.machine.closeSnapshot();
    for (let n = 60; n < 64; n += 1)
      from.apply(once({ key: `${n}`, time: start + n * onceRepeatedMs }));
    expect([kept(from), rows(from)]).toEqual([10, 10]);
  });

  test('of a tenant with nothing but answers is cleared where it is of no use any more', () => {
    const from = new Machine();
    from.apply(once({ key: 'k', op: { case: 'deleteRange', value: { key: bytes('none') } } }));
    from.machine.openSnapshot('s');
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', 1);
    transfer.step();
    expect(to.machine.receiving?.cursor).toBe('#1');
    to.sql.transaction(() => {
      const chunk = from.machine.readChunk('s', '#1', 1);
      expect(chunk?.next).toBeNull();
      to.machine.receiveChunk('s', '#1', chunk?.data ?? new Uint8Array(), '#2');
      to.machine.abandonReceive();
    });
    expect(to.sql.first('SELECT count(*) FROM kv_once_1')).toEqual([1]);
    clearAll(to, 2);
    expect(to.sql.first('SELECT count(*) FROM kv_once_1')).toEqual([0]);
  });
});

/** As an array of all that was ever kept, and every question answered by walking it. */
class NaiveOnces {
  private kept: { key: string; request: string; time: number; revision: number }[] = [];
  revision = 1;
  private readonly max: number;

  constructor(max: number) {
    this.max = max;
  }

  apply(key: string, request: string, time: number): unknown {
    const known = this.kept.findLast((record) => record.key === key);
    if (known && time - known.time <= onceKeptMs)
      return known.request === request ? known.revision : 'IdempotencyMismatch';
    const oldest = this.kept[0];
    if (oldest && this.kept.length >= this.max && Math.abs(time - oldest.time) < onceRepeatedMs)
      return 'TooManyRequests';
    this.revision += 1;
    for (let gone = 0; gone < 4; gone += 1) {
      const first = this.kept[0];
      const isOld = first && time - first.time > onceKeptMs;
      if (!first || (this.kept.length < this.max && !isOld)) break;
      this.kept.shift();
    }
    this.kept.push({ key, request, time, revision: this.revision });
    return this.revision;
  }

  get count(): number {
    return this.kept.length;
  }
}

test('whatever comes in whatever order is answered as the naive model answers it', () => {
  const ask = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
    request: fc.constantFrom('r', 'r', 'r', 's'),
    elapsed: fc.constantFrom(0, 1_000, onceRepeatedMs, onceKeptMs / 2, onceKeptMs + 1, -5_000),
    snapshot: fc.constantFrom('open', 'close', 'no', 'no', 'no'),
  });
  fc.assert(
    fc.property(fc.array(ask, { minLength: 10, maxLength: 40 }), (asks) => {
      const [machine, other] = [new Machine({ onceRecords: 4 }), new Machine({ onceRecords: 4 })];
      const naive = new NaiveOnces(4);
      let time = start;
      for (const { key, request, elapsed, snapshot } of asks) {
        time += elapsed;
        if (snapshot === 'open' && !machine.machine.snapshot) machine.machine.openSnapshot('s');
        if (snapshot === 'close') machine.machine.closeSnapshot();
        const [result] = machine.apply(once({ key, request, time }));
        other.applyEntry(machine.entries.at(-1) as Uint8Array);
        expect(said(result)).toBe(naive.apply(key, request, time));
        expect(kept(machine)).toBe(naive.count);
        expect(machine.machine.revision).toBe(naive.revision);
        expect(other.hash()).toBe(machine.hash());
      }
    }),
    { numRuns: 150 },
  );
}, 60_000);
