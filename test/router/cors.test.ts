/** Which pages of other origins may use /v1: none, unless the deployment names them. */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { fakeMembers } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
const page = 'https://app.example';

beforeEach(() => forgetAll());

async function ask(
  origins: string | undefined,
  path: string,
  init: RequestInit = {},
  origin = page,
) {
  const vars = origins === undefined ? {} : { CORS_ORIGINS: origins };
  const fake = fakeMembers(storeLeader().script, vars);
  const headers = { ...(init.headers as Record<string, string>), origin };
  return app.request(path, { ...init, headers }, fake.env);
}

const allowed = (answer: Response) => answer.headers.get('access-control-allow-origin');

test.each([undefined, '', 'https://other.example', 'app.example', 'https://app.example.evil.test'])(
  'with CORS_ORIGINS=%s the page is told nothing',
  async (origins) => {
    for (const method of ['GET', 'OPTIONS']) {
      const answer = await ask(origins, '/v1/kv/a', { method });
      expect([...answer.headers.keys()].filter((name) => name.startsWith('access-'))).toEqual([]);
    }
  },
);

describe.each(['https://other.example, https://app.example', '*'])('CORS_ORIGINS=%s', (origins) => {
  test('a preflight names what may be sent', async () => {
    const answer = await ask(origins, '/v1/kv/a', { method: 'OPTIONS' });
    expect([answer.status, allowed(answer)]).toEqual([204, page]);
    expect(answer.headers.get('access-control-allow-methods')).toContain('PUT');
    expect(answer.headers.get('access-control-allow-headers')).toContain('idempotency-key');
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false);
  });

  test.each([
    ['PUT', '/v1/kv/a', 201],
    ['GET', '/v1/kv/a', 404],
    ['GET', '/v1/nothing', 404],
    ['GET', '/v1/kv/a?x=1', 400],
    ['GET', '/t/A/v1/kv/a', 404],
  ])('%s %s can be read, and its headers', async (method, path, status) => {
    const answer = await ask(origins, path, { method });
    expect([answer.status, allowed(answer)]).toEqual([status, page]);
    expect(answer.headers.get('access-control-expose-headers')).toContain('kv-revision');
    expect(answer.headers.get('vary')).toContain('origin');
  });
});

test('a refusal for want of a token can be read too', async () => {
  const fake = fakeMembers(storeLeader().script, { OPEN_DEFAULT: 'false', CORS_ORIGINS: page });
  const answer = await app.request('/v1/kv/a', { headers: { origin: page } }, fake.env);
  expect([answer.status, allowed(answer)]).toEqual([401, page]);
});

test('what is said to vary by other headers goes on to', async () => {
  await ask('*', '/v1/kv/a', { method: 'PUT' });
  const list = await ask('*', '/v1/kv?prefix=');
  expect(list.headers.get('vary')).toBe('accept, origin');
});
