/** The turn of a member (src/node-do/group-member.ts): all of it or nothing, and who is told what. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { ChangeMembershipSchema } from '../../src/api/gen/member_pb.js';
import { BirthRecordSchema, EnvelopeSchema } from '../../src/api/gen/peer_pb.js';
import { loadIdentity } from '../../src/node-do/identity.ts';
import { thisCode } from '../../src/node-do/platform.ts';
import type { Cluster } from './cluster.ts';
import {
  birthQuestion,
  born,
  crashAtWrite,
  get,
  getOp,
  hashAt,
  persist,
  put,
  putOp,
  valueIn,
} from './support.ts';

async function change(cluster: Cluster, voters: number[], learners: number[] = []) {
  const value = create(ChangeMembershipSchema, { voters, learners });
  const op = { case: 'changeMembership', value } as const;
  const { outcome } = await cluster.world.settle(cluster.ask(1, op, { timeoutMs: 5_000 }));
  await cluster.world.pass(1_000);
  return outcome;
}

describe('a turn', () => {
  it.each([1, 2])(
    'that crashes at any of its writes at place %i leaves nothing of it',
    async (place) => {
      for (let n = 1; n <= 12; n += 1) {
        const cluster = await born();
        crashAtWrite(cluster, place, n);
        const acknowledged = valueIn(
          await cluster.world
            .settle(cluster.ask(1, putOp('b', `${n}`)))
            .then(() => persist(cluster, getOp('b')))
            .catch(() => persist(cluster, getOp('b'))),
        );
        expect([`${n}`, null]).toContain(acknowledged);
        await persist(cluster, putOp('c', 'after'));
        await cluster.world.pass(60_000);
        expect(new Set([1, 2, 3].map((at) => hashAt(cluster, at))).size).toBe(1);
        expect(cluster.aborts.length).toBeLessThanOrEqual(1);
      }
    },
  );

  it.each([1, 2])('of a change of members is as whole, at place %i', async (place) => {
    const newest = (cluster: Cluster, at: number) =>
      cluster.sql(at).first('SELECT data FROM raft_configuration ORDER BY idx DESC LIMIT 1');
    for (let n = 1; n <= 16; n += 1) {
      const cluster = await born();
      crashAtWrite(cluster, place, n);
      await change(cluster, [1, 2, 3], [4]).catch(() => null);
      await persist(cluster, putOp('b', '1'));
      await cluster.world.pass(60_000);
      // Whether it came about or not: all members have the same, in their next lives too.
      cluster.endAll();
      await persist(cluster, putOp('c', '1'));
      await cluster.world.pass(10_000);
      expect(newest(cluster, 2)).toEqual(newest(cluster, 1));
      expect(newest(cluster, 3)).toEqual(newest(cluster, 1));
      expect(cluster.aborts.length).toBeLessThanOrEqual(1);
    }
  });

  it('that throws ends the life, since the core may be ahead of the disk', async () => {
    const cluster = await born();
    crashAtWrite(cluster, 1, 1);
    void cluster.ask(1, putOp('a', '2')).catch(() => {});
    await cluster.world.pass(100);
    expect(cluster.aborts).toEqual(['1: crash']);
  });
});

describe('a write', () => {
  it('that waits where office is lost was not proposed, and is said so at once', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    const asked = [];
    for (let n = 0; n < 8; n += 1) {
      asked.push(cluster.ask(1, putOp(`k${n}`, 'x'), { timeoutMs: 4_000 }));
      await cluster.world.pass(30);
    }
    const begunAt = cluster.world.now;
    const last = await cluster.world.settle(asked.at(-1) ?? Promise.reject());
    expect(last.outcome.case).toBe('redirect');
    expect(cluster.world.now - begunAt).toBeLessThan(2_000);
    const first = await cluster.world.settle(asked[0] ?? Promise.reject());
    expect(first.outcome).toMatchObject({ value: { outcomeUnknown: true } });
  });

  it('that a snapshot has skipped is unknown as soon as that is there', async () => {
    const cluster = await born();
    cluster.drop = ({ from, to }) => from !== 0 && (from === 1 || to === 1);
    const asked = cluster.ask(1, putOp('a', 'skipped'), { timeoutMs: 60_000 });
    const begunAt = cluster.world.now;
    await cluster.world.pass(2_000);
    await persist(cluster, putOp('a', '2'), [2, 3]);
    const leader = [2, 3].find((place) => cluster.status(place).role === 'leader') ?? 0;
    const value = 'x'.repeat(1_000_000);
    for (let n = 0; n < 24; n += 1) await put(cluster, leader, `k${n}`, value);
    // The log is cut once the silent member is not waited for any more.
    await cluster.world.pass(12_000);
    for (let n = 0; n < 16; n += 1) await put(cluster, leader, `l${n}`, 'x');
    expect(cluster.status(leader).firstIndex).toBeGreaterThan(10);
    cluster.drop = () => false;
    await put(cluster, leader, 'a', '3');
    const { outcome } = await cluster.world.settle(asked);
    expect(outcome).toMatchObject({ case: 'failure', value: { outcomeUnknown: true } });
    expect(cluster.world.now - begunAt).toBeLessThan(30_000);
    await cluster.world.pass(1_000);
    // The log begins with the snapshot, for the next life too.
    cluster.end(1);
    expect(cluster.status(1).firstIndex).toBeGreaterThan(10);
  });
});

describe('an envelope', () => {
  const newer = {
    ...thisCode,
    protocol: thisCode.protocol + 1,
    minProtocol: thisCode.protocol + 1,
  };

  it('that answers in a protocol that this code does not know is no answer', async () => {
    const code = new Map<number, typeof thisCode>();
    const cluster = await born({ codeOf: (place) => code.get(place) ?? thisCode });
    code.set(2, newer);
    cluster.end(2);
    cluster.drop = ({ to }) => to === 3;
    const alone = await cluster.world.settle(cluster.ask(1, putOp('a', '2'), { timeoutMs: 2_000 }));
    expect(alone.outcome.case).not.toBe('response');
    // Once it runs the same code, they are a quorum.
    code.set(1, newer);
    cluster.end(1);
    await persist(cluster, putOp('a', '3'), [1, 2]);
    expect(await get(cluster, 1, 'a')).toBe('3');
  });

  it('of a protocol that this code does not know is not for it', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 2;
    await put(cluster, 1, 'a', '2');
    const sent = cluster.traffic.find(({ to, envelope }) => to === 2 && envelope)?.envelope;
    if (!sent) throw new Error('an envelope was sent to member 2');
    const last = cluster.status(2).lastIndex;
    const say = (fields: object) =>
      cluster.life(2).member.onPeer(toBinary(EnvelopeSchema, Object.assign(sent, fields)));
    const answer = say({ protocol: newer.protocol, minProtocol: newer.minProtocol });
    expect(fromBinary(EnvelopeSchema, answer).from).toBeUndefined();
    expect(cluster.status(2).lastIndex).toBe(last);
    // A newer one that older code understands is heard.
    say({ minProtocol: thisCode.protocol });
    expect(cluster.status(2).lastIndex).toBe(last + 1);
  });
});

describe('a place', () => {
  it('of another group is not added', async () => {
    const cluster = await born();
    cluster.life(4).member.onBirth(birthQuestion);
    const incarnation = cluster.status(4).incarnation ?? '';
    const from = { place: 9, incarnation: '1' };
    const founding = { voters: [from], outgoing: [], learners: [] };
    const groupId = 'a0a0';
    const birth = create(BirthRecordSchema, { groupId, size: 1, founding });
    const to = { place: 4, incarnation };
    const { protocol, minProtocol } = thisCode;
    const envelope = { protocol, minProtocol, groupId, from, to, boot: 1n, birth };
    cluster.life(4).member.onPeer(toBinary(EnvelopeSchema, create(EnvelopeSchema, envelope)));
    expect(cluster.status(4).groupId).toBe(groupId);
    expect(await change(cluster, [1, 2, 3], [4])).toMatchObject({
      value: { error: 'MemberUnreachable' },
    });
  });

  it('that is added again has a record, and no tombstone beside it', async () => {
    const cluster = await born();
    expect((await change(cluster, [1, 2])).case).toBe('response');
    expect(loadIdentity(cluster.sql(3))).toMatchObject({ birth: null });
    expect(loadIdentity(cluster.sql(3))?.tombstone).not.toBeNull();
    expect((await change(cluster, [1, 2], [3])).case).toBe('response');
    expect(loadIdentity(cluster.sql(3))?.birth).not.toBeNull();
    expect(loadIdentity(cluster.sql(3))?.tombstone).toBeNull();
  });
});

describe('a member at work', () => {
  it('gives itself an event now and then, and none once it rests', async () => {
    const cluster = await born({ latencyMs: (from, to) => (from === 0 || to === 0 ? 1 : 200) });
    const delays: number[] = [];
    const { setAlarm } = cluster;
    cluster.setAlarm = (place, at) => {
      if (place === 1 && at !== null) delays.push(at - cluster.world.now);
      setAlarm.call(cluster, place, at);
    };
    // Each write comes while the one before is under way.
    for (let n = 0; n < 300; n += 1) {
      void cluster.ask(1, putOp('a', `${n}`));
      await cluster.world.pass(100);
    }
    expect(new Set(delays)).toEqual(new Set([25_000]));
    await cluster.world.pass(60_000);
    expect(cluster.hasAlarm(1)).toBe(false);
    expect(await get(cluster, 1, 'a')).toBe('299');
  });
});
