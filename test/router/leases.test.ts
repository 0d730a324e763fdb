/** etcd's leases at the gateway: what it takes, what it refuses, and how a keep-alive is answered. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { type Fake, failure, fakeMembers } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
let fake: Fake;

beforeEach(() => {
  vi.useRealTimers();
  forgetAll();
  fake = fakeMembers(storeLeader().script);
});

async function post(path: string, body: string, headers: Record<string, string> = {}) {
  const answer = await app.request(path, { method: 'POST', body, headers }, fake.env);
  const chunks: string[] = [];
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) chunks.push(decoder.decode(chunk as Uint8Array));
  const messages = chunks.map((chunk) => JSON.parse(chunk) as Record<string, unknown>);
  return { status: answer.status, chunks, messages, json: messages[0] ?? {} };
}

const lease = (call: string, body: string, headers: Record<string, string> = {}) =>
  post(`/v3/lease/${call}`, body, headers);
const grant = (id: string, ttl = '60') => lease('grant', `{"TTL":${ttl},"ID":${id}}`);

const ids = [
  ['5', '5'],
  ['"5"', '5'],
  ['-1', '-1'],
  ['"-1"', '-1'],
  ['9007199254740993', '9007199254740993'],
  ['"9007199254740993"', '9007199254740993'],
  ['9223372036854775807', '9223372036854775807'],
  ['"9223372036854775807"', '9223372036854775807'],
  ['-9223372036854775808', '-9223372036854775808'],
] as const;

const noIds = ['9223372036854775808', '"9223372036854775808"', '-9223372036854775809', '""'].concat(
  ['"x"', '1.5', 'true', '[]', '{}', '"1 "', '0x1'],
);

describe('an id is any number of 64 bits, with all its digits, as text or as a number', () => {
  test.each(ids)('%s is granted, kept alive, told of and revoked', async (sent, id) => {
    expect((await grant(sent)).json).toMatchObject({ ID: id, TTL: '60' });
    expect((await lease('keepalive', `{"ID":${sent}}`)).json).toEqual({
      result: { header: expect.anything(), ID: id, TTL: '60' },
    });
    const told = await lease('timetolive', `{"ID":${sent}}`);
    expect(told.json).toMatchObject({ ID: id, TTL: '60', grantedTTL: '60' });
    expect((await lease('leases', '{}')).json).toMatchObject({ leases: [{ ID: id }] });
    expect(await grant(sent)).toMatchObject({
      status: 400,
      json: { code: 9, message: 'etcdserver: lease already exists' },
    });
    expect((await lease('revoke', `{"ID":${sent}}`)).status).toBe(200);
    expect(await lease('revoke', `{"ID":${sent}}`)).toMatchObject({
      status: 404,
      json: { code: 5, message: 'etcdserver: requested lease not found' },
    });
  });

  test.each(['0', '"0"', 'null'])('%s means: choose one', async (sent) => {
    const chosen = BigInt(String((await grant(sent)).json.ID));
    expect(chosen > 0n && chosen < 2n ** 63n).toBe(true);
    expect((await grant(sent)).json.ID).not.toBe(String(chosen));
  });

  test.each(noIds)('%s is refused everywhere, before anybody is asked', async (sent) => {
    for (const call of ['grant', 'revoke', 'timetolive']) {
      const { status, json } = await lease(call, `{"TTL":60,"ID":${sent}}`);
      expect([call, status, json.code]).toEqual([call, 400, 3]);
    }
    const { status, json } = await lease('keepalive', `{"ID":${sent}}`);
    expect([status, json.code]).toEqual([400, 2]);
    expect(fake.sent).toHaveLength(0);
  });
});

describe('what is missing is zero', () => {
  test('a grant of nothing is a lease of the least time', async () => {
    for (const body of ['', '{}', '{"TTL":null}', '{"TTL":-5}', '{"TTL":"-9223372036854775808"}'])
      expect((await lease('grant', body)).json).toMatchObject({ TTL: '2' });
  });

  test('nobody has lease 0', async () => {
    expect(await lease('revoke', '{}')).toMatchObject({ status: 404, json: { code: 5 } });
    expect((await lease('timetolive', '')).json).toEqual({ header: expect.anything(), TTL: '-1' });
    expect((await lease('keepalive', '{}')).json).toEqual({
      result: { header: expect.anything() },
    });
  });
});

test.each(['"x"', '1.5', 'true', '[]', '9223372036854775808'])(
  'a TTL of %s is refused',
  async (ttl) => {
    expect(await grant('5', ttl)).toMatchObject({ status: 400, json: { code: 3 } });
  },
);

test.each(['9000000001', '9223372036854775807'])('a TTL of %s is too large', async (ttl) => {
  expect(await grant('5', ttl)).toMatchObject({
    status: 400,
    json: { code: 11, message: 'etcdserver: too large lease TTL' },
  });
});

test.each(['1', '"true"', '[]'])('keys: %s is refused', async (keys) => {
  expect((await lease('timetolive', `{"ID":5,"keys":${keys}}`)).status).toBe(400);
});

test('the aliases under kv/lease are the same calls', async () => {
  await grant('7');
  expect((await post('/v3/kv/lease/leases', '')).json).toMatchObject({ leases: [{ ID: '7' }] });
  expect((await post('/v3/kv/lease/timetolive', '{"ID":7}')).json).toMatchObject({ TTL: '60' });
  expect((await post('/v3/kv/lease/revoke', '{"ID":7}')).status).toBe(200);
});

describe('a keep-alive', () => {
  test('answers each message in one chunk of its own, in order, and ends', async () => {
    await grant('1');
    await grant('2', '30');
    const { chunks, messages } = await lease('keepalive', '{"ID":2}{"ID":"9"}\n{"ID":1}');
    expect(chunks.every((chunk) => chunk.endsWith('}\n'))).toBe(true);
    expect(messages.map(({ result }) => result)).toEqual([
      { header: expect.anything(), ID: '2', TTL: '30' },
      { header: expect.anything(), ID: '9' },
      { header: expect.anything(), ID: '1', TTL: '60' },
    ]);
  });

  test('answers thousands, in few questions to the leader', async () => {
    await grant('1');
    fake.sent.length = 0;
    const { messages } = await lease('keepalive', '{"ID":1}'.repeat(1_000));
    expect(messages).toHaveLength(1_000);
    expect(fake.sent).toHaveLength(4);
  });

  test.each([
    ['has all the time that it needs', {}, 1_000],
    ['ends with the deadline that a client names', { 'grpc-timeout': '5S' }, 769],
  ])('of many %s', async (_, headers, answers) => {
    const { script } = fake;
    fake.script = (sent) => {
      vi.setSystemTime(Date.now() + 2_000);
      return script(sent);
    };
    vi.useFakeTimers({ toFake: ['Date'] });
    const { messages } = await lease('keepalive', '{"ID":1}'.repeat(1_000), headers);
    expect(messages).toHaveLength(answers);
    if (answers < 1_000) expect(messages.at(-1)).toMatchObject({ error: { grpc_code: 4 } });
  });

  test('takes no more of them than a body may have', async () => {
    fake.sent.length = 0;
    expect(await lease('keepalive', '{}'.repeat(20_001))).toMatchObject({
      status: 429,
      json: { code: 8, message: 'quorate: more than 20000 requests in one body' },
    });
    expect(fake.sent).toHaveLength(0);
  });

  test('ends before what is no message', async () => {
    expect((await lease('keepalive', '{"ID":7} {"ID":"x"} {"ID":8}')).messages).toHaveLength(1);
    expect((await lease('keepalive', '{"ID":7}{"ID"')).messages).toHaveLength(1);
    expect((await lease('keepalive', '{"ID"')).status).toBe(400);
    expect((await lease('keepalive', '[]')).status).toBe(400);
    expect(await lease('keepalive', ' ')).toMatchObject({ status: 200, messages: [] });
  });

  test('an error before the first answer is its status, and later its last line', async () => {
    const { script } = fake;
    fake.script = () => failure('NoSpace');
    expect((await lease('keepalive', '{"ID":1}')).status).toBe(429);
    fake.script = (sent) => (fake.sent.length > 1 ? failure('NoSpace') : script(sent));
    fake.sent.length = 0;
    const { status, messages } = await lease('keepalive', '{"ID":1}'.repeat(300));
    expect([status, messages.length]).toEqual([200, 257]);
    expect(messages.at(-1)).toMatchObject({ error: { grpc_code: 8, http_code: 429 } });
  });
});
