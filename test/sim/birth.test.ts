/** A group is born once, and a place belongs to it only by the incarnation it gave out. */

import { create, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { Redirect_Reason } from '../../src/api/gen/member_pb.js';
import { BirthQuestionSchema } from '../../src/api/gen/peer_pb.js';
import { thisCode } from '../../src/node-do/platform.ts';
import { Cluster } from './cluster.ts';
import { get, getOp, grantOp, put, putOp } from './support.ts';

describe('birth', () => {
  it.each([1, 3, 5] as const)('the first request gives birth to a group of %i', async (size) => {
    const cluster = new Cluster({ size });
    expect(await put(cluster, 1, 'a', '1')).toBe(2);
    expect(await get(cluster, 1, 'a')).toBe('1');
    expect(cluster.status(1).voters).toEqual([1, 2, 3, 4, 5].slice(0, size));
    await cluster.world.pass(1_000);
    const applied = cluster.status(1).appliedIndex;
    for (let place = 2; place <= size; place += 1)
      expect(cluster.status(place).appliedIndex).toBe(applied);
  });

  it('requests that come together find one group', async () => {
    const cluster = new Cluster();
    const replies = await cluster.world.settle(
      Promise.all(['a', 'b', 'c'].map((key) => cluster.ask(1, putOp(key, key)))),
    );
    expect(replies.map(({ outcome }) => outcome.case)).toEqual([
      'response',
      'response',
      'response',
    ]);
    expect(cluster.status(1).revision).toBe(4);
  });

  it('a place other than the first founds nothing', async () => {
    const cluster = new Cluster();
    const { outcome } = await cluster.world.settle(cluster.ask(2, putOp('a', '1')));
    expect(outcome.value).toMatchObject({ reason: Redirect_Reason.NOT_BORN });
    expect(cluster.status(2).born).toBe(false);
  });

  it.each([1, 3] as const)(
    'a wiped first place founds no second group, with the variable at %i',
    async (size) => {
      const cluster = new Cluster();
      await put(cluster, 1, 'a', '1');
      cluster.wipe(1);
      const { outcome } = await cluster.world.settle(
        cluster.ask(1, putOp('a', '2'), { groupSize: size }),
      );
      expect(outcome.value).toMatchObject({
        reason: Redirect_Reason.NOT_BORN,
        places: [1, 2, 3],
      });
      expect(cluster.status(1).born).toBe(false);
    },
  );

  it('a founder that is wiped before anybody has heard of the birth founds the group anew', async () => {
    const cluster = new Cluster();
    cluster.drop = ({ path }) => path === 'peer';
    const first = await cluster.world.settle(cluster.ask(1, putOp('a', '1')));
    expect(first.outcome.case).not.toBe('response');
    expect(cluster.status(1).born).toBe(true);
    cluster.wipe(1);
    cluster.drop = () => false;
    // Only place 1 can: without it there is no group, and nobody to be suspected.
    for (const place of [2, 3]) {
      const asked = cluster.ask(place, putOp('a', '2'), { suspectTerm: 0n });
      const { outcome } = await cluster.world.settle(asked);
      expect(outcome.value).toMatchObject({ reason: Redirect_Reason.NOT_BORN, places: [] });
    }
    expect(await put(cluster, 1, 'a', '2')).toBe(2);
    await cluster.world.pass(1_000);
    for (const place of [1, 2, 3]) expect(cluster.status(place).revision).toBe(2);
  });

  it('a place that is told of a group while it asks the others founds none', async () => {
    const cluster = new Cluster({ size: 1 });
    const asked = cluster.ask(1, putOp('a', '1'));
    await cluster.world.pass(1);
    const members = { voters: [{ place: 6, incarnation: 'b6' }], outgoing: [], learners: [] };
    const question = create(BirthQuestionSchema, { groupId: 'a0a0', members });
    cluster.life(1).member.onBirth(toBinary(BirthQuestionSchema, question));
    const { outcome } = await cluster.world.settle(asked);
    expect(outcome.value).toMatchObject({ reason: Redirect_Reason.NOT_BORN, places: [6] });
    expect(cluster.status(1).born).toBe(false);
  });

  it('a silent founding place forbids birth, whatever the size', async () => {
    const cluster = new Cluster({ size: 1 });
    cluster.drop = ({ to, path }) => path === 'birth' && to === 5;
    const { outcome } = await cluster.world.settle(cluster.ask(1, putOp('a', '1')));
    expect(outcome.value).toMatchObject({ reason: Redirect_Reason.NO_LEADER });
    expect(cluster.status(1).born).toBe(false);
    cluster.drop = () => false;
    expect(await put(cluster, 1, 'a', '1')).toBe(2);
  });

  it('a wiped member does not vote: it refuses every message of its old group', async () => {
    const cluster = new Cluster();
    await put(cluster, 1, 'a', '1');
    await cluster.world.pass(1_000);
    cluster.wipe(3);
    cluster.end(1);
    cluster.drop = ({ to }) => to === 1;
    // Members 2 and the empty 3 would be a majority, if 3 answered.
    const { outcome } = await cluster.world.settle(
      cluster.ask(2, getOp('a'), { suspectTerm: 1n, timeoutMs: 4_000 }),
    );
    expect(outcome.case).toBe('redirect');
    expect(cluster.status(2).role).not.toBe('leader');
    expect(cluster.status(3)).toMatchObject({ born: false, boot: 0 });
  });

  it.each([
    { rules: thisCode.rules, outcome: 'response' },
    // Rules without leases.
    { rules: 1, outcome: 'failure' },
  ])(
    'a founding place that has rules $rules and falls silent leaves a new group with those',
    async ({ rules, outcome }) => {
      const cluster = new Cluster({
        codeOf: (at) => (at === 3 ? { ...thisCode, rules } : thisCode),
      });
      cluster.drop = ({ to, path }) => path === 'peer' && to === 3;
      const granted = await cluster.world.settle(cluster.ask(1, grantOp(7n, 60)));
      expect(granted.outcome.case).toBe(outcome);
    },
  );
});
