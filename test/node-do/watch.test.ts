/** The sockets of watches in the real runtime: hibernation, abort and close are workerd's own here. */

import { env, evictDurableObject, runInDurableObject, SELF } from 'cloudflare:test';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  type WatchAsk,
  WatchAskSchema,
  WatchCreateSchema,
  type WatchTell,
  WatchTellSchema,
} from '../../src/api/gen/watch_pb.js';
import { type MemberStatus, memberName, memberPaths, watchPing } from '../../src/api/member.ts';
import type { RaftNode } from '../../src/node-do/raft-node.ts';

interface TestEnv {
  readonly RAFT_NODE: DurableObjectNamespace<RaftNode>;
}

const namespace = (env as unknown as TestEnv).RAFT_NODE;
const stubOf = (tenant: string, place: number) =>
  namespace.get(namespace.idFromName(memberName(tenant, place)));
const bytes = (text: string) => new TextEncoder().encode(text);

async function put(tenant: string, key: string, value: string): Promise<void> {
  const response = await SELF.fetch(`http://quorate/t/${tenant}/v3/kv/put`, {
    method: 'POST',
    body: JSON.stringify({ key: btoa(key), value: btoa(value) }),
  });
  expect(response.status).toBe(200);
}

async function statusOf(tenant: string, place: number): Promise<MemberStatus> {
  const response = await stubOf(tenant, place).fetch(memberPaths.status);
  return response.json<MemberStatus>();
}

/** The router's end of a socket to one member. */
class Socket {
  readonly tells: WatchTell['tell'][] = [];
  readonly texts: string[] = [];
  closed = false;
  private readonly socket: WebSocket;
  private wake: () => void = () => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      if (typeof data === 'string') this.texts.push(data);
      else this.tells.push(fromBinary(WatchTellSchema, new Uint8Array(data as ArrayBuffer)).tell);
      this.wake();
    });
    const end = () => {
      this.closed = true;
      this.wake();
    };
    socket.addEventListener('close', end);
    socket.addEventListener('error', end);
    socket.accept();
  }

  static async open(tenant: string, place: number): Promise<Socket> {
    const headers = { upgrade: 'websocket' };
    const { webSocket } = await stubOf(tenant, place).fetch(memberPaths.watch, { headers });
    if (!webSocket) throw new Error('no socket');
    return new Socket(webSocket);
  }

  ask(ask: WatchAsk['ask']): void {
    this.socket.send(toBinary(WatchAskSchema, create(WatchAskSchema, { ask })));
  }

  watch(slot: number, key: string): void {
    const value = create(WatchCreateSchema, { slot, key: bytes(key), rangeEnd: bytes('\0') });
    this.ask({ case: 'create', value });
  }

  text(text: string): void {
    this.socket.send(text);
  }

  /** Waits until it holds, which it has to. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds())
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
  }

  get cases(): (string | undefined)[] {
    return this.tells.map((tell) => tell.case);
  }
}

/** A socket with a watch of everything from `key` on, at a group that lives. */
async function watching(tenant: string, place = 1, key = 'a'): Promise<Socket> {
  await put(tenant, 'first', '0');
  const socket = await Socket.open(tenant, place);
  socket.watch(0, key);
  await socket.until(() => socket.cases.includes('created'));
  return socket;
}

describe('a socket for watches', () => {
  it.each([1, 2])('is told of what is applied at place %i', async (place) => {
    const socket = await watching(`told-${place}`, place);
    await put(`told-${place}`, 'a', '1');
    await socket.until(() => socket.cases.includes('events'));
    expect(socket.cases).toEqual(['hello', 'created', 'events']);
  });

  it('outlives the eviction of its object, which goes on telling', async () => {
    const tenant = 'evicted';
    const socket = await watching(tenant);
    for (let round = 1; round <= 3; round += 1) {
      const { boot } = await statusOf(tenant, 1);
      await evictDurableObject(stubOf(tenant, 1), { webSockets: 'hibernate' });
      await put(tenant, 'a', String(round));
      await socket.until(() => socket.cases.length === 2 + round);
      expect((await statusOf(tenant, 1)).boot).toBe(boot + 1);
    }
    expect(socket.closed).toBe(false);
    expect((await statusOf(tenant, 1)).watches).toEqual({ sockets: 1, watches: 1 });
  });

  it('wakes a hibernated object with a message', async () => {
    const tenant = 'waking';
    const socket = await watching(tenant);
    await evictDurableObject(stubOf(tenant, 1), { webSockets: 'hibernate' });
    socket.ask({ case: 'progress', value: true });
    await socket.until(() => socket.cases.includes('progress'));
  });

  it('is closed when its object is aborted', async () => {
    const tenant = 'aborted';
    const socket = await watching(tenant);
    const aborting = runInDurableObject(stubOf(tenant, 1), (_, state) => state.abort('test'));
    await expect(aborting).rejects.toThrow();
    await socket.until(() => socket.closed);
    await put(tenant, 'a', '1');
    expect((await statusOf(tenant, 1)).watches).toEqual({ sockets: 0, watches: 0 });
  });

  it('that the router closes is forgotten', async () => {
    const tenant = 'closed';
    await watching(tenant);
    const socket = await watching(tenant);
    socket.ask({ case: undefined });
    await socket.until(() => socket.closed);
    expect((await statusOf(tenant, 1)).watches).toEqual({ sockets: 1, watches: 1 });
  });

  it('answers a ping without the member', async () => {
    const socket = await watching('ping');
    const { counters } = await statusOf('ping', 1);
    socket.text(watchPing);
    await socket.until(() => socket.texts.length > 0);
    expect(socket.texts).toEqual(['pong']);
    expect((await statusOf('ping', 1)).counters.watchMessages).toBe(counters.watchMessages);
  });

  it('is refused by a place that belongs to no group', async () => {
    await put('refused', 'a', '1');
    await expect(Socket.open('refused', 5)).rejects.toThrow('no socket');
  });
});

describe('a put that nobody watches', () => {
  it('writes no row more at a member with watches of other keys', async () => {
    const rowsOfPut = async (tenant: string) => {
      const before = (await statusOf(tenant, 1)).counters.rowsWritten;
      await put(tenant, 'a', '1');
      return (await statusOf(tenant, 1)).counters.rowsWritten - before;
    };
    await put('without', 'first', '0');
    await watching('with', 1, 'z');
    expect(await rowsOfPut('with')).toBe(await rowsOfPut('without'));
  });
});
