/**
 * The ledger of watches and leases: 1,000 watchers and 1,000 leases of an hour do nothing at all while
 * nobody asks, a keep-alive is one row at the leader, and a put that none of them waits for costs what it costs
 * without them. (test/sim/idle-ledger.test.ts counts what alarms cost, hour after hour.)
 *
 *   IDLE_WATCH_SECONDS  15  how long to watch (a full run: 60)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { restingCounters, spent } from '../support/resting.ts';
import { type Server, startServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const idleSeconds = numberFromEnvironment('IDLE_WATCH_SECONDS', 15);
const crowd = 1_000;
const ttlSeconds = 3_600;
const atOnce = 50;
const setUpMs = 120_000;
const puts = 100;

let server: Server;
let gateway: Gateway;
let leases: string[] = [];
const streams = new AbortController();

beforeAll(async () => {
  server = await startServer({ members: 3 });
  gateway = new Gateway(server.url);
  await gateway.put('birth', '1');
  leases = await inTurns(crowd, grant);
  await inTurns(crowd, watch);
}, setUpMs);

afterAll(async () => {
  streams.abort();
  gateway.close();
  await server.stop();
});

/** `count` calls, some at once. */
async function inTurns<T>(count: number, call: (n: number) => Promise<T>): Promise<T[]> {
  const all: T[] = [];
  for (let n = 0; n < count; n += atOnce)
    all.push(...(await Promise.all(Array.from({ length: atOnce }, (_, k) => call(n + k)))));
  return all;
}

async function post(path: string, body: object): Promise<string> {
  const { status, text } = await gateway.send('POST', path, JSON.stringify(body));
  expect([status, text]).toEqual([200, text]);
  return text;
}

async function grant(): Promise<string> {
  return (JSON.parse(await post('/v3/lease/grant', { TTL: ttlSeconds })) as { ID: string }).ID;
}

/** Resolves when the watch exists; it ends with the test. */
async function watch(n: number): Promise<void> {
  const { body } = await fetch(`${server.url}/v3/watch`, {
    method: 'POST',
    body: JSON.stringify({ create_request: { key: btoa(`watched/${n}`) } }),
    signal: streams.signal,
  });
  const first = await body?.getReader().read();
  expect(Buffer.from(first?.value ?? []).toString()).toContain('"created":true');
}

const nothing = { requests: 0, watchMessages: 0, rows: 0, alarms: 0 };

describe('1,000 watchers and 1,000 leases', () => {
  it(
    `cost nothing at all for ${idleSeconds} s in which nobody asks`,
    async () => {
      const before = await restingCounters(gateway);
      await sleep(idleSeconds * 1_000);
      const after = await restingCounters(gateway);
      expect(spent(before, after)).toEqual([nothing, nothing, nothing]);
      const { members } = await gateway.status();
      const open = members.reduce((sum, { watches }) => sum + watches.watches, 0);
      expect(open).toBe(crowd);
    },
    idleSeconds * 1_000 + 30_000,
  );

  it('cost one row at the leader for each keep-alive, and nobody else any', async () => {
    const before = await restingCounters(gateway);
    for (let n = 0; n < puts; n += 1) await post('/v3/lease/keepalive', { ID: leases[n] });
    const costs = spent(before, await restingCounters(gateway));
    const rows = costs.map((cost) => cost.rows).sort((a, b) => a - b);
    expect(rows).toEqual([0, 0, puts]);
    expect(costs.map(({ alarms, watchMessages }) => alarms + watchMessages)).toEqual([0, 0, 0]);
  });

  it('make no put dearer that none of them waits for', async () => {
    const before = await restingCounters(gateway);
    for (let n = 0; n < puts; n += 1)
      expect((await gateway.put(`unwatched/${n}`, 'x')).acknowledged).toBe(true);
    const costs = spent(before, await restingCounters(gateway));
    const requests = costs.reduce((sum, cost) => sum + cost.requests, 0) / puts;
    console.log(`${requests} object requests a put; rows ${costs.map(({ rows }) => rows / puts)}`);
    // 3.0 of a client that does not pause (test/sim/idle-ledger.test.ts); a pause adds the notice of its end.
    expect(requests).toBeLessThanOrEqual(5);
    for (const { rows } of costs) expect(rows / puts).toBeLessThanOrEqual(4.05);
    expect(costs.map(({ alarms, watchMessages }) => alarms + watchMessages)).toEqual([0, 0, 0]);
  });
});
