/** Members that are added, promoted, removed, wiped, lost and recovered, as clients see it. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import type { MemberReply } from '../../src/api/gen/member_pb.js';
import { ChangeMembershipSchema } from '../../src/api/gen/member_pb.js';
import { StateMachine } from '../../src/kv/state-machine.ts';
import type { GroupMember } from '../../src/node-do/group-member.ts';
import { Cluster } from './cluster.ts';
import { born, get, getOp, hashAt, messageKinds, persist, put, putOp, valueIn } from './support.ts';

async function change(
  cluster: Cluster,
  place: number,
  voters: number[],
  learners: number[] = [],
): Promise<MemberReply['outcome']> {
  const value = create(ChangeMembershipSchema, { voters, learners });
  const reply = await cluster.world.settle(
    cluster.ask(place, { case: 'changeMembership', value }, { timeoutMs: 10_000 }),
  );
  await cluster.world.pass(1_000);
  return reply.outcome;
}

/** Adds places as learners, then makes `voters` the voters. */
async function reshape(cluster: Cluster, leader: number, voters: number[]): Promise<void> {
  const present = cluster.status(leader).voters;
  const fresh = voters.filter((place) => !present.includes(place));
  if (fresh.length > 0)
    expect(await change(cluster, leader, [...present], fresh)).toMatchObject({ case: 'response' });
  expect(await change(cluster, leader, voters)).toMatchObject({ case: 'response' });
}

/** Everything of a place but its identity row. */
function rowsAt(cluster: Cluster, place: number): number {
  const tables = cluster
    .sql(place)
    .all("SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'raft_identity'");
  return tables.reduce((sum, [name]) => {
    const row = cluster.sql(place).first(`SELECT count(*) FROM ${name}`);
    return sum + Number(row?.[0] ?? 0);
  }, 0);
}

describe('a group', () => {
  it('grows from one to five and shrinks to one, and every member holds what was written', async () => {
    const cluster = await born({ size: 1 });
    await reshape(cluster, 1, [1, 2, 3]);
    await put(cluster, 1, 'a', '2');
    await reshape(cluster, 1, [1, 2, 3, 4, 5]);
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(1_000);
    const hashes = [1, 2, 3, 4, 5].map((place) => hashAt(cluster, place));
    expect(new Set(hashes).size).toBe(1);
    await reshape(cluster, 1, [1]);
    await put(cluster, 1, 'a', '4');
    expect(await get(cluster, 1, 'a')).toBe('4');
    expect(cluster.status(1)).toMatchObject({ voters: [1], learners: [], term: 1 });
    expect([2, 3, 4, 5].map((place) => cluster.status(place).born)).toEqual(Array(4).fill(false));
    await cluster.world.pass(60_000);
    expect(cluster.world.isQuiet).toBe(true);
  });

  it('replaces all of its members at once, its leader too', async () => {
    const cluster = await born();
    expect(await change(cluster, 1, [1, 2, 3], [4, 5, 6])).toMatchObject({ case: 'response' });
    expect(await change(cluster, 1, [4, 5, 6])).toMatchObject({ case: 'response' });
    const leader = cluster.leader() ?? 0;
    expect([4, 5, 6]).toContain(leader);
    await put(cluster, leader, 'a', '2');
    expect(cluster.status(1).born).toBe(false);
    // A router that still knows the old places finds the new ones.
    const reply = await cluster.world.settle(cluster.ask(1, putOp('a', '3')));
    expect(reply.outcome).toMatchObject({ case: 'redirect', value: { places: [4, 5, 6] } });
  });

  it('takes one change at a time, and says so', async () => {
    const cluster = await born();
    cluster.drop = ({ path, to }) => path === 'peer' && to === 3;
    cluster.drop = ({ path, from }) => path === 'peer' && from === 1;
    const first = cluster.ask(
      1,
      { case: 'changeMembership', value: create(ChangeMembershipSchema, { voters: [1, 2] }) },
      { timeoutMs: 400 },
    );
    await cluster.world.pass(50);
    expect(await change(cluster, 1, [1, 3])).toMatchObject({
      case: 'failure',
      value: { error: 'Unhealthy' },
    });
    expect((await cluster.world.settle(first)).outcome).toMatchObject({
      case: 'failure',
      value: { outcomeUnknown: true },
    });
  });

  it('adds nobody again whom another change removed while a place was asked who it is', async () => {
    // Place 4 is far away: what is wanted is looked up for so long.
    const cluster = await born({ latencyMs: (from, to) => (from === 4 || to === 4 ? 200 : 1) });
    const value = create(ChangeMembershipSchema, { voters: [1, 2], learners: [3, 4] });
    const op = { case: 'changeMembership', value } as const;
    const demotion = cluster.ask(1, op, { timeoutMs: 2_000 });
    await cluster.world.pass(10);
    expect(cluster.status(1).voters).toEqual([1, 2, 3]);
    const removal = create(ChangeMembershipSchema, { voters: [1, 2] });
    const removed = cluster.ask(1, { case: 'changeMembership', value: removal });
    expect((await cluster.world.settle(removed)).outcome).toMatchObject({ case: 'response' });
    expect((await cluster.world.settle(demotion)).outcome).toMatchObject({
      case: 'failure',
      value: { error: 'Unhealthy', outcomeUnknown: false },
    });
    expect(cluster.status(1)).toMatchObject({ voters: [1, 2], learners: [] });
  });

  it('promotes no learner that lacks the log, and none that it cannot reach', async () => {
    const cluster = await born();
    expect(await change(cluster, 1, [1, 2, 3, 4])).toMatchObject({
      case: 'failure',
      value: { error: 'LearnerNotReady' },
    });
    cluster.drop = ({ to }) => to === 4;
    expect(await change(cluster, 1, [1, 2, 3], [4])).toMatchObject({
      case: 'failure',
      value: { error: 'MemberUnreachable' },
    });
    expect(cluster.status(1).learners).toEqual([]);
  });
});

describe('a leader that others have replaced', () => {
  async function replaced(): Promise<Cluster> {
    const cluster = await born();
    // The founding places still answer it that they know of the group.
    cluster.drop = ({ from, to, path }) =>
      from !== 0 && path === 'peer' && (from === 1 || to === 1);
    await persist(cluster, putOp('a', '2'), [2, 3]);
    const leader = [2, 3].find((place) => cluster.status(place).role === 'leader') ?? 0;
    expect(await change(cluster, leader, [1, 2, 3], [4])).toMatchObject({ case: 'response' });
    expect(cluster.status(1)).toMatchObject({ role: 'leader', learners: [] });
    return cluster;
  }

  it('says of no change that it is done already', async () => {
    const cluster = await replaced();
    expect(await change(cluster, 1, [1, 2, 3])).not.toMatchObject({ case: 'response' });
  });

  it('does not say that it leads when it is asked to keep the lead', async () => {
    const cluster = await replaced();
    const asked = cluster.ask(1, { case: 'transferLeader', value: 1 }, { timeoutMs: 10_000 });
    expect((await cluster.world.settle(asked)).outcome.case).not.toBe('response');
  });
});

describe('a removed place', () => {
  it('keeps a tombstone and nothing else, forbids a second birth, and can be added again', async () => {
    const cluster = await born();
    const { incarnation } = cluster.status(3);
    await reshape(cluster, 1, [1, 2]);
    await cluster.world.pass(1_000);
    expect(cluster.status(3)).toMatchObject({ born: false, role: 'unborn' });
    expect(rowsAt(cluster, 3)).toBe(0);
    cluster.wipe(1);
    const reply = await cluster.world.settle(cluster.ask(1, putOp('a', '2'), { groupSize: 1 }));
    expect(reply.outcome.case).toBe('redirect');
    // The tombstone yields to the incarnation that it gives out, and only to that.
    await persist(cluster, putOp('a', '3'), [2]).catch(() => null);
    expect(cluster.status(3).incarnation).not.toBe(incarnation);
  });

  it('loses its rows also when its life ends right after its removal', async () => {
    const cluster = await born();
    cluster.drop = ({ to, path }) => to === 3 && path === 'client';
    await reshape(cluster, 1, [1, 2]);
    // As if the life had ended before: the rows of a member beside the tombstone.
    StateMachine.create(cluster.sql(3));
    cluster.end(3);
    cluster.status(3);
    await cluster.world.pass(1_000);
    expect(rowsAt(cluster, 3)).toBe(0);
  });

  it('that is added again holds everything, as another member', async () => {
    const cluster = await born();
    await reshape(cluster, 1, [1, 2]);
    await put(cluster, 1, 'a', '2');
    await reshape(cluster, 1, [1, 2, 3]);
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(1_000);
    expect(hashAt(cluster, 3)).toBe(hashAt(cluster, 1));
    expect(cluster.status(3)).toMatchObject({ born: true, role: 'follower' });
  });

  it('that slept through its removal learns it when somebody asks it', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await reshape(cluster, 1, [1, 2]);
    await cluster.world.pass(60_000);
    cluster.drop = () => false;
    const asked = cluster.ask(3, putOp('a', '2'), { suspectTerm: 0n, timeoutMs: 3_000 });
    await cluster.world.settle(asked).catch(() => null);
    await cluster.world.pass(5_000);
    expect(cluster.status(3).born).toBe(false);
    expect(cluster.status(1)).toMatchObject({ role: 'leader', term: 1 });
  });
});

describe('a place that slept through its removal', () => {
  it('can be added again: asked for its incarnation, it asks back and learns that it is out', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await reshape(cluster, 1, [1, 2]);
    await cluster.world.pass(60_000);
    const { incarnation } = cluster.status(3);
    cluster.drop = () => false;
    await reshape(cluster, 1, [1, 2, 3]);
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    expect(hashAt(cluster, 3)).toBe(hashAt(cluster, 1));
    expect(cluster.status(3).incarnation).not.toBe(incarnation);
    expect(cluster.status(1).term).toBe(1);
  });
});

describe('the first place of a group that was born as one', () => {
  it('names the members of now when it is wiped, not those of the birth', async () => {
    const cluster = await born({ size: 1 });
    await reshape(cluster, 1, [1, 2, 3]);
    cluster.wipe(1);
    const reply = await cluster.world.settle(cluster.ask(1, putOp('a', '2'), { groupSize: 1 }));
    expect(reply.outcome).toMatchObject({ case: 'redirect', value: { places: [1, 2, 3] } });
  });
});

describe('a snapshot under way when its sender is evicted for good', () => {
  it('is begun again by the alarm that was set before the first chunk', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 4;
    const value = create(ChangeMembershipSchema, { voters: [1, 2, 3], learners: [4] });
    cluster.drop = ({ to, path }) => to === 4 && path === 'peer';
    const asked = cluster.ask(1, { case: 'changeMembership', value });
    await cluster.world.settle(asked).catch(() => null);
    cluster.endAll();
    cluster.drop = () => false;
    await cluster.world.pass(600_000);
    expect(hashAt(cluster, 4)).toBe(hashAt(cluster, 1));
  });
});

describe('a wiped place', () => {
  it('votes for nobody, and is a member again once it is removed and added', async () => {
    const cluster = await born();
    cluster.wipe(3);
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(30_000);
    expect(cluster.status(3).born).toBe(false);
    await reshape(cluster, 1, [1, 2]);
    await reshape(cluster, 1, [1, 2, 3]);
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(1_000);
    expect(hashAt(cluster, 3)).toBe(hashAt(cluster, 1));
  });
});

describe('leadership', () => {
  it('goes to the place that is asked for, and no write is lost or refused for long', async () => {
    const cluster = await born();
    const transfer = cluster.ask(1, { case: 'transferLeader', value: 2 });
    const write = cluster.ask(1, putOp('a', '2'));
    expect((await cluster.world.settle(transfer)).outcome.case).toBe('response');
    const outcome = (await cluster.world.settle(write)).outcome;
    expect(['response', 'redirect']).toContain(outcome.case);
    expect(cluster.leader()).toBe(2);
    await put(cluster, 2, 'a', '3');
    expect(cluster.status(2).term).toBe(2);
  });

  it('goes to the preferred place in a quiet moment', async () => {
    const cluster = new Cluster({ preferredPlaces: [3, 2, 1] });
    await put(cluster, 1, 'a', '1');
    await cluster.world.pass(5_000);
    expect(cluster.leader()).toBe(3);
    await put(cluster, 3, 'a', '2');
    expect(cluster.status(3).term).toBe(2);
  });

  it('goes to no learner and no stranger', async () => {
    const cluster = await born();
    await change(cluster, 1, [1, 2, 3], [4]);
    for (const place of [4, 7]) {
      const reply = await cluster.world.settle(
        cluster.ask(1, { case: 'transferLeader', value: place }),
      );
      expect(reply.outcome).toMatchObject({
        case: 'failure',
        value: { error: 'BadLeaderTransferee' },
      });
    }
  });
});

describe('a read at a member that does not lead', () => {
  it('is one request to the leader and its answer, in a group of three', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    cluster.traffic.length = 0;
    cluster.responses.length = 0;
    expect(await get(cluster, 2, 'a', { readHere: true })).toBe('2');
    expect(messageKinds(cluster.traffic)).toEqual(['2>1 readRequest']);
    expect(cluster.responses).toEqual(['1>2 readReply']);
  });

  it('sees every write that was acknowledged before, at learners too', async () => {
    const cluster = await born();
    await change(cluster, 1, [1, 2, 3], [4]);
    for (let n = 0; n < 20; n += 1) {
      await put(cluster, 1, 'a', `${n}`);
      for (const place of [2, 3, 4])
        expect(await get(cluster, place, 'a', { readHere: true })).toBe(`${n}`);
    }
  });

  it('of many clients shares requests', async () => {
    const cluster = await born();
    const reads = Array.from({ length: 50 }, () => get(cluster, 2, 'a', { readHere: true }));
    expect(new Set(await Promise.all(reads))).toEqual(new Set(['1']));
    expect(messageKinds(cluster.traffic).length).toBeLessThan(10);
  });

  it('is not served by one that cannot reach the leader', async () => {
    const cluster = await born();
    cluster.drop = ({ from, to }) => from === 2 && to === 1;
    const reply = await cluster.world.settle(
      cluster.ask(2, { case: 'ping', value: {} as never }, { readHere: true, timeoutMs: 3_000 }),
    );
    expect(reply.outcome.case).not.toBe('response');
  });
});

describe('a follower that lacks more than the log holds', () => {
  const value = 'x'.repeat(1_000_000);

  /** Place 3 is away while more is written than the log keeps. */
  async function groupWithout3(): Promise<Cluster> {
    const cluster = await born();
    cluster.drop = ({ to, from }) => to === 3 || from === 3;
    for (let n = 0; n < 24; n += 1) await put(cluster, 1, `k${n}`, value);
    await cluster.world.pass(60_000);
    // The log is cut when it has grown by a few entries more, and the silent one is not waited for.
    for (let n = 0; n < 16; n += 1) await put(cluster, 1, `l${n}`, 'x');
    expect(cluster.status(1).firstIndex).toBeGreaterThan(1);
    await cluster.world.pass(60_000);
    cluster.drop = () => false;
    cluster.traffic.length = 0;
    return cluster;
  }

  it('gets the state in chunks while writes go on, and then the log', async () => {
    const cluster = await groupWithout3();
    for (let n = 0; n < 30; n += 1) {
      await put(cluster, 1, `m${n}`, `${n}`);
      await cluster.world.pass(20);
    }
    await cluster.world.pass(5_000);
    expect(messageKinds(cluster.traffic)).toContain('1>3 snapshot');
    expect(hashAt(cluster, 3)).toBe(hashAt(cluster, 1));
    expect(cluster.status(3).appliedIndex).toBe(cluster.status(1).appliedIndex);
    await cluster.world.pass(60_000);
    expect(cluster.world.isQuiet).toBe(true);
  });

  it('goes on where it was when sender and receiver are evicted in the middle', async () => {
    const cluster = await groupWithout3();
    await put(cluster, 1, 'b', '1');
    await cluster.world.pass(20);
    const chunks = () =>
      messageKinds(cluster.traffic).filter((kind) => kind === '1>3 snapshot').length;
    const before = chunks();
    expect(before).toBeGreaterThan(2);
    cluster.end(3);
    await cluster.world.pass(5);
    cluster.end(1);
    await put(cluster, 1, 'b', '2');
    await cluster.world.pass(10_000);
    expect(hashAt(cluster, 3)).toBe(hashAt(cluster, 1));
    // 24 values of 1 MB in chunks of at most one value each, and a few asked for again.
    expect(chunks()).toBeLessThan(50);
  });

  it('keeps nothing of a snapshot that never comes, when it has to go on alone', async () => {
    const cluster = await groupWithout3();
    await put(cluster, 1, 'b', '1');
    await cluster.world.pass(20);
    const reception = () => StateMachine.open(cluster.sql(3)).receiving;
    expect(reception()).not.toBeNull();
    cluster.drop = ({ from }) => from !== 0;
    const { member } = cluster.life(3);
    const { groupId } = cluster.status(3);
    expect(await cluster.world.settle(member.recover(groupId ?? ''))).not.toBeNull();
    await put(cluster, 3, 'b', '2');
    await cluster.world.pass(10_000);
    expect(reception()).toBeNull();
    expect(StateMachine.open(cluster.sql(3)).clearPending()).toBe(false);
  });
});

describe('a quorum that is lost for good', () => {
  it('is left by hand: one survivor goes on with all that it holds, as another group', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    const { groupId } = cluster.status(2);
    cluster.wipe(1);
    cluster.wipe(3);
    const recovered = cluster.life(2).member.recover(groupId ?? '');
    expect(await cluster.world.settle(recovered)).toBe(cluster.status(2).groupId);
    expect(cluster.status(2)).toMatchObject({ role: 'leader', voters: [2] });
    expect(cluster.status(2).groupId).not.toBe(groupId);
    cluster.end(2);
    expect(await get(cluster, 2, 'a')).toBe('2');
    await reshape(cluster, 2, [1, 2, 3]);
    await put(cluster, 2, 'a', '3');
    await cluster.world.pass(1_000);
    expect(hashAt(cluster, 1)).toBe(hashAt(cluster, 2));
  });

  it('is left once, though two ask for it at the same time', async () => {
    const cluster = await born();
    const { groupId } = cluster.status(2);
    cluster.wipe(1);
    cluster.wipe(3);
    const { member } = cluster.life(2);
    const asked = [member.recover(groupId ?? ''), member.recover(groupId ?? '')];
    const answers = await cluster.world.settle(Promise.all(asked));
    expect(answers.filter((answer) => answer !== null)).toEqual([cluster.status(2).groupId]);
  });

  it.each([1, 100, 250])(
    'is not one that takes a while to find its leader, %i ms apart',
    async (ms) => {
      const cluster = await born({ size: 5, latencyMs: (from) => (from === 0 ? 1 : ms) });
      await cluster.world.pass(10_000);
      // 5 lacks what was acknowledged last; then the leader hangs, and another one. Three are a quorum.
      cluster.drop = ({ from, to }) => from === 5 || to === 5;
      await put(cluster, 1, 'a', '2');
      await cluster.world.pass(20_000);
      cluster.drop = ({ from, to }) => [1, 2].includes(from) || [1, 2].includes(to);
      const { groupId } = cluster.status(5);
      expect(await cluster.world.settle(cluster.life(5).member.recover(groupId ?? ''))).toBe(null);
      expect(valueIn(await persist(cluster, getOp('a'), [3, 4, 5]))).toBe('2');
    },
  );

  it('is not one that its leader has lost for a moment', async () => {
    const cluster = await born();
    cluster.drop = ({ from, to }) => from !== 0 && (from === 1 || to === 1);
    const { groupId } = cluster.status(1);
    const asked = cluster.life(1).member.recover(groupId ?? '');
    await cluster.world.pass(3_000);
    cluster.drop = () => false;
    expect(await cluster.world.settle(asked)).toBe(null);
  });

  it('does not come back: the old group’s other members are not heard by the new one', async () => {
    const cluster = await born();
    const { groupId } = cluster.status(1);
    // While a quorum answers, nothing is given up.
    expect(await cluster.world.settle(cluster.life(2).member.recover(groupId ?? ''))).toBe(null);
    cluster.drop = ({ from, to }) => from === 2 || (to === 2 && from !== 0);
    const { member } = cluster.life(2);
    expect(await cluster.world.settle(member.recover('another'))).toBe(null);
    expect(await cluster.world.settle(member.recover(groupId ?? ''))).not.toBe(null);
    cluster.drop = () => false;
    await put(cluster, 2, 'a', 'new');
    // 1 and 3 still are a quorum of the old group; nothing of it reaches 2.
    await persist(cluster, putOp('a', 'old'), [1, 3]);
    await cluster.world.pass(30_000);
    expect(await get(cluster, 2, 'a')).toBe('new');
    expect(cluster.status(3).groupId).toBe(groupId);
  });
});

describe('what is asked of a member that is removed', () => {
  it('is answered, whether it waits there or comes afterwards: no timer looks at it any more', async () => {
    const cluster = await born();
    const { group } = cluster.life(3).member as unknown as { group: GroupMember };
    const ask = () => {
      const deadline = cluster.world.now + 3_600_000;
      return Promise.all([
        group.propose(new Uint8Array(), deadline).then(({ type }) => type),
        group.readPoint(deadline),
        group.keepAlive([7n], deadline),
        group.until(() => false, deadline),
        group.compacted(deadline).then(() => 'over'),
        group.ask((core) => core.role),
      ]);
    };
    const early = group.until(() => false, cluster.world.now + 3_600_000);
    await reshape(cluster, 1, [1, 2]);
    await cluster.world.pass(10_000);
    expect([group.isOver, await cluster.world.settle(early)]).toEqual([true, false]);
    const late = await cluster.world.settle(ask());
    expect(late).toEqual(['notProposed', 'notLeader', expect.anything(), false, 'over', null]);
    expect(cluster.world.isQuiet).toBe(true);
  });
});
