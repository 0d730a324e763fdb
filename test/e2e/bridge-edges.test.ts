/**
 * A gRPC bridge and those who mean it no good, or do not know better: what they are told, what it costs, and that
 * others are served meanwhile. Behind it is a stub, so nothing but the bridge is asked for.
 */
import { once } from 'node:events';
import { constants } from 'node:http2';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { frame } from '../../src/api/frames.ts';
import { type Bridge, startBridge } from '../support/bridge.ts';
import {
  flags,
  greeting,
  grpcHeaders,
  headerBlock,
  http2Frame,
  uint32,
} from '../support/http2-frames.ts';
import { ended, openSession, openSocket, openStream, rawCall } from '../support/raw-grpc.ts';
import { emptyMessage, type StubService, startStubService } from '../support/stub-service.ts';

const range = 'etcdserverpb.KV/Range';
const watch = 'etcdserverpb.Watch/Watch';
const nothing = new Uint8Array();
const mebibyte = 1024 * 1024;
const soon = { timeout: 10_000 };
/** 10,000 when it is measured by hand. */
const idleConnections = Number(process.env.BRIDGE_CONNECTIONS ?? 500);

vi.setConfig({ testTimeout: 30_000 });

let target: StubService;
let bridge: Bridge;
let silent: Promise<void>;

beforeAll(async () => {
  target = await startStubService();
  const ipv6 = hasIpv6() ? ['--listen', '[::1]:0'] : [];
  bridge = await startBridge(target.url, [
    ...['--listen', '127.0.0.1:0', ...ipv6],
    ...['--grpc-keepalive-interval', '1s', '--grpc-keepalive-timeout', '4s'],
  ]);
  silent = closed(openSocket(bridge.address));
}, 60_000);

afterAll(async () => {
  await bridge.stop();
  await target.stop();
});

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) =>
    all?.some((one) => one.address === '::1'),
  );
}

function closed(socket: Socket): Promise<void> {
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

/** As another client, on a connection of its own. */
async function expectServed(address = bridge.address): Promise<void> {
  const session = openSession(address);
  expect(await rawCall(session, range, nothing)).toMatchObject({ code: 0 });
  session.close();
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`http://${bridge.address}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

const residentBytes = () => metric('process_resident_memory_bytes');
const openCalls = () => metric('quorate_bridge_open_calls');

/** What is answered to bytes, until the connection is closed. */
async function answerTo(said: string | Buffer, address = bridge.address): Promise<string> {
  const socket = openSocket(address);
  let heard = '';
  socket.on('data', (data: Buffer) => {
    heard += data.toString('latin1');
  });
  socket.write(said);
  await closed(socket);
  return heard;
}

describe('a connection that does not begin as HTTP/2 is answered in HTTP/1.1', () => {
  it.each([
    ['a request', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 505 .*this port speaks gRPC/s],
    ['/health', 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 503 .*"health":"false"/s],
    ['/metrics', 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 200 .*grpc_server/s],
    ['garbage', '\0\x01\x02nothing that anybody speaks', /^HTTP\/1.1 400 /],
    ['a TLS hello', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', /^HTTP\/1.1 400 /],
    ['a preface that ends otherwise', 'PRI * HTTP/2.0\r\n\r\nSM\r\nxx', /^HTTP\/1.1 400 /],
  ])('%s', async (_, said, answer) => {
    expect(await answerTo(said)).toMatch(answer);
    await expectServed();
  });

  it('but for one whose preface comes in pieces', async () => {
    const socket = openSocket(bridge.address);
    const heard = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    for (const byte of greeting) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await heard)[3]).toBe(constants.NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS + 1);
    socket.destroy();
  });
});

function* times(count: number, make: (n: number) => Buffer): Generator<Buffer> {
  for (let n = 0; n < count; n += 1) yield make(n);
}

const headers = (stream: number, rpc = range, flag: number = flags.endHeaders) =>
  http2Frame('headers', { stream, flag, payload: grpcHeaders(rpc) });
const kilobytes = headerBlock({ a: 'x'.repeat(4_000) });

/** Each is far more than anybody takes. */
const attacks: Readonly<Record<string, () => Iterable<Buffer>>> = {
  'headers that never end': function* () {
    yield headers(1, range, flags.none);
    yield* times(50_000, () => http2Frame('continuation', { stream: 1, payload: kilobytes }));
  },
  'calls that are reset at once': () =>
    times(100_000, (n) => {
      const stream = 2 * n + 1;
      return Buffer.concat([
        headers(stream),
        http2Frame('rstStream', { stream, payload: uint32(constants.NGHTTP2_CANCEL) }),
      ]);
    }),
  'settings over and over': () => times(300_000, () => http2Frame('settings')),
  'pings over and over': () =>
    times(300_000, () => http2Frame('ping', { payload: Buffer.alloc(8) })),
  'a window beyond its largest': () =>
    times(2, () => http2Frame('windowUpdate', { payload: uint32(2 ** 31 - 1) })),
  'a window made larger by nothing': () => [http2Frame('windowUpdate', { payload: uint32(0) })],
  'data without data': function* () {
    yield headers(1, watch);
    yield* times(300_000, () => http2Frame('data', { stream: 1 }));
  },
  'data for a call that is none': () => [http2Frame('data', { stream: 5 })],
  'a call with the number of a server': () => [headers(2)],
  'a frame larger than allowed': () =>
    times(64, () => http2Frame('data', { stream: 1, payload: Buffer.alloc(mebibyte) })),
  'headers that are none': () => [
    http2Frame('headers', { stream: 1, flag: flags.endHeaders, payload: Buffer.alloc(8, 0xff) }),
  ],
};

/** Sends all of it as fast as it is taken, until the connection is closed. */
async function attack(frames: Iterable<Buffer>): Promise<void> {
  const socket = openSocket(bridge.address);
  const gone = closed(socket);
  socket.write(greeting);
  for (const one of frames) {
    if (socket.destroyed) break;
    if (!socket.write(one))
      await Promise.race([gone, new Promise((resolve) => socket.once('drain', resolve))]);
  }
  await gone;
}

describe('a connection in which HTTP/2 is abused is closed', () => {
  it.each(Object.keys(attacks))('%s', async (name) => {
    const before = await residentBytes();
    await attack(attacks[name]?.() ?? []);
    await expectServed();
    expect((await residentBytes()) - before).toBeLessThan(100 * mebibyte);
    await expect.poll(openCalls, soon).toBe(0);
  });

  it('pings one after the other, with no call under way', async () => {
    const ping = http2Frame('ping', { payload: Buffer.alloc(8) });
    const said = await answerTo(Buffer.concat([greeting, ping, ping, ping, ping]));
    expect(said).toContain('too_many_pings');
  });

  it('but not for pings while a call is under way', async () => {
    target.answer = () => {};
    const session = openSession(bridge.address);
    const stream = openStream(session, range);
    const answered = ended(stream);
    await expect.poll(openCalls, soon).toBe(1);
    for (let n = 0; n < 20; n += 1)
      await new Promise((resolve) => session.ping(Buffer.alloc(8), resolve));
    target.answer = emptyMessage;
    stream.end(frame(0, nothing));
    expect(await answered).toMatchObject({ code: 0 });
    session.close();
  });
});

/** An eighth of a MiB, of which 128 would be made. */
const bomb = () => frame(1, gzipSync(Buffer.alloc(128 * mebibyte)));

describe('a call is refused, and the service not asked,', () => {
  it.each([
    ['of a message that is said to be larger than any', () => Buffer.alloc(5, 0xff), 8],
    ['of a message that is to be unpacked and is not packed', () => frame(1, Buffer.alloc(9)), 13],
    ['of a message that unpacks to very much', bomb, 8],
    ['of a message that is cut off', () => frame(0, Buffer.alloc(9)).subarray(0, 9), 12],
    ['of no message', () => Buffer.alloc(0), 12],
    ['of two messages', () => Buffer.concat([frame(0, nothing), frame(0, nothing)]), 12],
  ])('%s', async (_, body, code) => {
    let asked = 0;
    target.answer = (...all) => {
      asked += 1;
      emptyMessage(...all);
    };
    const before = await residentBytes();
    const session = openSession(bridge.address);
    const stream = openStream(session, range, { 'grpc-encoding': 'gzip' });
    stream.end(body());
    expect(await ended(stream)).toMatchObject({ code });
    expect(asked).toBe(0);
    expect((await residentBytes()) - before).toBeLessThan(100 * mebibyte);
    session.close();
    await expectServed();
  });

  it('of a message that is packed as nobody packs', async () => {
    const session = openSession(bridge.address);
    const stream = openStream(session, range, { 'grpc-encoding': 'snappy' });
    stream.end(frame(1, nothing));
    expect(await ended(stream)).toMatchObject({ code: 12 });
    session.close();
  });

  it('that is not gRPC’s', async () => {
    const session = openSession(bridge.address);
    const stream = openStream(session, range, { 'content-type': 'application/json' });
    const status = new Promise((resolve) =>
      stream.on('response', (said) => resolve(said[':status'])),
    );
    stream.end('{}');
    expect(await status).toBe(415);
    session.close();
  });
});

it('a packed message reaches the service unpacked', async () => {
  const bodies: string[] = [];
  target.answer = (response, request, body) => {
    bodies.push(body.toString());
    emptyMessage(response, request, body);
  };
  const session = openSession(bridge.address);
  for (const [encoding, body] of [
    ['gzip', frame(1, gzipSync('packed'))],
    ['gzip', frame(0, Buffer.from('as it is'))],
  ] as const) {
    const stream = openStream(session, range, { 'grpc-encoding': encoding });
    stream.end(body);
    expect(await ended(stream)).toMatchObject({ code: 0 });
  }
  expect(bodies).toEqual(['packed', 'as it is']);
  session.close();
});

it('what is wrong is said in words that cannot be written in an HTTP header as they are', async () => {
  const message = 'no \ud800 é\n';
  target.answer = (response) =>
    response.writeHead(400).end(JSON.stringify({ error: message, code: 3, message }));
  const session = openSession(bridge.address);
  expect(await rawCall(session, range, nothing)).toMatchObject({ code: 3, details: 'no � é\n' });
  target.answer = emptyMessage;
  session.close();
  await expectServed();
});

it('a deadline in the far future is one', async () => {
  const session = openSession(bridge.address);
  for (const timeout of ['99999999H', '99999999M', '2200000S'])
    expect(await rawCall(session, range, nothing, { 'grpc-timeout': timeout })).toMatchObject({
      code: 0,
    });
  session.close();
});

it('each address that it was given is served', async () => {
  const addresses = () => [...bridge.log().matchAll(/listening on http:\/\/(\S+)/g)];
  await expect.poll(() => addresses().length, soon).toBe(hasIpv6() ? 3 : 2);
  for (const [, address] of addresses()) await expectServed(address);
});

it('an address that is taken is said, and ends it', async () => {
  const port = Number(bridge.address.split(':')[1]);
  const second = startBridge(target.url, [], port);
  await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: listen EADDRINUSE`);
});

describe('a client that', () => {
  it('opens a stream and vanishes is found out', async () => {
    const socket = openSocket(bridge.address);
    socket.write(Buffer.concat([greeting, headers(1, watch)]));
    await expect.poll(openCalls, soon).toBe(1);
    // It answers no ping.
    await closed(socket);
    await expect.poll(openCalls, soon).toBe(0);
  });

  it('hangs up in the middle of a message leaves nothing', async () => {
    const socket = openSocket(bridge.address);
    const half = Buffer.from(frame(0, Buffer.alloc(9)).subarray(0, 9));
    const data = http2Frame('data', { stream: 1, payload: half });
    socket.write(Buffer.concat([greeting, headers(1), data]));
    await expect.poll(openCalls, soon).toBe(1);
    socket.end();
    await expect.poll(openCalls, soon).toBe(0);
    socket.destroy();
  });

  it('says nothing at all is closed', async () => {
    await silent;
    await expect
      .poll(() => metric('quorate_bridge_refused_connections_total{reason="silent"}'), soon)
      .toBeGreaterThan(0);
    expect(bridge.log()).toContain('refused a connection of 127.0.0.1: it says nothing');
  }, 30_000);
});

const pingHead = http2Frame('ping', { payload: Buffer.alloc(8) }).subarray(0, 9);

function pongsFor(said: Buffer): Buffer {
  const pongs: Buffer[] = [];
  for (let at = said.indexOf(pingHead); at >= 0; at = said.indexOf(pingHead, at + 17))
    pongs.push(http2Frame('ping', { flag: flags.ack, payload: said.subarray(at + 9, at + 17) }));
  return Buffer.concat(pongs);
}

it('idle connections cost little, and others are served', async () => {
  const before = await residentBytes();
  const sockets: Socket[] = [];
  while (sockets.length < idleConnections) {
    const some = Array.from({ length: 100 }, () => openSocket(bridge.address));
    for (const socket of some) socket.write(greeting);
    await Promise.all(some.map((socket) => once(socket, 'data')));
    for (const socket of some) socket.on('data', (data: Buffer) => socket.write(pongsFor(data)));
    sockets.push(...some);
  }
  expect(await metric('quorate_bridge_open_connections')).toBeGreaterThanOrEqual(idleConnections);
  await expectServed();
  const each = ((await residentBytes()) - before) / idleConnections;
  if (process.env.BRIDGE_CONNECTIONS) console.log(`${Math.round(each)} bytes a connection`);
  expect(each).toBeLessThan(64 * 1024);
  for (const socket of sockets) socket.destroy();
  await expect
    .poll(() => metric('quorate_bridge_open_connections'), soon)
    .toBeLessThan(idleConnections / 2);
}, 60_000);
