/** The quota of a tenant: full, refused, room made, and on (docs/decisions/maintenance.md). */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import { AlarmType, StatusResponseSchema } from '../../src/api/gen/maintenance_pb.js';
import {
  MaintenanceQuerySchema,
  type MemberReply,
  type MemberRequest,
} from '../../src/api/gen/member_pb.js';
import { DeleteRangeRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { addRole, addUser, enable, giveRole } from '../kv/auth/support.ts';
import { clear, raise } from '../kv/maintenance.ts';
import type { Cluster } from './cluster.ts';
import { born, compactOp, get, grantOp, putOp, responseOf, revokeOp } from './support.ts';

const kiB = 1_024;
const quotaBytes = 512 * kiB;
const value = 'x'.repeat(8 * kiB);
const command = (data: Uint8Array): MemberRequest['op'] => ({ case: 'command', value: data });

function deleteOp(): MemberRequest['op'] {
  const all = create(DeleteRangeRequestSchema, {
    key: new TextEncoder().encode('f'),
    rangeEnd: new TextEncoder().encode('g'),
  });
  const op = { case: 'deleteRange' as const, value: all };
  return command(toBinary(CommandSchema, create(CommandSchema, { op })));
}

async function answer(
  cluster: Cluster,
  op: MemberRequest['op'],
  who: Partial<MemberRequest> = {},
  place = 1,
): Promise<string> {
  const { outcome } = await cluster.world.settle(cluster.ask(place, op, who));
  return outcome.case === 'failure' ? outcome.value.error : (outcome.case ?? 'nothing');
}

async function status(cluster: Cluster, place: number) {
  const query = { case: 'status' as const, value: {} };
  const asked = create(MaintenanceQuerySchema, { query });
  const reply: MemberReply = await cluster.world.settle(
    cluster.ask(place, { case: 'maintenance', value: asked }),
  );
  return fromBinary(StatusResponseSchema, responseOf(reply));
}

/** Puts until one is refused; gives how many were not. */
async function fill(cluster: Cluster): Promise<number> {
  for (let n = 0; n < 1_000; n += 1) {
    const said = await answer(cluster, putOp(`f${n}`, value));
    if (said === 'NoSpace') return n;
    expect(said).toBe('response');
  }
  throw new Error('never full');
}

describe('a tenant that is full', () => {
  it('is refused what adds data, says why at every member, and goes on when room is made', async () => {
    const cluster = await born({ settings: { quotaBytes } });
    const count = await fill(cluster);
    expect(count).toBeGreaterThan(30);
    expect(count).toBeLessThan(quotaBytes / value.length);
    // The others hear of the commit when the leader comes to rest.
    await cluster.world.pass(1_000);
    for (const place of [1, 2, 3]) {
      const { errors, dbSize, dbSizeInUse } = await status(cluster, place);
      expect(errors).toEqual([`memberID:${(await status(cluster, 1)).leader} alarm:NOSPACE `]);
      expect(dbSizeInUse).toBeLessThanOrEqual(quotaBytes);
      expect(dbSizeInUse).toBeGreaterThan(quotaBytes / 2);
      expect(dbSize).toBeGreaterThan(dbSizeInUse);
    }
    for (const op of [putOp('a', '2'), grantOp(8n, 60)])
      expect(await answer(cluster, op)).toBe('NoSpace');
    expect(await get(cluster, 1, 'a')).toBe('1');
    const { revision = 0n } = (await status(cluster, 1)).header ?? {};
    expect(await answer(cluster, deleteOp())).toBe('response');
    // Room alone does not end it: somebody has to say so.
    expect(await answer(cluster, compactOp(Number(revision) + 1, true))).toBe('response');
    expect(await answer(cluster, putOp('a', '2'))).toBe('NoSpace');
    const { leader } = await status(cluster, 1);
    expect(await answer(cluster, command(clear(AlarmType.NOSPACE, leader)))).toBe('response');
    expect(await answer(cluster, putOp('a', '2'))).toBe('response');
    // As much fits as before: what was deleted has left its room.
    expect(await fill(cluster)).toBeGreaterThanOrEqual(count - 2);
  });

  it('is full again at once where the alarm is cleared without room', async () => {
    const cluster = await born({ settings: { quotaBytes } });
    await fill(cluster);
    const { leader } = await status(cluster, 1);
    expect(await answer(cluster, command(clear(AlarmType.NOSPACE, leader)))).toBe('response');
    expect(await answer(cluster, putOp('more', value))).toBe('NoSpace');
    expect((await status(cluster, 2)).errors.length).toBe(1);
  });

  it('fills no log, however often clients try', async () => {
    const cluster = await born({ settings: { quotaBytes } });
    await fill(cluster);
    const { lastIndex } = cluster.status(1);
    for (let n = 0; n < 50; n += 1) await answer(cluster, putOp('more', value));
    expect(cluster.status(1).lastIndex).toBe(lastIndex);
  });

  it('stays so under another leader, and is asked about by its quorum', async () => {
    const cluster = await born({ settings: { quotaBytes } });
    await fill(cluster);
    cluster.end(1);
    const said = async () => answer(cluster, putOp('a', '2'), { suspectTerm: 0n }, 2);
    let last = await said();
    for (let n = 0; n < 10 && last !== 'NoSpace'; n += 1) last = await said();
    expect(last).toBe('NoSpace');
  });

  it('is not made so by who may not write', async () => {
    const cluster = await born({ settings: { quotaBytes: 256 * kiB } });
    const root = ['root', 'root'] as const;
    for (const one of [addUser(root[0]), addRole(root[0]), giveRole(...root), enable])
      expect(await answer(cluster, command(one))).toBe('response');
    expect(await answer(cluster, putOp('a', 'x'.repeat(300 * kiB)))).toBe('UserEmpty');
    expect((await statusAs(cluster)).errors).toEqual([]);
    const operator = { operator: true };
    expect(await answer(cluster, putOp('a', 'x'.repeat(300 * kiB)), operator)).toBe('NoSpace');
    expect((await statusAs(cluster)).errors.length).toBe(1);
  });
});

async function statusAs(cluster: Cluster) {
  const query = { case: 'status' as const, value: {} };
  const op = { case: 'maintenance' as const, value: create(MaintenanceQuerySchema, { query }) };
  const reply = await cluster.world.settle(cluster.ask(1, op, { operator: true }));
  return fromBinary(StatusResponseSchema, responseOf(reply));
}

it('nobody is refused by a leader that has been replaced, and has not heard that the alarm is over', async () => {
  const cluster = await born();
  expect(await answer(cluster, command(raise(AlarmType.NOSPACE, 5n)))).toBe('response');
  await cluster.world.pass(1_000);
  cluster.drop = ({ from, to }) => from === 1 || (to === 1 && from > 0);
  const cleared = command(clear(AlarmType.NOSPACE, 5n));
  let said = '';
  for (let n = 0; n < 10 && said !== 'response'; n += 1) {
    said = await answer(cluster, cleared, { suspectTerm: 0n }, 2);
    if (said !== 'response') await cluster.world.pass(200);
  }
  expect(said).toBe('response');
  expect(cluster.status(1).role).toBe('leader');
  expect(await answer(cluster, putOp('a', '2'))).not.toBe('NoSpace');
});

it('an alarm that a client has raised refuses before the log, and ends with it', async () => {
  const cluster = await born();
  expect(await answer(cluster, command(raise(AlarmType.CORRUPT, 5n)))).toBe('response');
  expect(await answer(cluster, grantOp(7n, 60))).toBe('Corrupt');
  const { lastIndex } = cluster.status(1);
  for (const op of [putOp('a', '2'), compactOp(2, false), revokeOp(7n), deleteOp()])
    expect(await answer(cluster, op)).toBe('Corrupt');
  expect(cluster.status(1).lastIndex).toBe(lastIndex);
  expect(await answer(cluster, command(clear(AlarmType.CORRUPT, 5n)))).toBe('response');
  expect(await answer(cluster, putOp('a', '2'))).toBe('response');
});
