/**
 * Whatever comes in: an answer below 500, in the form of its surface, and nothing sent to a member
 * that does not decode.
 */
import { toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { PutRequestSchema, RangeRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { createRouter } from '../../src/router/app.ts';
import { BadMessage } from '../../src/router/etcd/bad-message.ts';
import { decodeBase64 } from '../../src/router/etcd/base64.ts';
import { readMessage } from '../../src/router/etcd/json-message.ts';
import { percentDecode } from '../../src/router/http/query.ts';
import { forgetAll } from '../../src/router/members/hints.ts';
import { garbageOf } from './support/garbage.ts';
import { fakeMembers } from './support/members.ts';
import { storeLeader } from './support/store.ts';

const app = createRouter();
const runs = { numRuns: 1_000 };

beforeEach(() => forgetAll());

const body = garbageOf([
  ...['key', 'value', 'range_end', 'rangeEnd', 'limit', 'revision', 'lease', 'sort_order'],
  ...['sort_target', 'serializable', 'prev_kv', 'compare', 'success', 'failure', 'request_put'],
  ...['request_range', 'request_delete_range', 'request_txn', 'target', 'result', 'mod_revision'],
  ...['then', 'else', 'type', 'encoding'],
]);

const gatewayPath = fc.constantFrom(
  '/v3/kv/put',
  '/v3/kv/range',
  '/v3/kv/deleterange',
  '/v3/kv/txn',
  '/v3/kv/compaction',
);

test('/v3 answers any body with a code of etcd, and never with 500', async () => {
  const fake = fakeMembers(storeLeader().script);
  await fc.assert(
    fc.asyncProperty(gatewayPath, body, async (path, bytes) => {
      const init = { method: 'POST', body: bytes as Uint8Array<ArrayBuffer> };
      const answer = await app.request(path, init, fake.env);
      expect([200, 400, 404, 429]).toContain(answer.status);
      const json = (await answer.json()) as Record<string, unknown>;
      if (answer.status === 200) expect(json.header).toBeDefined();
      else expect(json).toMatchObject({ code: expect.any(Number), message: json.error });
    }),
    runs,
  );
});

const keyPath = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => encodeURIComponent(text.toWellFormed())),
  fc.string().map((text) => text.replace(/[#]/g, '')),
  fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')),
  fc.string({ unit: fc.constantFrom('%', '/', '.', '2', 'F', 'e', 'a', '?', '&', '=') }),
);

const restRequest = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'PATCH'),
  path: fc.oneof(
    keyPath.map((key) => `/v1/kv/${key}`),
    keyPath.map((query) => `/v1/kv?${query}`),
    fc
      .tuple(fc.constantFrom('prefix', 'start', 'cursor', 'limit', 'key64', 'timeout'), keyPath)
      .map(([name, value]) => `/v1/kv?prefix=a&${name}=${value}`),
    fc.constant('/v1/txn'),
  ),
  body,
  condition: fc.option(fc.oneof(fc.constantFrom('*', '"1"', '"1", W/"2"'), fc.string())),
});

test('/v1 answers any request with data or a problem, and never with 500', async () => {
  const fake = fakeMembers(storeLeader().script);
  await fc.assert(
    fc.asyncProperty(restRequest, async ({ method, path, body: bytes, condition }) => {
      const headers = new Headers({ 'content-type': 'application/json' });
      try {
        if (condition !== null) headers.set('if-match', condition);
      } catch {
        return; // No header can hold it.
      }
      const carries = method !== 'GET' && method !== 'HEAD';
      const init = carries
        ? { method, headers, body: bytes as Uint8Array<ArrayBuffer> }
        : { method, headers };
      const answer = await app.request(path, init, fake.env);
      expect(answer.status).toBeLessThan(500);
      if (answer.status >= 400 && method !== 'HEAD') {
        // A path may leave /v1 by its dots; what it then meets is not ours to judge.
        const type = answer.headers.get('content-type');
        if (type !== 'application/problem+json') expect(answer.status).toBe(404);
        else expect(await answer.json()).toMatchObject({ status: answer.status });
      }
    }),
    runs,
  );
});

test('a key survives its way through the path, whatever its bytes', async () => {
  const fake = fakeMembers(storeLeader().script);
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 64 }),
      fc.uint8Array({ maxLength: 64 }),
      async (key, value) => {
        const encoded = Buffer.from(key).toString('base64url');
        const percent = [...key].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
        const dots = /(^|%2f)(%2e){1,2}(%2f|$)/i.test(percent);
        const path = dots ? `/v1/kv?key64=${encoded}` : `/v1/kv/${percent}`;
        await app.request(
          path,
          { method: 'PUT', body: value as Uint8Array<ArrayBuffer> },
          fake.env,
        );
        const read = await app.request(`/v1/kv?key64=${encoded}`, {}, fake.env);
        expect(new Uint8Array(await read.arrayBuffer())).toEqual(new Uint8Array(value));
      },
    ),
    { numRuns: 500 },
  );
});

test('every message comes back from its JSON, in either spelling and with either numbers', () => {
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const range = fc.record({
    key: fc.uint8Array(),
    rangeEnd: fc.uint8Array(),
    limit: int64,
    revision: int64,
    sortOrder: fc.integer({ min: 0, max: 9 }),
    sortTarget: fc.constantFrom(0, 1, 2, 3, 4),
    serializable: fc.boolean(),
    minModRevision: int64,
  });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  fc.assert(
    fc.property(range, fc.boolean(), (message, asNumbers) => {
      const number = (value: bigint) => (asNumbers ? String(value) : `"${value}"`);
      const text = `{"key":"${base64(message.key)}","range_end":"${base64(message.rangeEnd)}",
        "limit":${number(message.limit)},"revision":${number(message.revision)},
        "sortOrder":${message.sortOrder},"sort_target":${message.sortTarget},
        "serializable":${message.serializable},"minModRevision":${number(message.minModRevision)}}`;
      const read = readMessage(RangeRequestSchema, text);
      expect(toBinary(RangeRequestSchema, read)).toEqual(
        toBinary(RangeRequestSchema, { ...readMessage(RangeRequestSchema, '{}'), ...message }),
      );
    }),
    runs,
  );
});

test('reading a message throws nothing but BadMessage', () => {
  fc.assert(
    fc.property(body, (bytes) => {
      try {
        readMessage(PutRequestSchema, new TextDecoder().decode(bytes));
      } catch (error) {
        expect(error).toBeInstanceOf(BadMessage);
      }
    }),
    runs,
  );
});

test('base64 that is taken means what Node takes it for', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'AZaz09+/-_=\n ') }), (text) => {
      const bytes = decodeBase64(text);
      if (bytes !== null) expect(Buffer.from(bytes)).toEqual(Buffer.from(text, 'base64'));
    }),
    runs,
  );
});

test('what is percent-encoded decodes to the same bytes, and stray percents never do', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
      expect(percentDecode(text, false)).toEqual(new Uint8Array(bytes));
      expect(percentDecode(`${text}%`, false)).toBeNull();
    }),
    runs,
  );
});
