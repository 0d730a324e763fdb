/**
 * Situations in which a group could be stuck (design.md section 6): each ends within a bound of
 * virtual time, and with no election where none is needed. One way takes 1 ms here.
 */
import { describe, expect, it } from 'vitest';
import type { MemberRequest } from '../../src/api/gen/member_pb.js';
import { defaultSettings } from '../../src/raft/state.ts';
import { Cluster } from './cluster.ts';
import { get, getOp, persist, put, putOp, valueIn } from './support.ts';

const { checkTimeoutMs, electionTimeoutMs, staggerMs } = defaultSettings;
/** A few ways to and fro, and the host's own turns between them. */
const roundsMs = 50;
/** A silent leader is given up, by the last in rank at the latest, and another one elected. */
const replacedMs = checkTimeoutMs + 2 * staggerMs + roundsMs;

async function born(): Promise<Cluster> {
  const cluster = new Cluster({ size: 3 });
  await put(cluster, 1, 'a', '1');
  await cluster.world.pass(1_000);
  return cluster;
}

const suspicion: Partial<MemberRequest> = { suspectTerm: 1n };

function isolate(cluster: Cluster, place: number): void {
  cluster.drop = ({ from, to }) => from === place || to === place;
}

const terms = (cluster: Cluster, ...places: number[]) =>
  places.map((place) => cluster.status(place).term);

/** Milliseconds until `place` has had the write served, by itself or by a relay. */
async function servedWithin(cluster: Cluster, place: number): Promise<number> {
  const askedAt = cluster.world.now;
  const reply = await cluster.world.settle(cluster.ask(place, putOp('a', 'next'), suspicion));
  expect(reply.outcome.case).toBe('response');
  return cluster.world.now - askedAt;
}

describe('a group whose leader is lost', () => {
  it('writes again though the suspicion reaches the member with the short log', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    isolate(cluster, 1);
    // Member 3 asks in vain, is refused, and member 2 takes its turn with its own check.
    expect(await servedWithin(cluster, 3)).toBeLessThanOrEqual(2 * replacedMs);
    expect(cluster.leader() === 2 || cluster.status(2).role === 'leader').toBe(true);
    expect(cluster.status(3).term).toBe(2);
  });

  it('keeps what was acknowledged before its followers knew', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    cluster.end(1, 'lost');
    cluster.refuse = ({ to }) => to === 1;
    expect(cluster.status(2).revision).toBe(2);
    const askedAt = cluster.world.now;
    const read = await cluster.world.settle(cluster.ask(2, getOp('a'), suspicion));
    expect(valueIn(read)).toBe('2');
    expect(cluster.world.now - askedAt).toBeLessThanOrEqual(2 * replacedMs);
    expect(await servedWithin(cluster, 2)).toBeLessThanOrEqual(roundsMs);
  });

  it('elects another when its storage was wiped, be the place down or back with nothing', async () => {
    for (const isBack of [false, true])
      for (const place of [2, 3]) {
        const cluster = await born();
        cluster.wipe(1);
        if (!isBack) cluster.refuse = ({ to }) => to === 1;
        expect(await servedWithin(cluster, place)).toBeLessThanOrEqual(2 * replacedMs);
        expect(terms(cluster, 2, 3)).toEqual([2, 2]);
      }
  });

  it('elects one leader for two suspects at once', async () => {
    const cluster = await born();
    isolate(cluster, 1);
    const askedAt = cluster.world.now;
    const asked = [2, 3].map((place) => cluster.ask(place, putOp('a', `${place}`), suspicion));
    const replies = await cluster.world.settle(Promise.all(asked));
    expect(replies.map(({ outcome }) => outcome.case)).toEqual(['response', 'response']);
    expect(cluster.world.now - askedAt).toBeLessThanOrEqual(replacedMs);
    expect(terms(cluster, 2, 3)).toEqual([2, 2]);
  });
});

describe('a member whose group is lost', () => {
  it('comes to rest with a tail that nobody resolves: its keep-alive finds it no new work', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    for (const place of [1, 3]) cluster.end(place, 'lost');
    cluster.refuse = ({ to }) => to !== 2;
    const { lastIndex, commitIndex } = cluster.status(2);
    expect(lastIndex).toBeGreaterThan(commitIndex);
    await cluster.world.pass(20 * 60_000);
    cluster.traffic.length = 0;
    await cluster.world.pass(10 * 60_000);
    // One repair alarm: six suspicions that live for ten seconds, with two rounds to two peers a second.
    expect(cluster.traffic.length).toBeLessThan(6 * 10 * 2 * 2);
  });
});

describe('a group whose leader lives', () => {
  it('serves a router that is cut off from it, by a relay and without an election', async () => {
    const cluster = await born();
    cluster.drop = ({ from, to }) => from === 0 && to === 1;
    expect(await servedWithin(cluster, 2)).toBeLessThanOrEqual(roundsMs);
    expect(cluster.status(1)).toMatchObject({ role: 'leader', term: 1, revision: 3 });
  });

  it('replaces it if its own calls reach nobody, although it answers', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    const askedAt = cluster.world.now;
    const reply = await cluster.world.settle(
      cluster.ask(1, putOp('a', '2'), { timeoutMs: 2 * electionTimeoutMs }),
    );
    expect(reply.outcome.case).not.toBe('response');
    await cluster.world.settle(cluster.ask(2, putOp('a', '3'), suspicion));
    expect(cluster.world.now - askedAt).toBeLessThanOrEqual(2 * electionTimeoutMs + replacedMs);
    cluster.drop = () => false;
    expect(valueIn(await persist(cluster, getOp('a')))).toBe('3');
  });

  it('wakes after a deploy in one round, at whatever member the first write arrives', async () => {
    for (const place of [1, 2, 3]) {
      const cluster = await born();
      cluster.endAll();
      expect(await servedWithin(cluster, place)).toBeLessThanOrEqual(roundsMs);
      expect(terms(cluster, 1, 2, 3)).toEqual([1, 1, 1]);
    }
  });

  it('tells the final commit again when the notice is lost, or is asked for it', async () => {
    for (const isEvicted of [false, true]) {
      const cluster = await born();
      await put(cluster, 1, 'a', '2');
      cluster.drop = ({ from }) => from === 1;
      await cluster.world.pass(defaultSettings.commitNoticeMs + 10);
      if (isEvicted) cluster.end(1);
      cluster.drop = () => false;
      await cluster.world.pass(2 * electionTimeoutMs + roundsMs);
      for (const place of [2, 3]) expect(cluster.status(place).revision).toBe(3);
      expect(await servedWithin(cluster, 1)).toBeLessThanOrEqual(roundsMs);
      expect(terms(cluster, 1, 2, 3)).toEqual([1, 1, 1]);
      expect(await get(cluster, 1, 'a')).toBe('next');
    }
  });
});
