// biome-ignore-all lint/suspicious/noThenProperty: a member of a transaction's body; nobody awaits it.
/** /v1/locks, /v1/elections and KV-Fence. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRouter } from '../../../src/router/app.ts';
import { bytes, del, revoke, set } from '../../kv/support.ts';
import { Group } from '../watch/group.ts';

const app = createRouter();
let group: Group;

beforeEach(() => {
  group = new Group();
});

type Json = Record<string, unknown>;

async function call(method: string, path: string, body?: Json | string, headers = {}) {
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  const init = { method, headers, ...(text === undefined ? {} : { body: text }) };
  const answer = await app.fetch(new Request(`http://x/v1/${path}`, init), group.env);
  const json = JSON.parse((await answer.text()) || '{}') as Json;
  return { status: answer.status, headers: answer.headers, json };
}

const lock = (name = 'l', body: Json = {}) => call('POST', `locks/${name}`, body);
const owned = (token: unknown) => ({ 'if-match': `"${token}"` });
const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};
const leaseCount = () => group.at.machine.machine.leasePage(null, 100).length;
const lost = { status: 412, json: { code: 'lock-lost' } };
const held = { status: 409, json: { code: 'lock-held' } };

describe('a lock', () => {
  test('is taken by one, who is told the token that fences', async () => {
    const { status, json } = await lock('l', { ttl: '30s', owner: 'me' });
    expect([status, json]).toEqual([200, { token: 2, lease: json.lease, expires_in: 30 }]);
    expect((await call('GET', 'locks/l')).json).toEqual({
      ...{ held: true, token: 2, owner: 'me', lease: json.lease, expires_in: 30 },
    });
  });

  test('that is held is refused with its holder, and nothing is written', async () => {
    const { json } = await lock('l', { ttl: 3, owner: 'me' });
    const second = await lock();
    expect(second).toMatchObject(held);
    expect(second.json.holder).toEqual({ ...json, owner: 'me' });
    expect(second.headers.get('retry-after')).toBe('3');
    expect([group.at.machine.machine.revision, leaseCount()]).toEqual([2, 1]);
  });

  test('has one holder of many who come at once, and leaves no lease of the others', async () => {
    const all = await Promise.all(Array.from({ length: 20 }, () => lock()));
    expect(all.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(leaseCount()).toBe(1);
  });

  test('excludes who builds it on etcd’s keys, and is excluded by them', async () => {
    group.at.apply(set('l/ours', 'x'));
    expect(await lock()).toMatchObject(held);
    group.at.apply(del({ key: bytes('l/ours') }));
    expect((await lock()).status).toBe(200);
  });

  test('is waited for, and had with a larger token', async () => {
    const first = await lock();
    const second = lock('l', { wait: 30 });
    await settle();
    await call('DELETE', 'locks/l', undefined, owned(first.json.token));
    expect((await second).json.token).toBe(3);
  });

  test('is waited for only so long', async () => {
    await lock();
    expect(await lock('l', { wait: 0.05 })).toMatchObject(held);
    expect(leaseCount()).toBe(1);
    expect((await call('GET', 'locks/l')).json).toMatchObject({ token: 2 });
  });

  test('is renewed and given up by the token, once', async () => {
    const { json } = await lock('l', { ttl: 30 });
    const renewed = await call('POST', 'locks/l/renew', undefined, owned(json.token));
    expect([renewed.status, renewed.json]).toEqual([200, json]);
    expect(await call('DELETE', 'locks/l', undefined, owned(1))).toMatchObject(lost);
    expect(await call('POST', 'locks/l/renew', undefined, owned(1))).toMatchObject(lost);
    expect((await call('DELETE', 'locks/l', undefined, owned(json.token))).status).toBe(200);
    expect(await call('DELETE', 'locks/l', undefined, owned(json.token))).toMatchObject(lost);
    expect((await call('GET', 'locks/l')).json).toEqual({ held: false });
  });

  test('ends with its lease', async () => {
    const { json } = await lock();
    group.at.apply(revoke(BigInt(String(json.lease))));
    expect(await call('POST', 'locks/l/renew', undefined, owned(json.token))).toMatchObject(lost);
    expect((await lock()).json.token).toBe(4);
  });

  test.each(['l', 'a%2Frenew', '%00%ff', 'a/b'])('may be called %s', async (name) => {
    expect((await lock(name)).status).toBe(200);
    expect((await call('GET', `locks/${name}`)).json).toMatchObject({ held: true });
  });

  test.each<[string, string, Json | string | undefined, number]>([
    ['POST', 'locks/l', { ttl: 0 }, 400],
    ['POST', 'locks/l', { wait: 61 }, 400],
    ['POST', 'locks/l', { wait: -1 }, 400],
    ['POST', 'locks/l', '[]', 400],
    ['POST', 'elections/l/campaign', '[]', 400],
    ['POST', 'locks/l', { value: 'x' }, 400],
    ['POST', 'locks/%zz', {}, 400],
    ['POST', 'locks/', {}, 404],
    ['DELETE', 'locks/l', undefined, 400],
    ['PUT', 'locks/l', { value: 'x' }, 405],
    ['POST', 'elections/l', {}, 405],
    ['GET', 'locks/l/renew', undefined, 405],
  ])('%s %s %j is refused', async (method, path, body, status) => {
    expect((await call(method, path, body)).status).toBe(status);
  });
});

describe('an election', () => {
  test('is won with a value, which the leader alone may change', async () => {
    const { json } = await call('POST', 'elections/e/campaign', { value: 'one' });
    expect(await call('POST', 'elections/e/campaign')).toMatchObject({
      status: 409,
      json: { holder: { value: 'one' } },
    });
    const say = (token: unknown) => call('PUT', 'elections/e', { value: 'two' }, owned(token));
    expect((await say(json.token)).status).toBe(200);
    expect(await say(1)).toMatchObject(lost);
    expect((await call('GET', 'elections/e')).json).toMatchObject({ value: 'two', token: 2 });
    const { lease } = (await call('GET', 'elections/e')).json;
    expect(lease).toBe(json.lease);
    expect((await call('DELETE', 'elections/e', undefined, owned(json.token))).status).toBe(200);
    expect(await say(json.token)).toMatchObject(lost);
  });

  test('is observed as events', async () => {
    const { json } = await call('POST', 'elections/e/campaign', { value: 'one' });
    const request = new Request('http://x/v1/elections/e/observe');
    const answer = await app.fetch(request, group.env);
    expect(answer.headers.get('content-type')).toBe('text/event-stream');
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value);
    const { lease } = json;
    const data = JSON.stringify({ revision: 2, token: 2, value: 'one', lease });
    expect(await next()).toBe(`id: 2\nevent: leader\ndata: ${data}\n\n`);
    await call('PUT', 'elections/e', { value: 'two' }, owned(2));
    expect(await next()).toContain('"value":"two"');
    await reader.cancel();
  });
});

test('an election that cannot be read is an error, not a stream that ends', async () => {
  for (const place of [1, 2, 3]) group.down.add(place);
  const { status, json } = await call('GET', 'elections/e/observe?timeout=100ms');
  expect([status >= 500, json.retryable]).toEqual([true, true]);
});

describe('KV-Fence', () => {
  const fenced = (token: unknown) => ({ 'kv-fence': `l=${token}` });
  const out = { status: 412, json: { code: 'fenced-out' } };
  const writes: [string, string, Json | string | undefined][] = [
    ['PUT', 'kv/a', 'x'],
    ['PUT', 'kv/a?ttl=30', 'x'],
    ['DELETE', 'kv/a', undefined],
    ['DELETE', 'kv?prefix=a', undefined],
    ['POST', 'txn', { then: [{ type: 'put', key: 'a', value: 'x' }] }],
  ];

  test.each(writes)('lets %s %s pass while the lock is held', async (method, path, body) => {
    const { json } = await lock();
    const plain = await call(method, path, body);
    const { revision } = group.at.machine.machine;
    const done = await call(method, path, body, fenced(json.token));
    expect(done.status).toBe(200);
    expect(Object.keys(done.json)).toEqual(Object.keys(plain.json));
    expect(Number(done.headers.get('kv-revision'))).toBe(done.json.revision);
    expect(Number(done.json.revision) - revision).toBe(method === 'DELETE' ? 0 : 1);
  });

  test.each(writes)('keeps %s %s out once another holds it', async (method, path, body) => {
    const first = await lock();
    await call('DELETE', 'locks/l', undefined, owned(first.json.token));
    await lock();
    const { revision } = group.at.machine.machine;
    expect(await call(method, path, body, fenced(first.json.token))).toMatchObject(out);
    expect(await call(method, path, body, fenced(999))).toMatchObject(out);
    expect(group.at.machine.machine.revision).toBe(revision);
    expect(leaseCount()).toBe(2);
  });

  test('is decided with the write: a lock lost after the look keeps it out', async () => {
    const { json } = await lock();
    group.beforeCommand = () => {
      group.beforeCommand = null;
      group.at.apply(revoke(BigInt(String(json.lease))));
    };
    expect(await call('PUT', 'kv/a', 'x', fenced(json.token))).toMatchObject(out);
  });

  test('is not passed by who merely waits', async () => {
    await lock();
    group.at.apply(set('between', 'x'));
    const second = lock('l', { wait: 0.2 });
    await settle();
    expect(await call('PUT', 'kv/a', 'x', fenced(4))).toMatchObject(out);
    await second;
  });

  test('and a write that was made is told of again with its Idempotency-Key', async () => {
    const { json } = await lock();
    const headers = { ...fenced(json.token), 'idempotency-key': '"k"' };
    const first = await call('PUT', 'kv/a', 'x', headers);
    await call('DELETE', 'locks/l', undefined, owned(json.token));
    expect(await call('PUT', 'kv/a', 'x', headers)).toMatchObject({
      status: 201,
      json: first.json,
    });
    const other = { ...headers, 'idempotency-key': '"k2"' };
    expect(await call('PUT', 'kv/a', 'x', other)).toMatchObject(out);
    expect(await call('PUT', 'kv/a', 'x', other)).toMatchObject(out);
  });

  test.each(writes)('%s %s with it is another request than without', async (method, path, body) => {
    const { json } = await lock();
    const once = (key: string, more: Json) =>
      call(method, path, body, { 'idempotency-key': key, ...more });
    const mismatch = { status: 422, json: { code: 'idempotency-mismatch' } };
    expect((await once('plain', {})).status).toBeLessThan(300);
    expect(await once('plain', fenced(json.token))).toMatchObject(mismatch);
    expect((await once('fenced', fenced(json.token))).status).toBe(200);
    expect(await once('fenced', {})).toMatchObject(mismatch);
    expect(await once('fenced', fenced(999))).toMatchObject(mismatch);
  });

  test('goes with a condition, each with its own refusal', async () => {
    const { json } = await lock();
    const put = (more: Json) => call('PUT', 'kv/a', 'x', { ...fenced(json.token), ...more });
    expect((await put({ 'if-none-match': '*' })).status).toBe(201);
    const failed = await put({ 'if-none-match': '*' });
    expect([failed.status, failed.json.code]).toEqual([412, 'precondition-failed']);
  });

  test.each(['l', 'l=', '=3', 'l=0', 'l=x', '%z=3', 'l=-3'])('%s is refused', async (text) => {
    expect((await call('PUT', 'kv/a', 'x', { 'kv-fence': text })).status).toBe(400);
  });

  test('means nothing on a read, and is refused there', async () => {
    expect((await call('GET', 'kv/a', undefined, fenced(2))).status).toBe(400);
    expect((await call('DELETE', 'kv?prefix=a&dry_run=1', undefined, fenced(2))).status).toBe(400);
  });
});
