/** What a member waits for is counted in time that passes, whatever its clock is set to meanwhile. */
import { describe, expect, it } from 'vitest';
import type { Cluster } from './cluster.ts';
import { born, getOp, persist, putOp, responseOf, valueIn } from './support.ts';

const hourMs = 3_600_000;

/** Many at once, so that the next ones are gathered. */
async function burst(cluster: Cluster): Promise<void> {
  const asked = Array.from({ length: 20 }, (_, n) => cluster.ask(1, putOp('b', `${n}`)));
  for (const one of asked) responseOf(await cluster.world.settle(one));
}

describe('a clock that is set back', () => {
  it('holds up no write of a leader at work', async () => {
    const cluster = await born();
    await burst(cluster);
    cluster.skew(1, -hourMs);
    responseOf(await cluster.world.settle(cluster.ask(1, putOp('a', '2'))));
  });

  it('lets a leader send again what was lost', async () => {
    const cluster = await born();
    cluster.skew(1, -hourMs);
    cluster.drop = ({ from }) => from === 1;
    const asked = cluster.ask(1, putOp('a', '2'));
    await cluster.world.pass(10);
    cluster.drop = () => false;
    responseOf(await cluster.world.settle(asked));
  });

  it('lets a client wait no longer than it wants to', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    const asked = cluster.ask(1, putOp('a', '2'), { timeoutMs: 2_000 });
    await cluster.world.pass(10);
    cluster.skew(1, -hourMs);
    const began = cluster.world.now;
    await cluster.world.settle(asked);
    expect(cluster.world.now - began).toBeLessThan(10_000);
  });

  it('keeps no member from replacing a leader that is gone', async () => {
    const cluster = await born();
    await cluster.world.settle(cluster.ask(3, getOp('a'), { readHere: true }));
    for (const place of [2, 3]) cluster.skew(place, -hourMs);
    cluster.refuse = ({ to }) => to === 1;
    const began = cluster.world.now;
    expect(valueIn(await persist(cluster, getOp('a'), [3, 2]))).toBe('1');
    expect(cluster.world.now - began).toBeLessThan(10_000);
  });
});
