/** What the modelled platform does to calls and answers: the output gate in time, and losses. */
import { describe, expect, it } from 'vitest';
import { Cluster, type ClusterOptions } from './cluster.ts';
import { get, persist, put, putOp } from './support.ts';

const commitMs = 5;

async function born(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options);
  await put(cluster, 1, 'a', '1');
  await cluster.world.pass(1_000);
  return cluster;
}

/** Two ways to the member and two from there to the quorum, a millisecond each. */
const waysMs = 4;

describe('the output gate', () => {
  it('holds a write back for each commit it waits for: leader, follower, effects', async () => {
    const cluster = await born({ commitMs });
    const begunAt = cluster.world.now;
    await put(cluster, 1, 'a', '2');
    expect(cluster.world.now - begunAt).toBe(waysMs + 3 * commitMs);
  });

  it('is open to a read, which commits nothing', async () => {
    const cluster = await born({ commitMs });
    const begunAt = cluster.world.now;
    await get(cluster, 1, 'a');
    expect(cluster.world.now - begunAt).toBe(waysMs);
  });

  it('lets nothing out of a life that ends while it is closed', async () => {
    const cluster = await born({ commitMs });
    cluster.traffic.length = 0;
    void cluster.ask(1, putOp('a', '2')).catch(() => {});
    // The request has arrived and its entry is being committed.
    await cluster.world.pass(1 + commitMs / 2);
    cluster.end(1);
    await cluster.world.pass(1_000);
    expect(cluster.traffic.filter(({ from }) => from === 1)).toEqual([]);
  });
});

describe('losses', () => {
  it('a call whose response is lost has arrived', async () => {
    const cluster = await born();
    cluster.dropResponse = ({ from }) => from === 1;
    const reply = cluster.ask(1, putOp('a', '2'), { timeoutMs: 300 });
    const { outcome } = await cluster.world.settle(reply);
    expect(outcome.value).toMatchObject({ error: 'OutcomeUnknown' });
    expect(cluster.status(2).lastIndex).toBe(cluster.status(1).lastIndex);
  });

  it('a refused call fails after a round trip, and the others go on', async () => {
    const cluster = await born();
    cluster.end(1);
    cluster.refuse = ({ to }) => to === 1;
    const begunAt = cluster.world.now;
    await expect(cluster.world.settle(cluster.ask(1, putOp('a', '2')))).rejects.toThrow();
    expect(cluster.world.now - begunAt).toBe(2);
    await persist(cluster, putOp('a', '3'), [2, 3]);
    expect(cluster.leader()).not.toBe(1);
  });
});
