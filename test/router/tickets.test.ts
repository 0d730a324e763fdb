/** Tickets: good once, for one tenant and one purpose, for a minute at most. */
import { beforeEach, expect, test, vi } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { type Fake, fakeMembers, lost } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
const token = { authorization: 'Bearer s3cret' };
const closed = { OPEN_DEFAULT: 'false', OPEN_TENANTS: 'true', API_TOKEN: 's3cret' };
let fake: Fake;

beforeEach(() => {
  forgetAll();
  vi.useRealTimers();
  fake = fakeMembers(storeLeader().script, closed);
});

async function issue(path = '/v1/tickets', body: unknown = { scope: 'watch' }, headers = token) {
  const init = { method: 'POST', headers, body: JSON.stringify(body) };
  const answer = await app.request(path, init, fake.env);
  const json = (await answer.json()) as Record<string, unknown>;
  return { status: answer.status, json, ticket: String(json.ticket) };
}

/** Whether it is let in, whatever it meets inside. */
async function letsIn(path: string, method = 'GET'): Promise<boolean> {
  return (await app.request(path, { method }, fake.env)).status !== 401;
}

test('a ticket lets in once', async () => {
  const { status, json, ticket } = await issue('/v1/tickets', { scope: 'watch', ttl: 30 });
  expect([status, json]).toMatchObject([201, { scope: 'watch', expires_in: 30 }]);
  expect(fake.sent).toEqual([]);
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(true);
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(false);
  expect(await letsIn(`/v1/watch?ticket=${(await issue()).ticket}`)).toBe(true);
});

test('its only use may be sent to members twice, when the first answer is lost', async () => {
  const { script } = storeLeader();
  fake.script = (sent) => {
    const answer = script(sent);
    return fake.sent.length === 1 ? lost() : answer;
  };
  const { ticket } = await issue();
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(true);
  expect(fake.sent).toHaveLength(2);
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(false);
});

test('it is of no use elsewhere, and is not used up by trying', async () => {
  const { ticket } = await issue();
  for (const [method, path] of [
    ['GET', '/t/acme/v1/watch'],
    ['GET', '/v1/kv/a'],
    ['POST', '/v1/watch'],
    ['POST', '/v1/tickets'],
    ['GET', '/v3/watch'],
  ] as const)
    expect(await letsIn(`${path}?ticket=${ticket}`, method)).toBe(false);
  expect(fake.sent).toEqual([]);
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(true);
});

test('it expires', async () => {
  vi.useFakeTimers({ toFake: ['Date'] });
  const { ticket } = await issue('/v1/tickets', { scope: 'watch', ttl: 10 });
  vi.setSystemTime(Date.now() + 10_000);
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(false);
  expect(fake.sent).toEqual([]);
});

test('changed in any part it is none', async () => {
  const { ticket } = await issue();
  const [expiry = '', nonce = '', mac = ''] = ticket.split('.');
  const flip = (text: string) => (text.startsWith('A') ? 'B' : 'A') + text.slice(1);
  for (const forged of [
    `${Number(expiry) + 1}.${nonce}.${mac}`,
    `${expiry}.${flip(nonce)}.${mac}`,
    `${expiry}.${nonce}.${flip(mac)}`,
    `${expiry}.${nonce}`,
    '',
    'x'.repeat(5_000),
  ])
    expect(await letsIn(`/v1/watch?ticket=${forged}`)).toBe(false);
  expect(fake.sent).toEqual([]);
});

test('who has no token gets none, and a deployment without a token takes none', async () => {
  expect((await issue('/v1/tickets', { scope: 'watch' }, { authorization: 'x' })).status).toBe(401);
  const { ticket } = await issue();
  fake = fakeMembers(storeLeader().script, { ...closed, API_TOKEN: '' });
  expect(await letsIn(`/v1/watch?ticket=${ticket}`)).toBe(false);
});

test('a user whom the secret names gets none, since it would stand for the secret', async () => {
  const named = { ...token, 'grpc-metadata-token': 'of.eve' };
  const { status, json } = await issue('/v1/tickets', { scope: 'watch' }, named);
  expect([status, json.code]).toEqual([403, 'permission-denied']);
});

test.each([
  [{}],
  [{ scope: 'write' }],
  [{ scope: 'watch', ttl: 0 }],
  [{ scope: 'watch', ttl: 61 }],
  [{ scope: 'watch', ttl: 1.5 }],
  [{ scope: 'watch', ttl: '30' }],
  [{ scope: 'watch', key: 'a' }],
  [[]],
  [null],
])('%j is a bad request', async (body) => {
  const { status, json } = await issue('/v1/tickets', body);
  expect([status, json.code]).toEqual([400, 'bad-request']);
});
