/**
 * Clients that cut their requests in the middle, never read, vanish, or speak no HTTP: whoever behaves
 * meanwhile is served as if they were not there.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { type Server, withServer } from '../support/server.ts';

const ofEach = 4;
/** Told to clients that do not read: more than any of them is given room for. */
const bigPuts = 60;
const bigBytes = 200_000;
const answerWithinMs = 60_000;

const encode = (text: string) => Buffer.from(text).toString('base64');
const create = (key: string, more = '') =>
  `{"create_request":{"key":"${encode(key)}","range_end":"${encode(`${key}~`)}"${more}}}`;

/** A whole request of each call; those of locks wait for one that is held. */
const requests: readonly (readonly [path: string, body: string])[] = [
  ['/v3/watch', create('big')],
  ['/v3/watch', create('big', ',"watch_id":1') + create('big', ',"watch_id":1')],
  ['/v3/lease/grant', '{"TTL":60}'],
  ['/v3/lease/keepalive', '{"ID":7}'.repeat(2_000)],
  ['/v3/lease/timetolive', '{"ID":7,"keys":true}'],
  ['/v3/lock/lock', `{"name":"${encode('held')}"}`],
  ['/v3/election/campaign', `{"name":"${encode('held')}"}`],
  ['/v3/election/observe', `{"name":"${encode('leading')}"}`],
  ['/v1/locks/held', '{"wait":"50s"}'],
  ['/v1/elections/held/campaign', '{"wait":"50s"}'],
  ['/v1/kv/big', ''],
  ['/v1/watch?prefix=big', ''],
  ['/v1/elections/leading/observe', ''],
];

it('clients of all bad kinds hurt nobody else', async () => {
  await withServer({ members: 3 }, async (server) => {
    const gateway = new Gateway(server.url);
    const ok = async (path: string, body: object) => {
      const { status, text } = await gateway.send('POST', path, JSON.stringify(body));
      expect([path, status, text]).toEqual([path, 200, expect.any(String)]);
      return JSON.parse(text);
    };
    await ok('/v3/lease/grant', { TTL: 600, ID: 7 });
    const { key: lock } = await ok('/v3/lock/lock', { name: encode('held'), lease: 7 });
    const { leader } = await ok('/v3/election/campaign', { name: encode('leading'), lease: 7 });
    const witness = await Witness.begin(server.url);

    const sockets: Socket[] = [];
    for (let round = 0; round < ofEach; round += 1) sockets.push(...(await misbehave(server)));
    await speakNoHttp(server);
    await garbageOnSockets(server.url);
    const value = 'v'.repeat(bigBytes);
    for (let count = 0; count < bigPuts; count += 1) {
      expect(await gateway.put('big', value)).toMatchObject({ acknowledged: true });
      await ok('/v3/election/proclaim', { leader, value: encode(value.slice(count)) });
    }

    // Nobody is before it whose client was reset.
    for (const socket of sockets) socket.resetAndDestroy();
    const next = gateway.send('POST', '/v1/locks/held', '{"wait":"60s","ttl":"60s"}');
    await sleep(500);
    await ok('/v3/lock/unlock', { key: lock });
    expect((await next).status).toBe(200);

    const { asked, told } = await witness.end();
    expect(asked).toBeGreaterThan(0);
    expect(told).toEqual(Array.from({ length: asked }, (_, count) => String(count)));
    expect(server.log()).not.toMatch(/TypeError|RangeError|internal error|Assertion/);
    gateway.close();
  });
});

/** Of each request: one that is cut, one that stops half-way, one that is reset, one that is not read. */
async function misbehave(server: Server): Promise<Socket[]> {
  const kept: Socket[] = [];
  for (const [path, body] of requests) {
    const method = body === '' ? 'GET' : 'POST';
    const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`;
    const half = head + body.slice(0, body.length / 2);
    const [cut, stopped, reset, unread] = [
      await open(server, half),
      await open(server, method === 'GET' ? head.slice(0, -2) : half),
      await open(server, head + body),
      await open(server, head + body),
    ];
    await sleep(20);
    cut.end();
    reset.resetAndDestroy();
    kept.push(stopped, unread);
  }
  return kept;
}

async function open({ url }: Server, text: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  // Nothing is ever read: it was not asked to flow.
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

async function speakNoHttp(server: Server): Promise<void> {
  const texts = [
    '\u0000\u0001\u0002',
    'GET\r\n\r\n',
    'POST /v3/watch HTTP/1.1\r\nHost: x\r\n\r\n{',
  ];
  const chunked = 'POST /v3/watch HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
  for (const text of [
    ...texts,
    `${chunked}zz\r\n`,
    `${chunked}5\r\n{"cre`,
    `${chunked}ffffffff\r\n`,
  ]) {
    const socket = await open(server, text);
    await sleep(20);
    socket.resetAndDestroy();
  }
}

/** What a WebSocket may not say is answered. */
async function garbageOnSockets(url: string): Promise<void> {
  const common = ['nope', '[]', '{', '\u0000', new Uint8Array([0, 255])];
  const garbage = [
    ...common.flatMap((text) => [
      ['/v3/watch', text],
      ['/v1/watch', text],
    ]),
    ['/v3/watch', '{"create_request":5}'],
    ['/v1/watch', '{"op":5}'],
  ] as const;
  for (const [path, text] of garbage) {
    const socket = new WebSocket(url.replace('http', 'ws') + path);
    await once(socket, 'open');
    const heard = once(socket, 'message');
    socket.send(text);
    const [{ data }] = (await heard) as [{ data: string }];
    expect([path, JSON.parse(data)]).toEqual([path, expect.any(Object)]);
    socket.close();
  }
}

/** Puts, and watches what it puts, on connections of its own. */
class Witness {
  private readonly told: string[] = [];
  private asked = 0;
  private isOver = false;
  private readonly abort: AbortController;
  private readonly putting: Promise<void>;

  static async begin(url: string): Promise<Witness> {
    const abort = new AbortController();
    const init = { method: 'POST', body: create('mine'), signal: abort.signal };
    const { body } = await fetch(`${url}/v3/watch`, init);
    return new Witness(url, abort, body as ReadableStream<Uint8Array>);
  }

  private constructor(url: string, abort: AbortController, body: ReadableStream<Uint8Array>) {
    this.abort = abort;
    this.putting = this.put(new Gateway(url));
    // It ends by the abort, with an error; what it has not told by then is missed below.
    void this.read(body).catch(() => {});
  }

  private async put(gateway: Gateway): Promise<void> {
    for (; !this.isOver; this.asked += 1) {
      const outcome = await gateway.put('mine', String(this.asked));
      expect(outcome).toMatchObject({ acknowledged: true });
      await sleep(20);
    }
    gateway.close();
  }

  private async read(body: ReadableStream<Uint8Array>): Promise<void> {
    let rest = '';
    for await (const chunk of body.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const { events = [] } = JSON.parse(line).result as { events?: { kv: { value: string } }[] };
        for (const { kv } of events) this.told.push(Buffer.from(kv.value, 'base64').toString());
      }
    }
  }

  async end(): Promise<{ asked: number; told: string[] }> {
    this.isOver = true;
    await this.putting;
    const until = Date.now() + answerWithinMs;
    while (this.told.length < this.asked && Date.now() < until) await sleep(20);
    this.abort.abort();
    return { asked: this.asked, told: this.told };
  }
}
