/** The npm client `etcd3` through the bridge: the examples of its documentation, each with what it promises. */
import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Bridge, startBridge } from '../support/bridge.ts';
import { type Server, startServer } from '../support/server.ts';

let server: Server;
let bridge: Bridge;
let client: Etcd3;

beforeAll(async () => {
  server = await startServer({ members: 3, chaos: true });
  bridge = await startBridge(server.url);
  client = new Etcd3({ hosts: `http://${bridge.address}` });
}, 60_000);

beforeEach(async () => {
  await client.delete().all();
});

afterAll(async () => {
  client.close();
  await bridge.stop();
  await server.stop();
});

/** Isolation.Serializable, a const enum that TypeScript cannot import here. */
const serializable = 1;

const once = <T>(
  of: { once(event: string, listener: (told: T) => void): unknown },
  event: string,
) => new Promise<T>((resolve) => of.once(event, resolve));

async function abortAll(): Promise<void> {
  for (const place of [1, 2, 3])
    await fetch(`${server.url}/chaos/abort?place=${place}`, { method: 'POST' });
}

describe('keys', () => {
  it('are put, read one by one and by prefix, counted and deleted', async () => {
    await client.put('foo').value('bar');
    await client.put('fun').value('2');
    expect(await client.get('foo').string()).toBe('bar');
    expect(await client.get('none').string()).toBeNull();
    expect(await client.get('fun').number()).toBe(2);
    expect(await client.getAll().prefix('f').strings()).toEqual({ foo: 'bar', fun: '2' });
    expect(await client.getAll().prefix('f').sort('Key', 'Descend').limit(1).keys()).toEqual([
      'fun',
    ]);
    expect(await client.getAll().count()).toBe(2);
    expect(await client.get('foo').exists()).toBe(true);
    await client.delete().all();
    expect(await client.getAll().keys()).toEqual([]);
  });

  it('lie apart in namespaces', async () => {
    const namespace = client.namespace('user1/');
    await namespace.put('foo').value('bar');
    await client.put('foo').value('other');
    expect(await client.get('user1/foo').string()).toBe('bar');
    await namespace.delete().all();
    expect(await client.getAll().keys()).toEqual(['foo']);
  });

  it('are read and written together by a transaction', async () => {
    const lock = () =>
      client
        .if('my_lock', 'Create', '==', 0)
        .then(client.put('my_lock').value('id'))
        .else(client.get('my_lock'))
        .commit();
    expect((await lock()).succeeded).toBe(true);
    const refused = await lock();
    expect(refused.succeeded).toBe(false);
    expect(refused.responses[0]?.response_range.kvs[0]?.value.toString()).toBe('id');
    const unlocked = await client
      .if('my_lock', 'Value', '==', 'id')
      .then(client.delete().key('my_lock'))
      .commit();
    expect(unlocked.succeeded).toBe(true);
  });

  it('keep their sum under software transactional memory from many sides', async () => {
    await client.put('bank/account1').value(1_000);
    await client.put('bank/account2').value(1_000);
    const move = () =>
      client
        .stm({ retries: 100, isolation: serializable })
        .transact((tx) =>
          Promise.all([tx.get('bank/account1').number(), tx.get('bank/account2').number()]).then(
            ([from, to]) =>
              Promise.all([
                tx.put('bank/account1').value((from ?? 0) - 42),
                tx.put('bank/account2').value((to ?? 0) + 42),
              ]),
          ),
        );
    await Promise.all(Array.from({ length: 5 }, move));
    const { 'bank/account1': one, 'bank/account2': two } = await client
      .getAll()
      .prefix('bank/')
      .numbers();
    expect([one, two]).toEqual([1_000 - 5 * 42, 1_000 + 5 * 42]);
  });
});

describe('a lease', () => {
  it('is kept alive until it is revoked, and its keys go with it', async () => {
    const lease = client.lease(1);
    await lease.put('available-hosts/me').value('');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(await client.getAll().prefix('available-hosts/').keys()).toEqual(['available-hosts/me']);
    await lease.revoke();
    expect(await client.getAll().prefix('available-hosts/').keys()).toEqual([]);
  });
});

describe('a lock', () => {
  it('is held by one at a time', async () => {
    let inside = 0;
    const work = async () => {
      inside += 1;
      expect(inside).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      inside -= 1;
    };
    await client.lock('my_resource').do(work);
    const first = client.lock('my_resource');
    await first.acquire();
    await expect(client.lock('my_resource').acquire()).rejects.toThrow('Failed to acquire a lock');
    await first.release();
    await client.lock('my_resource').do(work);
  });
});

describe('a watcher', () => {
  it('hears of every put, also after members have died and the bridge was started anew', async () => {
    const watcher = await client.watch().prefix('foo').create();
    const heard: string[] = [];
    watcher.on('put', ({ key, value }) => heard.push(`${key}=${value}`));
    await client.put('foo1').value('1');
    await abortAll();
    await client.put('foo2').value('2');
    await expect.poll(() => heard).toEqual(['foo1=1', 'foo2=2']);
    const port = Number(bridge.address.split(':')[1]);
    const connected = once(watcher, 'connected');
    await bridge.stop();
    bridge = await startBridge(server.url, [], port);
    await connected;
    await client.put('foo3').value('3');
    await expect.poll(() => heard).toEqual(['foo1=1', 'foo2=2', 'foo3=3']);
    await watcher.cancel();
  }, 30_000);
});

describe('an election', () => {
  it('is won, observed, and left', async () => {
    const election = client.election('singleton-job', 5);
    const campaign = election.campaign('me');
    await once(campaign, 'elected');
    expect(await election.leader()).toBe('me');
    const observer = await election.observe();
    expect(observer.leader()).toBe('me');
    const changed = once<string | undefined>(observer, 'change');
    await campaign.resign();
    expect(await changed).toBeUndefined();
    await observer.cancel();
  });
});

describe('users and roles', () => {
  it('let a user do what its roles grant, and nothing else', async () => {
    const root = client.user('root');
    await root.create('rootpw');
    await client.role('root').create();
    await root.addRole('root');
    const role = client.role('reader');
    await role.create();
    await role.grant({ permission: 'Read', range: client.range({ prefix: 'open/' }) });
    await client.user('alice').create('alicepw');
    await client.user('alice').addRole('reader');
    await client.auth.authEnable();
    const as = (username: string, password: string) =>
      new Etcd3({ hosts: `http://${bridge.address}`, auth: { username, password } });
    const [alice, admin] = [as('alice', 'alicepw'), as('root', 'rootpw')];
    try {
      expect(await alice.getAll().prefix('open/').keys()).toEqual([]);
      await expect(alice.put('open/x').value('1')).rejects.toThrow('permission denied');
      await expect(alice.get('shut').string()).rejects.toThrow('permission denied');
      await admin.put('open/x').value('1');
      expect(await alice.get('open/x').string()).toBe('1');
      expect((await admin.getUsers()).map(({ name }) => name)).toEqual(['alice', 'root']);
    } finally {
      await admin.auth.authDisable();
      alice.close();
      admin.close();
    }
  });
});
