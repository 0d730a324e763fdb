/** The member in the real runtime: gates, eviction and abort are workerd's own here. */
import {
  abortAllDurableObjects,
  env,
  evictAllDurableObjects,
  runInDurableObject,
  SELF,
} from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { type MemberStatus, memberName } from '../../src/api/member.ts';
import type { RaftNode } from '../../src/node-do/raft-node.ts';

interface TestEnv {
  readonly RAFT_NODE: DurableObjectNamespace<RaftNode>;
}

const namespace = (env as unknown as TestEnv).RAFT_NODE;
const stubOf = (tenant: string, place: number) =>
  namespace.get(namespace.idFromName(memberName(tenant, place)));

async function call(tenant: string, rpc: string, body: object) {
  const response = await SELF.fetch(`http://quorate/t/${tenant}/v3/kv/${rpc}`, {
    method: 'POST',
    body: JSON.stringify(body),
  });
  return { status: response.status, body: await response.json<Record<string, never>>() };
}

const put = (tenant: string, key: string, value: string) =>
  call(tenant, 'put', { key: btoa(key), value: btoa(value) });

async function get(tenant: string, key: string): Promise<string | null> {
  const { body } = await call(tenant, 'range', { key: btoa(key) });
  const [kv] = (body as { kvs?: { value: string }[] }).kvs ?? [];
  return kv ? atob(kv.value) : null;
}

async function statusOf(tenant: string): Promise<MemberStatus[]> {
  const response = await SELF.fetch(`http://quorate/t/${tenant}/v1/status`);
  return (await response.json<{ members: MemberStatus[] }>()).members;
}

/** The commit notice and whatever else follows a burst. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 300));

describe('a group in workerd', () => {
  it('serves what it was given, and every member holds it', async () => {
    expect((await put('one', 'a', '1')).status).toBe(200);
    expect(await get('one', 'a')).toBe('1');
    await settled();
    expect((await statusOf('one')).map(({ revision }) => revision)).toEqual([2, 2, 2]);
  });

  it('tenants have groups of their own', async () => {
    await put('left', 'a', 'l');
    await put('right', 'a', 'r');
    expect([await get('left', 'a'), await get('right', 'a')]).toEqual(['l', 'r']);
  });

  it('a leader that was evicted leads its term again, after one round to the quorum', async () => {
    await put('cold', 'a', '1');
    await settled();
    const before = await statusOf('cold');
    await evictAllDurableObjects();
    expect(await get('cold', 'a')).toBe('1');
    const after = await statusOf('cold');
    expect(after[0]).toMatchObject({ role: 'leader', term: before[0]?.term, boot: 2 });
    expect(after.map(({ counters }) => counters.requestsIn.peer)).toEqual([0, 1, 1]);
  });

  it('a crash of all objects loses nothing that was acknowledged', async () => {
    for (let n = 0; n < 20; n += 1) expect((await put('crash', `k${n}`, 'x')).status).toBe(200);
    await abortAllDurableObjects();
    for (let n = 0; n < 20; n += 1) expect(await get('crash', `k${n}`)).toBe('x');
  });

  it('holds no alarm, ever', async () => {
    await put('quiet', 'a', '1');
    await settled();
    for (const place of [1, 2, 3]) {
      const alarm = await runInDurableObject(stubOf('quiet', place), (_, state) =>
        state.storage.getAlarm(),
      );
      expect(alarm).toBeNull();
    }
  });

  it('sets an alarm again that it could not handle, and does not throw (consensus-rules.md 14)', async () => {
    await put('alarm', 'a', '1');
    await runInDurableObject(stubOf('alarm', 1), async (node, { storage }) => {
      const { member } = node as unknown as { member: { onAlarm(): void } };
      member.onAlarm = () => {
        throw new Error('a fault in the handler');
      };
      node.alarm();
      expect(await storage.getAlarm()).not.toBeNull();
      await storage.deleteAlarm();
    });
  });

  it('at rest it waits for nothing', async () => {
    await put('rest', 'a', '1');
    await settled();
    expect((await statusOf('rest')).map(({ atRest }) => atRest)).toEqual([true, true, true]);
  });
});
