/**
 * The rules of consensus-rules.md about leases, each by the schedule that breaks it; `npm run mutants`
 * takes every rule out and requires that its test fails.
 */
import { describe, expect, it } from 'vitest';
import type { Cluster } from './cluster.ts';
import {
  born,
  carriesEntries,
  endOf,
  grant,
  grantOp,
  hasLease,
  keepAlive,
  keepAliveOp,
  revokeOp,
  timeToLive,
  ttlsIn,
  untilDeadline,
} from './support.ts';

/** What a deadline is later than its TTL says, and an alarm than the deadline. */
const allowanceMs = 500;
const gridMs = 500;

/** Members that are 200 ms apart there and back, and clients beside them. */
const far = { latencyMs: (from: number, to: number) => (from === 0 || to === 0 ? 1 : 100) };

async function untilAlarm(cluster: Cluster, place: number, beforeMs: number): Promise<void> {
  const inMs = cluster.alarmIn(place);
  if (inMs === null) throw new Error('an alarm is set');
  await cluster.world.pass(inMs - beforeMs);
}

async function transfer(cluster: Cluster, to: number): Promise<void> {
  const op = { case: 'transferLeader', value: to } as const;
  await cluster.world.settle(cluster.ask(cluster.leader() ?? 1, op));
  expect(cluster.leader()).toBe(to);
}

describe('rule 6: an expiry and what crosses it', () => {
  it('does nothing to a later grant of its id', async () => {
    const cluster = await born(far);
    await grant(cluster, 1, 7n, 5);
    await untilDeadline(cluster, 1, 100);
    // In flight, while the alarm still sees the lease that was there before.
    const revoked = cluster.ask(1, revokeOp(7n));
    const granted = cluster.ask(1, grantOp(7n, 60));
    await cluster.world.pass(101);
    const { lastIndex } = cluster.status(1);
    cluster.ring(1);
    await cluster.world.pass(30);
    expect(cluster.status(1).lastIndex).toBe(lastIndex + 1);
    expect((await cluster.world.settle(revoked)).outcome.case).toBe('response');
    expect((await cluster.world.settle(granted)).outcome.case).toBe('response');
    await cluster.world.pass(2_000);
    expect(await timeToLive(cluster, 1, 7n)).toMatchObject({ grantedTTL: 60n });
  });

  it('waits for a keep-alive that came before', async () => {
    const cluster = await born(far);
    await grant(cluster, 1, 7n, 5);
    await untilDeadline(cluster, 1, 100);
    // It comes in time, and its confirmation takes longer.
    const asked = cluster.ask(1, keepAliveOp(7n));
    await cluster.world.pass(101);
    cluster.ring(1);
    expect(ttlsIn(await cluster.world.settle(asked))).toEqual([5]);
    const ended = await endOf(cluster, 1, 7n, 20_000);
    expect(ended).toBeGreaterThan(5_000 - 200);
    expect(ended).toBeLessThan(5_000 + allowanceMs + gridMs + 500);
  });

  it('is looked for when a keep-alive is confirmed, and decides it', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 5);
    // The entry of the expiry is lost at first; what confirms a read is not.
    cluster.drop = carriesEntries;
    await untilDeadline(cluster, 1, -1);
    cluster.ring(1);
    const asked = cluster.ask(1, keepAliveOp(7n));
    await cluster.world.pass(100);
    expect(hasLease(cluster, 1, 7n)).toBe(true);
    cluster.drop = () => false;
    expect(ttlsIn(await cluster.world.settle(asked))).toEqual([0]);
    expect(hasLease(cluster, 1, 7n)).toBe(false);
  });

  it('does not come earlier because the life that answered a keep-alive is over', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await cluster.world.pass(8_000);
    expect(await keepAlive(cluster, 1, 7n)).toEqual([10]);
    cluster.endAll();
    expect(await endOf(cluster, 1, 7n, 30_000)).toBeGreaterThan(10_000);
  });
});

describe('rule 7: deadlines belong to a term', () => {
  it('a leader that is evicted every ten seconds does not restart them', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    await cluster.world.pass(1_000);
    // An office that begins with the lease there, and has written nothing about it.
    await transfer(cluster, 2);
    const from = cluster.world.now;
    for (let n = 0; n < 5; n += 1) {
      await cluster.world.pass(10_000);
      cluster.endAll();
      // Its next life has work, and knows the deadlines then.
      await timeToLive(cluster, 2, 7n);
    }
    expect(await timeToLive(cluster, 2, 7n)).toMatchObject({ TTL: 9n });
    await endOf(cluster, 2, 7n, 120_000);
    expect(cluster.world.now - from).toBeGreaterThan(60_000);
    expect(cluster.world.now - from).toBeLessThan(60_000 + allowanceMs + gridMs + 200);
  });

  it('what an office wrote counts for no later one', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 10);
    await transfer(cluster, 2);
    for (let n = 0; n < 4; n += 1) {
      await cluster.world.pass(6_000);
      expect(await keepAlive(cluster, 2, 7n)).toEqual([10]);
    }
    // In its own rows that lease has ended long ago.
    await transfer(cluster, 1);
    expect(await endOf(cluster, 1, 7n, 30_000)).toBeGreaterThan(10_000);
  });

  it('a grant that its leader has applied counts from then, in its next lives too', async () => {
    const cluster = await born();
    await cluster.world.pass(3_600_000);
    await grant(cluster, 1, 7n, 10);
    cluster.endAll();
    expect(await timeToLive(cluster, 1, 7n)).toMatchObject({ TTL: 9n });
    expect(await endOf(cluster, 1, 7n, 30_000)).toBeGreaterThan(10_000 - 100);
  });

  it('rows of offices that are over do not stay', async () => {
    const cluster = await born();
    for (let id = 1n; id <= 3n; id += 1n) await grant(cluster, 1, id, 3_600);
    await transfer(cluster, 2);
    await cluster.world.settle(cluster.ask(2, revokeOp(1n)));
    await transfer(cluster, 1);
    await cluster.world.pass(1_000);
    expect(cluster.sql(1).all('SELECT id FROM lease_deadline')).toEqual([]);
  });
});

describe('rule 14: watchdogs converge', () => {
  /** Alarms that have rung at `place` within so many milliseconds; asleep between them. */
  async function ringsWithin(cluster: Cluster, place: number, ms: number): Promise<number> {
    const before = cluster.alarms(place).rung;
    for (let passed = 0; passed < ms; passed += 30_000) {
      await cluster.world.pass(30_000);
      cluster.evictResting();
    }
    return cluster.alarms(place).rung - before;
  }

  it('the answer names the earliest deadline, and an answer without one ends the watch', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    await grant(cluster, 1, 8n, 3_600);
    await cluster.world.settle(cluster.ask(1, revokeOp(7n)));
    expect(await ringsWithin(cluster, 2, 3_500_000)).toBe(1);
    await cluster.world.settle(cluster.ask(1, revokeOp(8n)));
    expect(await ringsWithin(cluster, 2, 24 * 3_600_000)).toBe(1);
    expect([1, 2, 3].map((place) => cluster.hasAlarm(place))).toEqual([false, false, false]);
  });

  it('without an answer the interval grows, in life after life', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    await cluster.world.pass(1_000);
    cluster.refuse = ({ from, to }) => from === 1 || to === 1 || from === 2 || to === 2;
    cluster.dropAlarm = (place) => place < 3;
    expect(await ringsWithin(cluster, 3, 12 * 3_600_000)).toBeLessThan(12 + 15);
    // And once somebody answers again, the lease ends.
    cluster.refuse = () => false;
    expect(await endOf(cluster, 3, 7n, 2 * 3_600_000)).toBeLessThan(3_600_000 + 180_000);
  });

  it('a leader that cannot end its leases is asked less and less often', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    await cluster.world.pass(1_000);
    cluster.drop = ({ path }) => path === 'peer';
    expect(await ringsWithin(cluster, 2, 12 * 3_600_000)).toBeLessThan(12 + 15);
  }, 60_000);

  it('a handler that could not ask asks again', async () => {
    const cluster = await born();
    await grant(cluster, 1, 7n, 60);
    cluster.dropAlarm = (place) => place !== 2;
    cluster.drop = ({ path }) => path === 'client';
    await untilAlarm(cluster, 2, -100);
    expect(cluster.alarms(2).rung).toBe(1);
    // This life ends with its question on the way.
    cluster.endAll();
    cluster.drop = () => false;
    expect(await endOf(cluster, 2, 7n, 600_000)).toBeLessThan(61_000);
  });
});
