// biome-ignore-all lint/suspicious/noThenProperty: a member of a transaction's body; nobody awaits it.
/** Idempotency-Key: a write that is sent again takes effect once, whoever sends it again. */
import { fromBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import { Redirect_Reason } from '../../src/api/gen/member_pb.js';
import { signToken } from '../../src/kv/auth/tokens.ts';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import {
  type Fake,
  failure,
  fakeMembers,
  lost,
  places,
  redirect,
  type Script,
} from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
let fake: Fake;
let store: Script;

beforeEach(() => {
  forgetAll();
  vi.useRealTimers();
  store = storeLeader().script;
  fake = fakeMembers(store);
});

async function call(method: string, path: string, init: RequestInit = {}) {
  const answer = await app.request(path, { method, ...init }, fake.env);
  const text = await answer.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, headers: answer.headers, text, json };
}

const keyed = (method: string, path: string, body?: string, key = '"k1"') =>
  call(method, path, {
    headers: { 'idempotency-key': key },
    ...(body === undefined ? {} : { body }),
  });

const txn = (value: string) => JSON.stringify({ then: [{ type: 'put', key: 't', value }] });

describe('a write with a key', () => {
  test.each([
    ['PUT', '/v1/kv/a', 'x'],
    ['DELETE', '/v1/kv/b', undefined],
    ['DELETE', '/v1/kv?prefix=b', undefined],
    ['POST', '/v1/txn', txn('x')],
    ['POST', '/v1/txn', JSON.stringify({ then: [{ type: 'get', key: 'b' }] })],
  ])(
    '%s %s is answered the second time as the first, and changes nothing',
    async (method, path, body) => {
      await call('PUT', '/v1/kv/b', { body: 'was' });
      const first = await keyed(method, path, body);
      expect(first.status).toBeLessThan(300);
      for (const key of ['a', 'b', 't']) await call('PUT', `/v1/kv/${key}`, { body: 'later' });
      const again = await keyed(method, path, body);
      expect([again.status, again.json]).toEqual([first.status, first.json]);
      for (const name of ['etag', 'kv-revision'])
        expect(again.headers.get(name)).toBe(first.headers.get(name));
      for (const key of ['a', 'b', 't'])
        expect((await call('GET', `/v1/kv/${key}`)).text).toBe('later');
    },
  );

  test.each<[string, string, string]>([
    ['PUT', '/v1/kv/a', 'other'],
    ['PUT', '/v1/kv/c', 'x'],
    ['PUT', '/v1/kv/a?prev=1', 'x'],
    ['DELETE', '/v1/kv/a', ''],
    ['POST', '/v1/txn', txn('x')],
  ])('%s %s %s with the key of another request is 422', async (method, path, body) => {
    await keyed('PUT', '/v1/kv/a', 'x');
    const other = await keyed(method, path, ...(body === '' ? [] : [body]));
    expect([other.status, other.json]).toMatchObject([
      422,
      { code: 'idempotency-mismatch', outcome: 'not-applied', retryable: false },
    ]);
    expect((await call('GET', '/v1/kv/a')).text).toBe('x');
  });

  test('is the same request however long its client waits, and with its key in quotes or not', async () => {
    const first = await keyed('PUT', '/v1/kv/a?prev=1', 'x');
    const again = await keyed('PUT', '/v1/kv/a?timeout=9s&prev=1', 'x', 'k1');
    expect([again.status, again.json]).toEqual([201, first.json]);
  });

  test("is the same user's with another token, and meets no key of another user", async () => {
    const as = (user: string, version: bigint, body: string) => {
      const token = signToken(new Uint8Array(32), { user, version, expires: 1n });
      const headers = { authorization: `Bearer ${token}`, 'idempotency-key': '"k1"' };
      return call('PUT', '/v1/kv/a', { headers, body });
    };
    const first = await as('alice', 2n, 'x');
    expect((await as('bob', 3n, 'y')).json).toMatchObject({ revision: 3 });
    expect((await keyed('PUT', '/v1/kv/a', 'z')).json).toMatchObject({ revision: 4 });
    expect((await as('alice', 4n, 'x')).json).toEqual(first.json);
    expect((await as('bob', 3n, 'x')).status).toBe(422);
  });

  test('does not meet the keys of other requests', async () => {
    await keyed('PUT', '/v1/kv/a', 'x', '"one"');
    expect((await keyed('PUT', '/v1/kv/a', 'y', '"two"')).json).toMatchObject({ revision: 3 });
  });

  test.each(['', '""', '"', `"${'x'.repeat(256)}"`, '"a"b"', 'a b', 'k\u00e9'])(
    'a key %j is a bad request',
    async (key) => {
      const bad = await keyed('PUT', '/v1/kv/a', 'x', key);
      expect([bad.status, bad.json.code, fake.sent.length]).toEqual([400, 'bad-request', 0]);
    },
  );

  test('takes no condition beside it: a condition does the same', async () => {
    for (const name of ['if-match', 'if-none-match'])
      for (const method of ['PUT', 'DELETE']) {
        const headers = { 'idempotency-key': '"k"', [name]: '*' };
        expect((await call(method, '/v1/kv/a', { headers })).status).toBe(400);
      }
    expect(fake.sent).toEqual([]);
  });

  test.each([
    ['GET', '/v1/kv/a'],
    ['GET', '/v1/kv?prefix='],
    ['DELETE', '/v1/kv?prefix=&dry_run=1'],
    ['POST', '/v1/compact'],
    ['PUT', '/v1/members'],
    ['GET', '/v1/status'],
  ])('%s %s takes no key', async (method, path) => {
    const body = method === 'GET' ? undefined : '{"revision":1}';
    expect((await keyed(method, path, body)).status).toBe(400);
    expect(fake.sent).toEqual([]);
  });

  test('names it by hashes, so that its length costs nothing', async () => {
    await keyed('PUT', '/v1/kv/a', 'x', `"${'k'.repeat(255)}"`);
    const op = fake.sent[0]?.request.op;
    const command = fromBinary(CommandSchema, op?.value as Uint8Array).op;
    expect(command.case).toBe('once');
    if (command.case !== 'once') return;
    expect([command.value.keyHash.length, command.value.requestHash.length]).toEqual([16, 16]);
  });
});

/** Applies what it is sent, and then its answer is lost, `times` times. */
function losing(times: number): Script {
  let left = times;
  return (sent) => {
    const answer = store(sent);
    if (left-- > 0) lost();
    return answer;
  };
}

/** Hashes are made outside of the faked time, so it stands until the first member is asked. */
async function passUntil<T>(asked: Promise<T>): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  asked.then(over, over);
  while (!isOver) {
    await new Promise((resolve) => setImmediate(resolve));
    if (fake.sent.length > 0) await vi.advanceTimersByTimeAsync(20);
  }
  return asked;
}

describe('an unknown outcome', () => {
  test('of a write with a key is found out by sending it again', async () => {
    fake.script = losing(2);
    const first = await keyed('PUT', '/v1/kv/a', 'x');
    expect([first.status, first.json]).toEqual([201, { revision: 2, created: true }]);
    expect(places(fake)).toEqual([1, 2, 3]);
    expect(
      await call('GET', '/v1/kv/a', { headers: { accept: 'application/json' } }),
    ).toMatchObject({
      json: { version: 1 },
    });
  });

  test('of a write without one is told, and nothing is sent again', async () => {
    fake.script = losing(1);
    const first = await call('PUT', '/v1/kv/a', { body: 'x' });
    expect([first.status, first.json.outcome, places(fake)]).toEqual([504, 'unknown', [1]]);
  });

  test('that a member tells of is found out too', async () => {
    fake.script = (sent) => (sent.place === 1 ? failure('OutcomeUnknown', true) : store(sent));
    expect((await keyed('DELETE', '/v1/kv/a')).status).toBe(200);
    expect(places(fake)).toEqual([1, 2]);
  });

  test.each<[string, Script]>([
    ['knows no leader', () => redirect(Redirect_Reason.NO_LEADER)],
    ['is overloaded', () => failure('TooManyRequests')],
    ['is of older code', () => failure('NotCapable')],
    ['sheds load', () => lost({ overloaded: true })],
  ])('stays unknown when whoever is asked next %s', async (_, next) => {
    fake.script = (sent) => (fake.sent.length === 1 ? lost() : next(sent));
    const told = await keyed('PUT', '/v1/kv/a?timeout=1s', 'x');
    expect([told.status, told.json]).toMatchObject([504, { outcome: 'unknown' }]);
  });

  test('ends with what the state machine says, though it refuses', async () => {
    fake.script = () => (fake.sent.length === 1 ? lost() : failure('IdempotencyMismatch'));
    expect((await keyed('PUT', '/v1/kv/a', 'x')).status).toBe(422);
  });

  test('was none while nothing can have been taken', async () => {
    fake.script = () => redirect(Redirect_Reason.NO_LEADER);
    const told = await keyed('PUT', '/v1/kv/a?timeout=1s', 'x');
    expect([told.status, told.json.outcome]).toEqual([504, 'not-applied']);
  });

  test('is bounded by the deadline and by eight attempts', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    fake.script = () => lost();
    const asked = keyed('PUT', '/v1/kv/a?timeout=60s', 'x');
    expect([(await passUntil(asked)).json.outcome, fake.sent.length]).toEqual(['unknown', 8]);
  });

  test('of a silent leader is found out where another one was found', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    fake.script = (sent) => (sent.place === 1 ? new Promise(() => {}) : store(sent));
    const asked = keyed('PUT', '/v1/kv/a?timeout=10s', 'x');
    expect((await passUntil(asked)).status).toBe(201);
  });
});
