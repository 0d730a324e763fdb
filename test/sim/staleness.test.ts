/** How new a member's own state is: what it can show, what it cannot, and what it waits for. */
import { describe, expect, it } from 'vitest';
import type { MemberReply, MemberRequest } from '../../src/api/gen/member_pb.js';
import type { Cluster } from './cluster.ts';
import { born, getOp, messageKinds, persist, put, valueIn } from './support.ts';

async function read(
  cluster: Cluster,
  place: number,
  terms: Partial<MemberRequest> = {},
): Promise<MemberReply> {
  const options = { serializable: true, timeoutMs: 3_000, ...terms };
  return cluster.world.settle(cluster.ask(place, getOp('a'), options));
}

const ageIn = ({ servedBy }: MemberReply) =>
  servedBy?.stalenessMs === undefined ? null : Number(servedBy.stalenessMs);
const errorIn = ({ outcome }: MemberReply) =>
  outcome.case === 'failure' ? outcome.value.error : outcome.case;

/** Place 3 hears of nobody any more; the others go on without it. */
function cutOff(cluster: Cluster): void {
  cluster.drop = ({ from, to }) => from !== 0 && (from === 3 || to === 3);
}

describe('the age of a serializable read', () => {
  it('is unknown until a quorum has confirmed an index, and is then the time since that was asked', async () => {
    const cluster = await born();
    expect(ageIn(await read(cluster, 2))).toBeNull();
    await cluster.world.settle(cluster.ask(2, getOp('a'), { readHere: true }));
    const confirmed = ageIn(await read(cluster, 2)) ?? -1;
    expect(confirmed).toBeGreaterThan(0);
    await cluster.world.pass(700);
    expect(ageIn(await read(cluster, 2))).toBe(confirmed + 700 + 2);
  });

  it('is not made less by what the leader sends: a deposed one sends too', async () => {
    const cluster = await born();
    await cluster.world.settle(cluster.ask(2, getOp('a'), { readHere: true }));
    await cluster.world.pass(500);
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(500);
    expect(ageIn(await read(cluster, 2))).toBeGreaterThan(1_000);
  });

  it('is unknown again in a new life', async () => {
    const cluster = await born();
    await cluster.world.settle(cluster.ask(2, getOp('a'), { readHere: true }));
    expect(ageIn(await read(cluster, 2))).not.toBeNull();
    cluster.end(2);
    expect(ageIn(await read(cluster, 2))).toBeNull();
  });

  it('never hides an acknowledged write: what a member misses is younger than it says', async () => {
    const cluster = await born();
    await cluster.world.settle(cluster.ask(3, getOp('a'), { readHere: true }));
    await cluster.world.pass(100);
    cutOff(cluster);
    await put(cluster, 1, 'a', '2');
    const acknowledgedAt = cluster.world.now;
    await cluster.world.pass(400);
    const reply = await read(cluster, 3);
    expect(valueIn(reply)).toBe('1');
    expect(ageIn(reply)).toBeGreaterThan(cluster.world.now - acknowledgedAt);
  });

  it('is not shown by an index that is confirmed and not applied here', async () => {
    const cluster = await born();
    // What the leader sends does not arrive; what it answers does.
    cluster.drop = ({ from, to }) => from === 1 && to === 3;
    await put(cluster, 1, 'a', '2');
    const waiting = cluster.ask(3, getOp('a'), { readHere: true });
    await cluster.world.pass(20);
    expect(cluster.responses).toContain('1>3 readReply');
    const reply = await read(cluster, 3);
    expect([valueIn(reply), ageIn(reply)]).toEqual(['1', null]);
    cluster.drop = () => false;
    expect(valueIn(await cluster.world.settle(waiting))).toBe('2');
    expect(ageIn(await read(cluster, 3))).not.toBeNull();
  });

  it('is not said of a linearizable read', async () => {
    const cluster = await born();
    const reply = await cluster.world.settle(cluster.ask(2, getOp('a'), { readHere: true }));
    expect(ageIn(reply)).toBeNull();
  });
});

describe('a bound on the age', () => {
  it('costs nothing while it is kept, and one round to the leader when it is not', async () => {
    const cluster = await born();
    const first = await read(cluster, 2, { maxStalenessMs: 2_000 });
    expect(messageKinds(cluster.traffic)).toEqual(['2>1 readRequest']);
    expect([valueIn(first), ageIn(first)]).toEqual(['1', expect.any(Number)]);
    cluster.traffic.length = 0;
    await cluster.world.pass(1_900);
    expect(ageIn(await read(cluster, 2, { maxStalenessMs: 2_000 }))).toBeLessThanOrEqual(2_000);
    expect(messageKinds(cluster.traffic)).toEqual([]);
    await cluster.world.pass(200);
    expect(ageIn(await read(cluster, 2, { maxStalenessMs: 2_000 }))).toBeLessThanOrEqual(10);
  });

  it('is refused by a member that can ask nobody, and holds for the others', async () => {
    const cluster = await born();
    cutOff(cluster);
    await put(cluster, 1, 'a', '2');
    expect(errorIn(await read(cluster, 3, { maxStalenessMs: 2_000 }))).toBe('TooStale');
    expect(valueIn(await read(cluster, 3))).toBe('1');
    expect(valueIn(await read(cluster, 2, { maxStalenessMs: 2_000 }))).toBe('2');
  });

  it('that the round itself exceeds is not kept', async () => {
    const cluster = await born({ latencyMs: () => 40 });
    expect(errorIn(await read(cluster, 2, { maxStalenessMs: 50 }))).toBe('TooStale');
    expect(errorIn(await read(cluster, 2, { maxStalenessMs: 500 }))).toBe('response');
  });
});

describe('a least revision', () => {
  it('is waited for by a replica that has not applied it', async () => {
    const cluster = await born();
    cluster.drop = ({ to, from }) => from === 1 && to === 3;
    const revision = await put(cluster, 1, 'a', '2');
    await cluster.world.pass(60_000);
    expect(valueIn(await read(cluster, 3))).toBe('1');
    cluster.drop = () => false;
    const reply = await read(cluster, 3, { minRevision: BigInt(revision) });
    expect(valueIn(reply)).toBe('2');
  });

  it('that comes late is waited for, and one that does not come by the deadline is too new', async () => {
    const cluster = await born();
    cutOff(cluster);
    const revision = await put(cluster, 1, 'a', '2');
    const waiting = cluster.ask(3, getOp('a'), {
      ...{ serializable: true, minRevision: BigInt(revision), timeoutMs: 20_000 },
    });
    await cluster.world.pass(6_000);
    cluster.drop = () => false;
    await put(cluster, 1, 'a', '3');
    expect(valueIn(await cluster.world.settle(waiting))).toMatch(/[23]/);
    cutOff(cluster);
    await persist(cluster, getOp('a'), [1, 2]);
    const newer = await put(cluster, cluster.leader() ?? 1, 'a', '4');
    expect(errorIn(await read(cluster, 3, { minRevision: BigInt(newer) }))).toBe('TooStale');
  });

  it('that nobody can have seen is in the future', async () => {
    const cluster = await born();
    for (const how of [{ serializable: true }, { serializable: false, readHere: true }])
      expect(errorIn(await read(cluster, 2, { ...how, minRevision: 99n }))).toBe('FutureRev');
    expect(errorIn(await read(cluster, 1, { serializable: false, minRevision: 99n }))).toBe(
      'FutureRev',
    );
  });
});

it('what waited for the quorum is measured, and nothing else', async () => {
  const cluster = await born({ latencyMs: () => 40 });
  const own = await read(cluster, 2);
  expect(own.servedBy?.quorumMs).toBeUndefined();
  const linearizable = await cluster.world.settle(
    cluster.ask(2, getOp('a'), { readHere: true, timeoutMs: 3_000 }),
  );
  expect(linearizable.servedBy).toMatchObject({ role: 'follower', places: [1, 2, 3] });
  expect(linearizable.servedBy?.quorumMs).toBeGreaterThanOrEqual(80);
  expect(linearizable.servedBy?.quorumMs).toBeLessThan(90);
});
