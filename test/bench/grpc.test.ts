/** The client of the bench's load generator for gRPC, against another implementation of HTTP/2. */
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type GrpcAnswer, GrpcConnection, isSuccess } from '../../bench/grpc-connection.ts';
import { decodeResponse, encodeRequest, encodeResponse } from '../../bench/grpc-messages.ts';
import { grpcStatusOf } from '../../bench/hpack.ts';

type Handler = (stream: ServerHttp2Stream, request: Buffer) => void;

let server: Http2Server | undefined;
let connection: GrpcConnection | undefined;

afterEach(() => {
  connection?.close();
  server?.close();
});

/** Reads the request first, as KV.Put. */
async function connectTo(handler: Handler): Promise<GrpcConnection> {
  server = createServer();
  server.on('stream', (stream, headers) => {
    expect(headers).toMatchObject({
      ':method': 'POST',
      ':path': '/etcdserverpb.KV/Put',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    stream.on('error', () => {});
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => handler(stream, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  connection = await GrpcConnection.open(`http://127.0.0.1:${port}`);
  return connection;
}

function call(framed: Uint8Array): Promise<GrpcAnswer> {
  return new Promise((resolve) => connection?.call('/etcdserverpb.KV/Put', framed, resolve));
}

function answer(stream: ServerHttp2Stream, status: number, framed: Uint8Array): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status) }));
  stream.end(framed);
}

const put = encodeRequest('put', JSON.stringify({ key: 'Zm9v', value: 'YmFy' }));
const response = encodeResponse('put', { header: { revision: '7' } });

const [dataType, pingType, windowUpdateType] = [0, 6, 8];
const count = (types: readonly number[], type: number) => types.filter((t) => t === type).length;

/** A peer that says only what it is told to, and knows the types of the frames that came. */
async function frameReader() {
  const types: number[] = [];
  let bytes = Buffer.alloc(0);
  let looked = () => {};
  let socket: Socket | undefined;
  const listener = createTcpServer((accepted) => {
    socket = accepted;
    socket.on('error', () => {});
    let preface = 24;
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (preface > 0 && bytes.length >= preface) {
        bytes = bytes.subarray(preface);
        preface = 0;
      }
      while (preface === 0 && bytes.length >= 9 && bytes.length >= 9 + bytes.readUIntBE(0, 3)) {
        types.push(bytes[3] as number);
        bytes = bytes.subarray(9 + bytes.readUIntBE(0, 3));
      }
      looked();
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    types,
    until: (isThere: (types: readonly number[]) => boolean) =>
      new Promise<void>((resolve) => {
        looked = () => isThere(types) && resolve();
        looked();
      }),
    send: (type: number, body: Buffer) => {
      socket?.write(Buffer.from([0, 0, body.length, type, 0, 0, 0, 0, 0]));
      socket?.write(body);
    },
    close: () => {
      socket?.destroy();
      listener.close();
    },
  };
}

describe('a call of the load generator', () => {
  it('takes the message there and the answer back', async () => {
    let received: Buffer | null = null;
    await connectTo((stream, request) => {
      received = request;
      answer(stream, 0, response);
    });
    const result = await call(put);
    expect(isSuccess(result)).toBe(true);
    expect(received).toEqual(Buffer.from(put));
    const decoded = decodeResponse('put', Buffer.concat(result.chunks));
    expect(decoded).toMatchObject({ header: { revision: '7' } });
  });

  it.each<[string, Handler, number | null]>([
    ['an error behind an answer', (stream) => answer(stream, 14, response), 14],
    [
      'an error without an answer',
      (stream) => stream.respond({ ':status': 200, 'grpc-status': '5' }, { endStream: true }),
      5,
    ],
    ['success without a message', (stream) => answer(stream, 0, Buffer.alloc(0)), 0],
    ['half a message', (stream) => answer(stream, 0, response.subarray(0, 6)), 0],
    ['a stream that is reset', (stream) => stream.close(8), null],
    ['something that speaks no gRPC', (stream) => stream.end('hello'), null],
    ['a connection that is lost', (stream) => stream.session?.destroy(), null],
  ])('counts %s as an error', async (_, handler, status) => {
    await connectTo(handler);
    const result = await call(put);
    expect(result.status).toBe(status);
    expect(isSuccess(result)).toBe(false);
  });

  it('is one of many on its connection', async () => {
    await connectTo((stream) => answer(stream, 0, response));
    const answers = await Promise.all(Array.from({ length: 100 }, () => call(put)));
    expect(answers.filter(isSuccess)).toHaveLength(100);
  });

  it('waits while the peer takes no more over its connection', async () => {
    const large = encodeRequest('put', JSON.stringify({ key: 'Zm9v', value: 'A'.repeat(8_000) }));
    const fitting = Math.floor(65_535 / large.length);
    const peer = await frameReader();
    connection = await GrpcConnection.open(peer.url);
    for (let n = 0; n < fitting + 1; n += 1)
      connection.call('/etcdserverpb.KV/Put', large, () => {});
    await peer.until((types) => count(types, dataType) === fitting);
    // What was written before the answer to a ping comes before it.
    peer.send(pingType, Buffer.alloc(8));
    await peer.until((types) => count(types, pingType) === 1);
    expect(count(peer.types, dataType)).toBe(fitting);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(large.length);
    peer.send(windowUpdateType, bytes);
    await peer.until((types) => count(types, dataType) === fitting + 1);
    peer.close();
  });

  it('fails at once where nobody listens', async () => {
    await expect(GrpcConnection.open('http://127.0.0.1:1')).rejects.toThrow('ECONNREFUSED');
  });
});

describe('the status among headers', () => {
  it('is read in plain text and in the Huffman code, behind other fields', () => {
    const plain = Buffer.concat([
      Buffer.from([0x20, 0x88, 0x0f, 0x10, 1]), // a table of no entries; :status 200; content-type
      Buffer.from('x'),
      Buffer.from([0x00, 11]),
      Buffer.from('grpc-status'),
      Buffer.from([2]),
      Buffer.from('14'),
    ]);
    expect(grpcStatusOf(plain)).toBe(14);
    expect(grpcStatusOf(Buffer.from('00889acac8b21234da8f0130', 'hex'))).toBe(0);
    expect(grpcStatusOf(Buffer.from([0x88]))).toBeNull();
  });

  it('is not guessed when the peer uses a table that it was not allowed', () => {
    expect(() => grpcStatusOf(Buffer.from([0x80 | 62]))).toThrow('must be empty');
  });
});
