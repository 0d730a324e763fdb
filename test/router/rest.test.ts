// biome-ignore-all lint/suspicious/noThenProperty: a member of a transaction's body; nobody awaits it.
/** /v1 over a real state machine behind one fake leader. */
import { fromBinary } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
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

type Json = Record<string, unknown>;

async function call(method: string, path: string, init: RequestInit = {}) {
  const answer = await app.request(path, { method, ...init }, fake.env);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  const isJson = (answer.headers.get('content-type') ?? '').includes('json');
  const json = (isJson && !text.includes('\n') ? JSON.parse(text || '{}') : {}) as Json;
  const { status, headers } = answer;
  return { status, headers, bytes, text, json, etag: headers.get('etag') };
}

const put = (path: string, body: BodyInit, headers: Record<string, string> = {}) =>
  call('PUT', path, { body, headers });

describe('a value is a resource', () => {
  test('created, then replaced; the tag is the revision of the change', async () => {
    const created = await put('/v1/kv/a', 'one');
    expect([created.status, created.etag, created.json]).toEqual([
      201,
      '"2"',
      { revision: 2, created: true },
    ]);
    const replaced = await put('/v1/kv/a', 'two');
    expect([replaced.status, replaced.etag, replaced.json.created]).toEqual([200, '"3"', false]);
    const read = await call('GET', '/v1/kv/a');
    expect([read.status, read.text, read.etag]).toEqual([200, 'two', '"3"']);
  });

  test('any bytes come back as they went', async () => {
    const bytes = Uint8Array.from({ length: 512 }, (_, i) => i % 256);
    await put('/v1/kv/bin', bytes);
    const read = await call('GET', '/v1/kv/bin');
    expect(read.bytes).toEqual(bytes);
    expect(read.headers.get('content-type')).toBe('application/octet-stream');
    expect(read.headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('an empty value is a value', async () => {
    expect((await call('PUT', '/v1/kv/empty')).status).toBe(201);
    expect(await call('GET', '/v1/kv/empty')).toMatchObject({ status: 200, text: '' });
  });

  test('as JSON: text as text, other bytes as base64', async () => {
    await put('/v1/kv/t', 'grün');
    await put('/v1/kv/b', new Uint8Array([0xff, 0]));
    const accept = { headers: { accept: 'application/json' } };
    expect((await call('GET', '/v1/kv/t', accept)).json).toEqual({
      key: 't',
      value: 'grün',
      encoding: 'utf8',
      mod_revision: 2,
      create_revision: 2,
      version: 1,
      lease: null,
    });
    const binary = await call('GET', '/v1/kv/b', accept);
    expect(binary.json).toMatchObject({ value: '/wA=', encoding: 'base64' });
  });

  test('HEAD says what GET says, without the body', async () => {
    await put('/v1/kv/a', 'x');
    expect(await call('HEAD', '/v1/kv/a')).toMatchObject({ status: 200, text: '', etag: '"2"' });
    expect((await call('HEAD', '/v1/kv/none')).status).toBe(404);
  });

  test('a missing key is 404 and still tells the revision of the store', async () => {
    await put('/v1/kv/a', 'x');
    const missing = await call('GET', '/v1/kv/b');
    expect([missing.status, missing.json.code]).toEqual([404, 'key-not-found']);
    expect(missing.headers.get('kv-revision')).toBe('2');
  });

  test('DELETE says how many it deleted, and does not mind when there is none', async () => {
    await put('/v1/kv/a', 'x');
    expect((await call('DELETE', '/v1/kv/a?prev=1')).json).toMatchObject({
      deleted: 1,
      revision: 3,
      prev: { value: 'x' },
    });
    expect((await call('DELETE', '/v1/kv/a')).json).toEqual({ deleted: 0, revision: 3 });
  });

  test('prev= brings what was there before', async () => {
    expect((await put('/v1/kv/a?prev=true', 'one')).json.prev).toBeNull();
    expect((await put('/v1/kv/a?prev', 'two')).json.prev).toMatchObject({ value: 'one' });
  });

  test('history is read with revision=; what is gone or to come says so', async () => {
    await put('/v1/kv/a', 'one');
    await put('/v1/kv/a', 'two');
    expect((await call('GET', '/v1/kv/a?revision=2')).text).toBe('one');
    const future = await call('GET', '/v1/kv/a?revision=99');
    expect([future.status, future.json.code]).toEqual([400, 'future-revision']);
    await call('POST', '/v3/kv/compaction', { body: '{"revision":"3"}' });
    const compacted = await call('GET', '/v1/kv/a?revision=2');
    expect([compacted.status, compacted.json.code]).toEqual([410, 'compacted']);
  });

  test('every answer with data says what its reader must know', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await put('/v1/kv/a', 'x');
    const { headers } = await call('GET', '/v1/kv/a', { headers: { traceparent } });
    expect(Object.fromEntries(headers)).toMatchObject({
      'cache-control': 'no-store, no-transform',
      'kv-consistency': 'linearizable',
      'kv-revision': '2',
      'kv-served-by': 'leader;place=1',
      'server-timing': expect.stringMatching(/^edge;dur=\d+, leader;dur=\d+$/),
      traceparent,
    });
  });

  test('a serializable read is asked for, by query or header, and reported back', async () => {
    await put('/v1/kv/a', 'x');
    const byQuery = await call('GET', '/v1/kv/a?consistency=serializable');
    const headers = { 'kv-consistency': 'serializable' };
    const byHeader = await call('GET', '/v1/kv/a', { headers });
    for (const read of [byQuery, byHeader]) {
      expect(read.headers.get('kv-consistency')).toBe('serializable');
    }
    expect(fake.sent.slice(1).every(({ request }) => request.serializable)).toBe(true);
  });
});

describe('keys are bytes', () => {
  test.each([
    ['a/b/c', 'YS9iL2M='],
    ['a%2Fb', 'YS9i'],
    ['a//b/', 'YS8vYi8='],
    ['%00', 'AA=='],
    ['%ff%FE', '//4='],
    ['a%0Ab', 'YQpi'],
    ['a+b', 'YSti'],
    ['a%20b', 'YSBi'],
    ['a%25b', 'YSVi'],
    ['%C3%BC', 'w7w='],
    ['ü', 'w7w='],
    ['a%3Fb%23c', 'YT9iI2M='],
    ['...', 'Li4u'],
    ['constructor', 'Y29uc3RydWN0b3I='],
    ['__proto__', 'X19wcm90b19f'],
  ])('/v1/kv/%s', async (path, base64) => {
    expect((await put(`/v1/kv/${path}`, 'v')).status).toBe(201);
    expect((await call('GET', `/v1/kv/${path}`)).text).toBe('v');
    const body = JSON.stringify({ key: base64 });
    const { json } = await call('POST', '/v3/kv/range', { body });
    expect(json.count).toBe('1');
  });

  test.each(['a%', 'a%2', 'a%zz', '%%41'])('%s is not well encoded', async (path) => {
    const bad = await put(`/v1/kv/${path}`, 'v');
    expect([bad.status, bad.json.code]).toEqual([400, 'bad-key-encoding']);
    expect(fake.sent).toEqual([]);
  });

  test('key64 reaches keys that no path can hold', async () => {
    const dots = Buffer.from('a/../b').toString('base64url');
    expect((await put(`/v1/kv?key64=${dots}`, 'v')).status).toBe(201);
    expect((await call('GET', `/v1/kv?key64=${dots}`)).text).toBe('v');
    expect((await call('HEAD', `/v1/kv?key64=${dots}`)).status).toBe(200);
    expect((await call('GET', '/v1/kv/a/../b')).status).toBe(404);
    expect((await call('DELETE', `/v1/kv?key64=${dots}`)).json.deleted).toBe(1);
  });

  test.each([
    ['PUT', '/v1/kv/', 'bad-request'],
    ['PUT', '/v1/kv', 'range-required'],
    ['DELETE', '/v1/kv', 'range-required'],
    ['PUT', '/v1/kv?key64=', 'bad-request'],
    ['GET', '/v1/kv?key64=!!', 'bad-key-encoding'],
    ['GET', '/v1/kv/a?key64=YQ', 'bad-request'],
  ])('%s %s: %s', async (method, path, code) => {
    const bad = await call(method, path);
    expect([bad.status, bad.json.code]).toEqual([400, code]);
    expect(fake.sent).toEqual([]);
  });
});

describe('preconditions', () => {
  test.each<[string, Record<string, string>, boolean, boolean]>([
    // With the key last changed at 2; and without the key.
    ['none', {}, true, true],
    ['If-Match: its revision', { 'if-match': '"2"' }, true, false],
    ['If-Match: another', { 'if-match': '"9"' }, false, false],
    ['If-Match: a list with it', { 'if-match': '"9", "2"' }, true, false],
    ['If-Match: a list without it', { 'if-match': '"8","9"' }, false, false],
    ['If-Match: it, weakened by a proxy', { 'if-match': 'W/"2"' }, true, false],
    ['If-Match: *', { 'if-match': '*' }, true, false],
    ['If-None-Match: *', { 'if-none-match': '*' }, false, true],
    ['If-None-Match: its revision', { 'if-none-match': '"2"' }, false, true],
    ['If-None-Match: others', { 'if-none-match': '"8", "9"' }, true, true],
    ['both, of which one fails', { 'if-match': '"2"', 'if-none-match': '"2"' }, false, false],
    ['both, of which both hold', { 'if-match': '*', 'if-none-match': '"9"' }, true, false],
  ])('%s', async (_, headers, there, missing) => {
    await put('/v1/kv/a', 'x');
    for (const [key, holds] of [
      ['a', there],
      ['b', missing],
    ] as const) {
      const wrote = await put(`/v1/kv/${key}`, 'y', headers);
      expect(wrote.status).toBe(holds ? (key === 'a' ? 200 : 201) : 412);
      const read = await call('GET', `/v1/kv/${key}`);
      expect(read.text === 'y').toBe(holds);
    }
  });

  test('a failed one tells the revision that stands', async () => {
    await put('/v1/kv/a', 'x');
    const failed = await put('/v1/kv/a', 'y', { 'if-match': '"7"' });
    expect([failed.status, failed.etag]).toEqual([412, '"2"']);
    expect(failed.json).toMatchObject({
      code: 'precondition-failed',
      current_revision: 2,
      outcome: 'not-applied',
    });
    const missing = await put('/v1/kv/b', 'y', { 'if-match': '*' });
    expect([missing.etag, missing.json.current_revision]).toEqual([null, null]);
  });

  test('DELETE has them too', async () => {
    await put('/v1/kv/a', 'x');
    const stale = { headers: { 'if-match': '"9"' } };
    expect((await call('DELETE', '/v1/kv/a', stale)).status).toBe(412);
    const right = { headers: { 'if-match': '"2"' } };
    expect((await call('DELETE', '/v1/kv/a', right)).json).toEqual({ deleted: 1, revision: 3 });
    expect((await call('DELETE', '/v1/kv/a', { headers: { 'if-match': '*' } })).status).toBe(412);
  });

  test('GET with If-None-Match is 304 while nothing has changed', async () => {
    await put('/v1/kv/a', 'x');
    const same = await call('GET', '/v1/kv/a', { headers: { 'if-none-match': '"2"' } });
    expect([same.status, same.text, same.etag]).toEqual([304, '', '"2"']);
    await put('/v1/kv/a', 'y');
    const changed = await call('GET', '/v1/kv/a', { headers: { 'if-none-match': '"2"' } });
    expect([changed.status, changed.text]).toEqual([200, 'y']);
  });

  test.each(['abc', '"abc"', '42', '"0"', '"1', '', '"99999999999999999"'])(
    '%j is no entity tag of ours',
    async (tag) => {
      const bad = await put('/v1/kv/a', 'x', { 'if-match': tag });
      expect([bad.status, bad.json.code]).toEqual([400, 'bad-request']);
    },
  );

  test('a list of tags holds although the key changes between two of them', async () => {
    await put('/v1/kv/a', 'x'); // 2
    const { script } = fake;
    let raced = false;
    fake.script = (sent) => {
      const writes = sent.request.op.case === 'command';
      if (writes && !raced) {
        raced = true;
        // Somebody else comes first: the key moves from 2 to 3.
        const first = fake.sent[0];
        if (first !== undefined) script(first);
      }
      return script(sent);
    };
    const wrote = await put('/v1/kv/a', 'y', { 'if-match': '"2", "3"' });
    expect([wrote.status, wrote.json.revision]).toEqual([200, 4]);
  });
});

describe('lists', () => {
  beforeEach(async () => {
    for (const key of ['a', 'd/1', 'd/2', 'd/x/1', 'd/x/2', 'd/y/1', 'e']) {
      await put(`/v1/kv/${key}`, `v-${key}`);
    }
  });

  const keysOf = ({ json }: { json: Json }) =>
    (json.items as { key: string }[]).map(({ key }) => key);

  test.each([
    ['prefix=d/', ['d/1', 'd/2', 'd/x/1', 'd/x/2', 'd/y/1']],
    ['prefix=', ['a', 'd/1', 'd/2', 'd/x/1', 'd/x/2', 'd/y/1', 'e']],
    ['prefix=d%2Fx', ['d/x/1', 'd/x/2']],
    ['prefix=zz', []],
    ['start=d/x/2', ['d/x/2', 'd/y/1', 'e']],
    ['start=d/x/2&end=e', ['d/x/2', 'd/y/1']],
    ['end=d/2', ['a', 'd/1']],
    ['prefix=d/&order=desc&limit=2', ['d/y/1', 'd/x/2']],
    ['prefix=d/&sort=mod&order=desc&limit=1', ['d/y/1']],
    ['prefix=&min_mod_revision=7', ['d/y/1', 'e']],
  ])('?%s', async (query, expected) => {
    const listed = await call('GET', `/v1/kv?${query}`);
    expect(keysOf(listed)).toEqual(expected);
  });

  test.each(['asc', 'desc'])(
    'pages %s are one snapshot, whatever is written between',
    async (order) => {
      const seen: string[] = [];
      let path: string | null = `/v1/kv?prefix=&limit=2&order=${order}`;
      for (let page = 0; path !== null; page++) {
        const listed = await call('GET', path);
        expect([listed.json.revision, listed.json.count]).toEqual([8, 7]);
        seen.push(...keysOf(listed));
        await put(`/v1/kv/c${page}`, 'between');
        await call('DELETE', '/v1/kv/e');
        const link: string | null = listed.headers.get('link');
        path = link === null ? null : (/^<([^>]*)>; rel="next"$/.exec(link)?.[1] ?? null);
        expect(path === null).toBe(listed.json.next_cursor === null);
      }
      const all = ['a', 'd/1', 'd/2', 'd/x/1', 'd/x/2', 'd/y/1', 'e'];
      expect(seen).toEqual(order === 'asc' ? all : all.toReversed());
    },
  );

  test('only the first page of a list counts what follows it', async () => {
    for (const key of ['a', 'b', 'c']) await put(`/v1/kv/${key}`, 'x');
    const first = await call('GET', '/v1/kv?prefix=&limit=1');
    const second = await call('GET', `/v1/kv?prefix=&limit=1&cursor=${first.json.next_cursor}`);
    expect(second.json.count).toBe(first.json.count);
    const [one, two] = fake.sent.slice(-2).map(({ request }) => request.withoutCount);
    expect([one, two]).toEqual([false, true]);
  });

  test('a cursor whose revision is compacted is 410', async () => {
    const { json } = await call('GET', '/v1/kv?prefix=&limit=2');
    await put('/v1/kv/z', 'x');
    await call('POST', '/v3/kv/compaction', { body: '{"revision":"9"}' });
    const gone = await call('GET', `/v1/kv?prefix=&cursor=${json.next_cursor}`);
    expect([gone.status, gone.json.code]).toEqual([410, 'compacted']);
  });

  test('a delimiter shows one level, jumping over what lies below', async () => {
    const listed = await call('GET', '/v1/kv?prefix=d/&delimiter=/');
    expect(keysOf(listed)).toEqual(['d/1', 'd/2']);
    expect(listed.json.prefixes).toEqual([{ prefix: 'd/x/' }, { prefix: 'd/y/' }]);
    const top = await call('GET', '/v1/kv?prefix=&delimiter=/');
    expect(keysOf(top)).toEqual(['a', 'e']);
    expect(top.json.prefixes).toEqual([{ prefix: 'd/' }]);
  });

  test('a level in pages of one holds each entry once', async () => {
    const shown: unknown[] = [];
    let cursor = '';
    do {
      const { json } = await call('GET', `/v1/kv?prefix=d/&delimiter=/&limit=1${cursor}`);
      shown.push(...(json.items as { key: string }[]).map(({ key }) => key));
      shown.push(...(json.prefixes as { prefix: string }[]).map(({ prefix }) => prefix));
      cursor = json.next_cursor === null ? '' : `&cursor=${json.next_cursor}`;
    } while (cursor !== '');
    expect(shown).toEqual(['d/1', 'd/2', 'd/x/', 'd/y/']);
  });

  test('count_only, keys_only and NDJSON', async () => {
    expect((await call('GET', '/v1/kv?prefix=d/&count_only=1')).json).toEqual({
      count: 5,
      revision: 8,
    });
    const keys = await call('GET', '/v1/kv?prefix=a&keys_only');
    expect(keys.json.items).toEqual([
      { key: 'a', mod_revision: 2, create_revision: 2, version: 1, lease: null },
    ]);
    const accept = { headers: { accept: 'application/x-ndjson' } };
    const lines = await call('GET', '/v1/kv?prefix=d/&limit=2', accept);
    const items = lines.text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { key: string });
    expect(items.map(({ key }) => key)).toEqual(['d/1', 'd/2']);
    expect(lines.headers.get('link')).toContain('rel="next"');
  });

  test.each([
    ['', 'range-required'],
    ['limit=5', 'range-required'],
    ['prefix=a&start=b', 'bad-request'],
    ['prefix=&limit=0', 'bad-request'],
    ['prefix=&limit=1001', 'bad-request'],
    ['prefix=&limit=-1', 'bad-request'],
    ['prefix=&limit=1e2', 'bad-request'],
    ['prefix=&order=up', 'bad-request'],
    ['prefix=&sort=size', 'bad-request'],
    ['prefix=&revision=0', 'bad-request'],
    ['prefix=&keys_only=maybe', 'bad-request'],
    ['prefix=%zz', 'bad-key-encoding'],
    ['prefix=&prefix=', 'bad-request'],
    ['prefix=&cursor=AAAA', 'bad-request'],
    ['prefix=&cursor=!', 'bad-key-encoding'],
    ['prefix=&delimiter=', 'bad-request'],
    ['prefix=&delimiter=/&order=desc', 'bad-request'],
    ['start=a&end=', 'bad-request'],
    ['prefix=&max_staleness=2s', 'bad-request'],
    ['prefix=&consistency=eventual', 'bad-request'],
    ['prefix=&timeout=0s', 'bad-request'],
    ['prefix=&timeout=5h', 'bad-request'],
  ])('?%s is refused as %s', async (query, code) => {
    const before = fake.sent.length;
    const bad = await call('GET', `/v1/kv?${query}`);
    expect([bad.status, bad.json.code]).toEqual([400, code]);
    expect(fake.sent).toHaveLength(before);
  });

  test('a cursor of another list is refused', async () => {
    const { json } = await call('GET', '/v1/kv?prefix=d/&limit=2');
    for (const query of ['prefix=e', 'prefix=d/&delimiter=/', 'prefix=d/&revision=3']) {
      const bad = await call('GET', `/v1/kv?${query}&cursor=${json.next_cursor}`);
      expect(bad.status).toBe(400);
    }
  });
});

describe('transactions', () => {
  const txn = (body: unknown, headers = { 'content-type': 'application/json' }) =>
    call('POST', '/v1/txn', { body: JSON.stringify(body), headers });

  test('the branch that ran answers, operation by operation', async () => {
    await put('/v1/kv/a', 'one');
    const then = [
      { type: 'put', key: 'a', value: 'two', prev: true },
      { type: 'get', key: 'a' },
      { type: 'get', key: 'none' },
      { type: 'list', prefix: '', keys_only: true },
      { type: 'delete', prefix: 'x' },
    ];
    const compare = [{ key: 'a', target: 'mod_revision', value: 2 }];
    const ran = await txn({ compare, then });
    expect(ran.status).toBe(200);
    expect(ran.json).toMatchObject({
      succeeded: true,
      revision: 3,
      results: [
        { type: 'put', revision: 3, prev: { value: 'one' } },
        { type: 'get', item: { value: 'two', version: 2 } },
        { type: 'get', item: null },
        { type: 'list', items: [{ key: 'a' }], count: 1, more: false },
        { type: 'delete', deleted: 0 },
      ],
    });
  });

  test('a comparison that fails is no error: the else branch ran', async () => {
    const compare = [{ key: 'a', target: 'version', op: '>', value: 0 }];
    const ran = await txn({ compare, then: [], else: [{ type: 'put', key: 'a', value: 'x' }] });
    expect([ran.status, ran.json.succeeded]).toEqual([200, false]);
    expect((await call('GET', '/v1/kv/a')).text).toBe('x');
  });

  test('every target and operator compares', async () => {
    await put('/v1/kv/a', 'm');
    for (const [compare, holds] of [
      [{ target: 'value', op: '<', value: 'n' }, true],
      [{ target: 'value', op: '!=', value: 'm' }, false],
      [{ target: 'create_revision', value: 2 }, true],
      [{ target: 'version', op: '>', value: 1 }, false],
      [{ target: 'lease', value: '0' }, true],
    ] as const) {
      const ran = await txn({ compare: [{ key: 'a', ...compare }] });
      expect(ran.json.succeeded).toBe(holds);
    }
  });

  test('base64 names keys and values that are no text', async () => {
    const op = { type: 'put', key: '/wA=', value: 'AAE=', encoding: 'base64' };
    await txn({ then: [op] });
    expect((await call('GET', '/v1/kv/%ff%00')).bytes).toEqual(new Uint8Array([0, 1]));
  });

  test.each<[string, unknown, number, string]>([
    ['a misspelled list', { compares: [] }, 400, 'bad-request'],
    ['a misspelled member', { then: [{ type: 'put', key: 'a', val: 'x' }] }, 400, 'bad-request'],
    ['an unknown operation', { then: [{ type: 'move', key: 'a' }] }, 400, 'bad-request'],
    ['an empty key', { then: [{ type: 'get', key: '' }] }, 400, 'bad-request'],
    ['no value', { then: [{ type: 'put', key: 'a' }] }, 400, 'bad-request'],
    [
      'bad base64',
      { then: [{ type: 'get', key: '!', encoding: 'base64' }] },
      400,
      'bad-key-encoding',
    ],
    ['half a character', { then: [{ type: 'get', key: '\ud800' }] }, 400, 'bad-key-encoding'],
    ['a delete of nothing in particular', { then: [{ type: 'delete' }] }, 400, 'range-required'],
    [
      'a revision beyond 2^53',
      { compare: [{ key: 'a', target: 'version', value: 2 ** 53 }] },
      400,
      'bad-request',
    ],
    [
      'a lease beyond 64 bits',
      { compare: [{ key: 'a', target: 'lease', value: '9223372036854775808' }] },
      400,
      'bad-request',
    ],
    [
      'one key twice',
      { then: [1, 2].map(() => ({ type: 'put', key: 'a', value: 'x' })) },
      400,
      'bad-request',
    ],
    ['129 operations', { then: Array(129).fill({ type: 'get', key: 'a' }) }, 413, 'txn-too-large'],
    ['a list', [], 400, 'bad-request'],
    ['null', null, 400, 'bad-request'],
    [
      'a future revision',
      { then: [{ type: 'get', key: 'a', revision: 99 }] },
      400,
      'future-revision',
    ],
  ])('%s', async (_, body, status, code) => {
    const bad = await txn(body);
    expect([bad.status, bad.json.code]).toEqual([status, code]);
    expect(bad.headers.get('content-type')).toBe('application/problem+json');
  });

  test('the body counts, whatever its type is said to be', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const then = [{ type: 'put', key: 'a', value: 'x' }];
    expect((await txn({ then }, form)).status).toBe(200);
    const none = await call('POST', '/v1/txn', { body: new Uint8Array([1]) });
    expect(none.json.code).toBe('bad-request');
    const nothing = await call('POST', '/v1/txn');
    expect(nothing.json.code).toBe('bad-request');
  });

  test('bytes that are no UTF-8 are not stored as something else', async () => {
    const body = new Uint8Array([
      ...Buffer.from('{"then":[{"type":"put","key":"a","value":"'),
      0xff,
      ...Buffer.from('"}]}'),
    ]);
    const headers = { 'content-type': 'application/json' };
    const bad = await call('POST', '/v1/txn', { body, headers });
    expect([bad.status, fake.sent.length]).toEqual([400, 0]);
  });
});

describe('what is not offered', () => {
  test.each([
    ['PUT', '/v1/kv/a?consistency=serializable'],
    ['GET', '/v1/kv/a?wait=5'],
  ])('%s %s is refused, not ignored', async (method, path) => {
    expect((await call(method, path)).status).toBe(400);
    expect(fake.sent).toEqual([]);
  });

  test('the header kv-min-revision is refused on a write, not ignored', async () => {
    const bad = await put('/v1/kv/a', 'x', { 'kv-min-revision': '7' });
    expect([bad.status, fake.sent.length]).toEqual([400, 0]);
  });

  test.each([
    ['PATCH', '/v1/kv/a', 405],
    ['POST', '/v1/kv', 405],
    ['GET', '/v1/txn', 405],
    ['POST', '/v1/status', 405],
    ['POST', '/v1/usage', 405],
    ['POST', '/v1/members', 405],
    ['GET', '/v1/compact', 405],
    ['GET', '/v1', 404],
    ['GET', '/v1/nothing', 404],
    ['OPTIONS', '/v1/kv/a', 204],
  ])('%s %s: %i', async (method, path, status) => {
    expect((await call(method, path)).status).toBe(status);
  });

  test('a body that stops half-way ends with its deadline, however small it is', async () => {
    for (const [method, path] of [
      ['PUT', '/v1/kv/a?timeout=100ms'],
      ['POST', '/v1/txn?timeout=100ms'],
    ] as const) {
      const request = new Request(`http://x${path}`, {
        method,
        body: new ReadableStream({ start: (half) => half.enqueue(new Uint8Array(5)) }),
        duplex: 'half',
        headers: { 'content-length': '10', 'content-type': 'application/json' },
      } as RequestInit);
      const answer = await app.fetch(request, fake.env);
      expect(await answer.json()).toMatchObject({
        code: 'request-timeout',
        outcome: 'not-applied',
      });
    }
    expect(fake.sent).toEqual([]);
  });

  test('a value over 1.5 MiB is 413, announced or not', async () => {
    const large = new Uint8Array(1.5 * 1024 * 1024 + 1);
    const announced = await put('/v1/kv/a', large, { 'content-length': String(large.length) });
    const streamed = await put('/v1/kv/a', large);
    const justOver = await put('/v1/kv/a', large.subarray(1));
    for (const { status, json } of [announced, streamed, justOver]) {
      expect([status, json.code]).toEqual([413, 'value-too-large']);
    }
    expect(fake.sent).toEqual([]);
  });
});

describe('a delete of many keys', () => {
  beforeEach(async () => {
    for (const key of ['a', 'b/1', 'b/2', 'c']) await put(`/v1/kv/${key}`, key);
  });
  const left = async () => {
    const { json } = await call('GET', '/v1/kv?prefix=');
    return (json.items as { key: string }[]).map(({ key }) => key);
  };

  test('takes the prefix or range that is named, in one revision', async () => {
    const { status, json } = await call('DELETE', '/v1/kv?prefix=b/');
    expect([status, json]).toEqual([200, { deleted: 2, revision: 6 }]);
    expect(await left()).toEqual(['a', 'c']);
    expect((await call('DELETE', '/v1/kv?start=b')).json).toEqual({ deleted: 1, revision: 7 });
    expect((await call('DELETE', '/v1/kv?prefix=')).json).toEqual({ deleted: 1, revision: 8 });
    expect((await call('DELETE', '/v1/kv?prefix=')).json).toEqual({ deleted: 0, revision: 8 });
  });

  test('says with dry_run what would go, and leaves it', async () => {
    const { json } = await call('DELETE', '/v1/kv?prefix=b&dry_run=1');
    expect(json).toEqual({ deleted: 2, revision: 5, dry_run: true });
    expect(await left()).toHaveLength(4);
  });

  test.each([
    ['/v1/kv', 'range-required'],
    ['/v1/kv?dry_run=1', 'range-required'],
    ['/v1/kv?prefix=b&start=a', 'bad-request'],
    ['/v1/kv?start=a&end=', 'bad-request'],
    ['/v1/kv?prefix=b&key64=YQ', 'bad-request'],
    ['/v1/kv?prefix=b&limit=1', 'bad-request'],
    ['/v1/kv?prefix=b&dry_run=maybe', 'bad-request'],
    ['/v1/kv/b?prefix=b', 'bad-request'],
  ])('%s is %s, and deletes nothing', async (path, code) => {
    const { status, json } = await call('DELETE', path);
    expect([status, json.code]).toEqual([400, code]);
    expect(await left()).toHaveLength(4);
  });

  test('takes no condition: there is no one revision to compare', async () => {
    for (const name of ['if-match', 'if-none-match']) {
      const bad = await call('DELETE', '/v1/kv?prefix=', { headers: { [name]: '*' } });
      expect([bad.status, bad.json.code]).toEqual([400, 'bad-request']);
    }
    expect(await left()).toHaveLength(4);
  });
});

describe('compaction', () => {
  const compact = (body: unknown) =>
    call('POST', '/v1/compact', { body: typeof body === 'string' ? body : JSON.stringify(body) });

  test('moves the revision below which nothing is read, once', async () => {
    for (const value of ['one', 'two', 'three']) await put('/v1/kv/a', value);
    const { status, json } = await compact({ revision: 3 });
    expect([status, json]).toEqual([200, { compact_revision: 3, revision: 4 }]);
    expect((await call('GET', '/v1/kv/a?revision=2')).json.code).toBe('compacted');
    expect((await call('GET', '/v1/kv/a?revision=3')).text).toBe('two');
    expect(await compact({ revision: 3 })).toMatchObject({ status: 410 });
    expect((await compact({ revision: 9 })).json.code).toBe('future-revision');
  });

  test('waits for the rows to go when it is asked to', async () => {
    await put('/v1/kv/a', 'x');
    expect((await compact({ revision: 2, physical: true })).status).toBe(200);
    const op = fake.sent.at(-1)?.request.op;
    const command = fromBinary(CommandSchema, op?.value as Uint8Array).op;
    expect(command).toMatchObject({ case: 'compact', value: { revision: 2n, physical: true } });
  });

  test.each([
    ['{}'],
    [''],
    ['[]'],
    ['null'],
    ['{"revision":"3"}'],
    ['{"revision":0}'],
    ['{"revision":-1}'],
    ['{"revision":1.5}'],
    ['{"revision":9007199254740992}'],
    ['{"revision":2,"physical":1}'],
    ['{"revision":2,"now":true}'],
  ])('%s is a bad request', async (body) => {
    await put('/v1/kv/a', 'x');
    const sent = fake.sent.length;
    const bad = await compact(body);
    expect([bad.status, bad.json.code, fake.sent.length]).toEqual([400, 'bad-request', sent]);
  });
});

describe('status', () => {
  const member = (place: number, more: Json = {}) => ({
    place,
    born: true,
    role: 'follower',
    term: 4,
    leaderPlace: 2,
    voters: [1, 2, 3],
    learners: [],
    firstIndex: 5,
    lastIndex: 12,
    commitIndex: 10,
    appliedIndex: 10,
    revision: 7,
    compactRevision: -1,
    databaseBytes: 4096,
    ...more,
  });

  test('asks every member, founds nothing, and names the one that says it leads', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      if (place === 3) throw new Error('gone');
      return Response.json(member(place, { role: 'leader', term: place === 1 ? 3 : 4 }));
    };
    const { status, json } = await call('GET', '/v1/status');
    expect([status, json.tenant, json.leader]).toEqual([200, 'default', 2]);
    expect(json.members).toMatchObject([
      { place: 1 },
      { place: 2 },
      { place: 3, error: expect.stringContaining('gone') },
    ]);
    expect(fake.sent).toEqual([]);
  });

  test('a wiped member is listed as unborn, and leads no more because others still think so', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      const unborn = { born: false, role: 'unborn', leaderPlace: null, voters: [] };
      return Response.json(member(place, place === 2 ? unborn : {}));
    };
    const { status, json } = await call('GET', '/v1/status');
    expect([status, json.code, json.leader]).toEqual([503, 'no-leader', null]);
    expect(json.members).toMatchObject([
      { place: 1, born: true },
      { place: 2, born: false },
      { place: 3, born: true },
    ]);
  });

  test('finds members that neither the hint nor the variable names', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      return Response.json(member(place, { born: place > 2, voters: [3, 4, 5] }));
    };
    const { json } = await call('GET', '/v1/status');
    expect((json.members as { place: number }[]).map(({ place }) => place)).toEqual([3, 4, 5]);
  });

  test('follows the word of places that the group has left, through all of its moves', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      if (place > 6)
        return Response.json(member(place, { role: 'leader', voters: [7], learners: [8] }));
      const unborn = { born: false, role: 'unborn' };
      const went = place > 3 ? { voters: [7], learners: [8] } : { voters: [], learners: [4, 5, 6] };
      return Response.json(member(place, { ...unborn, ...went }));
    };
    const { json } = await call('GET', '/v1/status');
    expect(json).toMatchObject({ leader: 7, members: [{ place: 7 }, { place: 8 }] });
  });

  test('lists no place that has left the group and does not know it yet', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      if (place === 2) throw new Error('gone');
      return Response.json(member(place, { voters: [4, 5, 6] }));
    };
    const { json } = await call('GET', '/v1/status');
    expect((json.members as { place: number }[]).map(({ place }) => place)).toEqual([4, 5, 6]);
  });

  test('asks no place twice, though those that the group has left name each other', async () => {
    fake.other = (name) => {
      const place = Number(name.split('/')[1]);
      return Response.json(member(place, { born: false, role: 'unborn', voters: [1, 2, 3, 4] }));
    };
    await call('GET', '/v1/status');
    expect(fake.others).toHaveLength(4);
  });

  test('a tenant that was never born is no error', async () => {
    fake.other = (name) =>
      Response.json(
        member(Number(name.split('/')[1]), { born: false, role: 'unborn', voters: [] }),
      );
    expect(await call('GET', '/v1/status')).toMatchObject({ status: 200, json: { leader: null } });
  });

  /** Place 2 leads, 1 lags by three entries, 3 is gone. */
  const oneLagsOneIsGone = (name: string) => {
    const place = Number(name.split('/')[1]);
    if (place === 3) throw new Error('gone');
    return Response.json(
      member(place, place === 2 ? { role: 'leader' } : { appliedIndex: 7, databaseBytes: 512 }),
    );
  };

  test('a lag is what the leader has committed and a member not applied, if both are known', async () => {
    fake.other = oneLagsOneIsGone;
    const { json } = await call('GET', '/v1/status');
    expect(json.members).toMatchObject([{ lagEntries: 3 }, { lagEntries: 0 }, { place: 3 }]);
    expect((json.members as Json[])[2]).not.toHaveProperty('lagEntries');
  });

  test('members: who belongs to the group, as its leader has it', async () => {
    fake.other = oneLagsOneIsGone;
    const { status, json } = await call('GET', '/v1/members');
    expect([status, json]).toEqual([
      200,
      {
        tenant: 'default',
        leader: 2,
        voters: [1, 2, 3],
        learners: [],
        members: [
          { place: 1, role: 'follower', lag_entries: 3 },
          { place: 2, role: 'leader', lag_entries: 0 },
          { place: 3, role: null, lag_entries: null, error: expect.stringContaining('gone') },
        ],
      },
    ]);
  });

  test('usage: what the tenant takes, without a look at its keys', async () => {
    fake.other = oneLagsOneIsGone;
    const { status, json } = await call('GET', '/v1/usage');
    expect([status, json]).toMatchObject([
      200,
      {
        revision: 7,
        compact_revision: null,
        database_bytes: 4096,
        log_entries: 8,
        members: [
          { place: 1, database_bytes: 512, log_entries: 8 },
          {},
          { error: expect.stringContaining('gone') },
        ],
      },
    ]);
    expect(fake.sent).toEqual([]);
  });

  test.each(['status', 'members', 'usage'])(
    '%s of a group that nobody leads is 503',
    async (path) => {
      fake.other = (name) => Response.json(member(Number(name.split('/')[1])));
      const { status, json } = await call('GET', `/v1/${path}`);
      expect([status, json.code, json.leader]).toEqual([503, 'no-leader', null]);
      expect(json.members).toMatchObject([{ lagEntries: null }, {}, {}]);
    },
  );

  test('nobody to be reached is 503', async () => {
    fake.other = () => {
      throw new Error('gone');
    };
    expect(await call('GET', '/v1/status')).toMatchObject({
      status: 503,
      json: { code: 'no-leader' },
    });
  });

  test('metrics are there even then', async () => {
    const { status, text } = await call('GET', '/metrics');
    expect(status).toBe(200);
    expect(text).toContain('quorate_router_attempts_total');
  });
});
