/**
 * The ledger of rest: what a group with 1,000 watchers and 1,000 leases of an hour does in half a day in
 * which clients send nothing but keep-alives. (test/e2e/idle-watches.test.ts sees a minute of it from outside.)
 */
import { describe, expect, it } from 'vitest';
import type { Cluster } from './cluster.ts';
import { born, get, grantOp, keepAlive, put } from './support.ts';
import { SimWatcher } from './watch/sim-socket.ts';

const places = [1, 2, 3];
const crowd = 1_000;
const ttlSeconds = 3_600;
const ttls = 6;

interface Cost {
  readonly rows: number;
  readonly alarms: number;
  /** To other members; of its own watchdog. */
  readonly requests: number;
}

async function crowded(): Promise<{ cluster: Cluster; watchers: SimWatcher[] }> {
  const cluster = await born();
  const ids = Array.from({ length: crowd }, (_, n) => BigInt(n + 1));
  const granted = ids.map((id) => cluster.ask(1, grantOp(id, ttlSeconds)));
  await cluster.world.settle(Promise.all(granted));
  const watchers = ids.map((_, n) => new SimWatcher(cluster, (n % 3) + 1, 3));
  await cluster.world.pass(10_000);
  cluster.evictResting();
  return { cluster, watchers };
}

/** `ask` at `asks` moments of each TTL; the members sleep in between. */
async function costs(
  cluster: Cluster,
  asks: number,
  ask: (n: number) => Promise<unknown>,
): Promise<Cost[]> {
  const rowsOf = (place: number) =>
    cluster.sql(place).counters.rowsWritten + cluster.alarms(place).set.length;
  const before = places.map((place) => [rowsOf(place), cluster.alarms(place).rung] as const);
  cluster.traffic.length = 0;
  for (let n = 0; n < asks * ttls; n += 1) {
    await ask(n);
    await cluster.world.pass(10_000);
    cluster.evictResting();
    await cluster.world.pass((ttlSeconds * 1_000) / asks - 10_000);
    cluster.evictResting();
  }
  return places.map((place, at) => ({
    rows: rowsOf(place) - (before[at]?.[0] ?? 0),
    alarms: cluster.alarms(place).rung - (before[at]?.[1] ?? 0),
    requests: cluster.traffic.filter(({ from, path }) => from === place && path === 'client')
      .length,
  }));
}

describe('at rest, 1,000 watchers and 1,000 leases of an hour', () => {
  it.each([
    // All together, as etcd's clients do three times in each TTL.
    { asks: 3, idsEach: crowd, looks: ttls },
    // Each at a time of its own: the first deadline is never more than two thirds of a TTL away.
    { asks: 12, idsEach: crowd / 4, looks: (3 * ttls) / 2 },
  ])(
    'cost an alarm, a request and three rows per member and look, kept alive at $asks moments of a TTL',
    async ({ asks, idsEach, looks }) => {
      const { cluster, watchers } = await crowded();
      const idsOf = (n: number) =>
        Array.from({ length: idsEach }, (_, k) => BigInt(((n * idsEach + k) % crowd) + 1));
      const all = await costs(cluster, asks, (n) => keepAlive(cluster, 1, ...idsOf(n)));
      const bare = await born();
      bare.evictResting();
      const others = await costs(bare, asks, () => get(bare, 1, 'a'));
      // A keep-alive writes its row, and the life of the leader that it begins sets its alarm.
      const keepAlives = asks * ttls * (idsEach + 1);
      for (const [at, { rows, alarms, requests }] of all.entries()) {
        expect(alarms).toBeLessThanOrEqual(looks);
        expect(requests).toBe(at === 0 ? 0 : alarms);
        const own = rows - (others[at]?.rows ?? 0) - (at === 0 ? keepAlives : 0);
        expect(own).toBeLessThanOrEqual(3 * looks);
      }
      // Nobody was told anything, or had to come back.
      expect(watchers.filter(({ events, sockets }) => events.length > 0 || sockets > 1)).toEqual(
        [],
      );
    },
  );

  it('make no put dearer that none of them waits for: three requests, and four rows a member', async () => {
    const bare = await costOfPuts(await born());
    expect(await costOfPuts((await crowded()).cluster)).toEqual(bare);
    // And two to tell the followers the end of it.
    expect(bare).toEqual({ requests: 3 * putCount + 2, rows: places.map(() => 4 * putCount) });
  });
});

const putCount = 50;

/** Of one client, without a pause. */
async function costOfPuts(cluster: Cluster) {
  // Whoever was asleep is awake.
  await put(cluster, 1, 'other', '0');
  await cluster.world.pass(1_000);
  const rowsOf = (place: number) =>
    cluster.sql(place).counters.rowsWritten + cluster.alarms(place).set.length;
  const before = places.map(rowsOf);
  cluster.traffic.length = 0;
  for (let n = 0; n < putCount; n += 1) await put(cluster, 1, `other ${n}`, 'x');
  await cluster.world.pass(1_000);
  const rows = places.map((place, at) => rowsOf(place) - (before[at] ?? 0));
  return { requests: cluster.traffic.length, rows };
}
