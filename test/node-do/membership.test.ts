/** Membership, snapshots and follower reads in the real runtime, through the REST API. */

import { env, evictAllDurableObjects, runDurableObjectAlarm, SELF } from 'cloudflare:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  MemberReplySchema,
  type MemberRequest,
  MemberRequestSchema,
} from '../../src/api/gen/member_pb.js';
import { RangeRequestSchema, RangeResponseSchema } from '../../src/api/gen/rpc_pb.js';
import { type MemberStatus, memberName, memberPaths } from '../../src/api/member.ts';
import type { RaftNode } from '../../src/node-do/raft-node.ts';

const namespace = (env as unknown as { RAFT_NODE: DurableObjectNamespace<RaftNode> }).RAFT_NODE;

const stubOf = (tenant: string, place: number) =>
  namespace.get(namespace.idFromName(memberName(tenant, place)));

function rest(tenant: string, method: string, path: string, body: string | Uint8Array) {
  const init = { method, body: body as BodyInit };
  return SELF.fetch(`http://quorate/t/${tenant}/v1/${path}`, init);
}

const put = (tenant: string, key: string, value: string) =>
  rest(tenant, 'PUT', `kv/${key}`, value).then(({ status }) => status);

async function reshape(tenant: string, voters: number[], learners: number[] = []): Promise<number> {
  const response = await rest(tenant, 'PUT', 'members', JSON.stringify({ voters, learners }));
  await response.text();
  return response.status;
}

async function statusOf(tenant: string, place: number): Promise<MemberStatus> {
  return (await stubOf(tenant, place).fetch(memberPaths.status)).json();
}

async function readAt(tenant: string, place: number, key: string): Promise<string | null> {
  const range = create(RangeRequestSchema, { key: new TextEncoder().encode(key) });
  const op: MemberRequest['op'] = { case: 'range', value: range };
  const request = create(MemberRequestSchema, { protocol: 1, op, readHere: true });
  const body = toBinary(MemberRequestSchema, request) as Uint8Array<ArrayBuffer>;
  const response = await stubOf(tenant, place).fetch(memberPaths.client, { method: 'POST', body });
  const { outcome } = fromBinary(MemberReplySchema, new Uint8Array(await response.arrayBuffer()));
  if (outcome.case !== 'response') return null;
  const [kv] = fromBinary(RangeResponseSchema, outcome.value).kvs;
  return kv ? new TextDecoder().decode(kv.value) : null;
}

/** Waits for what follows by itself. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 100 && !(await holds()); attempt += 1)
    await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await holds()).toBe(true);
}

describe('a group in workerd', () => {
  it('moves to other places, and a removed one keeps nothing but its tombstone', async () => {
    await put('moving', 'a', '1');
    expect(await reshape('moving', [4, 5, 6])).toBe(200);
    expect(await put('moving', 'b', '2')).toBe(201);
    await eventually(async () => (await statusOf('moving', 6)).revision === 3);
    expect(await readAt('moving', 5, 'a')).toBe('1');
    await eventually(async () => !(await statusOf('moving', 1)).born);
    await evictAllDurableObjects();
    // Whoever knows only the first place still finds the group.
    expect(await put('moving', 'c', '3')).toBe(201);
    expect((await statusOf('moving', 1)).born).toBe(false);
  });

  it('reads at a follower what was just acknowledged, with one request to the leader', async () => {
    await put('near', 'a', '1');
    await eventually(async () => (await statusOf('near', 2)).revision === 2);
    const before = (await statusOf('near', 1)).counters.requestsIn.peer;
    expect(await readAt('near', 2, 'a')).toBe('1');
    expect((await statusOf('near', 1)).counters.requestsIn.peer).toBe(before + 1);
  });

  it('brings a newcomer up to date by snapshot when the log is cut', async () => {
    const value = 'x'.repeat(1_000_000);
    for (let n = 0; n < 40; n += 1) expect(await put('large', `k${n}`, value)).toBe(201);
    expect((await statusOf('large', 1)).firstIndex).toBeGreaterThan(1);
    expect(await reshape('large', [1, 2, 3], [4])).toBe(200);
    await eventually(async () => (await statusOf('large', 4)).revision === 41);
    expect((await readAt('large', 4, 'k39'))?.length).toBe(value.length);
    expect(await reshape('large', [1, 2, 4])).toBe(200);
  });

  it('holds no alarm at rest, and one that rings for nothing changes nothing', async () => {
    await put('alarms', 'a', '1');
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const place of [1, 2, 3])
      expect(await runDurableObjectAlarm(stubOf('alarms', place))).toBe(false);
    expect((await statusOf('alarms', 1)).atRest).toBe(true);
  });
});
