/** /v3 with protobuf bodies, in the real runtime: the same calls, checks and errors as in JSON. */

import { SELF } from 'cloudflare:test';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  TxnRequestSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import { LeaderRequestSchema, LeaderResponseSchema } from '../../src/api/gen/v3election_pb.js';
import { LockRequestSchema, LockResponseSchema } from '../../src/api/gen/v3lock_pb.js';
import { framed, frames } from '../support/frames.ts';

const type = 'application/protobuf';
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

function send(tenant: string, path: string, body: Uint8Array) {
  const init = { method: 'POST', headers: { 'content-type': type }, body: body as BodyInit };
  return SELF.fetch(`http://quorate/t/${tenant}/v3/${path}`, init);
}

async function call<Q extends DescMessage, A extends DescMessage>(
  tenant: string,
  path: string,
  desc: Q,
  init: MessageInitShape<Q>,
  answer: A,
): Promise<MessageShape<A>> {
  const response = await send(tenant, path, toBinary(desc, create(desc, init)));
  expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
  return fromBinary(answer, new Uint8Array(await response.arrayBuffer()));
}

const put = (tenant: string, key: string, value: string) =>
  call(
    tenant,
    'kv/put',
    PutRequestSchema,
    { key: bytes(key), value: bytes(value) },
    PutResponseSchema,
  );

describe('a call in protobuf', () => {
  it('does what the same call in JSON does', async () => {
    const { header } = await put('proto', 'a', '1');
    expect(header?.revision).toBe(2n);
    const range = await call(
      'proto',
      'kv/range',
      RangeRequestSchema,
      { key: bytes('a') },
      RangeResponseSchema,
    );
    expect(range.kvs.map(({ value }) => text(value))).toEqual(['1']);
    const json = await SELF.fetch('http://quorate/t/proto/v3/kv/range', {
      method: 'POST',
      body: JSON.stringify({ key: btoa('a') }),
    });
    expect(await json.json()).toMatchObject({ count: '1', kvs: [{ value: btoa('1') }] });
  });

  it('is refused in JSON, with the status and the words of the JSON form', async () => {
    const empty = await send('proto', 'kv/put', new Uint8Array());
    const message = 'etcdserver: key is not provided';
    expect(empty.status).toBe(400);
    expect(await empty.json()).toEqual({ error: message, message, code: 3 });
    const garbage = await send('proto', 'kv/put', new Uint8Array([0x0a, 0xff]));
    expect(garbage.status).toBe(400);
    expect(await garbage.json()).toMatchObject({ code: 3 });
  });

  it('that is nested too deep is refused', async () => {
    let nested = toBinary(TxnRequestSchema, create(TxnRequestSchema));
    const field = (tag: number, data: Uint8Array) => {
      const length = [];
      for (let rest = data.length; ; rest >>>= 7) {
        length.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest);
        if (rest < 0x80) break;
      }
      return new Uint8Array([tag, ...length, ...data]);
    };
    for (let depth = 0; depth < 200; depth += 1) nested = field(0x12, field(0x22, nested));
    const answer = await send('proto', 'kv/txn', nested);
    expect(answer.status).toBe(400);
  });

  it('of the lock service is answered in protobuf too', async () => {
    const { ID } = await call(
      'locks',
      'lease/grant',
      LeaseGrantRequestSchema,
      { TTL: 60n },
      LeaseGrantResponseSchema,
    );
    const { key } = await call(
      'locks',
      'lock/lock',
      LockRequestSchema,
      { name: bytes('l'), lease: ID },
      LockResponseSchema,
    );
    expect(text(key)).toBe(`l/${ID.toString(16)}`);
  });
});

describe('a stream in protobuf', () => {
  it('of keep-alives has a frame for each request', async () => {
    const { ID } = await call(
      'alive',
      'lease/grant',
      LeaseGrantRequestSchema,
      { TTL: 60n },
      LeaseGrantResponseSchema,
    );
    const ask = (id: bigint) =>
      toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: id }));
    const response = await send('alive', 'lease/keepalive', framed([ask(ID), ask(77n)]));
    const answers = frames(new Uint8Array(await response.arrayBuffer()));
    expect(answers.map(([flags]) => flags)).toEqual([0, 0]);
    const ttls = answers.map(([, data]) => fromBinary(LeaseKeepAliveResponseSchema, data).TTL);
    expect(ttls).toEqual([60n, 0n]);
  });

  it.each([
    ['a frame cut short', new Uint8Array([0, 0, 0, 0, 9, 8])],
    ['flags that are not known', new Uint8Array([1, 0, 0, 0, 0])],
  ])('that begins with %s is refused', async (_, body) => {
    expect((await send('alive', 'lease/keepalive', body)).status).toBe(400);
  });

  it('of leaders begins with the one that is there', async () => {
    const { ID } = await call(
      'leaders',
      'lease/grant',
      LeaseGrantRequestSchema,
      { TTL: 60n },
      LeaseGrantResponseSchema,
    );
    const campaign = { name: btoa('e'), lease: String(ID), value: btoa('me') };
    const init = { method: 'POST', body: JSON.stringify(campaign) };
    await (await SELF.fetch('http://quorate/t/leaders/v3/election/campaign', init)).text();
    const name = bytes('e');
    const body = toBinary(LeaderRequestSchema, create(LeaderRequestSchema, { name }));
    const { body: stream } = await send('leaders', 'election/observe', body);
    const reader = (stream as ReadableStream<Uint8Array>).getReader();
    const [[flags, data] = [1, new Uint8Array()]] = frames(
      (await reader.read()).value as Uint8Array,
    );
    expect(flags).toBe(0);
    expect(text(fromBinary(LeaderResponseSchema, data).kv?.value ?? new Uint8Array())).toBe('me');
    await reader.cancel();
  });
});

describe('a watch with the subprotocol protobuf', () => {
  async function open(tenant: string, offered = ['protobuf']) {
    const headers = { upgrade: 'websocket', 'sec-websocket-protocol': offered.join(', ') };
    const response = await SELF.fetch(`http://quorate/t/${tenant}/v3/watch`, { headers });
    expect(response.headers.get('sec-websocket-protocol')).toBe(offered[0]);
    const socket = response.webSocket as WebSocket;
    const heard: unknown[] = [];
    let wake = () => {};
    socket.binaryType = 'arraybuffer';
    socket.addEventListener('message', ({ data }) => {
      heard.push(data);
      wake();
    });
    socket.addEventListener('close', ({ code }) => {
      heard.push(code);
      wake();
    });
    socket.accept();
    const next = async () => {
      while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return heard.shift();
    };
    const ask = (init: MessageInitShape<typeof WatchRequestSchema>) =>
      socket.send(toBinary(WatchRequestSchema, create(WatchRequestSchema, init)));
    return { socket, heard, next, ask };
  }

  it('carries one request or response in each binary message', async () => {
    await put('watched', 'k', '1');
    const { socket, next, ask } = await open('watched');
    ask({ requestUnion: { case: 'createRequest', value: { key: bytes('k') } } });
    const heard = async () =>
      fromBinary(WatchResponseSchema, new Uint8Array((await next()) as ArrayBuffer));
    expect(await heard()).toMatchObject({ created: true, watchId: 0n });
    await put('watched', 'k', '2');
    const { events } = await heard();
    expect(events.map(({ kv }) => text(kv?.value ?? new Uint8Array()))).toEqual(['2']);
    socket.close(1000, 'done');
  });

  it('at the pace of who acknowledges: no more than 8 MiB are on the way, and nothing is lost', async () => {
    const { socket, heard, next, ask } = await open('paced', ['protobuf-paced', 'protobuf']);
    ask({ requestUnion: { case: 'createRequest', value: { key: bytes('k') } } });
    const told = async () =>
      fromBinary(WatchResponseSchema, new Uint8Array((await next()) as ArrayBuffer)).events;
    expect(await told()).toEqual([]);
    const MiB = 1024 * 1024;
    const count = 13;
    const sent: string[] = [];
    for (let n = 0; n < count; n += 1) {
      sent.push(String(n));
      await put('paced', 'k', String(n).padEnd(MiB));
    }
    expect(heard.length).toBe(8);
    const values: string[] = [];
    for (let untaken = 0; values.length < count; ) {
      const events = await told();
      for (const { kv } of events) values.push(text(kv?.value ?? new Uint8Array()).trim());
      for (untaken += events.length * MiB; untaken >= 4 * MiB; untaken -= 4 * MiB)
        socket.send(new Uint8Array());
    }
    expect(values).toEqual(sent);
    socket.close(1000, 'done');
  });

  it('is told what is wrong with a message that is none, and closed', async () => {
    const { socket, next } = await open('watched');
    socket.send(new Uint8Array([0x0a, 0xff]));
    expect(JSON.parse((await next()) as string)).toMatchObject({ code: 2 });
    expect(await next()).toBe(1007);
  });
});
