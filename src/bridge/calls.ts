/** Calls with one request: one answer, or a stream of them. */
import type { handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import { GrpcCode } from '../api/errors.ts';
import { begin } from './asking.ts';
import type { Batches } from './batches.ts';
import { CallFailed } from './status.ts';
import type { Streams } from './streams.ts';
import type { Upstream } from './upstream.ts';

type Bytes = Uint8Array;

export function unary(batches: Batches, path: string): handleUnaryCall<Bytes, Bytes> {
  return (call, answer) => {
    const asking = begin(call);
    batches.call(path, call.request, asking).then(
      (response) => answer(null, response),
      (error: unknown) => answer(statusOf(error)),
    );
  };
}

export function serverStream(
  upstream: Upstream,
  streams: Streams,
  path: string,
): handleServerStreamingCall<Bytes, Bytes> {
  return (call) => {
    const stopped = new AbortController();
    const asking = begin(call, stopped.signal);
    let whyStopped: CallFailed | null = null;
    const forget = streams.add((why) => {
      whyStopped = why;
      stopped.abort();
    });
    const run = async () => {
      for await (const message of upstream.stream(path, call.request, asking))
        if (!call.write(message)) await drained(call, asking.signal);
      call.end();
    };
    run()
      .catch((error: unknown) => fail(call, whyStopped ?? error))
      .finally(forget);
  };
}

/** grpc-js ends the process when it has to send half of a surrogate pair. */
export function statusOf(error: unknown): { code: number; details: string } {
  if (error instanceof CallFailed)
    return { code: error.code, details: error.message.toWellFormed() };
  console.error(error);
  return { code: GrpcCode.Internal, details: 'quorate-grpc: internal error' };
}

export function fail(
  call: { emit(event: 'error', status: object): boolean },
  error: unknown,
): void {
  call.emit('error', statusOf(error));
}

/** Until the client has taken what it was sent, or is gone. */
export function drained(call: NodeJS.EventEmitter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      call.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    call.once('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
