/** POST /v3/batch: each call ends as it would alone, and those of one kind reach a member together. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  BatchAnswersSchema,
  type BatchedCallSchema,
  BatchRequestSchema,
} from '../../src/api/gen/batch_pb.js';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import {
  CompactionRequestSchema,
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { batchMax } from '../../src/router/etcd/batch.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { countsOf } from '../../src/router/metrics/rpc-counts.ts';
import { frames } from '../support/frames.ts';
import { type Fake, failure, fakeMembers, lost, type Sent, success } from './support/members.ts';

const app = createRouter();
type Call = MessageInitShape<typeof BatchedCallSchema>;
const type = 'application/protobuf';
const text = (word: string) => new TextEncoder().encode(word);

beforeEach(() => forgetAll());
afterEach(() => {
  vi.useRealTimers();
});

const put = (key: string): Call => ({
  rpc: 'kv/put',
  request: toBinary(PutRequestSchema, create(PutRequestSchema, { key: text(key) })),
});
const get = (key: string, more: MessageInitShape<typeof RangeRequestSchema> = {}): Call => ({
  rpc: 'kv/range',
  request: toBinary(RangeRequestSchema, create(RangeRequestSchema, { key: text(key), ...more })),
});

function send(calls: Call[], fake: Fake, headers: Record<string, string> = {}, path = '') {
  const body = toBinary(BatchRequestSchema, create(BatchRequestSchema, { calls }));
  const init = { method: 'POST', headers: { 'content-type': type, ...headers }, body };
  return app.request(`${path}/v3/batch`, init as RequestInit, fake.env);
}

/** In the order of the calls: the response, or code and message. Beside it, how many ended together. */
async function answersTo(calls: Call[], fake: Fake) {
  const response = await send(calls, fake);
  expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
  const answers: (Uint8Array | string)[] = [];
  const groups: number[] = [];
  for (const [, part] of frames(new Uint8Array(await response.arrayBuffer()))) {
    const ended = fromBinary(BatchAnswersSchema, part).answers;
    groups.push(ended.length);
    for (const { call, outcome } of ended) answers[call] = wordsOf(outcome);
  }
  return { answers, groups };
}

function wordsOf({ case: kind, value }: { case: string | undefined; value?: unknown }) {
  if (kind === 'response') return value as Uint8Array;
  const { code, message } = JSON.parse(String(value)) as { code: number; message: string };
  return `${code} ${message}`;
}

const revisionOf = (answer: Uint8Array | string | undefined, desc = PutResponseSchema) =>
  fromBinary(desc, answer as Uint8Array).header?.revision;

const opOf = ({ request: { op } }: Sent) =>
  op.case === 'command' ? fromBinary(CommandSchema, op.value).op.case : op.case;

describe('calls of one batch', () => {
  test('reach the leader in one request for all of a kind, and are answered together', async () => {
    const fake = fakeMembers(success);
    const { answers, groups } = await answersTo([put('a'), put('b'), put('c')], fake);
    expect(answers.map((answer) => revisionOf(answer))).toEqual([7n, 7n, 7n]);
    expect([fake.together, groups, fake.sent.length]).toEqual([[3], [3], 3]);
  });

  test('of different kinds do not wait for each other', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const fake = fakeMembers(async (sent) => {
      if (opOf(sent) === 'put') await held;
      return success(sent);
    });
    const here = { serializable: true };
    const calls = [put('a'), get('a'), put('b'), get('b'), get('c', here), get('d', here)];
    const response = await send(calls, fake);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const nextCalls = async () => {
      const { value } = await reader.read();
      const [[, message] = []] = frames(value as Uint8Array);
      return fromBinary(BatchAnswersSchema, message as Uint8Array).answers.map(({ call }) => call);
    };
    const early = await nextCalls();
    while (early.length < 4) early.push(...(await nextCalls()));
    expect(early.sort()).toEqual([1, 3, 4, 5]);
    release();
    expect(await nextCalls()).toEqual([0, 2]);
    expect(fake.together.sort()).toEqual([2, 2, 2]);
  });

  test('whose answers may be large go alone', async () => {
    const fake = fakeMembers(success);
    const all = get('a', { rangeEnd: text('z') });
    const { answers } = await answersTo([all, get('a'), all, get('b')], fake);
    expect(answers.map((answer) => revisionOf(answer, RangeResponseSchema as never))).toEqual(
      new Array(4).fill(7n),
    );
    expect([fake.together, fake.sent.length]).toEqual([[2], 4]);
  });

  test('fail each in its own words', async () => {
    const fake = fakeMembers((sent) => {
      if (opOf(sent) !== 'deleteRange') return success(sent);
      return failure('NoSpace');
    });
    const compaction = toBinary(CompactionRequestSchema, create(CompactionRequestSchema));
    const { answers } = await answersTo(
      [
        put('a'),
        put(''),
        { rpc: 'kv/deleterange', request: new Uint8Array([0x0a, 1, 97]) },
        { rpc: 'kv/range', request: new Uint8Array([0x0a, 9]) },
        { rpc: 'kv/compaction', request: compaction },
        { rpc: 'watch', request: new Uint8Array() },
        { rpc: 'auth/authenticate', request: new Uint8Array() },
        { rpc: 'constructor', request: new Uint8Array() },
      ],
      fake,
    );
    expect(revisionOf(answers[0])).toBe(7n);
    expect(answers.slice(1, 4)).toEqual([
      '3 etcdserver: key is not provided',
      '8 etcdserver: mvcc: database space exceeded',
      '3 grpc: error unmarshalling request',
    ]);
    expect(answers[5]).toBe('12 quorate: watch is no call for a batch');
    expect(answers[6]).toBe('12 quorate: auth/authenticate is no call for a batch');
    expect(answers[7]).toBe('12 quorate: constructor is no call for a batch');
  });

  test('have each its own deadline', async () => {
    vi.useFakeTimers();
    const fake = fakeMembers(() => new Promise(() => {}));
    const ended = answersTo([{ ...put('a'), timeoutMs: 300 }, put('b')], fake);
    await vi.advanceTimersByTimeAsync(300);
    const timeouts = fake.sent.map(({ request }) => request.timeoutMs);
    expect(timeouts[0]).toBeLessThan(300);
    expect(timeouts[1]).toBeGreaterThan(4_000);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await ended).toEqual({
      answers: [
        '4 context deadline exceeded',
        '14 etcdserver: request timed out, possibly due to connection lost',
      ],
      groups: [1, 1],
    });
  });

  test('are counted as the RPCs that they are', async () => {
    const fake = fakeMembers(success);
    await (await send([put('a'), put(''), get('a')], fake, {}, '/t/counted')).arrayBuffer();
    const counted = [...countsOf('counted').rpcs].map(([path, { started, handled }]) => [
      path,
      started,
      Object.fromEntries(handled),
    ]);
    expect(counted).toEqual([
      ['kv/put', 2, { OK: 1, InvalidArgument: 1 }],
      ['kv/range', 1, { OK: 1 }],
    ]);
  });
});

describe('a member that a batch has been sent to', () => {
  test('and that is lost leaves the outcome of every write unknown, and its reads go elsewhere', async () => {
    const fake = fakeMembers((sent) => (sent.place === 1 ? lost() : success(sent)));
    const { answers } = await answersTo([put('a'), get('a'), put('b'), get('b')], fake);
    const unknown = '14 etcdserver: request timed out, possibly due to connection lost';
    expect([answers[0], answers[2]]).toEqual([unknown, unknown]);
    expect(fake.sent.filter((sent) => opOf(sent) === 'put').map(({ place }) => place)).toEqual([
      1, 1,
    ]);
    expect(revisionOf(answers[1], RangeResponseSchema as never)).toBe(7n);
    expect(revisionOf(answers[3], RangeResponseSchema as never)).toBe(7n);
  });

  test('and that takes one at a time is asked one at a time', async () => {
    const fake = fakeMembers(success);
    fake.takesSeveral = false;
    const { answers } = await answersTo([put('a'), put('b')], fake);
    expect(answers.map((answer) => revisionOf(answer))).toEqual([7n, 7n]);
    expect([fake.together, fake.sent.length, fake.others.length]).toEqual([[], 2, 1]);
  });

  test('gets no more than a megabyte at once', async () => {
    const fake = fakeMembers(success);
    const request = toBinary(
      PutRequestSchema,
      create(PutRequestSchema, { key: text('a'), value: new Uint8Array(300_000) }),
    );
    await answersTo(new Array(6).fill({ rpc: 'kv/put', request }), fake);
    expect(fake.together).toEqual([3, 3]);
  });
});

describe('a batch', () => {
  test('of too many calls is refused, and none of them is made', async () => {
    const fake = fakeMembers(success);
    const many = await send(new Array(batchMax + 1).fill(put('a')), fake);
    expect([many.status, await many.json()]).toMatchObject([
      429,
      { code: 8, message: `quorate: more than ${batchMax} calls in a batch` },
    ]);
    expect(fake.sent).toEqual([]);
  });

  test('without calls has no answers', async () => {
    const response = await send([], fakeMembers(success));
    expect(response.status).toBe(200);
    expect(frames(new Uint8Array(await response.arrayBuffer()))).toEqual([[0, new Uint8Array()]]);
  });

  test('is protobuf', async () => {
    const response = await send([put('a')], fakeMembers(success), {
      'content-type': 'application/json',
    });
    expect([response.status, await response.json()]).toMatchObject([400, { code: 3 }]);
  });
});
