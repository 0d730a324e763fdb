/**
 * Unary gRPC calls over one HTTP/2 connection (RFC 9113), as cheap as they can be made in Node: frames
 * written and read by hand. node:http2 and gRPC libraries cost a client more than etcd costs itself, so
 * they would measure themselves. Plain TCP only; messages go out as gRPC frames made before.
 */
import { connect, type Socket } from 'node:net';
import { frameHeadBytes } from '../src/api/frames.ts';
import { encodeCallHeaders, grpcStatusOf } from './hpack.ts';

export interface GrpcAnswer {
  /** Of gRPC; 0 is success. Null: the call ended without one (a reset, a lost connection). */
  readonly status: number | null;
  /** The answer's frame, as it came. */
  readonly chunks: readonly Buffer[];
}

interface Call {
  readonly chunks: Buffer[];
  status: number | null;
  readonly done: (answer: GrpcAnswer) => void;
}

/** Types and flags of HTTP/2 frames, where this client has something to do. */
const [data, headers, reset, settings, ping, goAway, windowUpdate] = [0, 1, 3, 4, 6, 7, 8];
const [endStream, acknowledge, endHeaders, padded, priority] = [0x1, 0x1, 0x4, 0x8, 0x20];
const [headerTableSize, enablePush, initialWindowSize] = [1, 2, 4];

const headBytes = 9;
const windowBytes = 65_535;
const windowBytesMax = 2 ** 31 - 1;
const frameBytesMax = 16_384;
const connectTimeoutMs = 10_000;

export class GrpcConnection {
  private readonly socket: Socket;
  private readonly authority: string;
  private readonly calls = new Map<number, Call>();
  private readonly headersOf = new Map<string, Buffer>();
  private nextStream = 1;
  /** What the peer still takes over this connection, and what waits for it to take more. */
  private sendBytes = windowBytes;
  private readonly waiting: { readonly bytes: Buffer; readonly costs: number }[] = [];
  /** Received since the peer was last told that it may send more. */
  private receivedBytes = 0;
  private rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket, authority: string) {
    this.socket = socket;
    this.authority = authority;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.read(chunk));
    // What is wrong is told by 'close', which follows.
    socket.on('error', () => {});
    socket.on('close', () => this.endAll());
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    // Without a table of the peer's, its headers can be read by themselves.
    const wanted = [headerTableSize, 0, enablePush, 0, initialWindowSize, windowBytesMax];
    const body = Buffer.alloc(18);
    for (let n = 0; n < 3; n += 1) {
      body.writeUInt16BE(wanted[2 * n] as number, 6 * n);
      body.writeUInt32BE(wanted[2 * n + 1] as number, 6 * n + 2);
    }
    socket.write(frameOf(settings, 0, 0, body));
    this.take(windowBytesMax - windowBytes);
  }

  /** `url`: http://host:port. Throws when nobody listens there. */
  static async open(url: string): Promise<GrpcConnection> {
    const { hostname, port, host } = new URL(url);
    const socket = connect(Number(port), hostname);
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(connectTimeoutMs, () => reject(new Error(`${url}: no connection`)));
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.setTimeout(0);
    return new GrpcConnection(socket, host);
  }

  get isOpen(): boolean {
    return !this.socket.destroyed;
  }

  /** Calls `done` once: when the answer is complete, or will never be. Only while `isOpen`. */
  call(path: string, framed: Uint8Array, done: (answer: GrpcAnswer) => void): void {
    if (framed.length > frameBytesMax) throw new Error(`message of ${framed.length} bytes`);
    const stream = this.nextStream;
    this.nextStream += 2;
    this.calls.set(stream, { chunks: [], status: null, done });
    const block = this.blockOf(path);
    const bytes = Buffer.allocUnsafe(2 * headBytes + block.length + framed.length);
    writeHead(bytes, 0, block.length, headers, endHeaders, stream);
    bytes.set(block, headBytes);
    writeHead(bytes, headBytes + block.length, framed.length, data, endStream, stream);
    bytes.set(framed, 2 * headBytes + block.length);
    this.waiting.push({ bytes, costs: framed.length });
    this.send();
  }

  close(): void {
    this.socket.destroy();
  }

  private blockOf(path: string): Buffer {
    const known = this.headersOf.get(path);
    if (known) return known;
    const block = encodeCallHeaders(path, this.authority);
    this.headersOf.set(path, block);
    return block;
  }

  private send(): void {
    for (;;) {
      const [first] = this.waiting;
      if (first === undefined || first.costs > this.sendBytes) return;
      this.waiting.shift();
      this.sendBytes -= first.costs;
      this.socket.write(first.bytes);
    }
  }

  private read(chunk: Buffer): void {
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk]);
    while (bytes.length >= headBytes) {
      const length = bytes.readUIntBE(0, 3);
      if (bytes.length < headBytes + length) break;
      const stream = bytes.readUInt32BE(5) & windowBytesMax;
      const body = bytes.subarray(headBytes, headBytes + length);
      this.readFrame(bytes[3] as number, bytes[4] as number, stream, body);
      bytes = bytes.subarray(headBytes + length);
    }
    this.rest = bytes;
  }

  private readFrame(type: number, flags: number, stream: number, body: Buffer): void {
    switch (type) {
      case data:
        this.takeMore(body.length);
        this.calls.get(stream)?.chunks.push(body);
        if ((flags & endStream) !== 0) this.end(stream);
        return;
      case headers:
        this.readHeaders(flags, stream, body);
        return;
      case reset:
        this.end(stream);
        return;
      case settings:
        if ((flags & acknowledge) === 0) this.socket.write(frameOf(settings, acknowledge, 0));
        return;
      case ping:
        if ((flags & acknowledge) === 0) this.socket.write(frameOf(ping, acknowledge, 0, body));
        return;
      case goAway:
        this.close();
        return;
      case windowUpdate:
        // That of a stream is larger than any message.
        if (stream === 0) this.sendBytes += body.readUInt32BE(0);
        this.send();
        return;
    }
  }

  /** Of an answer, or behind it; an error may come without an answer. */
  private readHeaders(flags: number, stream: number, body: Buffer): void {
    const call = this.calls.get(stream);
    if (call === undefined) return;
    // Nobody pads or splits headers as short as these; if one does, its call has failed.
    const isPlain = (flags & endHeaders) !== 0 && (flags & (padded | priority)) === 0;
    if (isPlain) call.status = grpcStatusOf(body) ?? call.status;
    if ((flags & endStream) !== 0) this.end(stream);
  }

  private end(stream: number): void {
    const call = this.calls.get(stream);
    if (call === undefined) return;
    this.calls.delete(stream);
    call.done({ status: call.status, chunks: call.chunks });
  }

  private endAll(): void {
    for (const { done } of [...this.calls.values()]) done({ status: null, chunks: [] });
    this.calls.clear();
  }

  private takeMore(bytes: number): void {
    this.receivedBytes += bytes;
    if (this.receivedBytes < windowBytesMax / 2) return;
    this.take(this.receivedBytes);
    this.receivedBytes = 0;
  }

  private take(bytes: number): void {
    const body = Buffer.alloc(4);
    body.writeUInt32BE(bytes);
    this.socket.write(frameOf(windowUpdate, 0, 0, body));
  }
}

/** Success with a whole message. */
export function isSuccess({ status, chunks }: GrpcAnswer): boolean {
  if (status !== 0) return false;
  const [first] = chunks;
  if (first === undefined || first.length < frameHeadBytes) return false;
  const received = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return received === frameHeadBytes + first.readUInt32BE(1);
}

function frameOf(type: number, flags: number, stream: number, body = Buffer.alloc(0)): Buffer {
  const bytes = Buffer.alloc(headBytes + body.length);
  writeHead(bytes, 0, body.length, type, flags, stream);
  bytes.set(body, headBytes);
  return bytes;
}

function writeHead(
  bytes: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): void {
  bytes.writeUIntBE(length, at, 3);
  bytes[at + 3] = type;
  bytes[at + 4] = flags;
  bytes.writeUInt32BE(stream, at + 5);
}
