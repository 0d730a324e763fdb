/**
 * One unary gRPC call over node:http2, without a gRPC library: it would cost the load generator more
 * than what it measures costs some contenders. Messages go out as frames that were made before.
 */
import type { ClientHttp2Session } from 'node:http2';
import { frameHeadBytes } from '../src/api/frames.ts';

export interface GrpcAnswer {
  /** Of gRPC; 0 is success. Null: the call ended without one (a reset, a lost connection). */
  readonly status: number | null;
  /** The answer's frame, as it came. */
  readonly chunks: readonly Buffer[];
}

/** Calls `done` once, as soon as the status is there. Throws when the session is closed. */
export function callUnary(
  session: ClientHttp2Session,
  path: string,
  framed: Uint8Array,
  done: (answer: GrpcAnswer) => void,
): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  const chunks: Buffer[] = [];
  let isDone = false;
  const end = (status: number | null) => {
    if (isDone) return;
    isDone = true;
    done({ status, chunks });
  };
  stream.on('response', (headers) => {
    // An error may come without a message, and then without trailers.
    if (headers['grpc-status'] !== undefined) end(Number(headers['grpc-status']));
  });
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('trailers', (trailers) => {
    const status = trailers['grpc-status'];
    end(status === undefined ? null : Number(status));
  });
  // What is wrong is told by 'close', which follows.
  stream.on('error', () => {});
  stream.on('close', () => end(null));
  stream.end(framed);
}

/** Success with a whole message. */
export function isSuccess({ status, chunks }: GrpcAnswer): boolean {
  if (status !== 0) return false;
  const [first] = chunks;
  if (first === undefined || first.length < frameHeadBytes) return false;
  const received = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return received === frameHeadBytes + first.readUInt32BE(1);
}
