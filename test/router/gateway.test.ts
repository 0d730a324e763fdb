/**
 * The JSON gateway: the forms of input that a recorded etcd accepts and refuses, and what stands on
 * the wire. The recordings themselves are replayed by the conformance suite.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { fakeMembers, success } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();

beforeEach(() => forgetAll());

function open() {
  return fakeMembers((sent) => success(sent));
}

async function post(path: string, body: string | Uint8Array, fake = open()) {
  const init = { method: 'POST', body: body as BodyInit };
  const answer = await app.request(path, init, fake.env);
  const text = await answer.text();
  return { answer, json: JSON.parse(text) as Record<string, unknown>, fake };
}

describe('bodies that etcd takes', () => {
  test.each<[string, string, Record<string, unknown>]>([
    ['snake case', '{"key":"YQ==","range_end":"Yg=="}', { rangeEnd: new Uint8Array([98]) }],
    ['camel case', '{"key":"YQ==","rangeEnd":"Yg=="}', { rangeEnd: new Uint8Array([98]) }],
    ['an int64 as text', '{"key":"YQ==","limit":"7"}', { limit: 7n }],
    ['an int64 as a number', '{"key":"YQ==","limit":7}', { limit: 7n }],
    ['1.0', '{"key":"YQ==","limit":1.0}', { limit: 1n }],
    ['1e2', '{"key":"YQ==","limit":1e2}', { limit: 100n }],
    ['"1e2"', '{"key":"YQ==","limit":"1e2"}', { limit: 100n }],
    ['"150e-1"', '{"key":"YQ==","limit":"150e-1"}', { limit: 15n }],
    ['a negative one', '{"key":"YQ==","limit":-3}', { limit: -3n }],
    [
      'more digits than a double has',
      '{"key":"YQ==","limit":9007199254740993}',
      { limit: 9007199254740993n },
    ],
    [
      'the largest, as a number',
      '{"key":"YQ==","limit":9223372036854775807}',
      { limit: 9223372036854775807n },
    ],
    ['the smallest', '{"key":"YQ==","limit":-9223372036854775808}', { limit: -(2n ** 63n) }],
    ['null for a default', '{"key":"YQ==","limit":null,"sort_order":null}', { limit: 0n }],
    ['an enum by name', '{"key":"YQ==","sort_order":"DESCEND"}', { sortOrder: 2 }],
    ['an enum by number', '{"key":"YQ==","sort_order":2}', { sortOrder: 2 }],
    ['an enum by number as text', '{"key":"YQ==","sort_order":"1"}', { sortOrder: 1 }],
    ['an enum number nobody knows', '{"key":"YQ==","sort_order":9}', { sortOrder: 9 }],
    ['unknown fields', '{"key":"YQ==","bogus":{"a":[1,2]}}', {}],
    ['base64 without padding', '{"key":"Zm9vMQ"}', { key: new Uint8Array([102, 111, 111, 49]) }],
    ['URL-safe base64', '{"key":"-_-_"}', { key: new Uint8Array([0xfb, 0xff, 0xbf]) }],
    ['base64 with a line break', '{"key":"YQ=\\n=\\r\\n"}', { key: new Uint8Array([97]) }],
    ['text after the first value', '{"key":"YQ=="} xyz', {}],
    ['a second value', '{"key":"YQ=="}{"key":"Yg=="}', { key: new Uint8Array([97]) }],
    ['braces in strings before garbage', '{"key":"YQ==","x":"}{\\"}"} }}', {}],
    ['white space around', ' \n\t{"key":"YQ=="}\r\n', {}],
  ])('%s', async (_, body, expected) => {
    const { answer, fake } = await post('/v3/kv/range', body);
    expect(answer.status).toBe(200);
    expect(fake.sent[0]?.request.op.value).toMatchObject(expected);
  });

  test.each([
    ['nothing', ''],
    ['blanks', ' \n '],
  ])('%s is an empty message', async (_, body) => {
    const { json } = await post('/v3/kv/range', body);
    expect(json).toMatchObject({ code: 3, message: 'etcdserver: key is not provided' });
    expect((await post('/v3/kv/txn', body)).answer.status).toBe(200);
  });
});

describe('bodies that etcd refuses', () => {
  test.each([
    ['an end too soon', '{"key": '],
    ['an array', '[]'],
    ['a string', '"abc"'],
    ['null', 'null'],
    ['no JSON', 'hello'],
    ['single quotes', "{'key':'YQ=='}"],
    ['a comment', '{"key":"YQ==" /* c */}'],
    ['a trailing comma', '{"key":"YQ==",}'],
    ['a byte order mark', '\ufeff{"key":"YQ=="}'],
    ['bytes that are no base64', '{"key":"!!!"}'],
    ['base64 of an impossible length', '{"key":"YWJjZ"}'],
    ['base64 with too little padding', '{"key":"YQ="}'],
    ['base64 with a space', '{"key":"YQ ="}'],
    ['a mix of alphabets', '{"key":"+_+_"}'],
    ['bytes as a number', '{"key":12}'],
    ['bytes as an array', '{"key":[97]}'],
    ['a bool as text', '{"key":"YQ==","serializable":"true"}'],
    ['a bool as a number', '{"key":"YQ==","serializable":1}'],
    ['1.5', '{"key":"YQ==","limit":1.5}'],
    ['"1.5"', '{"key":"YQ==","limit":"1.5"}'],
    ['spaces in a number', '{"key":"YQ==","limit":" 1 "}'],
    ['a plus', '{"key":"YQ==","limit":"+1"}'],
    ['a leading zero', '{"key":"YQ==","limit":"01"}'],
    ['hex', '{"key":"YQ==","limit":"0x1"}'],
    ['an empty number', '{"key":"YQ==","limit":""}'],
    ['2^63 as text', '{"key":"YQ==","limit":"9223372036854775808"}'],
    ['2^63 as a number', '{"key":"YQ==","limit":9223372036854775808}'],
    ['a number without end', '{"key":"YQ==","limit":1e400}'],
    ['a huge exponent', '{"key":"YQ==","limit":"1e9999"}'],
    ['a bool for a number', '{"key":"YQ==","limit":true}'],
    ['an unknown enum name', '{"key":"YQ==","sort_order":"descend"}'],
    ['one field twice', '{"key":"YQ==","key":"Yg=="}'],
    ['one field by both names', '{"key":"YQ==","range_end":"Yg==","rangeEnd":"Yw=="}'],
  ])('%s', async (_, body) => {
    const { answer, json, fake } = await post('/v3/kv/range', body);
    expect(answer.status).toBe(400);
    expect(json.code).toBe(3);
    expect(json.error).toBe(json.message);
    expect(fake.sent).toHaveLength(0);
  });

  test.each([
    [
      'two members of a oneof',
      '{"success":[{"request_range":{"key":"YQ=="},"request_put":{"key":"YQ=="}}]}',
    ],
    ['an object for a list', '{"success":{"request_range":{"key":"YQ=="}}}'],
    ['null in a list', '{"success":[null]}'],
    ['deeper nesting than any stack', `${'{"success":[{"request_txn":'.repeat(5_000)}{}`],
  ])('%s', async (_, body) => {
    const { answer, json } = await post('/v3/kv/txn', body);
    expect([answer.status, json.code]).toEqual([400, 3]);
  });

  test('bytes that are no UTF-8', async () => {
    const body = new Uint8Array([...Buffer.from('{"key":"YQ==","x":"'), 0xff, 0x22, 0x7d]);
    expect((await post('/v3/kv/range', body)).answer.status).toBe(400);
  });

  test('a timeout that is none', async () => {
    const init = { method: 'POST', body: '{"key":"YQ=="}', headers: { 'grpc-timeout': '5x' } };
    const answer = await app.request('/v3/kv/range', init, open().env);
    expect([answer.status, await answer.json()]).toEqual([
      400,
      expect.objectContaining({ message: 'invalid grpc-timeout: 5x' }),
    ]);
  });
});

describe('sizes', () => {
  const putOf = (bytes: number) =>
    JSON.stringify({ key: 'Ymln', value: Buffer.alloc(bytes, 97).toString('base64') });

  test('1.4 MiB is stored', async () => {
    expect((await post('/v3/kv/put', putOf(1_433_600))).answer.status).toBe(200);
  });

  test('1.6 MiB is over the request limit', async () => {
    const { answer, json, fake } = await post('/v3/kv/put', putOf(1_638_400));
    expect([answer.status, json.message]).toEqual([400, 'etcdserver: request is too large']);
    expect(fake.sent).toHaveLength(0);
  });

  test('2.5 MB is over the message limit, and the text says by how much', async () => {
    const { answer, json } = await post('/v3/kv/put', putOf(2_560_000));
    expect([answer.status, json.code, json.message]).toEqual([
      429,
      8,
      'grpc: received message larger than max (2560010 vs. 2097152)',
    ]);
  });

  test.each([
    ['auth/user/get', 'name'],
    ['auth/role/get', 'role'],
    ['auth/user/add', 'name'],
    ['auth/user/changepw', 'name'],
    ['auth/authenticate', 'name'],
    ['auth/role/revoke', 'key'],
    ['kv/range', 'key'],
    ['cluster/member/add', 'peerURLs'],
    ['lock/unlock', 'key'],
  ])(
    '2.5 MB is over the message limit of %s, whatever else is wrong with it',
    async (rpc, name) => {
      const text = 'a'.repeat(2_560_000);
      const value = name === 'key' ? btoa(text) : name === 'peerURLs' ? [text] : text;
      const { answer, json, fake } = await post(`/v3/${rpc}`, JSON.stringify({ [name]: value }));
      expect([answer.status, json.code, json.message]).toEqual([
        429,
        8,
        'grpc: received message larger than max (2560005 vs. 2097152)',
      ]);
      expect(fake.sent).toHaveLength(0);
    },
  );

  test('what a message does not keep does not count', async () => {
    const body = JSON.stringify({ key: 'YQ==', other: 'a'.repeat(2_560_000) });
    expect((await post('/v3/kv/range', body)).answer.status).toBe(200);
  });

  test('a body that never ends is not read to its end', async () => {
    let pulled = 0;
    const stream = new ReadableStream({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(1024 * 1024).fill(0x20));
      },
    });
    const request = new Request('http://x/v3/kv/put', {
      method: 'POST',
      body: stream,
      duplex: 'half',
    } as RequestInit);
    const answer = await app.fetch(request, open().env);
    expect(answer.status).toBe(429);
    expect(pulled).toBeLessThan(16);
  });

  test('a body that never comes ends with its deadline', async () => {
    const request = new Request('http://x/v3/kv/put', {
      method: 'POST',
      body: new ReadableStream(),
      duplex: 'half',
      headers: { 'grpc-timeout': '100m' },
    } as RequestInit);
    expect((await app.fetch(request, open().env)).status).toBe(504);
  });

  test('a small body that stops half-way ends with its deadline, too', async () => {
    const request = new Request('http://x/v3/kv/put', {
      method: 'POST',
      body: new ReadableStream({ start: (half) => half.enqueue(new Uint8Array([0x7b])) }),
      duplex: 'half',
      headers: { 'grpc-timeout': '100m', 'content-length': '20' },
    } as RequestInit);
    expect((await app.fetch(request, open().env)).status).toBe(504);
  });
});

describe('what stands on the wire', () => {
  test("success: proto names, 64-bit integers as text, no zero values, the gateway's headers", async () => {
    const { script } = storeLeader();
    const fake = fakeMembers(script);
    await post('/v3/kv/put', '{"key":"YQ==","value":"MQ=="}', fake);
    const { answer, json } = await post('/v3/kv/range', '{"key":"YQ=="}', fake);
    expect(json).toEqual({
      header: { revision: '2' },
      kvs: [{ key: 'YQ==', create_revision: '2', mod_revision: '2', version: '1', value: 'MQ==' }],
      count: '1',
    });
    expect(Object.fromEntries(answer.headers)).toEqual({
      'access-control-allow-headers': 'accept, content-type, authorization',
      'access-control-allow-methods': 'POST, GET, OPTIONS, PUT, DELETE',
      'access-control-allow-origin': '*',
      'content-type': 'application/json',
      'grpc-metadata-content-type': 'application/grpc',
    });
  });

  test.each([
    ['POST', '/v3/nope', 404, '{"error":"Not Found","code":5,"message":"Not Found"}'],
    ['POST', '/v3/kv/range/', 404, '{"error":"Not Found","code":5,"message":"Not Found"}'],
    [
      'GET',
      '/v3/kv/range',
      501,
      expect.stringContaining('"code":12,"message":"Method Not Allowed"'),
    ],
    ['PUT', '/v3/kv/put', 501, expect.stringContaining('"code":12')],
    ['GET', '/', 404, '404 page not found\n'],
    ['GET', '/v2/keys/', 404, '404 page not found\n'],
    ['POST', '/v3alpha/kv/range', 404, '404 page not found\n'],
    ['OPTIONS', '/v3/kv/range', 200, ''],
    ['POST', '/health', 405, 'Method Not Allowed\n'],
    ['GET', '/livez/nope', 404, '404 page not found\n'],
    ['GET', '/version', 200, '{"etcdserver":"3.5.30","etcdcluster":"3.5.0"}'],
    ['GET', '/health', 200, '{"health":"true","reason":""}'],
    ['GET', '/livez', 200, 'ok\n'],
    ['GET', '/readyz/linearizable_read', 200, 'ok\n'],
    ['GET', '/livez?verbose', 200, '[+]serializable_read ok\nok\n'],
  ])('%s %s', async (method, path, status, text) => {
    const answer = await app.request(path, { method }, open().env);
    expect([answer.status, await answer.text()]).toEqual([status, text]);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
  });

  test('/v3beta is the same surface', async () => {
    expect((await post('/v3beta/kv/range', '{"key":"YQ=="}')).answer.status).toBe(200);
  });

  test('a named tenant is asked by its name', async () => {
    const { fake } = await post('/t/acme/v3/kv/range', '{"key":"YQ=="}');
    expect(fake.sent.map(({ tenant }) => tenant)).toEqual(['acme']);
  });

  test.each([
    ['/v3/kv/txn', '{"success":[{"request_range":{"key":"YQ=="}}]}', 'readTxn', false],
    [
      '/v3/kv/txn',
      '{"success":[{"request_range":{"key":"YQ==","serializable":true}}]}',
      'readTxn',
      true,
    ],
    ['/v3/kv/txn', '{"compare":[{"key":"YQ=="}]}', 'readTxn', false],
    ['/v3/kv/txn', '{"success":[{"request_put":{"key":"YQ=="}}]}', 'command', false],
    ['/v3/kv/range', '{"key":"YQ=="}', 'range', false],
    ['/v3/kv/deleterange', '{"key":"YQ=="}', 'command', false],
    ['/v3/kv/compaction', '{"revision":"3"}', 'command', false],
  ])('%s %s travels as %s', async (path, body, kind, serializable) => {
    const { fake } = await post(path, body);
    const request = fake.sent[0]?.request;
    expect([request?.op.case, request?.serializable]).toEqual([kind, serializable]);
    expect(request?.mayPropose).toBe(kind === 'command');
  });
});
