/** The watch stream of the bridge, between a gRPC call and a WebSocket that do as the test says. */
import { EventEmitter } from 'node:events';
import { Duplex } from 'node:stream';
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { Streams } from '../../src/bridge/streams.ts';
import type { Upstream } from '../../src/bridge/upstream.ts';
import { watches } from '../../src/bridge/watches.ts';

/** A client that takes one message when it is told to. */
class Call extends Duplex {
  readonly metadata = new Metadata();
  readonly taken: Buffer[] = [];
  private takeOne: (() => void) | null = null;

  constructor() {
    super({ objectMode: true, writableHighWaterMark: 1 });
  }

  override _read(): void {}

  override _write(message: Buffer, _: string, done: () => void): void {
    this.taken.push(message);
    this.takeOne = done;
  }

  async takeAll(): Promise<void> {
    while (this.takeOne !== null) {
      const takeOne = this.takeOne;
      this.takeOne = null;
      takeOne();
      await settled();
    }
  }

  getDeadline = () => Number.POSITIVE_INFINITY;
  getHost = () => 'localhost:2389';
  getPeer = () => '127.0.0.1:50000';
  getAuthContext = () => ({});
}

class Socket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 0;
  isPaused = false;
  isTerminated = false;
  readonly sent: string[] = [];

  open(): void {
    this.readyState = this.OPEN;
    this.emit('open');
  }

  send(message: Uint8Array): void {
    if (this.readyState !== this.OPEN) throw new Error('not open');
    this.sent.push(Buffer.from(message).toString());
  }

  hear(message: string | Buffer): void {
    this.emit('message', Buffer.from(message as string), true);
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  terminate(): void {
    this.isTerminated = true;
    this.readyState = 3;
  }
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function started() {
  const call = new Call();
  const socket = new Socket();
  const streams = new Streams();
  const status = new Promise((resolve) => call.once('error', resolve));
  const upstream = { openWatch: () => socket } as unknown as Upstream;
  watches(upstream, streams)(call as unknown as ServerDuplexStream<Uint8Array, Uint8Array>);
  return { call, socket, streams, status };
}

describe('a watch stream of the bridge', () => {
  it('asks for what was asked before the socket was open when it is, in order', async () => {
    const { call, socket } = started();
    for (const request of ['1', '2']) call.push(Buffer.from(request));
    await settled();
    expect(socket.sent).toEqual([]);
    socket.open();
    call.push(Buffer.from('3'));
    await settled();
    expect(socket.sent).toEqual(['1', '2', '3']);
  });

  it('tells a slow client everything, once and in order, and reads no more meanwhile', async () => {
    const { call, socket } = started();
    socket.open();
    // A socket that is paused may still have messages in hand.
    for (const message of ['1', '2', '3']) socket.hear(message);
    expect(socket.isPaused).toBe(true);
    await call.takeAll();
    expect(call.taken.map(String)).toEqual(['1', '2', '3']);
    expect(socket.isPaused).toBe(false);
  });

  it('says a word for each 4 MiB that its client has taken, and none for what it has not', async () => {
    const { call, socket } = started();
    socket.open();
    for (let n = 0; n < 3; n += 1) {
      socket.hear(Buffer.alloc(3 * 1024 * 1024));
      await call.takeAll();
    }
    expect(socket.sent).toEqual(['', '']);
    socket.hear(Buffer.alloc(9 * 1024 * 1024));
    expect(socket.sent).toEqual(['', '']);
    await call.takeAll();
    expect(socket.sent).toEqual(['', '', '', '']);
  });

  it('goes on when its client has no more to ask, as in etcd', async () => {
    const { call, socket } = started();
    call.push(Buffer.from('1'));
    call.push(null);
    await settled();
    socket.open();
    socket.hear('told');
    await call.takeAll();
    expect(socket.sent).toEqual(['1']);
    expect(call.taken.map(String)).toEqual(['told']);
    expect(socket.isTerminated).toBe(false);
  });

  it.each([
    [1006, '', 14, 'there is no connection available: the target closed the watch (1006)'],
    [1013, 'no leader', 14, 'there is no connection available: no leader'],
    [1007, 'bad request', 3, 'bad request'],
  ])('that the service closes with %i %s ends with %i', async (close, reason, code, details) => {
    const { socket, status } = started();
    socket.open();
    socket.emit('close', close, Buffer.from(reason));
    expect(await status).toEqual({ code, details });
  });

  it('ends as unavailable when the bridge stops, and leaves no socket behind', async () => {
    const { socket, streams, status } = started();
    socket.open();
    streams.stop();
    expect(await status).toMatchObject({ code: 14 });
    expect(socket.isTerminated).toBe(true);
  });

  it('leaves no socket behind when the client is gone', () => {
    const { call, socket } = started();
    socket.open();
    call.emit('cancelled');
    expect(socket.isTerminated).toBe(true);
  });
});
