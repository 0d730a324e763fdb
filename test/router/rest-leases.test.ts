/** /v1/leases, and keys that are tied to a lease by `lease=` or `ttl=`. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { type Fake, fakeMembers } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
let fake: Fake;

beforeEach(() => {
  forgetAll();
  fake = fakeMembers(storeLeader().script);
});

async function call(method: string, path: string, body?: string, headers = {}) {
  const init = { method, headers, ...(body === undefined ? {} : { body }) };
  const answer = await app.request(path, init, fake.env);
  const text = await answer.text();
  const json = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  return { status: answer.status, headers: answer.headers, json };
}

const leases = async (): Promise<unknown> => {
  const answer = await app.request('/v3/lease/leases', { method: 'POST', body: '{}' }, fake.env);
  return ((await answer.json()) as { leases?: unknown[] }).leases?.length ?? 0;
};

describe('a lease is a resource', () => {
  test('it is created, read, kept alive and ended at one address', async () => {
    const made = await call('POST', '/t/acme/v1/leases', '{"ttl":"30s"}');
    expect([made.status, made.json.ttl]).toEqual([201, 30]);
    const location = made.headers.get('location') ?? '';
    expect(location).toBe(`/t/acme/v1/leases/${made.json.id}`);
    expect((await call('GET', location)).json).toEqual({ ...made.json, granted_ttl: 30 });
    expect((await call('POST', `${location}/keepalive`)).json).toEqual(made.json);
    expect((await call('DELETE', location)).status).toBe(200);
    for (const [method, path] of [
      ['GET', location],
      ['POST', `${location}/keepalive`],
      ['DELETE', location],
    ] as const)
      expect(await call(method, path)).toMatchObject({
        status: 404,
        json: { code: 'lease-not-found' },
      });
  });

  test('its keys are told on request', async () => {
    const { json } = await call('POST', '/v1/leases', '{"ttl":30}');
    await call('PUT', `/v1/kv/a?lease=${json.id}`, 'x');
    const told = await call('GET', `/v1/leases/${json.id}?keys=1`);
    expect(told.json.keys).toEqual([{ key: 'a' }]);
  });

  test('a client may choose its id, once', async () => {
    const body = '{"ttl":30,"id":"9223372036854775807"}';
    expect((await call('POST', '/v1/leases', body)).json.id).toBe('9223372036854775807');
    expect(await call('POST', '/v1/leases', body)).toMatchObject({
      status: 409,
      json: { code: 'lease-exists' },
    });
  });

  test.each(['0', '-1', '1.5', '"1.5s"', '"500ms"', '9000000001', 'null', 'true'])(
    'a ttl of %s is refused',
    async (ttl) => {
      expect((await call('POST', '/v1/leases', `{"ttl":${ttl}}`)).status).toBe(400);
      expect(fake.sent).toHaveLength(0);
    },
  );

  test.each(['0', 'x', '1.5', '9223372036854775808', '%31'])(
    'an id of %s is refused',
    async (id) => {
      expect((await call('GET', `/v1/leases/${id}`)).status).toBe(400);
      expect(fake.sent).toHaveLength(0);
    },
  );

  test('created with an Idempotency-Key it is one lease, however often', async () => {
    const make = () => call('POST', '/v1/leases', '{"ttl":30}', { 'idempotency-key': '"a"' });
    expect((await make()).json.id).toBe((await make()).json.id);
    expect(await leases()).toBe(1);
  });
});

describe('a key that is tied to a lease', () => {
  const put = (query: string, headers = {}) => call('PUT', `/v1/kv/a?${query}`, 'x', headers);

  test('goes with it', async () => {
    const { json } = await call('POST', '/v1/leases', '{"ttl":30}');
    expect((await put(`lease=${json.id}`)).json).toMatchObject({ created: true, lease: json.id });
    await call('DELETE', `/v1/leases/${json.id}`);
    expect((await call('GET', '/v1/kv/a')).status).toBe(404);
  });

  test('is not written where there is no such lease', async () => {
    expect(await put('lease=77')).toMatchObject({ status: 404, json: { code: 'lease-not-found' } });
    expect((await call('GET', '/v1/kv/a')).status).toBe(404);
  });

  test('with a ttl has a lease of its own', async () => {
    const { status, json } = await put('ttl=30s');
    expect([status, json.ttl]).toEqual([201, 30]);
    const read = await call('GET', '/v1/kv/a', undefined, { accept: 'application/json' });
    expect(read.json.lease).toBe(json.lease);
    await call('DELETE', `/v1/leases/${json.lease}`);
    expect((await call('GET', '/v1/kv/a')).status).toBe(404);
  });

  test('has one of two ways to be tied', async () => {
    expect((await put('ttl=30&lease=7')).status).toBe(400);
    for (const query of ['ttl=0', 'ttl=x', 'ttl=1500ms', 'lease=0', 'lease=x'])
      expect((await put(query)).status).toBe(400);
    expect((await call('DELETE', '/v1/kv/a?ttl=3')).status).toBe(400);
  });

  test('that is not written leaves no lease behind', async () => {
    await put('');
    expect((await put('ttl=30', { 'if-none-match': '*' })).status).toBe(412);
    expect(await leases()).toBe(0);
  });

  test('and sent again with its Idempotency-Key keeps the lease that it has', async () => {
    const again = () => put('ttl=30', { 'idempotency-key': '"a"' });
    const first = await again();
    expect((await again()).json).toEqual(first.json);
    const other = await call('PUT', '/v1/kv/b?ttl=30', 'x', { 'idempotency-key': '"a"' });
    expect(other.status).toBe(422);
    expect(await leases()).toBe(1);
  });
});
