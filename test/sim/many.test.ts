/** Groups of more members than an object has calls: those that are gone must not take them all. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ChangeMembershipSchema } from '../../src/api/gen/member_pb.js';
import type { Cluster } from './cluster.ts';
import { born, persist, putOp, responseOf } from './support.ts';

const placesTo = (last: number, first = 1) =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

async function change(cluster: Cluster, voters: number[], learners: number[] = []): Promise<void> {
  const value = create(ChangeMembershipSchema, { voters, learners });
  const asked = cluster.ask(1, { case: 'changeMembership', value }, { timeoutMs: 10_000 });
  responseOf(await cluster.world.settle(asked));
  await cluster.world.pass(2_000);
}

/** Calls to them hang: a place that is gone refuses nothing. */
function loses(cluster: Cluster, gone: readonly number[]): void {
  cluster.drop = ({ from, to }) => gone.includes(from) || gone.includes(to);
}

describe('a group that has lost more members than it has calls', () => {
  it.each([6, 12])('writes with its voters while %i learners are gone', async (count) => {
    const cluster = await born();
    await change(cluster, [1, 2, 3], placesTo(3 + count, 4));
    loses(cluster, placesTo(3 + count, 4));
    for (let n = 0; n < 20; n += 1) {
      const askedAt = cluster.world.now;
      responseOf(await cluster.world.settle(cluster.ask(1, putOp('a', `${n}`))));
      expect(cluster.world.now - askedAt).toBeLessThan(100);
      await cluster.world.pass(100);
    }
    expect(cluster.status(1)).toMatchObject({ role: 'leader', term: 1 });
  });

  it('goes on with a bare majority of thirteen voters', async () => {
    const cluster = await born();
    await change(cluster, [1, 2, 3], placesTo(13, 4));
    await change(cluster, placesTo(13));
    loses(cluster, placesTo(7, 2));
    const living = [1, ...placesTo(13, 8)];
    await persist(cluster, putOp('a', 'at last'), living);
    const { term } = cluster.status(1);
    for (let n = 0; n < 20; n += 1) {
      const leader = living.find((place) => cluster.status(place).role === 'leader') ?? 0;
      const askedAt = cluster.world.now;
      responseOf(await cluster.world.settle(cluster.ask(leader, putOp('a', `${n}`))));
      expect(cluster.world.now - askedAt).toBeLessThan(100);
      await cluster.world.pass(100);
    }
    expect(cluster.status(1).term).toBe(term);
  });

  it('brings each of them up to date that comes back, whichever it is', async () => {
    const cluster = await born();
    const learners = placesTo(15, 4);
    await change(cluster, [1, 2, 3], learners);
    for (const back of [4, 15]) {
      loses(
        cluster,
        learners.filter((place) => place !== back),
      );
      for (let n = 0; n < 60; n += 1) {
        responseOf(await cluster.world.settle(cluster.ask(1, putOp('a', `${back} ${n}`))));
        await cluster.world.pass(100);
      }
      const { appliedIndex } = cluster.status(1);
      expect(cluster.status(back).appliedIndex).toBeGreaterThan(appliedIndex - 5);
    }
  });
});
