/** examples/config-store: every write says what its author has seen, and what is answered is not taken for more. */
import { afterEach, expect, it, vi } from 'vitest';
import { key64, Problem, Service } from '../../examples/config-store/page/service.js';

interface Asked {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
}

let asked: Asked[] = [];

/** `answers`: one each; an Error is no answer. */
function serviceThat(answers: (Response | Error)[], tenant = '', token = ''): Service {
  asked = [];
  vi.stubGlobal('fetch', async (url: string, init: Asked) => {
    asked.push({ url, method: init.method, headers: init.headers });
    const answer = answers.shift();
    if (answer === undefined) throw new Error('asked once too often');
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return new Service('http://kv', tenant, token);
}

const json = (body: object, status = 200) => Response.json(body, { status });
const limits = { keysMax: 10, charsMax: 100 };
const { signal } = new AbortController();
const item = (key: string, value = 'v') => ({ key, value, encoding: 'utf8', mod_revision: 5 });

afterEach(() => {
  vi.unstubAllGlobals();
});

it('writes only over the revision that was seen, or where nothing is', async () => {
  const service = serviceThat([json({}), json({}), json({})]);
  await service.put({ key: 'a' }, 'v', 42);
  await service.put({ key: 'a' }, 'v', null);
  await service.remove({ key: 'a' }, 43);
  expect(asked.map(({ method, headers }) => ({ method, ...headers }))).toEqual([
    { method: 'PUT', 'if-match': '"42"' },
    { method: 'PUT', 'if-none-match': '*' },
    { method: 'DELETE', 'if-match': '"43"' },
  ]);
});

it.each([
  [{ key: 'a/../b' }, 'YS8uLi9i'],
  [{ key: 'é "q" 🦊' }, Buffer.from('é "q" 🦊').toString('base64url')],
  [{ key: '//8=', key_encoding: 'base64' as const }, '__8'],
])('names any key by its bytes: %j', (name, expected) => {
  expect(key64(name)).toBe(expected);
});

it('asks the tenant, with its token', async () => {
  const service = serviceThat([json({})], 'a b', 'secret');
  await service.put({ key: 'k' }, 'v', 1);
  expect(asked[0]?.url).toBe('http://kv/t/a%20b/v1/kv?key64=aw');
  expect(asked[0]?.headers.authorization).toBe('Bearer secret');
});

it('shows a new ticket for each watch, and never the token in an address', async () => {
  const service = serviceThat(
    [json({ ticket: 't1' }, 201), json({ ticket: 't2' }, 201)],
    '',
    'secret',
  );
  const urls = [await service.watchUrl('p/', 8, signal), await service.watchUrl('p/', 9, signal)];
  expect(urls).toEqual([
    'http://kv/v1/watch?prefix=p%2F&from=8&progress=1&ticket=t1',
    'http://kv/v1/watch?prefix=p%2F&from=9&progress=1&ticket=t2',
  ]);
});

it('reads all pages of one revision', async () => {
  const service = serviceThat([
    json({ items: [item('a')], next_cursor: 'c/1', count: 2, revision: 9 }),
    json({ items: [item('b')], next_cursor: null, count: 2, revision: 9 }),
  ]);
  const { items, revision } = await service.list('p', limits, signal);
  expect(items.map(({ key }) => key)).toEqual(['a', 'b']);
  expect(revision).toBe(9);
  expect(asked[1]?.url).toContain('&cursor=c%2F1');
});

it('asks for smaller pages when values are large', async () => {
  const tooLarge = () => json({ code: 'reply-too-large', detail: 'x' }, 400);
  const page = json({ items: [item('a')], next_cursor: null, count: 1, revision: 9 });
  const service = serviceThat([tooLarge(), tooLarge(), page]);
  await service.list('p', limits, signal);
  expect(asked.map(({ url }) => /limit=(\d+)/.exec(url)?.[1])).toEqual(['500', '125', '31']);
});

it.each([
  ['keys', { items: [item('a')], count: 11 }],
  ['characters', { items: [item('a', 'x'.repeat(101))], count: 1 }],
])('refuses more %s than the page shows', async (_, page) => {
  const service = serviceThat([json({ ...page, next_cursor: null, revision: 9 })]);
  await expect(service.list('p', limits, signal)).rejects.toMatchObject({ code: 'too-much' });
});

it.each<[string, Response | Error, boolean]>([
  ['no answer', new TypeError('failed to fetch'), true],
  ['outcome unknown', json({ code: 'commit-timeout', outcome: 'unknown' }, 504), true],
  ['an answer that is none of ours', new Response('<html>', { status: 502 }), true],
  ['not applied', json({ code: 'no-leader', outcome: 'not-applied' }, 503), false],
  ['the condition', json({ code: 'precondition-failed', outcome: 'not-applied' }, 412), false],
])('says whether anybody knows what became of a write: %s', async (_, answer, outcomeUnknown) => {
  const service = serviceThat([answer]);
  const problem = await service.put({ key: 'a' }, 'v', 1).catch((error) => error);
  expect(problem).toBeInstanceOf(Problem);
  expect(problem.outcomeUnknown).toBe(outcomeUnknown);
});

it('reads a key that is not there as null', async () => {
  const service = serviceThat([json({ code: 'key-not-found' }, 404)]);
  expect(await service.read({ key: 'a' })).toBeNull();
});
