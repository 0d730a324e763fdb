/**
 * Maintenance from outside: members agree by hash, a full tenant is refused on both surfaces and goes on when
 * room is made, leadership moves, and a hash of many keys lets clients be served meanwhile.
 *
 *   HASH_KEYS  20000  keys that are hashed while clients write
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { alarmed } from '../conformance/bad-input/maintenance.ts';
import { differences } from '../conformance/bad-input/run.ts';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const hashKeys = numberFromEnvironment('HASH_KEYS', 20_000);

type Json = { readonly [name: string]: unknown };
type Headers = Readonly<Record<string, string>>;

async function post(gateway: Gateway, path: string, body: unknown = {}, headers: Headers = {}) {
  const answer = await gateway.send('POST', path, JSON.stringify(body), headers);
  const said = JSON.parse(answer.text) as Json & { header?: { member_id: string } };
  return { status: answer.status, said, headers: answer.headers };
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

it('members hold the same by hash, at the present revision and at one of before', async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    for (let n = 0; n < 40; n += 1) await gateway.put(`k${n % 9}`, String(n));
    const compaction = await post(gateway, '/v3/kv/compaction', { revision: 20, physical: true });
    expect(compaction.status).toBe(200);
    const answers = async (revision: number) => {
      const found = new Map<string, string>();
      for (const place of [1, 2, 3]) {
        const headers = { 'kv-via': `place=${place}` };
        const asked = { revision };
        const { status, said } = await post(gateway, '/v3/maintenance/hashkv', asked, headers);
        expect(status).toBe(200);
        const { member_id: member = '' } = said.header ?? {};
        found.set(member, `${said.hash} ${said.compact_revision}`);
      }
      expect(found.size).toBe(3);
      return new Set(found.values()).size;
    };
    // Each says how far it has compacted itself, and the last entry reaches the others a moment later.
    await expect.poll(() => answers(41)).toBe(1);
    for (const revision of [20, 30, 41]) expect(await answers(revision)).toBe(1);
    gateway.close();
  });
});

it('a full tenant is refused by both surfaces and goes on when room is made', async () => {
  const env = { QUOTA_BYTES: String(4 * 1024 * 1024) };
  await withServer({ members: 3, env }, async ({ url }) => {
    const gateway = new Gateway(url);
    const value = base64('x'.repeat(100_000));
    const put = (key: string) =>
      post(gateway, '/v3/kv/put', { key: base64(key), value }).then(({ said, status }) => {
        if (status !== 200) expect(said.message).toBe('etcdserver: mvcc: database space exceeded');
        return status;
      });
    let count = 0;
    while ((await put(`f${count}`)) === 200) count += 1;
    expect(count).toBeGreaterThan(20);
    const rest = await gateway.send('PUT', '/v1/kv/more', 'y');
    expect([rest.status, JSON.parse(rest.text).code]).toEqual([507, 'space-quota']);
    expect((await gateway.send('GET', '/v1/kv/f0')).status).toBe(200);
    expect((await gateway.send('GET', '/health')).text).toContain('ALARM NOSPACE');
    expect((await gateway.send('GET', '/readyz')).status).toBe(200);
    const listed = await post(gateway, '/v3/maintenance/alarm');
    const [alarm] = listed.said.alarms as Json[];
    expect(alarm?.alarm).toBe('NOSPACE');
    const all = { key: base64('f'), range_end: base64('g') };
    const deleted = await post(gateway, '/v3/kv/deleterange', all);
    const { revision } = deleted.said.header as unknown as { revision: string };
    await post(gateway, '/v3/kv/compaction', { revision, physical: true });
    expect((await post(gateway, '/v3/maintenance/defragment')).said).toEqual({});
    expect(await put('f0')).toBe(429);
    await post(gateway, '/v3/maintenance/alarm', { ...alarm, action: 'DEACTIVATE' });
    let again = 0;
    while ((await put(`g${again}`)) === 200) again += 1;
    expect(again).toBeGreaterThanOrEqual(count - 2);
    gateway.close();
  });
});

it('alarms of members that nobody knows stand, and refuse, as those of others', async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    expect(await differences(url, () => true, alarmed)).toEqual([]);
  });
});

it('leadership moves to the member that is named, and status tells of it', async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    await gateway.put('k', 'v');
    const before = await post(gateway, '/v3/maintenance/status');
    const { members } = await gateway.status();
    const other = members.find(({ role }) => role === 'follower');
    const moved = await post(gateway, '/v3/maintenance/transfer-leadership', {
      targetID: other?.memberId,
    });
    expect([moved.status, moved.said]).toEqual([200, {}]);
    // etcdctl takes an answer from who does not lead for an address that is not the leader's.
    const { leader, header } = (await post(gateway, '/v3/maintenance/status')).said;
    expect([leader, header?.member_id]).toEqual([other?.memberId, other?.memberId]);
    await gateway.put('k', 'v');
    const after = await post(gateway, '/v3/maintenance/status', {}, { 'kv-via': 'leader' });
    expect(after.said.leader).toBe(other?.memberId);
    expect(after.said.leader).not.toBe(before.said.leader);
    expect(after.said.errors).toBe(undefined);
    gateway.close();
  });
});

it('a busy leader frees what it has compacted while it is busy, as the others do', async () => {
  const env = { AUTO_COMPACTION_MODE: 'revision', AUTO_COMPACTION_RETENTION: '300' };
  await withServer({ members: 3, env }, async ({ url }) => {
    const gateway = new Gateway(url);
    const until = Date.now() + 8_000;
    const write = async (_: unknown, client: number) => {
      for (let n = 0; Date.now() < until; n += 1)
        await gateway.put(`k${(client + n) % 200}`, 'v'.repeat(500));
    };
    const load = Promise.all(Array.from({ length: 64 }, write));
    let most = 0;
    while (Date.now() < until - 500) {
      await sleep(500);
      const { members } = await gateway.status();
      const bytes = members.map(({ role, databaseBytes }) => ({ role, databaseBytes }));
      const leader = bytes.find(({ role }) => role === 'leader')?.databaseBytes ?? 0;
      const other = bytes.find(({ role }) => role === 'follower')?.databaseBytes ?? 0;
      if (leader > 1_000_000) most = Math.max(most, leader / other);
    }
    await load;
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(1.35);
    gateway.close();
  });
});

it(`clients are served while ${hashKeys} keys are hashed at every member`, async () => {
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    for (let n = 0; n < hashKeys; n += 100) {
      const success = Array.from({ length: 100 }, (_, at) => ({
        request_put: { key: base64(`key/${n + at}`), value: base64('v'.repeat(64)) },
      }));
      const { status } = await post(gateway, '/v3/kv/txn', { success });
      expect(status).toBe(200);
    }
    const startedAt = Date.now();
    let isOver = false;
    const hashes = Promise.all(
      [1, 2, 3].map((place) =>
        post(gateway, '/v3/maintenance/hashkv', {}, { 'kv-via': `place=${place}` }),
      ),
    ).finally(() => {
      isOver = true;
    });
    let writes = 0;
    let slowestMs = 0;
    for (; !isOver; writes += 1) {
      const from = Date.now();
      expect((await gateway.put('beside', String(writes))).acknowledged).toBe(true);
      slowestMs = Math.max(slowestMs, Date.now() - from);
    }
    for (const { status } of await hashes) expect(status).toBe(200);
    console.log(
      `${hashKeys} keys hashed 3 times in ${Date.now() - startedAt} ms; ${writes} writes beside it, the slowest ${slowestMs} ms`,
    );
    expect(writes).toBeGreaterThan(0);
    gateway.close();
  });
});
