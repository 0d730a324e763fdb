/** Members through etcd's calls: what becomes of places, of URLs that name none, and what is refused. */

import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ChangeMembershipSchema, ClusterSchema } from '../../src/api/gen/member_pb.js';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { ClusterService } from '../../src/node-do/cluster/cluster-service.ts';
import { Roster } from '../../src/node-do/cluster/roster.ts';
import { thisCode } from '../../src/node-do/platform.ts';
import { addUser, enable, giveRole } from '../kv/auth/support.ts';
import type { Cluster } from './cluster.ts';
import {
  add,
  addedIn,
  askMembers,
  errorIn,
  idOf,
  list,
  opOf,
  promote,
  remove,
  told,
  update,
  urlOf,
} from './members.ts';
import { born, get, hashAt, persist, put, putOp, responseOf } from './support.ts';

const foreign = 'http://10.0.0.1:2380';

async function leaderOf(cluster: Cluster): Promise<number> {
  await cluster.world.pass(1_000);
  const leader = cluster.leader();
  if (leader === null) throw new Error('nobody leads');
  return leader;
}

async function agreed(cluster: Cluster, places: readonly number[]): Promise<void> {
  await cluster.world.pass(2_000);
  const hashes = new Set(places.map((place) => hashAt(cluster, place)));
  expect(hashes.size).toBe(1);
}

async function removePlace(cluster: Cluster, place: number): Promise<void> {
  expect(errorIn(await remove(cluster, await idOf(cluster, `place-${place}`)))).toBe('ok');
}

/** Calls between `place` and its peers are lost. */
function isolate(cluster: Cluster, place: number): void {
  cluster.drop = ({ from, to }) => from !== 0 && (from === place || to === place);
}

describe('members of a group', () => {
  it('are named after their places, with the id that headers have', async () => {
    const cluster = await born();
    const members = await list(cluster);
    expect(members.map(({ name }) => name).sort()).toEqual(['place-1', 'place-2', 'place-3']);
    for (const { ID, name, peerURLs, isLearner } of members) {
      const place = Number(name.slice('place-'.length));
      expect(String(ID)).toBe(cluster.status(place).memberId);
      expect({ peerURLs, isLearner }).toEqual({ peerURLs: [urlOf(place)], isLearner: false });
    }
    const ids = members.map(({ ID }) => ID);
    expect(ids).toEqual([...ids].sort((a, b) => (a < b ? -1 : 1)));
  });

  it('grow from one to five, are replaced one by one, and shrink to one, and all hold the same', async () => {
    const cluster = await born({ size: 1 });
    for (const place of [2, 3, 4, 5]) {
      const added = addedIn(await add(cluster, urlOf(place)));
      expect(added).toMatchObject({ name: '', isLearner: false, peerURLs: [urlOf(place)] });
      await put(cluster, await leaderOf(cluster), 'a', String(place));
      await agreed(
        cluster,
        Array.from({ length: place }, (_, at) => at + 1),
      );
    }
    for (const place of [5, 4]) await removePlace(cluster, place);
    for (const [gone, come] of [
      [1, 6],
      [2, 7],
      [3, 8],
    ] as const) {
      expect(errorIn(await add(cluster, urlOf(come)))).toBe('ok');
      await removePlace(cluster, gone);
      await put(cluster, await leaderOf(cluster), 'a', String(come));
      await cluster.world.pass(2_000);
      expect(cluster.status(gone).born).toBe(false);
    }
    await agreed(cluster, [6, 7, 8]);
    expect(await told(cluster)).toEqual(['place-6', 'place-7', 'place-8']);
    for (const place of [6, 7]) await removePlace(cluster, place);
    const last = await leaderOf(cluster);
    expect(last).toBe(8);
    expect(await get(cluster, 8, 'a')).toBe('8');
    expect(await told(cluster)).toEqual(['place-8']);
    await cluster.world.pass(120_000);
    expect(cluster.world.isQuiet).toBe(true);
  });

  it('that were removed leave nothing but a tombstone, and come back as somebody else', async () => {
    const cluster = await born();
    const before = await idOf(cluster, 'place-3');
    await removePlace(cluster, 3);
    await cluster.world.pass(2_000);
    expect(cluster.status(3).born).toBe(false);
    expect(StateMachine.exists(cluster.sql(3))).toBe(false);
    expect(errorIn(await add(cluster, urlOf(3)))).toBe('ok');
    expect(await idOf(cluster, 'place-3')).not.toBe(before);
    expect(errorIn(await remove(cluster, before))).toBe('MemberNotFound');
    await agreed(cluster, [1, 2, 3]);
  });

  it('are learners when they are added as such, and vote when they are promoted', async () => {
    const cluster = await born();
    const { ID, isLearner } = addedIn(await add(cluster, urlOf(4), true));
    expect(isLearner).toBe(true);
    await cluster.world.pass(120_000);
    expect(await told(cluster)).toContain('place-4 learner');
    expect(errorIn(await promote(cluster, ID))).toBe('ok');
    expect(await told(cluster)).toContain('place-4');
    expect(errorIn(await promote(cluster, ID))).toBe('MemberNotLearner');
    expect(cluster.status(1).voters).toEqual([1, 2, 3, 4]);
  });
});

describe('a place that is added as a voter', () => {
  it('has not started until it holds the log, and then votes without being asked again', async () => {
    const cluster = await born();
    cluster.drop = ({ to, path }) => path === 'peer' && to === 4;
    const reply = await add(cluster, urlOf(4), false, { timeoutMs: 3_000 });
    expect(errorIn(reply)).toBe('ok');
    expect(await told(cluster)).toContain(`- ${urlOf(4)}`);
    expect(cluster.status(1)).toMatchObject({ voters: [1, 2, 3], learners: [4] });
    expect(errorIn(await add(cluster, urlOf(4)))).toBe('PeerURLExist');
    cluster.drop = () => false;
    await put(cluster, await leaderOf(cluster), 'b', '1');
    await cluster.world.pass(10_000);
    expect(cluster.status(1)).toMatchObject({ voters: [1, 2, 3, 4], learners: [] });
  });

  it('is made one by the next leader too', async () => {
    const cluster = await born();
    cluster.drop = ({ to, path }) => path === 'peer' && to === 4;
    expect(errorIn(await add(cluster, urlOf(4), false, { timeoutMs: 3_000 }))).toBe('ok');
    await cluster.world.pass(2_000);
    cluster.endAll();
    cluster.drop = () => false;
    await put(cluster, 1, 'b', '1');
    await list(cluster);
    await cluster.world.pass(10_000);
    expect(await told(cluster)).toContain('place-4');
  });

  it('keeps nobody awake for ever if it never comes', async () => {
    const cluster = await born();
    expect(errorIn(await add(cluster, urlOf(4), true))).toBe('ok');
    cluster.drop = ({ to }) => to === 5;
    expect(errorIn(await add(cluster, urlOf(5), false))).toBe('MemberUnreachable');
    cluster.drop = ({ to, path }) => path === 'peer' && to === 5;
    expect(errorIn(await add(cluster, urlOf(5), false, { timeoutMs: 1_000 }))).toBe('ok');
    await cluster.world.pass(60_000);
    expect(cluster.status(1).atRest).toBe(true);
  });

  it('stays a learner if it is said to be one through /v1', async () => {
    const cluster = await born();
    expect(errorIn(await add(cluster, urlOf(4)))).toBe('ok');
    const value = create(ChangeMembershipSchema, { voters: [1, 2, 3], learners: [4] });
    const demoted = cluster.ask(1, { case: 'changeMembership', value }, { timeoutMs: 10_000 });
    responseOf(await cluster.world.settle(demoted));
    expect(await told(cluster)).toContain('place-4 learner');
    await cluster.world.pass(60_000);
    expect(cluster.status(1).learners).toEqual([4]);
  });

  it('leaves no record behind when it is removed through /v1', async () => {
    const cluster = await born();
    expect(errorIn(await add(cluster, ['http://place-4.weur:2380', foreign]))).toBe('ok');
    const value = create(ChangeMembershipSchema, { voters: [1, 2, 3] });
    const removed = cluster.ask(1, { case: 'changeMembership', value }, { timeoutMs: 10_000 });
    responseOf(await cluster.world.settle(removed));
    expect(await told(cluster)).toEqual(['place-1', 'place-2', 'place-3']);
    expect(errorIn(await add(cluster, foreign, true))).toBe('ok');
  });

  it('is created where its URL says', async () => {
    const cluster = await born();
    expect(errorIn(await add(cluster, 'http://place-4.apac-se:2380', true))).toBe('ok');
    const first = cluster.traffic.find(({ to }) => to === 4);
    expect(first).toMatchObject({ path: 'birth', hint: 'apac-se' });
    expect(await list(cluster)).toContainEqual(
      expect.objectContaining({ peerURLs: ['http://place-4.apac-se:2380'], name: 'place-4' }),
    );
  });
});

describe('a member that has not started', () => {
  it('is created nowhere, and counts for no quorum', async () => {
    const cluster = await born({ size: 1 });
    const { ID } = addedIn(await add(cluster, foreign));
    expect(await told(cluster)).toEqual([`- ${foreign}`, 'place-1']);
    await put(cluster, 1, 'a', '2');
    expect(cluster.status(1)).toMatchObject({ voters: [1], learners: [] });
    expect(cluster.traffic.filter(({ to }) => to > 5)).toEqual([]);
    expect(errorIn(await promote(cluster, ID))).toBe('LearnerNotReady');
    expect(errorIn(await remove(cluster, ID))).toBe('ok');
    expect(errorIn(await remove(cluster, ID))).toBe('MemberNotFound');
    expect(await told(cluster)).toEqual(['place-1']);
  });

  it('keeps its id when it is given a place, and headers say it too', async () => {
    const cluster = await born({ size: 1 });
    const { ID } = addedIn(await add(cluster, foreign, true));
    expect(errorIn(await update(cluster, ID, ['http://b:2', 'http://a:1']))).toBe('ok');
    expect((await list(cluster)).find((one) => one.ID === ID)?.peerURLs).toEqual([
      'http://b:2',
      'http://a:1',
    ]);
    expect(errorIn(await update(cluster, ID, urlOf(6)))).toBe('ok');
    const member = (await list(cluster)).find((one) => one.ID === ID);
    expect(member).toMatchObject({ name: 'place-6', isLearner: true, peerURLs: [urlOf(6)] });
    expect(errorIn(await promote(cluster, ID))).toBe('ok');
    await cluster.world.pass(1_000);
    expect(cluster.status(6)).toMatchObject({ memberId: String(ID), voters: [1, 6] });
    expect(errorIn(await remove(cluster, ID))).toBe('ok');
    expect(await told(cluster)).toEqual(['place-1']);
  });

  it('is known after a snapshot, and to every leader', async () => {
    const cluster = await born();
    const { ID } = addedIn(await add(cluster, foreign));
    await cluster.world.pass(1_000);
    cluster.endAll();
    await put(cluster, 2, 'b', '2').catch(() => null);
    expect((await list(cluster)).some((one) => one.ID === ID)).toBe(true);
  });
});

describe('a group that is begun anew by a survivor', () => {
  it('forgets what was known of the members that it was left by, and their URLs are free', async () => {
    const cluster = await born({ size: 1 });
    for (const place of [2, 3])
      expect(errorIn(await add(cluster, [urlOf(place), `http://10.0.0.${place}:1`]))).toBe('ok');
    await cluster.world.pass(1_000);
    cluster.wipe(1);
    cluster.wipe(3);
    const { groupId } = cluster.status(2);
    await cluster.world.settle(cluster.life(2).member.recover(groupId ?? ''));
    expect(await told(cluster)).toEqual(['place-2']);
    for (const place of [1, 3])
      expect(errorIn(await add(cluster, [urlOf(place), `http://10.0.0.${place}:1`]))).toBe('ok');
    expect(await told(cluster)).toEqual(['place-1', 'place-2', 'place-3']);
    await agreed(cluster, [1, 2, 3]);
  });
});

describe('what etcd refuses', () => {
  it('is refused: URLs that are none, or name no place that can be', async () => {
    const cluster = await born({ size: 1 });
    const bad = ['', 'a:1', 'http://a', 'http://a:1/', 'http://place-0:1', 'http://place-1000:1'];
    for (const url of [...bad, 'http://place-4.mars:1', 'http://place-04:1'])
      expect([url, errorIn(await add(cluster, url))]).toEqual([url, 'MemberBadURLs']);
    expect(errorIn(await add(cluster, []))).toBe('MemberBadURLs');
    expect(errorIn(await add(cluster, [urlOf(4), urlOf(5)]))).toBe('MemberBadURLs');
    const own = await idOf(cluster, 'place-1');
    expect(errorIn(await update(cluster, own, urlOf(4)))).toBe('MemberBadURLs');
    expect(errorIn(await update(cluster, own, []))).toBe('MemberBadURLs');
    expect(await told(cluster)).toEqual(['place-1']);
  });

  it('is refused: a URL that is taken, by its text or by its place', async () => {
    const cluster = await born({ size: 1 });
    const { ID } = addedIn(await add(cluster, foreign));
    for (const url of [foreign, urlOf(1), 'https://place-1.weur:99'])
      expect(errorIn(await add(cluster, [url, 'http://other:1'], true))).toBe('PeerURLExist');
    expect(errorIn(await update(cluster, ID, urlOf(1)))).toBe('PeerURLExist');
    expect(errorIn(await update(cluster, await idOf(cluster, 'place-1'), foreign))).toBe(
      'PeerURLExist',
    );
    expect(errorIn(await update(cluster, 1n, foreign))).toBe('MemberNotFound');
    expect(errorIn(await promote(cluster, 1n))).toBe('MemberNotFound');
  });

  it('is refused: a second learner, started or not', async () => {
    const cluster = await born();
    const { ID } = addedIn(await add(cluster, foreign, true));
    expect(errorIn(await add(cluster, urlOf(4), true))).toBe('TooManyLearners');
    expect(errorIn(await remove(cluster, ID))).toBe('ok');
    expect(errorIn(await add(cluster, urlOf(4), true))).toBe('ok');
    expect(errorIn(await add(cluster, foreign, true))).toBe('TooManyLearners');
    expect(errorIn(await add(cluster, urlOf(5)))).toBe('ok');
  });

  it('is refused: too few that have started', async () => {
    const cluster = await born({ size: 1 });
    const own = await idOf(cluster, 'place-1');
    expect(errorIn(await remove(cluster, own))).toBe('MemberNotEnoughStarted');
    const { ID } = addedIn(await add(cluster, foreign));
    expect(errorIn(await add(cluster, urlOf(2)))).toBe('MemberNotEnoughStarted');
    expect(errorIn(await remove(cluster, own))).toBe('MemberNotEnoughStarted');
    const learner = addedIn(await add(cluster, urlOf(2), true)).ID;
    expect(errorIn(await promote(cluster, learner))).toBe('ok');
    expect(errorIn(await remove(cluster, ID))).toBe('ok');
    expect(await told(cluster)).toEqual(['place-1', 'place-2']);
  });

  it('is refused: a removal after which those that answer are no quorum', async () => {
    const cluster = await born();
    isolate(cluster, 3);
    const reply = await remove(cluster, await idOf(cluster, 'place-2'));
    expect(errorIn(reply)).toBe('Unhealthy');
    expect(cluster.status(1).voters).toEqual([1, 2, 3]);
    // The one that is gone is what may go.
    expect(errorIn(await remove(cluster, await idOf(cluster, 'place-3')))).toBe('ok');
    expect(await told(cluster)).toEqual(['place-1', 'place-2']);
  });
});

describe('a change of members', () => {
  it('that removes the leader is made by the next one', async () => {
    const cluster = await born();
    const reply = await remove(cluster, await idOf(cluster, 'place-1'));
    expect(errorIn(reply)).toBe('ok');
    expect(reply.servedBy?.place).not.toBe(1);
    expect(await told(cluster)).toEqual(['place-2', 'place-3']);
    await cluster.world.pass(2_000);
    expect(cluster.status(1).born).toBe(false);
  });

  it('is said to be unknown when nobody can tell, and never to have failed', async () => {
    const cluster = await born();
    await cluster.world.pass(1_000);
    cluster.drop = ({ path, from }) =>
      path === 'peer' && from === 1 && cluster.status(1).lastIndex > lastIndex;
    const { lastIndex } = cluster.status(1);
    const reply = await add(cluster, urlOf(4), true, { timeoutMs: 1_000 });
    expect(errorIn(reply)).toBe('unknown');
  });

  it('that has begun is not said to have failed, whatever comes of the rest', async () => {
    // It leads until the place has joined, and no more when the record is to be written.
    const configuration = { voters: ['1.a'], outgoing: [], learners: [] };
    const group = {
      ...{ rules: 4, birth: { groupId: 'g' }, core: { role: 'leader', configuration } },
      machine: { permit: () => null },
      roster: new Roster({ members: new Map(), recordChanges: 0 }, 'g'),
      readPoint: async () => 'ready',
    };
    const places = { resolveOne: async () => '4.b', makeKnown: async () => true };
    const membership = { places, persist: async () => 'done' };
    const service = new ClusterService(
      { now: () => 0, randomId: () => 'c' } as never,
      group as never,
      null as never,
      membership as never,
      async () => ({ type: 'notProposed' }),
    );
    const asked = (peerURLs: string[]) =>
      create(ClusterSchema, { request: { case: 'add', value: { peerURLs } } });
    expect(await service.serve(asked([urlOf(4)]), null, 1_000)).toBe('unknown');
    // Nothing is changed before the record of one that lives nowhere: it may be sent to the next leader.
    expect(await service.serve(asked([foreign]), null, 1_000)).toBe('notLeader');
  });

  it('waits for its turn, and sees what the one before it has done', async () => {
    const cluster = await born();
    const asked = [4, 5].map((place) => add(cluster, urlOf(place), true));
    const outcomes = (await Promise.all(asked)).map(errorIn).sort();
    expect(outcomes).toEqual(['TooManyLearners', 'ok']);
    const both = await Promise.all([6, 7].map((place) => add(cluster, urlOf(place))));
    expect(both.map(errorIn)).toEqual(['ok', 'ok']);
    expect(await told(cluster)).toHaveLength(6);
  });

  it('is not made while a member does not know such records', async () => {
    const codeOf = (place: number) => (place === 3 ? { ...thisCode, rules: 3 } : thisCode);
    const cluster = await born({ codeOf });
    expect(errorIn(await add(cluster, foreign))).toBe('NotCapable');
    expect(errorIn(await add(cluster, urlOf(4)))).toBe('NotCapable');
    expect(cluster.status(1).learners).toEqual([]);
  });
});

describe('a leader that others have replaced', () => {
  it('does not say of a member that they have added that there is none', async () => {
    const cluster = await born();
    isolate(cluster, 1);
    await persist(cluster, putOp('a', '2'), [2, 3]);
    const leader = [2, 3].find((place) => cluster.status(place).role === 'leader') ?? 0;
    const added = { case: 'add' as const, value: { peerURLs: [foreign] } as never };
    const reply = await cluster.world.settle(cluster.ask(leader, opOf(added)));
    const { ID } = addedIn(reply);
    expect(cluster.status(1).role).toBe('leader');
    const removed = { case: 'remove' as const, value: { ID } as never };
    const asked = cluster.ask(1, opOf(removed), { timeoutMs: 1_000 });
    expect(errorIn(await cluster.world.settle(asked))).not.toBe('MemberNotFound');
  });
});

describe('who asks', () => {
  it('has to be root for a change, and anybody known for the list, once auth is enabled', async () => {
    const cluster = await born();
    const command = (value: Uint8Array) => ({ case: 'command' as const, value });
    for (const one of [addUser('root'), giveRole('root', 'root'), addUser('bob'), enable])
      responseOf(await cluster.world.settle(cluster.ask(1, command(one))));
    expect(errorIn(await add(cluster, foreign))).toBe('UserEmpty');
    // Nothing is asked of a place, and nothing told of who is a member.
    expect(errorIn(await add(cluster, urlOf(4)))).toBe('UserEmpty');
    expect(cluster.traffic.filter(({ to }) => to === 4)).toEqual([]);
    expect(errorIn(await remove(cluster, 1n))).toBe('UserEmpty');
    const lists = { case: 'list' as const, value: {} as never };
    expect(errorIn(await askMembers(cluster, lists))).toBe('UserEmpty');
    expect(errorIn(await askMembers(cluster, lists, { serializable: true }))).toBe('UserEmpty');
    expect(errorIn(await add(cluster, foreign, false, { operator: true }))).toBe('ok');
    expect(errorIn(await add(cluster, urlOf(4), true, { operator: true }))).toBe('ok');
  });
});

describe('the list', () => {
  it('is that of a quorum when it is to be linearizable, and a member’s own when not', async () => {
    const cluster = await born();
    isolate(cluster, 1);
    const lists = { case: 'list' as const, value: {} as never };
    const old = await askMembers(cluster, lists, { serializable: true });
    expect(errorIn(old)).toBe('ok');
    const asked = cluster.ask(1, opOf(lists), { timeoutMs: 1_000 });
    expect(errorIn(await cluster.world.settle(asked))).not.toBe('ok');
  });
});
