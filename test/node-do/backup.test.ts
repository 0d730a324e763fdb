/** Snapshots and restoring in the real runtime, through the APIs. */
import {
  abortAllDurableObjects,
  env,
  evictAllDurableObjects,
  runInDurableObject,
  SELF,
} from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import type { RaftNode } from '../../src/node-do/raft-node.ts';

const namespace = (env as unknown as { RAFT_NODE: DurableObjectNamespace<RaftNode> }).RAFT_NODE;

const url = (tenant: string, path: string) => `http://quorate/t/${tenant}/${path}`;

async function put(tenant: string, key: string, value: string): Promise<void> {
  const response = await SELF.fetch(url(tenant, `v1/kv/${key}`), { method: 'PUT', body: value });
  expect(response.status).toBeLessThan(300);
  await response.text();
}

async function get(tenant: string, key: string): Promise<string | null> {
  const response = await SELF.fetch(url(tenant, `v1/kv/${key}`));
  const text = new TextDecoder().decode(await response.arrayBuffer());
  return response.status === 200 ? text : null;
}

const snapshotOf = (tenant: string) => SELF.fetch(url(tenant, 'v1/snapshot'));

async function bytesOf(response: Response): Promise<Uint8Array> {
  expect(response.status).toBe(200);
  return new Uint8Array(await response.arrayBuffer());
}

interface Restored {
  readonly status: number;
  readonly code?: string;
  readonly detail?: string;
  readonly revision?: number;
  readonly voters?: number[];
}

async function restore(tenant: string, body: BodyInit | null, query = ''): Promise<Restored> {
  const init = { method: 'POST', body };
  const response = await SELF.fetch(url(tenant, `v1/restore${query}`), init);
  return { status: response.status, ...((await response.json()) as object) };
}

function joined(pieces: readonly Uint8Array[]): Blob {
  return new Blob(pieces as Uint8Array<ArrayBuffer>[]);
}

/** Founds nothing. */
async function isBorn(tenant: string): Promise<boolean> {
  const response = await SELF.fetch(url(tenant, 'v1/status'));
  const { members } = (await response.json()) as { members: { born?: boolean }[] };
  return members.some(({ born }) => born);
}

const value = 'x'.repeat(60_000);

/** A tenant of several chunks, and its snapshot. */
async function saved(tenant: string, keys = 24): Promise<Uint8Array> {
  for (let n = 0; n < keys; n += 1) await put(tenant, `k${n}`, `${n} ${value}`);
  return bytesOf(await snapshotOf(tenant));
}

/** In pieces; `before` runs before each. */
function stream(file: Uint8Array, before: (at: number) => Promise<void> | void): ReadableStream {
  const size = 100_000;
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      try {
        await before(at);
      } catch (error) {
        controller.error(error);
        return;
      }
      if (at >= file.length) return controller.close();
      controller.enqueue(file.subarray(at, at + size));
      at += size;
    },
  });
}

describe('a snapshot of a tenant', () => {
  it('becomes another tenant, which goes on at the next revision', async () => {
    const file = await saved('whole');
    expect(file.length % 512).toBe(32);
    const copy = await restore('whole-copy', file);
    expect(copy).toMatchObject({ status: 201, revision: 25, voters: [1, 2, 3] });
    for (const n of [0, 11, 23]) expect(await get('whole-copy', `k${n}`)).toBe(`${n} ${value}`);
    const response = await SELF.fetch(url('whole-copy', 'v1/kv/next'), { method: 'PUT', body: '' });
    expect(await response.json()).toMatchObject({ revision: 26 });
    // The same content, but for what was put: a snapshot of the copy is as long.
    expect((await bytesOf(await snapshotOf('whole-copy'))).length).toBeGreaterThanOrEqual(
      file.length,
    );
  });

  it('is read on though all members die again and again', async () => {
    const expected = await saved('mortal');
    const response = await snapshotOf('mortal');
    const pieces: Uint8Array[] = [];
    for await (const piece of response.body as ReadableStream<Uint8Array>) {
      pieces.push(piece);
      if (pieces.length % 3 === 1) await abortAllDurableObjects();
    }
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    expect(length).toBe(expected.length);
    const again = await restore('mortal-copy', joined(pieces).stream());
    expect(again.status).toBe(201);
  });

  it('that is lost on its way is not taken for a whole one', async () => {
    const file = await saved('lost');
    const loseIt = () =>
      runInDurableObject(namespace.get(namespace.idFromName('lost/1')), (_, { storage }) =>
        storage.sql.exec('DELETE FROM kv_snapshot'),
      );
    const begun = await snapshotOf('lost');
    const init = { method: 'POST', body: '{}' };
    const begunToo = await SELF.fetch(url('lost', 'v3/maintenance/snapshot'), init);
    await loseIt();
    await evictAllDurableObjects();
    await expect(begun.arrayBuffer()).rejects.toThrow();
    const lines = (await begunToo.text()).trim().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ error: { grpc_code: 14 } });
    expect(lines.length).toBeLessThan(file.length / 32_768);
  });

  it('is not held open by clients that go away', async () => {
    await saved('left');
    for (let n = 0; n < 9; n += 1) {
      const response = await snapshotOf('left');
      expect(response.status).toBe(200);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      await reader.read();
      await reader.cancel();
      // The router hears of it with the next piece.
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  it('is etcd’s stream of blobs on /v3, with the same bytes in it', async () => {
    const file = await saved('blobs', 8);
    const init = { method: 'POST', body: '{}' };
    const response = await SELF.fetch(url('blobs', 'v3/maintenance/snapshot'), init);
    const lines = (await response.text()).trim().split('\n');
    const results = lines.map((line) => JSON.parse(line).result);
    const blobs = results.map(({ blob }) => Uint8Array.from(atob(blob), (c) => c.charCodeAt(0)));
    const sizes = blobs.map(({ length }) => length);
    expect(new Set(sizes.slice(0, -2))).toEqual(new Set([32_768]));
    expect(sizes.at(-1)).toBe(32);
    for (const { remaining_bytes } of results.slice(0, -2))
      expect(Number(remaining_bytes)).toBeGreaterThan(0);
    for (const last of results.slice(-2)) expect(last.remaining_bytes).toBeUndefined();
    expect(new Uint8Array(await joined(blobs).arrayBuffer())).toEqual(file);
  });

  it('is for root alone while auth is enabled, and its users come with it', async () => {
    const call = async (tenant: string, path: string, body: object, token = '') => {
      const headers = token === '' ? {} : { authorization: token };
      const init = { method: 'POST', body: JSON.stringify(body), headers: headers as HeadersInit };
      const response = await SELF.fetch(url(tenant, `v3/${path}`), init);
      return {
        status: response.status,
        body: JSON.parse((await response.text()).split('\n')[0] ?? ''),
      };
    };
    await put('guarded', 'a', '1');
    for (const name of ['root', 'u']) {
      await call('guarded', 'auth/user/add', { name, password: name });
      await call('guarded', 'auth/role/add', { name });
      await call('guarded', 'auth/user/grant', { user: name, role: name });
    }
    await call('guarded', 'auth/enable', {});
    const tokenOf = async (tenant: string, name: string) =>
      (await call(tenant, 'auth/authenticate', { name, password: name })).body.token as string;
    const [root, u] = [await tokenOf('guarded', 'root'), await tokenOf('guarded', 'u')];
    const denied = await call('guarded', 'maintenance/snapshot', {}, u);
    expect(denied).toMatchObject({
      status: 500,
      body: { error: { grpc_code: 2, message: 'auth: permission denied' } },
    });
    for (const [token, status] of [
      [u, 403],
      ['', 401],
      [root, 200],
    ] as const) {
      const init = { headers: { authorization: token } };
      const response = await SELF.fetch(url('guarded', 'v1/snapshot'), init);
      const file = new Uint8Array(await response.arrayBuffer());
      expect(response.status).toBe(status);
      if (status !== 200) continue;
      // Whoever may restore brings the members in, whatever the users are.
      expect(await restore('guarded-copy', file)).toMatchObject({ status: 201, voters: [1, 2, 3] });
    }
    expect((await call('guarded-copy', 'kv/range', { key: 'YQ==' })).status).toBe(400);
    const again = await tokenOf('guarded-copy', 'root');
    expect((await call('guarded-copy', 'kv/range', { key: 'YQ==' }, again)).body.count).toBe('1');
  });
});

describe('restoring', () => {
  it('gives the tenant members of its own, and no name of the old ones', async () => {
    const call = async (tenant: string, path: string, body: object) => {
      const init = { method: 'POST', body: JSON.stringify(body) };
      const response = await SELF.fetch(url(tenant, `v3/cluster/member/${path}`), init);
      return (await response.json()) as { members: { ID: string; peerURLs: string[] }[] };
    };
    await put('named', 'a', '1');
    const learner = { peerURLs: ['http://elsewhere.example:2380'], isLearner: true };
    const before = (await call('named', 'add', learner)).members;
    expect(before).toHaveLength(4);
    expect((await restore('named-copy', await bytesOf(await snapshotOf('named')))).status).toBe(
      201,
    );
    const after = (await call('named-copy', 'list', {})).members;
    expect(after.map(({ peerURLs }) => peerURLs[0]).sort()).toEqual(
      [1, 2, 3].map((place) => `http://place-${place}:2380`),
    );
    for (const { ID } of before) expect(after.map((member) => member.ID)).not.toContain(ID);
  });

  it('is refused where a tenant lives, which stays as it is', async () => {
    const file = await saved('alive', 2);
    expect(await restore('alive', file)).toMatchObject({ status: 409, code: 'tenant-exists' });
    await put('alive', 'on', '1');
    expect(await get('alive', 'k1')).toBe(`1 ${value}`);
  });

  it('makes no tenant of what is cut, changed, or something else, and one of the whole file then', async () => {
    const file = await saved('broken');
    const flipped = file.slice();
    flipped[1_000_000] = (flipped[1_000_000] ?? 0) ^ 4;
    const bad = [
      ...[0, 10, 20, 24, 300_000, file.length - 600, file.length - 32, file.length - 1].map(
        (length) => file.slice(0, length),
      ),
      ...[flipped, new TextEncoder().encode('{"not":"a snapshot"}')],
    ];
    for (const one of bad) {
      expect(await restore('mended', one)).toMatchObject({ status: 400, code: 'bad-snapshot' });
      expect(await isBorn('mended')).toBe(false);
    }
    expect(await restore('mended', null)).toMatchObject({ status: 400, code: 'bad-snapshot' });
    expect((await restore('mended', file, '?bump_revision=-1')).status).toBe(400);
    expect((await restore('mended', file, '?over=1')).status).toBe(400);
    expect(await restore('mended', file)).toMatchObject({ status: 201 });
    expect(await get('mended', 'k23')).toBe(`23 ${value}`);
  });

  it('goes on though all members die again and again', async () => {
    const file = await saved('through');
    const body = stream(file, (at) =>
      at % 300_000 === 0 ? abortAllDurableObjects() : evictAllDurableObjects(),
    );
    expect(await restore('through-copy', body)).toMatchObject({ status: 201, voters: [1, 2, 3] });
    for (let n = 0; n < 24; n += 1)
      expect(await get('through-copy', `k${n}`)).toBe(`${n} ${value}`);
  });

  it('leaves nothing in the way when its client breaks off', async () => {
    const file = await saved('again');
    const half = stream(file, (at) => {
      if (at > file.length / 2) throw new Error('gone');
    });
    await restore('again-copy', half).catch(() => null);
    expect(await isBorn('again-copy')).toBe(false);
    expect(await restore('again-copy', file)).toMatchObject({ status: 201 });
    expect(await get('again-copy', 'k23')).toBe(`23 ${value}`);
  });

  it('raises the revision when it is asked to, so that nobody takes new for old', async () => {
    const file = await saved('bumped', 2);
    const copy = await restore('bumped-copy', file, '?bump_revision=1000');
    expect(copy).toMatchObject({ status: 201, revision: 1_003 });
    const old = await SELF.fetch(url('bumped-copy', 'v1/watch?prefix=k&from=4'));
    expect(old.status).toBe(410);
    await old.text();
    expect(await get('bumped-copy', 'k1')).toBe(`1 ${value}`);
  });
});
