/** A tenant out of a snapshot: founded with the last step or not at all (docs/decisions/backup.md). */
import { create } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  RestoreReply_Outcome as Outcome,
  type RestoreRequest,
} from '../../src/api/gen/backup_pb.js';
import {
  ChangeMembershipSchema,
  type MemberRequest,
  Redirect_Reason,
} from '../../src/api/gen/member_pb.js';
import { abandon, begin, chunk, commit, open, readAll, send, step } from './backup.ts';
import { Cluster } from './cluster.ts';
import { born, endOf, get, getOp, grant, hashAt, hasLease, put, putOp } from './support.ts';

const id = '00112233445566aa';
const other = 'aa66554433221100';
/** More than fits into one chunk. */
const value = 'x'.repeat(100_000);

let chunks: Uint8Array[];
let hash: string;

beforeAll(async () => {
  const from = await born({ size: 1 });
  for (let n = 0; n < 8; n += 1) await put(from, 1, `k${n}`, value);
  await grant(from, 1, 7n, 60);
  chunks = await readAll(from, await open(from));
  hash = hashAt(from, 1);
  expect(chunks.length).toBeGreaterThan(2);
});

function changeTo(voters: number[]): MemberRequest['op'] {
  const change = create(ChangeMembershipSchema, { voters, stepwise: true });
  return { case: 'changeMembership', value: change };
}

async function outcomeOf(
  cluster: Cluster,
  attempt: string,
  one: RestoreRequest['step'],
): Promise<Outcome> {
  return (await step(cluster, attempt, one)).outcome;
}

describe('a tenant out of a snapshot', () => {
  it('has the state that was saved, on every member that joins, and goes on from there', async () => {
    const cluster = new Cluster();
    await send(cluster, id, chunks);
    const reply = await step(cluster, id, commit(chunks.length));
    expect(reply).toMatchObject({ outcome: Outcome.DONE, revision: 11n });
    expect(cluster.status(1)).toMatchObject({ groupId: id, role: 'leader', voters: [1] });
    expect(hashAt(cluster, 1)).toBe(hash);
    const changed = cluster.ask(1, changeTo([1, 2, 3]), { timeoutMs: 30_000 });
    expect((await cluster.world.settle(changed)).outcome.case).toBe('response');
    await cluster.world.pass(1_000);
    for (const place of [1, 2, 3]) expect(hashAt(cluster, place)).toBe(hash);
    expect(await put(cluster, 1, 'k1', 'on')).toBe(12);
    cluster.end(1, 'crash');
    cluster.drop = ({ to }) => to === 1;
    expect(await get(cluster, 2, 'k2', { suspectTerm: 0n })).toBe(value);
    expect(cluster.aborts).toEqual([]);
  });

  it('is no tenant before the last step, and is whole after lives that ended between steps', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks, () => {
      expect(cluster.status(1)).toMatchObject({ born: false, groupId: null });
      cluster.end(1, 'crash');
    });
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.DONE);
    cluster.end(1, 'crash');
    expect(await get(cluster, 1, 'k7')).toBe(value);
    expect(hashAt(cluster, 1)).toBe(hash);
  });

  it('takes each chunk once and in its order, and all of them or none', async () => {
    const cluster = new Cluster({ size: 1 });
    await step(cluster, id, begin);
    const [first = new Uint8Array(), second = new Uint8Array()] = chunks;
    expect(await outcomeOf(cluster, id, chunk(1, second))).toBe(Outcome.FORGOTTEN);
    expect(await outcomeOf(cluster, id, chunk(0, first))).toBe(Outcome.DONE);
    expect(await outcomeOf(cluster, id, chunk(0, first))).toBe(Outcome.DONE);
    expect(await outcomeOf(cluster, id, chunk(2, second))).toBe(Outcome.FORGOTTEN);
    for (const count of [0, 2, chunks.length])
      expect(await outcomeOf(cluster, id, commit(count))).not.toBe(Outcome.DONE);
    expect(cluster.status(1).born).toBe(false);
    for (const [number, data] of chunks.entries())
      if (number > 0) expect(await outcomeOf(cluster, id, chunk(number, data))).toBe(Outcome.DONE);
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.DONE);
    expect(hashAt(cluster, 1)).toBe(hash);
  });

  it('is not made of what only looks like a chunk', async () => {
    const cluster = new Cluster({ size: 1 });
    await step(cluster, id, begin);
    const [first = new Uint8Array()] = chunks;
    for (const data of [new TextEncoder().encode('no chunk'), chunks[1] ?? first, new Uint8Array()])
      expect(await outcomeOf(cluster, id, chunk(0, data))).toBe(Outcome.UNREADABLE);
    await step(cluster, id, chunk(0, first));
    // It would write the rows of the first one again.
    expect(await outcomeOf(cluster, id, chunk(1, first))).toBe(Outcome.UNREADABLE);
    await send(cluster, other, chunks);
    expect(await outcomeOf(cluster, other, commit(chunks.length))).toBe(Outcome.DONE);
    expect(hashAt(cluster, 1)).toBe(hash);
    expect(cluster.aborts).toEqual([]);
  });

  it('is founded once, though the last step is taken twice', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks);
    await step(cluster, id, commit(chunks.length));
    await put(cluster, 1, 'later', '1');
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.DONE);
    expect(await get(cluster, 1, 'later')).toBe('1');
    expect(await outcomeOf(cluster, other, commit(chunks.length))).toBe(Outcome.BORN);
  });

  it('gives every lease its whole time again', async () => {
    const from = await born({ size: 1 });
    await grant(from, 1, 7n, 60);
    await from.world.pass(50_000);
    const aged = await readAll(from, await open(from));
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, aged);
    await step(cluster, id, commit(aged.length));
    expect(hasLease(cluster, 1, 7n)).toBe(true);
    expect(await endOf(cluster, 1, 7n, 90_000)).toBeGreaterThan(58_000);
    expect(await get(cluster, 1, 'lease 7')).toBeNull();
  });
});

describe('no tenant is made of a snapshot', () => {
  const refused = async (cluster: Cluster, outcome: Outcome) => {
    expect(await outcomeOf(cluster, id, begin)).toBe(outcome);
    for (const one of [chunk(0, chunks[0] ?? new Uint8Array()), commit(chunks.length), abandon])
      expect(await outcomeOf(cluster, id, one)).not.toBe(Outcome.DONE);
  };

  it.each([1, 3] as const)('where a group of %i lives', async (size) => {
    const cluster = await born({ size });
    await refused(cluster, Outcome.BORN);
    expect(await get(cluster, 1, 'a')).toBe('1');
  });

  it('where place 1 has lost the storage of a group that lives', async () => {
    const cluster = await born();
    cluster.wipe(1);
    await refused(cluster, Outcome.BORN);
  });

  it('where a group has moved away from', async () => {
    const cluster = await born();
    const moved = cluster.ask(1, changeTo([4, 5, 6]), { timeoutMs: 30_000 });
    await cluster.world.settle(moved);
    await cluster.world.pass(30_000);
    await refused(cluster, Outcome.BORN);
    cluster.wipe(1);
    await refused(cluster, Outcome.BORN);
  });

  it('while a founding place is silent, and is when it answers', async () => {
    const cluster = new Cluster({ size: 1 });
    cluster.drop = ({ to, path }) => path === 'birth' && to === 5;
    await refused(cluster, Outcome.UNREACHABLE);
    cluster.drop = () => false;
    await send(cluster, id, chunks);
    cluster.drop = ({ to, path }) => path === 'birth' && to === 4;
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.UNREACHABLE);
    expect(cluster.status(1).born).toBe(false);
    cluster.drop = () => false;
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.DONE);
  });

  it('when a group was born meanwhile, be it while the places were asked', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks);
    // A new life knows of nobody who restores.
    cluster.end(1, 'crash');
    const birth = cluster.ask(1, putOp('a', '1'));
    const committed = step(cluster, id, commit(chunks.length));
    const outcomes = [(await cluster.world.settle(birth)).outcome.case, (await committed).outcome];
    const restored = outcomes[1] === Outcome.DONE;
    expect([Outcome.DONE, Outcome.BORN]).toContain(outcomes[1]);
    expect(await get(cluster, 1, 'k1')).toBe(restored ? value : null);
    expect(cluster.status(1).revision).toBe(restored ? 12 : 2);
    expect(cluster.aborts).toEqual([]);
  });
});

describe('an attempt to restore', () => {
  it('holds up the birth of an empty group, for a minute after it was heard of last', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks.slice(0, 2));
    const asked = await cluster.world.settle(cluster.ask(1, getOp('a')));
    expect(asked.outcome.value).toMatchObject({ reason: Redirect_Reason.NO_LEADER });
    await cluster.world.pass(61_000);
    expect(await put(cluster, 1, 'a', '1')).toBe(2);
    expect(await outcomeOf(cluster, id, chunk(2, chunks[2] ?? new Uint8Array()))).toBe(
      Outcome.BORN,
    );
    expect(await get(cluster, 1, 'k1')).toBeNull();
  });

  it('is over when another one begins, and leaves nothing to it', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks);
    await send(cluster, other, chunks.slice(0, 1));
    const second = chunk(1, chunks[1] ?? new Uint8Array());
    expect(await outcomeOf(cluster, id, second)).toBe(Outcome.FORGOTTEN);
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.FORGOTTEN);
    for (const [number, data] of chunks.entries()) await step(cluster, other, chunk(number, data));
    expect(await outcomeOf(cluster, other, commit(chunks.length))).toBe(Outcome.DONE);
    expect(cluster.status(1).groupId).toBe(other);
    expect(hashAt(cluster, 1)).toBe(hash);
  });

  it('that is given up leaves no rows, and the place as if it had not been', async () => {
    const cluster = new Cluster({ size: 1 });
    await send(cluster, id, chunks);
    expect(await outcomeOf(cluster, id, abandon)).toBe(Outcome.DONE);
    for (const table of ['kv_data', 'kv_data_1', 'kv_lease_1', 'kv_reception'])
      expect(cluster.sql(1).all(`SELECT 1 FROM ${table}`)).toEqual([]);
    expect(await outcomeOf(cluster, id, commit(chunks.length))).toBe(Outcome.FORGOTTEN);
    expect(await put(cluster, 1, 'a', '1')).toBe(2);
    expect(await get(cluster, 1, 'k1')).toBeNull();
  });
});
