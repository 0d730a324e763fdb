/** What clients of a simulated group see of leases, and what leases cost (docs/decisions/leases.md). */
import { create, fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { LeaseLeasesRequestSchema, LeaseLeasesResponseSchema } from '../../src/api/gen/rpc_pb.js';
import { decodeBatch } from '../../src/kv/batch.ts';
import { StateMachine } from '../../src/kv/state-machine.ts';
import type { Cluster } from './cluster.ts';
import {
  born,
  carriesEntries,
  crashAtWrite,
  endOf,
  get,
  grant,
  grantOp,
  hashAt,
  hasLease,
  keepAlive,
  keepAliveOp,
  persist,
  put,
  putOp,
  responseOf,
  revokeOp,
  timeToLive,
  untilDeadline,
} from './support.ts';

const places = [1, 2, 3] as const;

/** What a deadline is later than its TTL says, and its alarm than the deadline. */
const allowanceMs = 500;
const gridMs = 500;

describe('a lease', () => {
  it('ends when its time is over, and its keys go with it, on all members', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(10_000);
    expect(await get(cluster, 1, 'lease 7')).toBe('x');
    await cluster.world.pass(allowanceMs + gridMs + 100);
    expect(await get(cluster, 1, 'lease 7')).toBeNull();
    for (const place of places) expect(hasLease(cluster, place, 7n)).toBe(false);
    await cluster.world.pass(60_000);
    expect(cluster.world.isQuiet).toBe(true);
  });

  it('ends as soon where all members were evicted: the leader’s alarm wakes it', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(1_000);
    cluster.endAll();
    const ended = await endOf(cluster, 1, 7n, 20_000);
    expect(ended).toBeGreaterThan(10_000 - 1_000);
    expect(ended).toBeLessThan(10_000 - 1_000 + allowanceMs + gridMs + 100);
    expect(cluster.status(1).term).toBe(1);
  });

  it('lives on while it is kept alive, and is told what it has left', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    for (let n = 0; n < 10; n += 1) {
      await cluster.world.pass(4_000);
      expect(await keepAlive(cluster, 1, 7n)).toEqual([10]);
      cluster.endAll();
    }
    await cluster.world.pass(2_300);
    expect(await timeToLive(cluster, 1, 7n, true)).toMatchObject({
      TTL: 7n,
      grantedTTL: 10n,
      keys: [new TextEncoder().encode('lease 7')],
    });
    const ended = await endOf(cluster, 1, 7n, 20_000);
    expect(ended).toBeGreaterThan(10_000 - 2_600);
  });

  it('that is not there is answered without a TTL', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await grant(cluster, 1, 8n, 20);
    await cluster.world.settle(cluster.ask(1, revokeOp(7n)));
    expect(await keepAlive(cluster, 1, 7n, 8n, 9n)).toEqual([0, 20, 0]);
    expect(await timeToLive(cluster, 1, 7n)).toMatchObject({ TTL: -1n, grantedTTL: 0n });
  });

  it('is listed with the others in the order in which they end', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 30);
    await grant(cluster, 1, 8n, 10);
    await grant(cluster, 1, -9n, 20);
    const op = { case: 'leaseLeases', value: create(LeaseLeasesRequestSchema) } as const;
    const reply = await cluster.world.settle(cluster.ask(1, op));
    const { leases } = fromBinary(LeaseLeasesResponseSchema, responseOf(reply));
    expect(leases.map(({ ID }) => ID)).toEqual([8n, -9n, 7n]);
  });
});

describe('a clock that is not right', () => {
  it('ends no lease early, within the allowance', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(1_000);
    // Another machine runs the leader from now on.
    cluster.endAll();
    cluster.skew(1, allowanceMs - 100);
    cluster.ring(1);
    expect(await endOf(cluster, 1, 7n, 20_000)).toBeGreaterThan(9_000);
  });

  it('that is set back hides no alarm that the platform has dropped', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    cluster.dropAlarm = () => true;
    for (const place of places) cluster.skew(place, -600_000);
    await cluster.world.pass(60_000);
    for (const place of places) expect(cluster.hasAlarm(place)).toBe(false);
    cluster.dropAlarm = () => false;
    await put(cluster, 1, 'a', '2');
    expect(cluster.hasAlarm(1)).toBe(true);
    await cluster.world.pass(600_000);
    expect(hasLease(cluster, 1, 7n)).toBe(false);
  });
});

describe('many leases', () => {
  /** `count` leases of 60 s, granted together. */
  async function bornWith(count: number): Promise<Cluster> {
    const cluster = await born();
    const ids = Array.from({ length: count }, (_, at) => BigInt(at + 1));
    await cluster.world.settle(Promise.all(ids.map((id) => cluster.ask(1, grantOp(id, 60)))));
    await cluster.world.pass(1_000);
    return cluster;
  }
  const leasesAt = (cluster: Cluster, place: number) =>
    StateMachine.open(cluster.sql(place)).leasePage(null, 10_000).length;

  it('need one alarm, and end by entries of bounded size', async () => {
    const cluster = await bornWith(1_000);
    expect([1, 2, 3].map((place) => cluster.alarms(place).set.length)).toEqual([1, 1, 1]);
    expect(leasesAt(cluster, 2)).toBe(1_000);
    const before = cluster.status(1).lastIndex;
    await cluster.world.pass(60_000 + allowanceMs + gridMs);
    expect([leasesAt(cluster, 1), cluster.alarms(1).rung]).toEqual([0, 1]);
    const entries = cluster.sql(1).all('SELECT data FROM raft_log WHERE idx > ?', before);
    const sizes = entries.map(([data]) => decodeBatch(data as Uint8Array).commands.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(64);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(1_000);
  });

  it('are read in pages when their leader wakes, and no event reads many', async () => {
    const cluster = await bornWith(2_000);
    await keepAlive(cluster, 1, ...Array.from({ length: 100 }, (_, at) => BigInt(at + 1)));
    cluster.endAll();
    const { counters } = cluster.sql(1);
    const { schedule } = cluster.world;
    let [before, most] = [counters.rowsRead, 0];
    cluster.world.schedule = (delayMs, run) =>
      schedule.call(cluster.world, delayMs, () => {
        most = Math.max(most, counters.rowsRead - before);
        before = counters.rowsRead;
        run();
      });
    expect(await timeToLive(cluster, 1, 2_000n)).toMatchObject({ grantedTTL: 60n });
    await cluster.world.pass(1_000);
    expect(cluster.status(1).atRest).toBe(true);
    expect(counters.rowsRead).toBeGreaterThan(4_000);
    expect(most).toBeLessThan(300);
  });
});

describe('a crash', () => {
  it.each([1, 2])('at any write of place %i keeps no lease, and no two states', async (place) => {
    for (let n = 1; n <= 14; n += 1) {
      const cluster = await born();
      await grant(cluster, 1, 7n, 10);
      await cluster.world.pass(9_000);
      crashAtWrite(cluster, place, n);
      const from = cluster.world.now;
      void cluster.ask(1, grantOp(8n, 10)).catch(() => {});
      await cluster.world.pass(40_000);
      for (const at of [1, 2, 3])
        for (const id of [7n, 8n]) expect(hasLease(cluster, at, id)).toBe(false);
      expect(cluster.world.now - from).toBe(40_000);
      expect(new Set([1, 2, 3].map((at) => hashAt(cluster, at))).size).toBe(1);
      expect(cluster.aborts.length).toBeLessThanOrEqual(1);
    }
  });
});

describe('what leases cost at rest', () => {
  const ttls = 60;

  /** Somebody asks the leader in good time before each TTL is over; in between all are asleep. */
  async function cost(cluster: Cluster, ask: () => Promise<unknown>) {
    await cluster.world.pass(1_000);
    const rowsOf = (place: number) =>
      cluster.sql(place).counters.rowsWritten + cluster.alarms(place).set.length;
    const before = places.map((place) => [rowsOf(place), cluster.alarms(place).rung] as const);
    cluster.traffic.length = 0;
    for (let n = 0; n < 3 * ttls; n += 1) {
      await ask();
      for (let passed = 0; passed < 20_000; passed += 5_000) {
        await cluster.world.pass(5_000);
        cluster.evictResting();
      }
    }
    return places.map((place, at) => ({
      rows: rowsOf(place) - (before[at]?.[0] ?? 0),
      alarms: cluster.alarms(place).rung - (before[at]?.[1] ?? 0),
      requests: cluster.traffic.filter(({ from, path }) => from === place && path === 'client')
        .length,
    }));
  }

  it('is one alarm, one request and three rows per member and shortest TTL', async () => {
    const without = await born();
    const others = await cost(without, () => get(without, 1, 'a'));
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    await grant(cluster, 1, 8n, 36_000);
    const costs = await cost(cluster, () => keepAlive(cluster, 1, 7n));
    // A keep-alive writes its row, and the life of the leader that it begins sets its alarm.
    const keepAlives = 2 * 3 * ttls;
    for (const [at, { rows, alarms, requests }] of costs.entries()) {
      expect(alarms).toBeLessThanOrEqual(ttls);
      expect(requests).toBe(at === 0 ? 0 : alarms);
      const own = rows - (others[at]?.rows ?? 0) - (at === 0 ? keepAlives : 0);
      expect(own).toBeLessThanOrEqual(3 * ttls);
    }
  });

  it('is nothing where there is none', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    const read = cluster.sql(1).counters.rowsRead;
    cluster.end(1);
    await get(cluster, 1, 'a');
    await cluster.world.pass(60_000);
    expect(cluster.sql(1).counters.rowsRead - read).toBeLessThan(20);
    expect([1, 2, 3].map((place) => cluster.alarms(place).set)).toEqual([[], [], []]);
  });
});

describe('a leader that misses its alarm', () => {
  it('is woken by the watchdogs, which ask once', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(1_000);
    cluster.endAll();
    cluster.dropAlarm = (place) => place === 1;
    expect(await endOf(cluster, 1, 7n, 60_000)).toBeLessThan(9_000 + allowanceMs + 3_000 + 100);
    await cluster.world.pass(60_000);
    expect([1, 2, 3].map((place) => cluster.alarms(place).rung)).toEqual([0, 1, 1]);
    expect(cluster.status(1).term).toBe(1);
  });
});

describe('a watchdog that waits for its answer', () => {
  it('does not ring again and again when its clock is set ahead', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(1_000);
    cluster.endAll();
    let rung = 0;
    cluster.dropAlarm = (place) => {
      if (place === 2) rung += 1;
      // A loop has to end for the test to fail.
      return place !== 2 || rung > 100;
    };
    cluster.drop = () => true;
    while (rung === 0) await cluster.world.pass(50);
    cluster.skew(2, 3_600_000);
    cluster.ring(2);
    await cluster.world.pass(1_000);
    expect(rung).toBe(1);
    expect(cluster.alarmIn(2)).toBeGreaterThan(0);
  });
});

describe('a member that has its leases from a snapshot', () => {
  it('watches them like the others', async () => {
    const cluster = await born();
    cluster.drop = ({ from, to }) => from === 3 || to === 3;
    await grant(cluster, 1, 7n, 3_600);
    const value = 'x'.repeat(1_000_000);
    for (let n = 0; n < 24; n += 1) await put(cluster, 1, `k${n}`, value);
    await cluster.world.pass(12_000);
    for (let n = 0; n < 16; n += 1) await put(cluster, 1, `l${n}`, 'x');
    expect(cluster.status(1).firstIndex).toBeGreaterThan(10);
    expect(cluster.hasAlarm(3)).toBe(false);
    cluster.drop = () => false;
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(2_000);
    expect([hasLease(cluster, 3, 7n), cluster.alarms(3).rung]).toEqual([true, 0]);
    // It asks soon, and then knows.
    expect(cluster.hasAlarm(3)).toBe(true);
    expect(cluster.alarmIn(3)).toBeLessThan(5_000);
    await cluster.world.pass(8_000);
    expect(cluster.alarms(3).rung).toBe(1);
    expect(hasLease(cluster, 3, 7n)).toBe(true);
    expect(cluster.alarmIn(3)).toBeGreaterThan(3_500_000);
  });
});

describe('a leader that others have replaced', () => {
  it('ends no lease that they keep alive, and keeps none alive', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    cluster.drop = ({ from, to }) => from !== 0 && (from === 1 || to === 1);
    await persist(cluster, putOp('a', '2'), [2, 3]);
    const leader = [2, 3].find((place) => cluster.status(place).role === 'leader') ?? 0;
    expect(cluster.status(1).role).toBe('leader');
    for (let n = 0; n < 10; n += 1) {
      expect(await keepAlive(cluster, leader, 7n)).toEqual([10]);
      await cluster.world.pass(2_000);
      // It knows of no other, and its own time for the lease is over.
      const reply = await cluster.world.settle(cluster.ask(1, keepAliveOp(7n)));
      expect(reply.outcome.case).not.toBe('response');
    }
    cluster.drop = () => false;
    await cluster.world.pass(5_000);
    for (const place of [1, 2, 3]) expect(hasLease(cluster, place, 7n)).toBe(true);
  });
});

describe('the loss of the leader', () => {
  it('is told to a keep-alive that waits for the end of its lease', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await untilDeadline(cluster, 1, -1);
    // Entries are lost from now on, and then everything.
    cluster.drop = carriesEntries;
    cluster.ring(1);
    const asked = cluster.ask(1, keepAliveOp(7n), { timeoutMs: 30_000 });
    await cluster.world.pass(100);
    cluster.drop = ({ path }) => path === 'peer';
    const from = cluster.world.now;
    expect((await cluster.world.settle(asked)).outcome.case).toBe('redirect');
    expect(cluster.world.now - from).toBeLessThan(5_000);
  });

  it('gives every lease its TTL again, and somebody sees to its end without any client', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(1_000);
    cluster.end(1);
    cluster.refuse = ({ from, to }) => from === 1 || to === 1;
    cluster.dropAlarm = (place) => place === 1;
    const ended = await endOf(cluster, 2, 7n, 60_000);
    // TTL, the watchdog’s delay, and the TTL again.
    expect(ended).toBeGreaterThan(9_000 + 10_000);
    expect(ended).toBeLessThan(9_000 + 10_000 + 2_000 + 2_000 + 2 * allowanceMs + 3_000);
  });
});
