/** Who may use a deployment, and what everybody may see of it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { isDeploymentSecret } from '../../src/router/auth/gate.ts';
import type { RouterEnv } from '../../src/router/env.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { fakeMembers, success } from './support/members.ts';

const app = createRouter();

beforeEach(() => forgetAll());

const closed: Partial<RouterEnv> = { OPEN_DEFAULT: 'false', OPEN_TENANTS: 'false' };

async function ask(vars: Partial<RouterEnv>, path: string, init: RequestInit = {}) {
  const fake = fakeMembers((sent) => success(sent), vars);
  const answer = await app.request(path, init, fake.env);
  return { answer, text: await answer.text(), fake };
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

describe('a deployment without a token', () => {
  test.each([
    ['POST', '/v3/kv/range'],
    ['POST', '/v3/kv/put'],
    ['POST', '/v3/nope'],
    ['GET', '/v1/kv/a'],
    ['PUT', '/v1/kv/a'],
    ['POST', '/v1/txn'],
    ['GET', '/v1/status'],
    ['GET', '/metrics'],
    ['GET', '/'],
    ['POST', '/chaos/abort'],
    ['POST', '/t/acme/v3/kv/range'],
    ['GET', '/t/acme/v1/kv/a'],
  ])('answers 401 to %s %s and asks nobody', async (method, path) => {
    const { answer, fake } = await ask(closed, path, { method });
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect([...fake.sent, ...fake.others]).toEqual([]);
  });

  test.each(['/health', '/livez', '/readyz', '/readyz?verbose', '/version', '/t/acme/health'])(
    'answers %s from its own process: a stranger wakes no member and founds no group',
    async (path) => {
      const { answer, fake } = await ask(closed, path);
      expect(answer.status).toBe(200);
      expect(fake.sent).toEqual([]);
    },
  );

  test('tells a stranger of no check that it did not make', async () => {
    for (const path of ['/readyz', '/readyz/linearizable_read', '/livez']) {
      const { answer, text } = await ask(closed, `${path}?verbose`);
      expect(answer.status).toBe(200);
      expect(text).toMatch(/ok\n$/);
      expect(text).not.toContain('_read ok');
    }
    const { text } = await ask({}, '/readyz?verbose');
    expect(text).toContain('[+]linearizable_read ok');
  });

  test('no token is right while there is none, not even an empty one', async () => {
    for (const token of ['', 'undefined', 'x']) {
      expect((await ask(closed, '/v1/kv/a', bearer(token))).answer.status).toBe(401);
      const empty = { ...closed, API_TOKEN: '' };
      expect((await ask(empty, '/v1/kv/a', bearer(token))).answer.status).toBe(401);
    }
  });

  test("etcd's words on /v3, a problem on /v1", async () => {
    const v3 = await ask(closed, '/v3/kv/range', { method: 'POST' });
    expect(JSON.parse(v3.text)).toMatchObject({
      code: 16,
      message: 'etcdserver: invalid auth token',
    });
    const v1 = await ask(closed, '/v1/kv/a');
    expect(v1.answer.headers.get('content-type')).toBe('application/problem+json');
    expect(JSON.parse(v1.text)).toMatchObject({ code: 'unauthenticated', status: 401 });
  });
});

describe('a deployment with a token', () => {
  const vars = { ...closed, API_TOKEN: 's3cret' };

  test.each([
    ['Bearer s3cret', 200],
    ['bearer s3cret', 200],
    ['s3cret', 200],
    ['Bearer s3cre', 401],
    ['Bearer s3cret ', 200], // White space around a header's value is no part of it.
    ['Bearer s3crets3cret', 401],
    ['Bearer ', 401],
    ['Basic s3cret', 401],
  ])('takes %j: %i', async (authorization, status) => {
    const init = { method: 'POST', body: '{"key":"YQ=="}', headers: { authorization } };
    expect((await ask(vars, '/v3/kv/range', init)).answer.status).toBe(status);
  });

  test('asks the group about its health for who has the token', async () => {
    const { answer, fake } = await ask(vars, '/health', bearer('s3cret'));
    expect(answer.status).toBe(200);
    expect(fake.sent.map(({ request }) => request.op.case)).toEqual(['maintenance']);
  });

  test('a tenant that nobody opened is not there: 404, but 401 first', async () => {
    expect((await ask(vars, '/t/acme/v1/kv/a')).answer.status).toBe(401);
    const { answer, text, fake } = await ask(vars, '/t/acme/v1/kv/a', bearer('s3cret'));
    expect(answer.status).toBe(404);
    expect(JSON.parse(text)).toMatchObject({ code: 'tenant-not-found' });
    expect(fake.sent).toEqual([]);
    const open = { ...vars, OPEN_TENANTS: 'true' };
    expect((await ask(open, '/t/acme/v1/kv?prefix=', bearer('s3cret'))).answer.status).toBe(200);
    expect((await ask(open, '/t/acme/v1/kv?prefix=')).answer.status).toBe(401);
  });
});

test.each(['Acme', 'a_b', 'a.b', 'x'.repeat(64), '%61', ''])(
  '%j is no name of a tenant',
  async (tenant) => {
    const { answer, fake } = await ask({}, `/t/${tenant}/v1/kv?prefix=`);
    expect(answer.status).toBe(404);
    expect(fake.sent).toEqual([]);
  },
);

test('the comparison of tokens is right for every length', () => {
  for (const given of ['', 'a', 'ab', 'abc', 'abcabc', 'abd']) {
    const env = { API_TOKEN: 'abc' } as RouterEnv;
    expect(isDeploymentSecret(given, env)).toBe(given === 'abc');
  }
});

describe('a WebSocket, which can send no Authorization', () => {
  test.each([
    ['Bearer, secret', 501],
    ['kv.v1, Bearer, secret', 501],
    ['Bearer, wrong', 401],
    ['Bearer', 401],
    ['secret', 401],
  ])('shows its token among the protocols: %s', async (offered, status) => {
    const headers = { 'sec-websocket-protocol': offered };
    // Let in, it is told that GET without an upgrade is not offered.
    const { answer } = await ask({ ...closed, API_TOKEN: 'secret' }, '/v3/watch', { headers });
    expect(answer.status).toBe(status);
  });
});

describe('chaos', () => {
  test('does not exist unless it is switched on', async () => {
    const { answer, fake } = await ask({}, '/chaos/abort?place=1', { method: 'POST' });
    expect(answer.status).toBe(404);
    expect(fake.others).toEqual([]);
  });

  test('goes to the member that is named', async () => {
    const init = { method: 'POST' };
    const { fake } = await ask({ CHAOS: 'true' }, '/chaos/abort?tenant=acme&place=2', init);
    expect(fake.others).toEqual(['acme/2 http://member/chaos?do=abort']);
    const other = await ask({ CHAOS: 'true' }, '/chaos/melt?place=2', init);
    expect(other.answer.status).toBe(404);
    const bad = await ask({ CHAOS: 'true' }, '/chaos/abort?tenant=A&place=1', init);
    expect(bad.answer.status).toBe(400);
  });
});
