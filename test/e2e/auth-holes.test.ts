/**
 * What real etcd once let through, and what is let through here: nothing of it. Each is asked over HTTP, as
 * an attacker would, and named after its version or its number.
 */
import { expect, it } from 'vitest';
import { rpcs } from '../../src/api/rpcs.ts';
import { type Server, withServer } from '../support/server.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const withinMs = 10_000;

interface Told {
  readonly status: number;
  readonly text: string;
}

/** Tenants in one server: each has users of its own. */
class Tenant {
  private readonly base: string;

  constructor(url: string, name: string) {
    this.base = `${url}/t/${name}/v3/`;
  }

  /** Of a stream the first line. */
  async call(rpc: string, body: object, token?: string): Promise<Told> {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), withinMs);
    const response = await fetch(this.base + rpc, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: token === undefined ? {} : { authorization: token },
      signal: controller.signal,
    });
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('\n') || text.includes('canceled')) break;
    }
    clearTimeout(timer);
    controller.abort();
    return { status: response.status, text };
  }

  async ok(rpc: string, body: object, token?: string): Promise<string> {
    const { status, text } = await this.call(rpc, body, token);
    expect([rpc, status, text]).toEqual([rpc, 200, text]);
    return text;
  }

  async token(name: string, password = 'pw'): Promise<string> {
    const text = await this.ok('auth/authenticate', { name, password });
    return (JSON.parse(text) as { token: string }).token;
  }

  /** Auth is enabled; mallory may read r, write w, and nothing else. */
  async guard(): Promise<{ root: string; mallory: string }> {
    for (const name of ['root', 'mallory']) {
      await this.ok('auth/user/add', { name, password: 'pw' });
      await this.ok('auth/role/add', { name });
      await this.ok('auth/user/grant', { user: name, role: name });
    }
    for (const [key, permType] of [
      ['r', 'READ'],
      ['w', 'WRITE'],
    ] as const)
      await this.ok('auth/role/grant', { name: 'mallory', perm: { key: base64(key), permType } });
    for (const key of ['r', 's', 'w', 'x'])
      await this.ok('kv/put', { key: base64(key), value: base64('secret') });
    await this.ok('lease/grant', { ID: 7, TTL: 600 });
    await this.ok('kv/put', { key: base64('leased'), value: base64('secret'), lease: 7 });
    await this.ok('auth/enable', {});
    return { root: await this.token('root'), mallory: await this.token('mallory') };
  }
}

/** Whoever needs no token, or could have none. */
const openPaths = new Set(['auth/authenticate']);
/** Whatever else an answer says: it is one of these. */
const refusal =
  /user name is empty|invalid auth token|permission denied|authentication is not enabled/;

function expectRefused(what: string, { status, text }: Told): void {
  const refused = refusal.test(text) && (status >= 400 || text.includes('"canceled":true'));
  expect(refused ? '' : `${what}: ${status} ${text}`).toBe('');
  expect(text).not.toContain(base64('secret'));
}

const bodies: Readonly<Record<string, object>> = {
  watch: { create_request: { key: base64('r') } },
  'kv/range': { key: base64('r') },
  'kv/put': { key: base64('w'), value: '' },
  'kv/deleterange': { key: base64('w') },
  'kv/txn': { success: [{ request_range: { key: base64('r') } }] },
  'kv/compaction': { revision: 2 },
  'lease/grant': { TTL: 60 },
  'lease/revoke': { ID: 7 },
  'kv/lease/revoke': { ID: 7 },
  'lease/keepalive': { ID: 7 },
  'lease/timetolive': { ID: 7, keys: true },
  'kv/lease/timetolive': { ID: 7, keys: true },
  'lock/lock': { name: base64('w') },
  'lock/unlock': { key: base64('w') },
  'election/campaign': { name: base64('w'), value: '' },
  'election/proclaim': { leader: { key: base64('w'), rev: 1, lease: 7 } },
  'election/resign': { leader: { key: base64('w'), rev: 1, lease: 7 } },
  'election/leader': { name: base64('r') },
  'election/observe': { name: base64('r') },
  'auth/user/add': { name: 'x', password: 'pw' },
  'auth/user/get': { name: 'root' },
  'auth/user/changepw': { name: 'root', password: 'mine' },
  'auth/role/get': { role: 'root' },
};

/** What is served says of another method that it is none, what is not served is not found. */
const served = async (url: string) => {
  const paths: string[] = [];
  for (const path of rpcs.keys())
    if ((await fetch(`${url}/v3/${path}`)).status === 501) paths.push(path);
  return paths;
};

const use = (run: (tenant: Tenant, server: Server) => Promise<void>) =>
  withServer({ members: 1 }, (server) => run(new Tenant(server.url, 'holes'), server));

it('3.4, CVE-2026-33413: no call but authenticate is served without a token', async () => {
  await use(async (tenant, { url }) => {
    await tenant.guard();
    const paths = await served(url);
    expect(paths.length).toBeGreaterThan(36);
    for (const path of paths)
      if (!openPaths.has(path)) expectRefused(path, await tenant.call(path, bodies[path] ?? {}));
  });
});

/** What etcd gives to root alone; those that are asked for oneself are left out. */
const rootOnly = [
  ...['kv/compaction', 'auth/enable', 'auth/disable', 'auth/status', 'auth/user/add'],
  ...['auth/user/get', 'auth/user/list', 'auth/user/delete', 'auth/user/changepw'],
  ...['auth/user/grant', 'auth/user/revoke', 'auth/role/add', 'auth/role/get', 'auth/role/list'],
  ...['auth/role/delete', 'auth/role/grant', 'auth/role/revoke'],
  ...['cluster/member/add', 'cluster/member/remove', 'cluster/member/update'],
  ...['cluster/member/promote', 'maintenance/defragment', 'maintenance/hash'],
  ...['maintenance/hashkv', 'maintenance/snapshot', 'maintenance/transfer-leadership'],
  'maintenance/downgrade',
];

it('3.5.28: what is root’s is refused to a user, compaction among it', async () => {
  await use(async (tenant, { url }) => {
    const { mallory } = await tenant.guard();
    const paths = await served(url);
    for (const path of rootOnly.filter((one) => paths.includes(one)))
      expectRefused(path, await tenant.call(path, bodies[path] ?? {}, mallory));
  });
});

it('GHSA-xg4h-6gfc-h4m8: a watch from a key on needs all that follows, not that key alone', async () => {
  await use(async (tenant) => {
    const { mallory } = await tenant.guard();
    const watch = (more: object) => ({ create_request: { key: base64('r'), ...more } });
    const open = await tenant.ok('watch', watch({ start_revision: 1 }), mallory);
    expect(open).toContain('"created":true');
    for (const range_end of [base64('\0'), base64('s\0'), base64('t')])
      expectRefused(range_end, await tenant.call('watch', watch({ range_end }), mallory));
  });
});

it('CVE-2023-32082: the keys of a lease are told to whoever may read them, its time to all users', async () => {
  await use(async (tenant) => {
    const { mallory, root } = await tenant.guard();
    for (const path of ['lease/timetolive', 'kv/lease/timetolive']) {
      expectRefused(path, await tenant.call(path, { ID: 7, keys: true }, mallory));
      expect(await tenant.ok(path, { ID: 7 }, mallory)).not.toContain(base64('leased'));
      expect(await tenant.ok(path, { ID: 7, keys: true }, root)).toContain(base64('leased'));
    }
  });
});

it('CVE-2026-33343, 3.5.30: what is nested in a transaction is asked for like the rest', async () => {
  await use(async (tenant) => {
    const { mallory, root } = await tenant.guard();
    const nested = (inner: object, depth: number): object =>
      depth === 0 ? inner : { success: [{ request_txn: nested(inner, depth - 1) }] };
    const holes = [
      { success: [{ request_range: { key: base64('s') } }] },
      { failure: [{ request_range: { key: base64('s') } }] },
      { success: [{ request_put: { key: base64('x'), value: '' } }] },
      { success: [{ request_put: { key: base64('w'), value: '', prev_kv: true } }] },
      { success: [{ request_put: { key: base64('w'), value: '', lease: 7 } }] },
      { success: [{ request_delete_range: { key: base64('w'), prev_kv: true } }] },
      { compare: [{ key: base64('s'), target: 'VALUE', value: base64('secret') }] },
      { compare: [{ key: base64('r'), range_end: base64('t'), target: 'VERSION', version: 1 }] },
    ];
    for (const [at, hole] of holes.entries())
      for (const depth of [0, 1, 2, 5]) {
        const told = await tenant.call('kv/txn', nested(hole, depth), mallory);
        expectRefused(`${at} at ${depth}`, told);
      }
    const ok = {
      compare: [{ key: base64('r') }],
      success: [{ request_put: { key: base64('w') } }],
    };
    await tenant.ok('kv/txn', nested(ok, 3), mallory);
    const x = JSON.parse(await tenant.ok('kv/range', { key: base64('x') }, root)) as {
      kvs: { version: string }[];
    };
    expect(x.kvs[0]?.version).toBe('1');
  });
});

it('rule 44: a token dies with its password, its user, and the enabling that it is of', async () => {
  await use(async (tenant) => {
    const { mallory, root } = await tenant.guard();
    const read = (token: string) => tenant.call('kv/range', { key: base64('r') }, token);
    expect((await read(mallory)).status).toBe(200);
    await tenant.ok('auth/user/changepw', { name: 'mallory', password: 'new' }, root);
    expect((await read(mallory)).status).toBe(401);
    const second = await tenant.token('mallory', 'new');
    await tenant.ok('auth/user/delete', { name: 'mallory' }, root);
    expect((await read(second)).status).toBe(401);
    // Of one who comes back under the same name it is none either.
    await tenant.ok('auth/user/add', { name: 'mallory', password: 'new' }, root);
    await tenant.ok('auth/user/grant', { user: 'mallory', role: 'mallory' }, root);
    expect((await read(second)).status).toBe(401);
    await tenant.ok('auth/disable', {}, root);
    expect((await read(second)).status).toBe(200);
    await tenant.ok('auth/enable', {});
    expect((await read(root)).status).toBe(401);
  });
});

it('rule 44: a token of one tenant is none in another', async () => {
  await withServer({ members: 1 }, async ({ url }) => {
    const [one, other] = [new Tenant(url, 'one'), new Tenant(url, 'other')];
    const { root } = await one.guard();
    await other.guard();
    expect((await other.call('kv/range', { key: base64('r') }, root)).status).toBe(401);
  });
});

it('CVE-2021-28235: neither a password nor a token is printed or told', async () => {
  await use(async (tenant, server) => {
    await tenant.ok('auth/user/add', { name: 'eve', password: 'correct horse' });
    await tenant.guard();
    const eve = await tenant.token('eve', 'correct horse');
    const root = await tenant.token('root');
    await tenant.call('auth/authenticate', { name: 'eve', password: 'battery staple' });
    await tenant.call('kv/range', { key: base64('r') }, eve);
    await tenant.call('kv/range', { key: 'nonsense' }, `${eve}x`);
    const told = [
      await tenant.ok('auth/user/get', { name: 'eve' }, root),
      await tenant.ok('auth/user/list', {}, root),
      await (await fetch(`${server.url}/t/holes/metrics`)).text(),
      server.log(),
    ].join('\n');
    for (const secret of ['correct horse', 'battery staple', 'pbkdf2', eve, root])
      expect(told).not.toContain(secret);
  });
});
