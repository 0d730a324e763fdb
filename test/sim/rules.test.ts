/**
 * The rules of consensus-rules.md that the host keeps, each by the schedule that breaks a group
 * without it; those of the core are in test/raft/rules.test.ts. `npm run mutants` takes every rule
 * out and requires that its test fails.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ChangeMembershipSchema, Redirect_Reason } from '../../src/api/gen/member_pb.js';
import {
  BirthRecordSchema,
  EnvelopeSchema,
  Tombstone_Kind,
  TombstoneSchema,
} from '../../src/api/gen/peer_pb.js';
import { rulesVersionOf } from '../../src/kv/batch.ts';
import { saveTombstone } from '../../src/node-do/identity.ts';
import { thisCode } from '../../src/node-do/platform.ts';
import { Cluster, type Traffic } from './cluster.ts';
import { birthQuestion, born, get, getOp, persist, put, putOp, valueIn } from './support.ts';

async function change(cluster: Cluster, voters: number[], learners: number[] = []) {
  const value = create(ChangeMembershipSchema, { voters, learners });
  const op = { case: 'changeMembership', value } as const;
  const leader = cluster.leader() ?? 1;
  const asked = cluster.ask(leader, op, { timeoutMs: 10_000 });
  const { outcome } = await cluster.world.settle(asked);
  await cluster.world.pass(1_000);
  return outcome;
}

async function reshape(cluster: Cluster, voters: number[]): Promise<void> {
  const present = [...cluster.status(cluster.leader() ?? 1).voters];
  const fresh = voters.filter((place) => !present.includes(place));
  if (fresh.length > 0)
    expect(await change(cluster, present, fresh)).toMatchObject({ case: 'response' });
  expect(await change(cluster, voters)).toMatchObject({ case: 'response' });
}

const isCut = (place: number) => (call: { from: number; to: number }) =>
  call.from !== 0 && (call.from === place || call.to === place);

describe('rule 1: a write travels once', () => {
  it('one that may have reached a core is proposed by nobody, whomever it is handed to', async () => {
    const cluster = await born();
    // A’s put commits and its reply is lost; B’s put is acknowledged.
    cluster.dropResponse = ({ from }) => from === 0;
    void cluster.ask(1, putOp('a', 'by A'));
    await cluster.world.pass(100);
    cluster.dropResponse = () => false;
    await put(cluster, 1, 'a', 'by B');
    const { revision } = cluster.status(1);
    // The router suspects the leader through another member, A’s put in its hand.
    for (const place of [2, 1]) {
      const again = { mayPropose: false, suspectTerm: 1n };
      const { outcome } = await cluster.world.settle(cluster.ask(place, putOp('a', 'by A'), again));
      expect(outcome.case).toBe('redirect');
    }
    expect(cluster.status(2).counters.requestsOut.relay).toBe(0);
    expect([await get(cluster, 1, 'a'), cluster.status(1).revision]).toEqual(['by B', revision]);
  });

  it('one in the log of a deposed leader is unknown, never dropped', async () => {
    const cluster = await born();
    cluster.drop = isCut(1);
    const options = { timeoutMs: 20_000 };
    void cluster.ask(1, putOp('b', 'before it'), options);
    await cluster.world.pass(50);
    // Where the next leader has its first entry, and where it has B’s.
    const deposed = cluster.ask(1, putOp('a', 'by A'), options);
    await cluster.world.pass(2_000);
    await persist(cluster, putOp('a', 'by B'), [2, 3]);
    cluster.drop = () => false;
    await persist(cluster, putOp('a', 'by C'), [2, 3]);
    const { outcome } = await cluster.world.settle(deposed);
    expect(outcome).toMatchObject({ case: 'failure', value: { outcomeUnknown: true } });
  });

  it.each([
    ['the answer to its relay is lost', 2, 'client'],
    ['its quorum does not answer in time', 1, 'peer'],
  ])('one is unknown when %s', async (_, place, path) => {
    const cluster = await born();
    const isLost = (call: Traffic) => call.from === place && call.path === path;
    if (path === 'peer') cluster.drop = isLost;
    else cluster.dropResponse = isLost;
    const asked = cluster.ask(place, putOp('a', '2'), { suspectTerm: 1n, timeoutMs: 2_000 });
    const { outcome } = await cluster.world.settle(asked);
    expect(outcome).toMatchObject({ case: 'failure', value: { outcomeUnknown: true } });
  });
});

describe('rule 2: one birth, whatever the size', () => {
  async function refused(cluster: Cluster, size: number) {
    const asked = cluster.ask(1, putOp('a', 'second'), { groupSize: size });
    const { outcome } = await cluster.world.settle(asked);
    expect(cluster.status(1).born).toBe(false);
    return outcome.value;
  }

  it('born with one member and grown, a wiped first place founds no second group', async () => {
    const cluster = await born({ size: 1 });
    await reshape(cluster, [1, 2, 3]);
    cluster.wipe(1);
    const { NOT_BORN } = Redirect_Reason;
    expect(await refused(cluster, 1)).toMatchObject({ reason: NOT_BORN, places: [1, 2, 3] });
    expect(await get(cluster, 2, 'a', { suspectTerm: 1n })).toBe('1');
  });

  it('nor does it where a founding place is silent', async () => {
    const cluster = await born({ size: 1 });
    cluster.wipe(1);
    cluster.drop = ({ to, path }) => path === 'birth' && to === 5;
    expect(await refused(cluster, 1)).toMatchObject({ reason: Redirect_Reason.NO_LEADER });
  });

  it('nor where one has a tombstone, which names the living group', async () => {
    const cluster = await born();
    await reshape(cluster, [6, 7, 8]);
    await cluster.world.pass(60_000);
    cluster.wipe(1);
    expect(await refused(cluster, 3)).toMatchObject({ places: [6, 7, 8] });
  });

  it.each([[[1]], [[1, 2, 3, 4]]])(
    'nor where the group was born with one member and has left, and places %j are wiped',
    async (wiped) => {
      const cluster = await born({ size: 1 });
      await reshape(cluster, [6, 7, 8]);
      await cluster.world.pass(60_000);
      for (const place of wiped) cluster.wipe(place);
      expect(await refused(cluster, 1)).toMatchObject({
        places: expect.arrayContaining([6, 7, 8]),
      });
      // It keeps what it was told, also if nobody else knows any more.
      for (const place of [2, 3, 4, 5]) cluster.wipe(place);
      expect(await refused(cluster, 1)).toMatchObject({
        places: expect.arrayContaining([6, 7, 8]),
      });
      expect(await get(cluster, 6, 'a', { suspectTerm: 1n })).toBe('1');
    },
  );

  it('and the membership does not change while only one founding place can know of the group', async () => {
    const cluster = await born({ size: 1 });
    cluster.drop = ({ to, path }) => path === 'birth' && to <= 5;
    expect(await change(cluster, [1], [6])).toMatchObject({
      case: 'failure',
      value: { error: 'MemberUnreachable' },
    });
    cluster.drop = ({ to, path }) => path === 'birth' && to <= 4;
    expect(await change(cluster, [1], [6])).toMatchObject({ case: 'response' });
  });

  it('nor where it was adopted while it asked', async () => {
    const cluster = new Cluster();
    const asked = cluster.ask(1, putOp('a', '1'));
    await cluster.world.pass(1);
    const { incarnation } = cluster.status(1);
    cluster.life(1).member.onPeer(invitation(1, incarnation ?? ''));
    expect(cluster.status(1)).toMatchObject({ born: true, groupId: 'a0a0' });
    await cluster.world.settle(asked);
    expect(cluster.status(1).groupId).toBe('a0a0');
  });
});

/** What a leader of a group says to a place that it has just added. */
function invitation(place: number, incarnation: string): Uint8Array {
  const founding = { voters: [{ place: 9, incarnation: '1' }], outgoing: [], learners: [] };
  const birth = create(BirthRecordSchema, { groupId: 'a0a0', size: 1, founding });
  const { protocol, minProtocol, rules } = thisCode;
  const envelope = create(EnvelopeSchema, {
    ...{ protocol, minProtocol, rulesVersion: rules, groupId: 'a0a0', boot: 1n, birth },
    from: { place: 9, incarnation: '1' },
    to: { place, incarnation },
  });
  return toBinary(EnvelopeSchema, envelope);
}

describe('rule 3: a member is the pair of place and incarnation', () => {
  it('a place that is added again is another member', async () => {
    const cluster = await born();
    const { incarnation } = cluster.status(3);
    await reshape(cluster, [1, 2]);
    await reshape(cluster, [1, 2, 3]);
    expect(cluster.status(3)).toMatchObject({ born: true, boot: 1 });
    expect(cluster.status(3).incarnation).not.toBe(incarnation);
  });

  it('nor is one that slept through its removal added as what it takes itself for', async () => {
    const cluster = await born();
    const { incarnation } = cluster.status(3);
    cluster.drop = isCut(3);
    expect((await change(cluster, [1, 2])).case).toBe('response');
    await cluster.world.pass(60_000);
    cluster.drop = () => false;
    await reshape(cluster, [1, 2, 3]);
    expect(cluster.status(3)).toMatchObject({ born: true, voters: [1, 2, 3] });
    expect(cluster.status(3).incarnation).not.toBe(incarnation);
  });

  it('a wiped place is no member, whatever is said to the one that it was', async () => {
    const cluster = await born();
    cluster.wipe(3);
    cluster.life(3).member.onBirth(birthQuestion);
    // The leader’s new life sends the birth record along, and names the old incarnation.
    cluster.end(1);
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(10_000);
    expect(cluster.status(3).born).toBe(false);
    cluster.drop = isCut(1);
    const asked = cluster.ask(2, getOp('a'), { suspectTerm: 1n, timeoutMs: 4_000 });
    expect((await cluster.world.settle(asked)).outcome.case).toBe('redirect');
  });

  it('a member hears nothing that is meant for another incarnation of its place', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    const meant = cluster.traffic.find(({ to, envelope }) => to === 3 && envelope);
    if (!meant?.envelope?.to) throw new Error('an envelope was sent to member 3');
    meant.envelope.to.incarnation = '0123';
    const last = cluster.status(3).lastIndex;
    cluster.life(3).member.onPeer(toBinary(EnvelopeSchema, meant.envelope));
    expect(cluster.status(3).lastIndex).toBe(last);
  });

  it('a deletion tombstone never yields, a removal tombstone to its own incarnation', async () => {
    for (const kind of [Tombstone_Kind.DELETED, Tombstone_Kind.REMOVED]) {
      const cluster = await born();
      cluster.life(4).member.onBirth(birthQuestion);
      const tombstone = create(TombstoneSchema, { kind, groupId: 'earlier' });
      saveTombstone(cluster.sql(4), tombstone, 'feed');
      cluster.end(4);
      const isDeleted = kind === Tombstone_Kind.DELETED;
      // Neither as a guest of this group nor by a leader that asked before the deletion.
      expect((await change(cluster, [1, 2, 3], [4])).case).toBe(isDeleted ? 'failure' : 'response');
      if (isDeleted) cluster.life(4).member.onPeer(invitation(4, 'feed'));
      expect(cluster.status(4).born).toBe(!isDeleted);
    }
  });
});

describe('rule 8: a member that cannot apply does not lead', () => {
  const older = { ...thisCode, rules: 1 };
  const newer = { ...thisCode, rules: 2 };

  async function withOlder(place: number): Promise<Cluster> {
    const code = new Map<number, typeof thisCode>();
    const cluster = await born({ codeOf: (at) => code.get(at) ?? newer });
    await put(cluster, 1, 'a', '2');
    code.set(place, older);
    cluster.end(place);
    return cluster;
  }
  const versionAt = (cluster: Cluster, place: number) => {
    const query = 'SELECT data FROM raft_log WHERE kind = 1 ORDER BY idx DESC LIMIT 1';
    return rulesVersionOf(cluster.sql(place).first(query)?.[0] as Uint8Array);
  };

  it('the version in use never falls below the newest in the log, whatever others announce', async () => {
    const cluster = await withOlder(3);
    expect(versionAt(cluster, 1)).toBe(2);
    for (const value of ['3', '4']) await put(cluster, 1, 'a', value);
    await cluster.world.pass(1_000);
    expect(versionAt(cluster, 1)).toBe(2);
  });

  it('and it is no newer than all have announced', async () => {
    const code = new Map([[3, older]]);
    const cluster = await born({ codeOf: (at) => code.get(at) ?? newer });
    for (const value of ['2', '3']) await put(cluster, 1, 'a', value);
    expect(versionAt(cluster, 1)).toBe(1);
  });

  it('one with older code leaves the lead to another, and serves nothing old', async () => {
    const cluster = await withOlder(3);
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(1_000);
    cluster.drop = isCut(1);
    const asked = cluster.ask(3, getOp('a'), { suspectTerm: 1n });
    expect((await cluster.world.settle(asked)).outcome.case).not.toBe('response');
    expect(valueIn(await persist(cluster, getOp('a'), [2, 3]))).toBe('3');
    expect(cluster.status(2).role).toBe('leader');
  });

  it('one that meets what it cannot apply says so, and is not handed the lead', async () => {
    const code = new Map<number, typeof thisCode>();
    const cluster = await born({ codeOf: (at) => code.get(at) ?? older });
    for (const place of [1, 2, 3]) code.set(place, newer);
    cluster.endAll();
    await get(cluster, 1, 'a');
    // Its code is taken back, and the leader has not heard of it yet.
    code.set(3, older);
    cluster.end(3);
    for (const value of ['2', '3']) await put(cluster, 1, 'a', value);
    await cluster.world.pass(1_000);
    expect(versionAt(cluster, 3)).toBe(2);
    const op = { case: 'transferLeader', value: 3 } as const;
    const { outcome } = await cluster.world.settle(cluster.ask(1, op));
    expect(outcome).toMatchObject({ value: { error: 'BadLeaderTransferee' } });
    await cluster.world.pass(5_000);
    expect(cluster.leader()).toBe(1);
  });

  it('one that led does not resume with code that is older than its state', async () => {
    const cluster = await withOlder(1);
    const asked = cluster.ask(2, getOp('a'), { suspectTerm: 1n });
    expect(valueIn(await cluster.world.settle(asked))).toBe('2');
    expect(cluster.status(1).role).toBe('follower');
  });
});

describe('rule 14: alarms converge', () => {
  /** How long after the one before each alarm of a member rang, with its life ended in between. */
  async function intervals(cluster: Cluster, ms: number): Promise<number[]> {
    const rings: number[] = [];
    const { setAlarm } = cluster;
    cluster.setAlarm = (place, at) => {
      if (place === 1 && at !== null) rings.push(at - cluster.world.now);
      setAlarm.call(cluster, place, at);
    };
    const until = cluster.world.now + ms;
    while (cluster.world.now < until) {
      await cluster.world.pass(30_000);
      // At rest it is evicted, and only the alarm brings it back.
      if (cluster.status(1).atRest) cluster.end(1);
    }
    return rings;
  }

  it('a member that is never reached again is looked for at growing intervals, in life after life', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    const rings = await intervals(cluster, 6 * 3_600_000);
    expect(rings.slice(0, 3)).toEqual([60_000, 120_000, 240_000]);
    expect(Math.max(...rings)).toBe(3_600_000);
  });

  it('relays take two calls at most, so that a hung leader cannot keep a member from campaigning', async () => {
    const cluster = await born();
    // The leader answers its peers, and no client.
    cluster.dropResponse = ({ path, to }) => path === 'client' && to === 1;
    for (let n = 0; n < 5; n += 1) {
      void cluster.ask(2, getOp('a'), { suspectTerm: 1n }).catch(() => {});
      await cluster.world.pass(50);
    }
    const relays = cluster.traffic.filter(({ from, path }) => from === 2 && path === 'client');
    expect(relays.length).toBe(2);
  });
});
