/**
 * Garbage in, 4xx out: whatever a client sends, it never sees a 5xx, and neither the service nor the
 * data suffers.
 *
 *   GARBAGE_REQUESTS  4000  (a long run: 100000)
 *   GARBAGE_SEED      1
 */
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const requests = numberFromEnvironment('GARBAGE_REQUESTS', 4_000);
const seed = numberFromEnvironment('GARBAGE_SEED', 1);
const senders = 32;
const keptKeys = 100;
const timeoutMs = 60_000 + requests * 20;

const gatewayPaths = [
  ...['kv/range', 'kv/put', 'kv/deleterange', 'kv/txn', 'kv/compaction', 'watch'],
  ...['lease/grant', 'lease/revoke', 'lease/timetolive', 'lease/keepalive'],
  ...['lock/lock', 'lock/unlock', 'election/campaign', 'election/proclaim', 'election/resign'],
  ...['election/leader', 'election/observe'],
].map((method) => `/v3/${method}`);
const otherPosts = [
  ...['/v1/txn', '/v1/compact', '/v3/kv/nothing', '/v3/nothing', '/', '/v1/%ff'],
  ...['/v1/leases', '/v1/leases/x/keepalive', '/v1/leases/99999999999999999999', '/v1/tickets'],
  ...['/v1/locks/a', '/v1/locks/%', '/v1/locks/a/renew', '/v1/elections/a/campaign', '/v1/watch'],
];

/** Right requests, to be cut off in the middle. */
const wholeBodies = [
  '{"key":"YQ==","range_end":"Yg==","limit":"10","sort_order":"DESCEND"}',
  '{"key":"YQ==","value":"Yg==","lease":"0","prev_kv":true}',
  '{"compare":[{"key":"YQ==","target":"VERSION","result":"EQUAL","version":"1"}],"success":[{"request_put":{"key":"YQ==","value":"Yg=="}}],"failure":[]}',
  '{"TTL":"60","ID":"7"}',
  '{"leader":{"name":"YQ==","key":"YS83","rev":"2","lease":"7"},"value":"Yg=="}',
  '{"create_request":{"key":"YQ==","start_revision":"1","filters":["NOPUT"]}}',
];

/** Well-formed JSON that is wrong in every method; a field that a method does not know is ignored. */
const wrongBodies = [
  ...['[]', '"text"', 'true', '17', '1e999'],
  '{"key":12,"revision":"x","compare":3,"ID":"x","name":5,"leader":5,"create_request":5}',
  '{"key":"!!!","revision":{},"success":"x","ID":{},"name":"!","leader":"x","cancel_request":[]}',
  '{"key":{},"revision":[],"failure":{"a":1},"ID":1.5,"name":{},"leader":[],"progress_request":1}',
  '{"key":[],"revision":"9e99","success":[{"request_put":5}],"ID":"9223372036854775808","name":[],"leader":{"rev":"x"},"create_request":{"key":5}}',
  '{"key":true,"revision":true,"compare":[{"result":"MAYBE"}],"success":[1],"ID":true,"name":true,"leader":{"key":5},"create_request":{"filters":["NOPE"]}}',
];

it(
  `${requests} requests of garbage (GARBAGE_SEED=${seed}) get nothing but 4xx, and the data is intact`,
  async () => {
    await withServer({ members: 3 }, async ({ url }) => {
      const gateway = new Gateway(url);
      for (let index = 0; index < keptKeys; index++) {
        expect(await gateway.put(`kept/${index}`, `${index}`)).toMatchObject({
          acknowledged: true,
        });
      }
      const before = await gateway.range({ key: Buffer.of(0), end: Buffer.of(0) });

      const random = new Random(seed);
      const answers = new Map<number, number>();
      const wrong: string[] = [];
      let left = requests;
      const sender = async () => {
        while (left-- > 0) {
          const { path, body } = garbage(random);
          const { status, text } = await gateway.send('POST', path, body);
          answers.set(status, (answers.get(status) ?? 0) + 1);
          if (status >= 400 && status < 500) continue;
          wrong.push(
            `${path} <- ${body.toString().slice(0, 200)}: ${status} ${text.slice(0, 200)}`,
          );
        }
      };
      await Promise.all(Array.from({ length: senders }, sender));

      console.log(`answers by status: ${JSON.stringify(Object.fromEntries(answers))}`);
      expect(wrong.slice(0, 10)).toEqual([]);
      expect(await gateway.range({ key: Buffer.of(0), end: Buffer.of(0) })).toEqual(before);
      expect(await gateway.put('after', 'garbage')).toMatchObject({ acknowledged: true });
      gateway.close();
    });
  },
  timeoutMs,
);

function garbage(random: Random): { path: string; body: Buffer } {
  const path = random.next() < 0.8 ? random.pick(gatewayPaths) : random.pick(otherPosts);
  return { path, body: garbageBody(random) };
}

/** Every kind is wrong for certain: cut off, not JSON, or of the wrong types. */
function garbageBody(random: Random): Buffer {
  switch (random.integer(0, 6)) {
    case 0:
      return Buffer.concat([Buffer.of(random.integer(128, 255)), random.bytes(200)]);
    case 1: {
      const whole = random.pick(wholeBodies);
      return Buffer.from(whole.slice(0, random.integer(1, whole.length - 1)));
    }
    case 2:
      return Buffer.from(random.pick(wrongBodies));
    case 3:
      return Buffer.from(random.pick(['[', '{"a":', '{"success":[', '{"key":[']).repeat(5_000));
    case 4:
      return Buffer.alloc(
        random.integer(1, 64 * 1024),
        random.pick(['x', '\\', '"', '{', '\u0000']),
      );
    case 5:
      return Buffer.from(`{"key":"YQ==","value":"${random.bytes(50).toString('latin1')}`);
    default:
      return Buffer.from(`{"key" "YQ=="${random.pick(['', ',', '}', ':', '{}'])}`);
  }
}
