/** The WebSockets of /v1/watch and /v3/watch in the real runtime. */
import { SELF } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';

class Socket {
  readonly messages: Record<string, unknown>[] = [];
  closed: number | null = null;
  readonly protocol: string | null;
  private readonly socket: WebSocket;
  private wake: () => void = () => {};

  private constructor(socket: WebSocket, protocol: string | null) {
    this.socket = socket;
    this.protocol = protocol;
    socket.addEventListener('message', ({ data }) => {
      this.messages.push(JSON.parse(String(data)));
      this.wake();
    });
    socket.addEventListener('close', ({ code }) => {
      this.closed = code;
      this.wake();
    });
    socket.accept();
  }

  static async open(path: string, protocol?: string): Promise<Socket> {
    const headers: Record<string, string> = { upgrade: 'websocket' };
    if (protocol !== undefined) headers['sec-websocket-protocol'] = protocol;
    const response = await SELF.fetch(`http://quorate${path}`, { headers });
    if (!response.webSocket) throw new Error(`answered ${response.status}`);
    return new Socket(response.webSocket, response.headers.get('sec-websocket-protocol'));
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  close(): void {
    this.socket.close(1000, 'done');
  }

  async next(): Promise<Record<string, unknown>> {
    while (this.messages.length === 0) await this.change();
    return this.messages.shift() ?? {};
  }

  async untilClosed(): Promise<number> {
    while (this.closed === null) await this.change();
    return this.closed;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }
}

const put = (tenant: string, key: string, value: string) =>
  SELF.fetch(`http://quorate/t/${tenant}/v1/kv/${key}`, { method: 'PUT', body: value });

describe('a socket of /v1/watch', () => {
  it('carries many watches, each under its own id', async () => {
    const socket = await Socket.open('/t/many/v1/watch', 'kv.v1');
    expect(socket.protocol).toBe('kv.v1');
    socket.send({ op: 'watch', id: 'one', key: 'a' });
    socket.send({ op: 'watch', id: 2, prefix: '', only: 'put', prev: true });
    expect([await socket.next(), await socket.next()]).toMatchObject([
      { op: 'created', id: 'one' },
      { op: 'created', id: 2 },
    ]);
    await put('many', 'a', '1');
    const told = [await socket.next(), await socket.next()];
    expect(told.map(({ id }) => id).sort()).toEqual([2, 'one']);
    expect(told[0]).toMatchObject({
      op: 'change',
      events: [{ type: 'put', key: 'a', value: '1' }],
    });
    socket.send({ op: 'cancel', id: 2 });
    expect(await socket.next()).toEqual({ op: 'canceled', id: 2 });
    await put('many', 'b', '1');
    await put('many', 'a', '2');
    expect(await socket.next()).toMatchObject({ op: 'change', id: 'one' });
    socket.close();
  });

  it('is told of history that is gone, and can go on', async () => {
    for (let n = 0; n < 4; n += 1) await put('gone', 'a', String(n));
    await SELF.fetch('http://quorate/t/gone/v3/kv/compaction', {
      method: 'POST',
      body: '{"revision":"4"}',
    });
    const socket = await Socket.open('/t/gone/v1/watch');
    socket.send({ op: 'watch', id: 1, key: 'a', from: 2 });
    await socket.next();
    expect(await socket.next()).toEqual({ op: 'compacted', id: 1, compact_revision: 4 });
    socket.send({ op: 'watch', id: 1, key: 'a', from: 5 });
    await socket.next();
    expect(await socket.next()).toMatchObject({ op: 'change', id: 1, revision: 5 });
    socket.close();
  });

  it.each([
    ['no JSON', '{'],
    ['no operation of ours', { op: 'subscribe', id: 1 }],
    ['no id', { op: 'watch', key: 'a' }],
    ['no keys', { op: 'watch', id: 1 }],
    ['an empty key', { op: 'watch', id: 1, key: '' }],
    ['keys named twice', { op: 'watch', id: 1, key: 'a', prefix: 'b' }],
    ['an inverted range', { op: 'watch', id: 1, start: 'b', end: 'a' }],
    ['a wrong type', { op: 'watch', id: 1, key: 7 }],
    ['a revision of nought', { op: 'watch', id: 1, key: 'a', from: 0 }],
    ['a member we do not know', { op: 'watch', id: 1, key: 'a', limit: 1 }],
    ['no base64', { op: 'watch', id: 1, key: '*', encoding: 'base64' }],
    ['an id nobody has', { op: 'cancel', id: 'x' }],
    ['too much', { op: 'watch', id: 1, key: 'x'.repeat(70_000) }],
  ])('is told what is wrong with %s, and lives on', async (_, message) => {
    const socket = await Socket.open('/t/wrong/v1/watch');
    socket.send(message);
    expect(await socket.next()).toMatchObject({ op: 'error', code: expect.any(String) });
    socket.send({ op: 'watch', id: 1, key: 'a' });
    expect(await socket.next()).toMatchObject({ op: 'created', id: 1 });
    socket.send({ op: 'watch', id: 1, key: 'a' });
    expect(await socket.next()).toMatchObject({ op: 'error', code: 'bad-request' });
    socket.close();
  });

  it('that is never understood is closed', async () => {
    const socket = await Socket.open('/t/wrong/v1/watch');
    for (let n = 0; n < 32; n += 1) socket.send('{');
    expect(await socket.untilClosed()).toBe(1008);
  });

  it('that is sent 16 MiB and says nothing is told so and closed; one that says `ack` is not', async () => {
    const [silent, reading] = [
      await Socket.open('/t/flood/v1/watch'),
      await Socket.open('/t/flood/v1/watch'),
    ];
    for (const socket of [silent, reading]) {
      socket.send({ op: 'watch', id: 1, key: 'a' });
      await socket.next();
    }
    for (let n = 0; n < 18; n += 1) {
      await put('flood', 'a', 'x'.repeat(1_000_000));
      expect(await reading.next()).toMatchObject({ op: 'change' });
      if (n % 5 === 4) reading.send({ op: 'ack' });
    }
    expect(await silent.untilClosed()).toBe(1013);
    expect(silent.messages.at(-1)).toEqual({ op: 'overflow' });
    expect(silent.messages.length).toBe(17);
    expect(reading.closed).toBeNull();
    reading.close();
  });

  it('of another protocol is refused', async () => {
    await expect(Socket.open('/t/wrong/v1/watch', 'mqtt')).rejects.toThrow('400');
  });
});

describe('a socket of /v3/watch', () => {
  it('takes requests one by one, and ends at what is no request', async () => {
    const socket = await Socket.open('/t/etcd/v3/watch');
    socket.send({ create_request: { key: btoa('a') } });
    expect(await socket.next()).toMatchObject({ result: { created: true } });
    socket.send({ create_request: { key: btoa('b') } });
    expect(await socket.next()).toMatchObject({ result: { created: true, watch_id: '1' } });
    await put('etcd', 'b', '1');
    expect(await socket.next()).toMatchObject({ result: { watch_id: '1', events: [{}] } });
    socket.send({ cancel_request: { watch_id: 1 } });
    expect(await socket.next()).toMatchObject({ result: { watch_id: '1', canceled: true } });
    socket.send('{"create_request":');
    expect(await socket.untilClosed()).toBe(1007);
  });
});
