/** What clients of a simulated group see of leases, and what leases cost (docs/decisions/leases.md). */
import { create, fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { LeaseLeasesRequestSchema, LeaseLeasesResponseSchema } from '../../src/api/gen/rpc_pb.js';
import type { Cluster } from './cluster.ts';
import {
  born,
  get,
  grant,
  hasLease,
  keepAliveOp,
  responseOf,
  revokeOp,
  timeToLive,
  ttlsIn,
} from './support.ts';

const places = [1, 2, 3] as const;
/** What a deadline is later than its TTL says, and its alarm than the deadline. */
const allowanceMs = 500;
const gridMs = 500;

async function keepAlive(cluster: Cluster, place: number, ...ids: bigint[]): Promise<number[]> {
  return ttlsIn(await cluster.world.settle(cluster.ask(place, keepAliveOp(...ids))));
}

/** When the lease ended in the state of `place`, counted from now; asks nobody. */
async function endOf(cluster: Cluster, place: number, id: bigint, withinMs: number) {
  const from = cluster.world.now;
  while (hasLease(cluster, place, id)) {
    if (cluster.world.now - from > withinMs) return Number.POSITIVE_INFINITY;
    await cluster.world.pass(50);
  }
  return cluster.world.now - from;
}

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
    await cluster.world.pass(2_500);
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

describe('the loss of the leader', () => {
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
