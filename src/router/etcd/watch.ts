/**
 * /v3/watch: the JSON gateway's form of etcd's Watch. POST: all requests are in the body, one JSON
 * value after another, and the answer is a stream of JSON lines, one chunk each, that begins with the
 * first of them. GET with an upgrade: a WebSocket, JSON values in messages either way.
 */
import { GrpcCode } from '../../api/errors.ts';
import { type WatchRequest, WatchRequestSchema } from '../../api/gen/rpc_pb.js';
import { maxMessageBytes, maxRequestTimeoutMs } from '../../api/limits.ts';
import { credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { readBody } from '../http/body.ts';
import { type Deadline, parseGrpcTimeout, remainingMs } from '../http/deadline.ts';
import { streamLines } from '../http/lines.ts';
import { BoundedSocket } from '../http/web-socket.ts';
import { WatchSession } from '../watch/session.ts';
import {
  badStream,
  badStreamBody,
  gatewayError,
  messageTooLarge,
  namedError,
  streamError,
} from './errors.ts';
import { gatewaySuccessHeaders } from './headers.ts';
import { readMessage } from './json-message.ts';
import { BadJson, decodeText, values } from './json-text.ts';
import { readStream, streamRequestsMax } from './stream-body.ts';
import { EtcdWatchStream } from './watch-stream.ts';

const bodyBytesMax = 4 * maxMessageBytes;
/** Until then somebody has to have answered the first request. */
const firstAnswerMs = 10_000;
/** A stream that asks for nothing is answered by nothing, but not for ever. */
const idleMaxMs = 600_000;
/**
 * The runtime tells us that a client is gone when we write to it, and not always before: an idle stream
 * says something now and then.
 */
const keepAliveEveryMs = 60_000;
/** A WebSocket's client that is sent so much and says nothing meanwhile is closed, and may come back. */
const unheardBytesMax = 32 * 1024 * 1024;
const tryAgainLater = 1013;
/** etcd's: how often a watch with `progress_notify` hears of itself. */
const notifyEveryMs = 600_000;

export async function serveWatch(
  request: Request,
  env: RouterEnv,
  tenant: string,
): Promise<Response> {
  if (request.headers.get('upgrade')?.toLowerCase() === 'websocket')
    return serveSocket(request, env, tenant);
  if (request.method !== 'POST') return gatewayError(GrpcCode.Unimplemented, 'Method Not Allowed');
  const timeout = request.headers.get('grpc-timeout');
  const timeoutMs = timeout ? parseGrpcTimeout(timeout) : Number.POSITIVE_INFINITY;
  if (Number.isNaN(timeoutMs))
    return gatewayError(GrpcCode.InvalidArgument, `invalid grpc-timeout: ${timeout}`);
  const deadline = { atMs: Date.now() + timeoutMs, byClient: true };
  const asked = await readRequests(request, deadline);
  return asked instanceof Response ? asked : serveStream(request, env, tenant, asked, deadline);
}

async function readRequests(
  request: Request,
  deadline: Deadline,
): Promise<WatchRequest[] | Response> {
  const atMs = Math.min(deadline.atMs, Date.now() + maxRequestTimeoutMs);
  const body = await readBody(request, bodyBytesMax, { ...deadline, atMs });
  switch (body.kind) {
    case 'tooLarge':
      return messageTooLarge(body.size, maxMessageBytes);
    case 'late':
      return namedError('DeadlineExceeded');
    case 'broken':
      return gatewayError(GrpcCode.InvalidArgument, 'unexpected EOF');
    case 'bytes':
      break;
    default:
      return body satisfies never;
  }
  try {
    return readStream(WatchRequestSchema, decodeText(body.bytes));
  } catch (error) {
    if (!(error instanceof BadJson)) throw error;
    return badStream(error.message);
  }
}

async function serveStream(
  request: Request,
  env: RouterEnv,
  tenant: string,
  asked: readonly WatchRequest[],
  deadline: Deadline,
): Promise<Response> {
  const session = new WatchSession({ env, tenant, credentials: credentialsOf(request, env) });
  const stream = new EtcdWatchStream(session);
  for (const one of asked) stream.ask(one);
  request.signal?.addEventListener('abort', () => session.close());
  const limitMs = stream.isIdle ? idleMaxMs : firstAnswerMs;
  const isClients = remainingMs(deadline) <= limitMs;
  const over = timer(Math.min(limitMs, remainingMs(deadline)), () => session.close());
  const first = await session.next();
  clearTimeout(over);
  if (first === null) return namedError(isClients ? 'DeadlineExceeded' : 'Timeout');
  const lines = streamLines(request, gatewaySuccessHeaders, () => session.close());
  const ticker = setInterval(() => stream.tick(), notifyEveryMs);
  const keeper = setInterval(() => {
    const line = lines.wasQuiet() ? stream.keepAlive() : null;
    if (line !== null) void lines.write(line);
  }, keepAliveEveryMs);
  const late = timer(remainingMs(deadline), () => {
    void lines.write(streamError('DeadlineExceeded')).then(() => lines.close());
    session.close();
  });
  const run = async () => {
    for (let message = first as typeof first | null; message; message = await session.next())
      for (const line of stream.lines(message)) if (!(await lines.write(line))) return;
  };
  void run().finally(() => {
    clearInterval(ticker);
    clearInterval(keeper);
    clearTimeout(late);
    session.close();
  });
  return lines.response;
}

/** setTimeout knows no longer times, and none without end. */
const timerMaxMs = 2 ** 31 - 1;

function timer(ms: number, done: () => void): ReturnType<typeof setTimeout> | undefined {
  return ms > timerMaxMs ? undefined : setTimeout(done, Math.max(0, ms));
}

function serveSocket(request: Request, env: RouterEnv, tenant: string): Response {
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  const session = new WatchSession({ env, tenant, credentials: credentialsOf(request, env) });
  const stream = new EtcdWatchStream(session);
  const ticker = setInterval(() => stream.tick(), notifyEveryMs);
  const gone = () => {
    clearInterval(ticker);
    session.close();
  };
  server.binaryType = 'arraybuffer';
  server.accept();
  const bounded = new BoundedSocket(server, unheardBytesMax);
  server.addEventListener('message', ({ data }) => {
    bounded.heard();
    try {
      const text =
        typeof data === 'string' ? data : decodeText(new Uint8Array(data as ArrayBuffer));
      if (text.length > maxMessageBytes) throw new BadJson('message larger than max');
      let left = streamRequestsMax;
      for (const value of values(text)) {
        if (left-- === 0) throw new BadJson(`more than ${streamRequestsMax} requests in a message`);
        stream.ask(readMessage(WatchRequestSchema, value));
      }
    } catch (error) {
      if (!(error instanceof BadJson)) throw error;
      // etcd says it and breaks the connection if it is the first message; later it listens no more, in silence.
      bounded.sendAnyway(badStreamBody(error.message));
      server.close(1007, error.message.slice(0, 100));
      gone();
    }
  });
  server.addEventListener('close', gone);
  server.addEventListener('error', gone);
  const run = async () => {
    for await (const message of session)
      for (const line of stream.lines(message)) {
        if (bounded.send(line.trimEnd())) continue;
        server.close(tryAgainLater, 'too much was sent since the last request');
        return;
      }
  };
  void run().finally(gone);
  const protocol = request.headers.get('sec-websocket-protocol')?.split(',')[0]?.trim();
  return new Response(null, {
    status: 101,
    webSocket: client,
    ...(protocol ? { headers: { 'sec-websocket-protocol': protocol } } : {}),
  });
}
