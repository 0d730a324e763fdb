/** Members that do not hold the same any more are found, and nobody else is called corrupt. */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { AlarmType } from '../../src/api/gen/maintenance_pb.js';
import { HistoryHashSchema, MemberReplySchema } from '../../src/api/gen/member_pb.js';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { dissenters } from '../../src/node-do/hash-check.ts';
import { Random } from '../support/random.ts';
import type { Cluster } from './cluster.ts';
import { born, compactOp, persist, put, putOp } from './support.ts';

const revisionsPerHashCheck = 20;
const tuning = { revisionsPerHashCheck };
const corrupted = "UPDATE kv_data SET value = x'00' WHERE rev = 2";

/** `CORRUPT place` of each alarm, as the state of `at` has it. */
function alarms(cluster: Cluster, at: number): string[] {
  const places = new Map([1, 2, 3].map((place) => [cluster.status(place).memberId, place]));
  const { raised } = StateMachine.open(cluster.sql(at)).alarms;
  return raised.map(
    ({ alarm, memberID }) => `${AlarmType[alarm]} ${places.get(String(memberID)) ?? '?'}`,
  );
}

/** Past the next multiple of the interval, and until the group rests. */
async function past(cluster: Cluster): Promise<void> {
  for (let n = 0; n < revisionsPerHashCheck; n += 1) await put(cluster, 1, `k${n}`, 'v');
  await cluster.world.pass(5_000);
}

const asked = ({ traffic }: Cluster): number =>
  traffic.filter(({ from, path }) => from > 0 && path === 'client').length;

/** The answer as a member would give it whose code makes hashes in another way. */
function ofOtherCode(answer: Uint8Array): Uint8Array {
  const reply = fromBinary(MemberReplySchema, answer);
  if (reply.outcome.case !== 'response') return answer;
  const hash = fromBinary(HistoryHashSchema, reply.outcome.value);
  hash.algorithm += 1;
  reply.outcome.value = toBinary(HistoryHashSchema, hash);
  return toBinary(MemberReplySchema, reply);
}

describe('once per interval of revisions', () => {
  it.each([
    { places: [2], called: ['CORRUPT 2'] },
    // The majority is right, be it against the leader.
    { places: [1], called: ['CORRUPT 1'] },
  ])('who holds something else is called corrupt: $places', async ({ places, called }) => {
    const cluster = await born({ tuning });
    for (const place of places) cluster.sql(place).run(corrupted);
    await past(cluster);
    for (const at of [1, 2, 3]) expect(alarms(cluster, at)).toEqual(called);
    const { outcome } = await cluster.world.settle(cluster.ask(1, putOp('a', '2')));
    expect(outcome.case === 'failure' && outcome.value.error).toBe('Corrupt');
  });

  it('all that are alone with what they hold are called so, but for the leader', async () => {
    const cluster = await born({ tuning });
    cluster.sql(2).run(corrupted);
    cluster.sql(3).run("UPDATE kv_data SET value = x'11' WHERE rev = 2");
    await past(cluster);
    expect(alarms(cluster, 1)).toEqual(['CORRUPT 2', 'CORRUPT 3']);
  });

  it('the leader asks each other member, once, and nobody asks at rest', async () => {
    const cluster = await born({ tuning });
    await past(cluster);
    const before = asked(cluster);
    expect(before).toBeGreaterThanOrEqual(2);
    // One question begins the reading, the next one gets the answer.
    expect(before).toBeLessThanOrEqual(6);
    await cluster.world.pass(600_000);
    expect(asked(cluster)).toBe(before);
    for (const place of [1, 2, 3]) expect(cluster.status(place).atRest).toBe(true);
    await put(cluster, 1, 'k', 'v');
    await cluster.world.pass(5_000);
    expect(asked(cluster)).toBe(before);
    expect(alarms(cluster, 1)).toEqual([]);
  });

  it('members that make their hashes in other ways are not compared', async () => {
    const cluster = await born({ tuning });
    cluster.sql(2).run(corrupted);
    const deliver = cluster.deliver.bind(cluster);
    cluster.deliver = async (...call) => {
      const [from, to, path] = call;
      const answer = await deliver(...call);
      return from === 1 && to === 2 && path === 'client' ? ofOtherCode(answer) : answer;
    };
    await past(cluster);
    expect(alarms(cluster, 1)).toEqual([]);
  });

  it('goes on where a member is away, and the group comes to rest', async () => {
    const cluster = await born({ tuning });
    cluster.sql(2).run(corrupted);
    cluster.drop = ({ from, to }) => from === 3 || to === 3;
    await past(cluster);
    await cluster.world.pass(120_000);
    expect(cluster.status(1).atRest).toBe(true);
    // The two that are there cannot tell who is right: the leader's word goes.
    expect(alarms(cluster, 1)).toEqual(['CORRUPT 2']);
  });

  it('a life that begins does not look into what it finds', async () => {
    const cluster = await born({ tuning });
    for (let n = 0; n < revisionsPerHashCheck; n += 1) await put(cluster, 1, 'k', 'v');
    await cluster.world.pass(5_000);
    const before = asked(cluster);
    cluster.evictResting();
    await put(cluster, 1, 'k', 'v');
    await cluster.world.pass(5_000);
    expect(asked(cluster)).toBe(before);
  });
});

it('nobody is called corrupt while members die, leaders change and history is compacted', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = new Random(seed);
    const cluster = await born({ tuning, seed });
    let checks = 0;
    for (let n = 0; n < 150; n += 1) {
      await persist(cluster, putOp(`k${random.integer(1, 9)}`, String(n)));
      const { revision, compactRevision } = cluster.status(cluster.leader() ?? 1);
      if (random.next() < 0.1 && revision - 5 > compactRevision)
        await persist(cluster, compactOp(revision - random.integer(1, 4), false));
      if (random.next() < 0.08) cluster.end(random.integer(1, 3));
      if (random.next() < 0.2) await cluster.world.pass(random.integer(1, 400));
      checks = asked(cluster);
    }
    await cluster.world.pass(70_000);
    expect(checks).toBeGreaterThan(0);
    for (const at of [1, 2, 3]) expect(alarms(cluster, at)).toEqual([]);
  }
});

describe('who dissents', () => {
  const found = (...digests: string[]) => new Map(digests.map((digest, at) => [at + 1, digest]));
  it.each([
    [found('a', 'a', 'a'), 3, []],
    [found('a', 'b', 'a'), 3, [2]],
    [found('a', 'b', 'b'), 3, [1]],
    // Two of three differ: the third might side with either.
    [found('a', 'b'), 3, [2]],
    [found('a', 'b', 'c'), 3, [2, 3]],
    [found('a', 'b'), 2, [2]],
    [found('a', 'b', 'b'), 5, [2, 3]],
    [found('a', 'b', 'b', 'b'), 5, [1]],
    [found('a'), 3, []],
  ])('%o of %i', (digests, members, expected) => {
    expect(dissenters(digests, 'a', members)).toEqual(expected);
  });
});
