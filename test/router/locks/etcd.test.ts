/** etcd's lock and election services: who holds, who waits for whom, and what ends a wait. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { createRouter } from '../../../src/router/app.ts';
import { bytes, del, grant, put, revoke, set } from '../../kv/support.ts';
import { Group } from '../watch/group.ts';

const app = createRouter();
let group: Group;

beforeEach(() => {
  vi.useRealTimers();
  group = new Group();
  group.at.apply(grant(0xan, 60n), grant(0xbn, 60n), grant(0xcn, 60n), grant(-9n, 60n));
});

type Json = Record<string, unknown>;

async function post(path: string, body: Json, init: RequestInit = {}) {
  const request = new Request(`http://x/v3/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    ...init,
  });
  const answer = await app.fetch(request, group.env);
  return { status: answer.status, json: (await answer.json()) as Json };
}

const b64 = (text: string) => Buffer.from(text).toString('base64');
const lock = (name: string, lease: bigint, init: RequestInit = {}) =>
  post('lock/lock', { name: b64(name), lease: String(lease) }, init);
const campaign = (name: string, lease: bigint, value = '') =>
  post('election/campaign', { name: b64(name), lease: String(lease), value: b64(value) });

/** The keys that are there, as text. */
const keys = async () => {
  const { json } = await post('kv/range', { key: 'AA==', range_end: 'AA==' });
  return ((json.kvs ?? []) as { key: string }[]).map(({ key }) =>
    Buffer.from(key, 'base64').toString(),
  );
};

/** A lock that somebody waits for: whether it has been answered, and the answer. */
function waiter(answer: ReturnType<typeof lock>) {
  const state = { isOver: false, answer };
  void answer.finally(() => {
    state.isOver = true;
  });
  return state;
}

const settle = async () => {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

describe('a lock', () => {
  test('is a key below the name, called after the lease in hex', async () => {
    expect((await lock('l', 0xan)).json).toMatchObject({ key: b64('l/a') });
    expect((await lock('n', -9n)).json).toMatchObject({ key: b64('n/-9') });
    expect(await keys()).toEqual(['l/a', 'n/-9']);
  });

  test('is held by who comes again with its lease, without another revision', async () => {
    const { json } = await lock('l', 0xan);
    expect((await lock('l', 0xan)).json).toEqual(json);
  });

  test('waits for every key that was there before, whoever made it', async () => {
    group.at.apply(set('l/ours', 'a client that builds the lock by itself'), set('l/ours2'));
    const second = waiter(lock('l', 0xan));
    await settle();
    group.at.apply(del({ key: bytes('l/ours2') }));
    await settle();
    expect(second.isOver).toBe(false);
    group.at.apply(del({ key: bytes('l/ours') }));
    expect((await second.answer).status).toBe(200);
  });

  test('does not wait for keys that came later', async () => {
    group.at.apply(set('l/first'));
    const second = waiter(lock('l', 0xan));
    await settle();
    group.at.apply(set('l/later'), del({ key: bytes('l/first') }));
    expect((await second.answer).status).toBe(200);
  });

  test('goes to those who wait in the order in which they came', async () => {
    await lock('l', 0xan);
    const second = waiter(lock('l', 0xbn));
    await settle();
    const third = waiter(lock('l', 0xcn));
    await settle();
    await post('lock/unlock', { key: b64('l/a') });
    expect((await second.answer).json).toMatchObject({ key: b64('l/b') });
    await settle();
    expect(third.isOver).toBe(false);
    group.at.apply(revoke(0xbn));
    expect((await third.answer).json).toMatchObject({ key: b64('l/c') });
  });

  test('is waited for though the member at the other end of the watch dies', async () => {
    await lock('l', 0xan);
    const second = waiter(lock('l', 0xbn));
    await settle();
    group.cutAll();
    await settle();
    group.at.apply(del({ key: bytes('l/a') }));
    expect((await second.answer).status).toBe(200);
  });

  test('is not given to who lost its lease while it waited', async () => {
    await lock('l', 0xan);
    const second = waiter(lock('l', 0xbn));
    await settle();
    group.at.apply(revoke(0xbn));
    group.at.apply(del({ key: bytes('l/a') }));
    expect(await second.answer).toMatchObject({
      status: 500,
      json: { code: 2, message: 'mutex: session is expired' },
    });
  });

  test('is not given to who lost its key while it waited, whoever has it now', async () => {
    await lock('l', 0xan);
    const second = waiter(lock('l', 0xbn));
    await settle();
    group.at.apply(del({ key: bytes('l/b') }), set('l/b'));
    group.at.apply(del({ key: bytes('l/a') }));
    expect((await second.answer).status).toBe(500);
    expect(await keys()).toEqual(['l/b']);
  });

  test('is not given to a key that another lease has by now', async () => {
    await lock('l', 0xan);
    const second = waiter(lock('l', 0xbn));
    await settle();
    group.at.apply(put({ key: bytes('l/b'), lease: 0xcn }), del({ key: bytes('l/a') }));
    expect((await second.answer).status).toBe(500);
  });

  test('is left by who waits no longer, of its own accord or because it is gone', async () => {
    await lock('l', 0xan);
    const late = await lock('l', 0xbn, { headers: { 'grpc-timeout': '50m' } });
    expect([late.status, late.json.code]).toEqual([504, 4]);
    expect(await keys()).toEqual(['l/a']);
    const controller = new AbortController();
    const gone = lock('l', 0xcn, { signal: controller.signal }).catch(() => {});
    await settle();
    expect(await keys()).toEqual(['l/a', 'l/c']);
    controller.abort();
    await gone;
    await settle();
    expect(await keys()).toEqual(['l/a']);
  });

  test('without a lease has one of 60 s, which is gone if the lock is not had', async () => {
    const { json } = await post('lock/lock', { name: b64('l') });
    const id = BigInt(`0x${Buffer.from(String(json.key), 'base64').toString().slice(2)}`);
    expect((await post('lease/timetolive', { ID: String(id) })).json).toMatchObject({
      grantedTTL: '60',
    });
    const before = (await post('lease/leases', {})).json.leases;
    await post('lock/lock', { name: b64('l') }, { headers: { 'grpc-timeout': '50m' } });
    expect((await post('lease/leases', {})).json.leases).toEqual(before);
  });

  test('fails with etcd’s texts, which have no code', async () => {
    const missing = { code: 2, message: 'etcdserver: requested lease not found' };
    expect(await lock('l', 77n)).toMatchObject({ status: 500, json: missing });
    const empty = { code: 2, message: 'etcdserver: key is not provided' };
    expect(await post('lock/unlock', {})).toMatchObject({ status: 500, json: empty });
    expect(await keys()).toEqual([]);
  });
});

describe('an election', () => {
  test('is won by the first, and then by who has waited', async () => {
    const first = await campaign('e', 0xan, 'one');
    expect(first.json).toMatchObject({
      header: { revision: '2' },
      leader: { name: b64('e'), key: b64('e/a'), rev: '2', lease: '10' },
    });
    const second = waiter(campaign('e', 0xbn, 'two'));
    await settle();
    const told = await post('election/leader', { name: b64('e') });
    expect(told.json).toMatchObject({ kv: { key: b64('e/a'), value: b64('one') } });
    await post('election/resign', { leader: first.json.leader });
    expect((await second.answer).json).toMatchObject({ header: { revision: '3' } });
  });

  test('takes another value from who campaigns again', async () => {
    await campaign('e', 0xan, 'one');
    expect((await campaign('e', 0xan, 'two')).json).toMatchObject({ leader: { rev: '2' } });
    const { json } = await post('election/leader', { name: b64('e') });
    expect(json).toMatchObject({ kv: { value: b64('two'), version: '2' } });
  });

  test('takes proclamations from its leader alone', async () => {
    const { json } = await campaign('e', 0xan, 'one');
    const leader = json.leader as Json;
    const say = (value: string, who: Json) =>
      post('election/proclaim', { leader: who, value: b64(value) });
    expect((await say('two', leader)).status).toBe(200);
    const not = { status: 500, json: { code: 2, message: 'election: not leader' } };
    expect(await say('three', { ...leader, rev: '1' })).toMatchObject(not);
    await post('election/resign', { leader });
    expect(await say('four', leader)).toMatchObject(not);
    expect((await post('election/resign', { leader })).status).toBe(200);
    const none = { status: 500, json: { code: 2, message: 'election: no leader' } };
    expect(await post('election/leader', { name: b64('e') })).toMatchObject(none);
    const noField = { code: 2, message: '"leader" field must be provided' };
    for (const call of ['resign', 'proclaim'])
      expect((await post(`election/${call}`, {})).json).toMatchObject(noField);
  });

  test('that tells its observer nothing for ten minutes has it ask again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const answer = post('election/observe', { name: b64('e') });
    await settle();
    await vi.advanceTimersByTimeAsync(599_000);
    await settle();
    expect(group.at.hub.sizes.sockets).toBe(1);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await answer).toMatchObject({ status: 503, json: { code: 14 } });
    expect(group.at.hub.sizes.sockets).toBe(0);
  });

  test('is observed: each leader, and each value, from the first on', async () => {
    const request = new Request('http://x/v3/election/observe', {
      method: 'POST',
      body: JSON.stringify({ name: b64('e') }),
    });
    const answer = app.fetch(request, group.env);
    await settle();
    const first = await campaign('e', 0xan, 'one');
    const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
    const told = async () => {
      const { value } = await reader.read();
      const { result } = JSON.parse(new TextDecoder().decode(value)) as { result: Json };
      const { kv, header } = result as { kv: Json; header: Json };
      return [Buffer.from(String(kv.value), 'base64').toString(), header.revision];
    };
    expect(await told()).toEqual(['one', '2']);
    await post('election/proclaim', { leader: first.json.leader, value: b64('more') });
    expect(await told()).toEqual(['more', '3']);
    const second = campaign('e', 0xbn, 'two');
    await settle();
    group.cutAll();
    await post('election/resign', { leader: first.json.leader });
    await second;
    expect(await told()).toEqual(['two', '5']);
    await reader.cancel();
  });
});
