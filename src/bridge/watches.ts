/**
 * Watch: a stream in both directions on either side, so one WebSocket for each gRPC stream, however many watches it
 * has. When the service goes away, the stream ends as one of a server that does, and etcd's clients go on at the next
 * revision by themselves.
 */
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import type { WebSocket } from 'ws';
import { GrpcCode } from '../api/errors.ts';
import { timerMaxMs } from '../api/limits.ts';
import { pacedWatch } from '../api/paced-watch.ts';
import { begin } from './asking.ts';
import { drained, fail } from './calls.ts';
import { CallFailed, failureOf, late, unreachable } from './status.ts';
import type { Streams } from './streams.ts';
import { refusalBytesMax, type Upstream } from './upstream.ts';

type Bytes = Uint8Array;

/** The service sends no more, or closes the socket if its code is older, until it hears that what it has sent was taken. */
const { acknowledgeBytes } = pacedWatch;
const nothingAsked = new Uint8Array();
/** What a client may ask before the socket is open. */
const earlyBytesMax = 4 * 1024 * 1024;
/** What the service has not taken; more is not read from the client. */
const unsentBytesMax = 4 * 1024 * 1024;
const pingEveryMs = 30_000;

export function watches(
  upstream: Upstream,
  streams: Streams,
): handleBidiStreamingCall<Bytes, Bytes> {
  return (call) => {
    const asking = begin(call);
    const socket = upstream.openWatch(asking);
    const timer = Number.isFinite(asking.deadline)
      ? setTimeout(() => end(late()), Math.min(timerMaxMs, asking.deadline - Date.now()))
      : undefined;
    let isOver = false;
    const end = (error: CallFailed | null) => {
      if (isOver) return;
      isOver = true;
      forget();
      clearTimeout(timer);
      socket.terminate();
      if (error) fail(call, error);
      else call.end();
    };
    const forget = streams.add(end);
    asking.signal.addEventListener('abort', () => end(null));
    sendAll(call, socket, end);
    tellAll(call, socket, asking.signal);
    keepLooking(socket, end);
    socket.on('unexpected-response', (_, response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const said = () =>
        end(upstream.refused(response.statusCode ?? 0, Buffer.concat(chunks), asking));
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > refusalBytesMax) said();
      });
      response.on('end', said);
      response.on('close', said);
    });
    socket.on('error', (error) => end(unreachable(error.message)));
    socket.on('close', (code, reason) => end(endOf(code, reason.toString())));
  };
}

/** From the client to the service. */
function sendAll(
  call: ServerDuplexStream<Bytes, Bytes>,
  socket: WebSocket,
  end: (error: CallFailed | null) => void,
): void {
  let early: Bytes[] | null = [];
  let earlyBytes = 0;
  socket.on('open', () => {
    for (const request of early ?? []) socket.send(request);
    early = null;
  });
  call.on('data', (request: Bytes) => {
    if (early === null) {
      socket.send(request, () => {
        if (socket.bufferedAmount < unsentBytesMax) call.resume();
      });
      if (socket.bufferedAmount >= unsentBytesMax) call.pause();
      return;
    }
    early.push(request);
    earlyBytes += request.length;
    if (earlyBytes > earlyBytesMax)
      end(new CallFailed(GrpcCode.ResourceExhausted, 'too many requests before the first answer'));
  });
}

/** From the service to the client, no faster than it reads. */
function tellAll(
  call: ServerDuplexStream<Bytes, Bytes>,
  socket: WebSocket,
  signal: AbortSignal,
): void {
  let unsaidBytes = 0;
  socket.on('message', (data: Buffer, isBinary) => {
    if (!isBinary) {
      // What is wrong with a request, in JSON; the socket is closed next.
      fail(call, failureOf(400, data));
      return;
    }
    const taken = () => {
      unsaidBytes += data.length;
      for (; unsaidBytes >= acknowledgeBytes; unsaidBytes -= acknowledgeBytes)
        if (socket.readyState === socket.OPEN) socket.send(nothingAsked);
    };
    if (call.write(data)) {
      taken();
      return;
    }
    socket.pause();
    void drained(call, signal).then(() => {
      socket.resume();
      taken();
    });
  });
}

/** A service that has vanished without a word is found out. */
function keepLooking(socket: WebSocket, end: (error: CallFailed | null) => void): void {
  let isAlive = true;
  const pinger = setInterval(() => {
    if (socket.readyState !== socket.OPEN || socket.isPaused) return;
    if (!isAlive) end(unreachable('the target does not answer'));
    isAlive = false;
    socket.ping();
  }, pingEveryMs);
  socket.on('pong', () => {
    isAlive = true;
  });
  socket.on('message', () => {
    isAlive = true;
  });
  socket.on('close', () => clearInterval(pinger));
}

function endOf(code: number, reason: string): CallFailed {
  if (code === 1007) return new CallFailed(GrpcCode.InvalidArgument, reason);
  return unreachable(reason === '' ? `the target closed the watch (${code})` : reason);
}
