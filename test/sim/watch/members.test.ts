/** Watches at the members of a group in virtual time: what becomes of them when members do. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ChangeMembershipSchema } from '../../../src/api/gen/member_pb.js';
import { born, getOp, persist, put, putOp } from '../support.ts';
import { SimWatcher } from './sim-socket.ts';

describe('a watch at a member', () => {
  it.each([1, 2, 3])('hears at place %i of what the group commits', async (place) => {
    const cluster = await born();
    const watcher = new SimWatcher(cluster, place, 3);
    await cluster.world.pass(100);
    await put(cluster, 1, 'b', '1');
    await put(cluster, 1, 'b', '2');
    await cluster.world.pass(100);
    expect(watcher.events).toEqual(['+b=1@3', '+b=2@4']);
    expect(watcher.sockets).toBe(1);
  });

  it('hears of nothing that is not durable yet', async () => {
    const cluster = await born({ commitMs: 50 });
    const watcher = new SimWatcher(cluster, 1, 3);
    await cluster.world.pass(1_000);
    const answered = put(cluster, 1, 'b', '1');
    await answered;
    const seenAtAnswer = watcher.events.length;
    await cluster.world.pass(1_000);
    expect([seenAtAnswer <= 1, watcher.events]).toEqual([true, ['+b=1@3']]);
  });

  it.each(Array.from({ length: 24 }, (_, n) => 4 * n + 1))(
    'whose member is aborted %i ms after a write, between event and send or not, misses nothing',
    async (ms) => {
      const cluster = await born({ commitMs: 20 });
      const watcher = new SimWatcher(cluster, 1, 3);
      await cluster.world.pass(1_000);
      void cluster.ask(1, putOp('b', '1')).catch(() => {});
      await cluster.world.pass(ms);
      cluster.end(1, 'aborted');
      await persist(cluster, putOp('c', '1'), [2, 3]);
      await cluster.world.pass(5_000);
      const [first, ...more] = watcher.events.map((line) => line.split('@')[0]);
      // Whether the first write came about is open; that it is told once if it did is not.
      expect(first === '+c=1' ? more : [first, ...more].slice(1)).toEqual(
        first === '+c=1' ? [] : ['+c=1'],
      );
      expect(watcher.sockets).toBe(2);
    },
  );

  it('sleeps with it and goes on, on the same socket', async () => {
    const cluster = await born();
    const watcher = new SimWatcher(cluster, 2, 3);
    for (let n = 0; n < 4; n += 1) {
      await cluster.world.pass(30_000);
      cluster.endAll();
      await persist(cluster, putOp('b', String(n)));
    }
    await cluster.world.pass(1_000);
    expect(watcher.events).toEqual(['+b=0@3', '+b=1@4', '+b=2@5', '+b=3@6']);
    expect(watcher.sockets).toBe(1);
  });

  it('costs an idle group no timer', async () => {
    const cluster = await born();
    for (const place of [1, 2, 3]) new SimWatcher(cluster, place, 3);
    await cluster.world.pass(60_000);
    expect([1, 2, 3].map((place) => cluster.status(place).atRest)).toEqual([true, true, true]);
    expect(cluster.world.isQuiet).toBe(true);
  });

  it('goes on elsewhere when its member is removed', async () => {
    const cluster = await born();
    const watcher = new SimWatcher(cluster, 3, 3);
    await cluster.world.pass(100);
    const value = create(ChangeMembershipSchema, { voters: [1, 2], learners: [] });
    await cluster.world.settle(cluster.ask(1, { case: 'changeMembership', value }));
    await cluster.world.pass(1_000);
    await put(cluster, 1, 'b', '1');
    await cluster.world.pass(1_000);
    expect(watcher.events).toEqual(['+b=1@3']);
    expect(watcher.place).not.toBe(3);
  });

  it('hears that nobody leads once its member has looked for a leader in vain, and only then', async () => {
    const cluster = await born();
    const watcher = new SimWatcher(cluster, 2, 3);
    const isCut = ({ from, to }: { from: number; to: number }) =>
      [1, 3].some((place) => from === place || to === place);
    await cluster.world.pass(60_000);
    // At rest nobody looks, though there is no quorum any more.
    cluster.drop = isCut;
    await cluster.world.pass(60_000);
    expect(watcher.leaderless).toBe(0);
    const asked = cluster.ask(2, getOp('a'), { suspectTerm: 1n, timeoutMs: 6_000 });
    await cluster.world.pass(1_000);
    expect(watcher.leaderless).toBe(0);
    await cluster.world.pass(3_000);
    expect(watcher.leaderless).toBe(1);
    await cluster.world.settle(asked);
    cluster.drop = () => false;
    await persist(cluster, putOp('b', '1'), [2]);
    await cluster.world.pass(10_000);
    expect(watcher.leaderless).toBe(1);
  });
});
