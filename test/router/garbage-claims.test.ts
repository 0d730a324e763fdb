/**
 * Whatever comes in for leases, locks, elections and watches: an answer in the form of its surface, soon, and
 * 500 only where etcd has no other code for what it says.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRouter } from '../../src/router/app.ts';
import { grant, set } from '../kv/support.ts';
import { garbageOf } from './support/garbage.ts';
import { Group } from './watch/group.ts';

const app = createRouter();
const runs = { numRuns: 1_000 };
const timeoutMs = 60_000;

/** With leases 7 and 8, of which 8 holds the lock and the election "a", and some history. */
async function group(): Promise<Group> {
  const it = new Group();
  it.at.apply(grant(7n, 60n), grant(8n, 60n), set('a'), set('b'), set('a'));
  const held = await app.request('/v3/lock/lock', { method: 'POST', body: lockOfA }, it.env);
  expect(held.status).toBe(200);
  return it;
}
const lockOfA = '{"name":"YQ==","lease":8}';

/** What has come of an answer so far; a stream is not waited for, and not kept. */
async function firstOf(answer: Response): Promise<string> {
  if (answer.body === null) return '';
  const reader = answer.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

const claims = garbageOf([
  ...['ID', 'TTL', 'keys', 'name', 'lease', 'value', 'leader', 'key', 'rev'],
  ...['ID', 'TTL', 'name', 'lease', 'leader'],
]);
const watches = garbageOf([
  ...['create_request', 'cancel_request', 'progress_request', 'createRequest', 'key', 'range_end'],
  ...['start_revision', 'watch_id', 'filters', 'prev_kv', 'progress_notify', 'fragment'],
  ...['create_request', 'create_request'],
]);

const claimPath = fc.constantFrom(
  ...['lease/grant', 'lease/revoke', 'lease/timetolive', 'lease/leases', 'lease/keepalive'],
  ...['kv/lease/revoke', 'kv/lease/timetolive', 'kv/lease/leases', 'lock/lock', 'lock/unlock'],
  ...['election/campaign', 'election/proclaim', 'election/resign', 'election/leader'],
  'election/observe',
);
const gatewayRequest = fc.oneof(
  { weight: 4, arbitrary: fc.record({ path: claimPath, body: claims }) },
  { weight: 1, arbitrary: fc.record({ path: fc.constant('watch'), body: watches }) },
);

/** What etcd has no code for. */
const withoutCode =
  /^(etcdserver: (requested lease not found|key is not provided)|"leader" field must be provided|election: (not leader|no leader)|mutex: session is expired)$/;

test(
  '/v3 answers any body with a code of etcd',
  async () => {
    const { env } = await group();
    await fc.assert(
      fc.asyncProperty(gatewayRequest, async ({ path, body }) => {
        const init = {
          method: 'POST',
          body: body as Uint8Array<ArrayBuffer>,
          // What would wait gives up.
          headers: { 'grpc-timeout': '5m' },
        };
        const answer = await app.request(`/v3/${path}`, init, env);
        const text = await firstOf(answer);
        if (answer.status === 200) {
          if (text !== '') expect(JSON.parse(text)).toEqual(expect.any(Object));
          return;
        }
        const refusal = JSON.parse(text);
        // That of a stream has both in its error.
        const { code, message } =
          path === 'lease/keepalive' && refusal.error.code ? refusal.error : refusal;
        expect([code, message]).toEqual([
          expect.any(Number),
          refusal.error.message ?? refusal.error,
        ]);
        if (answer.status === 500)
          expect([code, message]).toEqual([2, expect.stringMatching(withoutCode)]);
        else expect([400, 404, 429, 504]).toContain(answer.status);
      }),
      runs,
    );
  },
  timeoutMs,
);

const restBodies = garbageOf(['ttl', 'id', 'owner', 'value', 'ttl', 'key', 'then', 'compare']);
const text = fc.oneof(
  fc.string(),
  fc.constantFrom('a', '7', '-1', '0', '9223372036854775807', '9223372036854775808', '%', '%00'),
  fc.string({ unit: 'binary' }).map((part) => encodeURIComponent(part.toWellFormed())),
);
const restPath = fc.oneof(
  fc.constantFrom('/v1/leases', '/v1/watch', '/v1/locks/a', '/v1/elections/a', '/v1/kv/a'),
  fc.constantFrom('/v1/locks/a/renew', '/v1/elections/a/campaign', '/v1/elections/a/observe'),
  fc.constantFrom('/v1/kv', '/v1/txn', '/v1/compact', '/v1/tickets', '/v1/watch?key=a'),
  text.map((id) => `/v1/leases/${id}`),
  text.map((id) => `/v1/leases/${id}/keepalive`),
  text.map((name) => `/v1/locks/${name}`),
  text.map((name) => `/v1/elections/${name}`),
  fc.tuple(watchParam(), text).map(([name, value]) => `/v1/watch?prefix=a&${name}=${value}`),
  fc
    .tuple(fc.constantFrom('lease', 'ttl', 'via', 'consistency', 'prev'), text)
    .map(([name, value]) => `/v1/kv/a?${name}=${value}`),
);
function watchParam() {
  return fc.constantFrom('from', 'key', 'end', 'start', 'only', 'prev', 'progress', 'ticket', 'x');
}
const headerValue = fc.oneof(
  fc.constantFrom('a=5', 'a=0', 'a=9999999999999999', '=5', 'a=', '%=5', '%61=5', '"k"', 'k', '""'),
  fc.constantFrom('"5"', '*', '"5", "6"', 'W/"5"', '7', '-7', '99999999999999999999'),
  fc.constantFrom('wait=0', 'wait=x', 'wait=-1', 'wait=999', 'linearizable', 'nearest'),
  fc.string({ maxLength: 300 }),
);
const headers = fc.dictionary(
  fc.constantFrom(
    ...['kv-fence', 'idempotency-key', 'if-match', 'if-none-match', 'last-event-id', 'prefer'],
    ...['kv-min-revision', 'kv-consistency', 'accept', 'content-type', 'traceparent', 'origin'],
  ),
  headerValue,
  { maxKeys: 3 },
);
const restRequest = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'POST', 'PATCH'),
  path: restPath,
  body: restBodies,
  headers,
});

test(
  '/v1 answers any request with data or a problem, whatever its fence, its key and its conditions',
  async () => {
    const { env } = await group();
    await fc.assert(
      fc.asyncProperty(restRequest, async ({ method, path, body, headers: sent }) => {
        const carries = method !== 'GET' && method !== 'HEAD';
        let request: Request;
        try {
          const init = { method, headers: sent, ...(carries ? { body } : {}) } as RequestInit;
          request = new Request(`http://x${path}`, init);
        } catch {
          return; // No header can hold it, or no URL.
        }
        const answer = await app.fetch(request, env);
        expect(answer.status).toBeLessThan(500);
        const told = await firstOf(answer);
        if (answer.status < 400 || method === 'HEAD') return;
        // A path may leave /v1 by its dots; what it then meets is not ours to judge.
        const type = answer.headers.get('content-type');
        if (type !== 'application/problem+json') expect(answer.status).toBe(404);
        else expect(JSON.parse(told)).toMatchObject({ status: answer.status });
      }),
      runs,
    );
  },
  timeoutMs,
);
