/** gRPC as one may speak it over Node's HTTP/2, for what a proper client would not do. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import { connect, type Socket } from 'node:net';
import { frame } from '../../src/api/frames.ts';
import { splitAddress } from '../../src/bridge/address.ts';

/** `from`: the address that the bridge sees. */
export function openSocket(address: string, from?: string): Socket {
  const at = splitAddress(address);
  const socket = connect({ ...at, ...(from === undefined ? {} : { localAddress: from }) });
  socket.on('error', () => {});
  return socket;
}

export function openSession(address: string, from?: string): ClientHttp2Session {
  const socket = openSocket(address, from);
  const session = connectHttp2(`http://${address}`, { createConnection: () => socket });
  session.on('error', () => {});
  return session;
}

export function openStream(
  session: ClientHttp2Session,
  rpc: string,
  headers: OutgoingHttpHeaders = {},
): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/${rpc}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => {});
  return stream;
}

export interface Ended {
  /** Of gRPC; null: the stream ended without one. */
  readonly code: number | null;
  readonly details: string;
  /** Without their frames. */
  readonly messages: Buffer[];
}

/** How a stream ends. */
export async function ended(stream: ClientHttp2Stream): Promise<Ended> {
  let said: IncomingHttpHeaders = {};
  const chunks: Buffer[] = [];
  stream.on('response', (headers) => {
    said = { ...said, ...headers };
  });
  stream.on('trailers', (headers) => {
    said = { ...said, ...headers };
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await new Promise<void>((resolve) => stream.once('close', resolve));
  const status = said['grpc-status'];
  return {
    code: status === undefined ? null : Number(status),
    details: decodeURIComponent(String(said['grpc-message'] ?? '')),
    messages: messagesOf(Buffer.concat(chunks)),
  };
}

export function rawCall(
  session: ClientHttp2Session,
  rpc: string,
  request: Uint8Array,
  headers: OutgoingHttpHeaders = {},
): Promise<Ended> {
  const stream = openStream(session, rpc, headers);
  stream.end(frame(0, request));
  return ended(stream);
}

function messagesOf(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const length = body.readUInt32BE(at + 1);
    messages.push(body.subarray(at + 5, at + 5 + length));
    at += 5 + length;
  }
  return messages;
}
