/**
 * /v3/watch: the gateway's form of etcd's Watch. POST: all requests are in the body, one after another, and
 * the answer is a stream of JSON lines (or frames, form.ts), one chunk each, that begins with the
 * first of them. GET with an upgrade: a WebSocket (watch-socket.ts).
 */
import { GrpcCode } from '../../api/errors.ts';
import {
  type WatchRequest,
  WatchRequestSchema,
  WatchResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { timerMaxMs } from '../../api/limits.ts';
import { credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { type Deadline, parseGrpcTimeout, remainingMs } from '../http/deadline.ts';
import { streamLines } from '../http/lines.ts';
import type { WatchMessage } from '../watch/message.ts';
import { WatchSession } from '../watch/session.ts';
import { badStream, gatewayError, namedError, streamRefusal } from './errors.ts';
import type { Form } from './form.ts';
import { readSent, requiresLeader } from './request.ts';
import { readStream } from './stream-body.ts';
import { serveWatchSocket } from './watch-socket.ts';
import { EtcdWatchStream, notifyEveryMs } from './watch-stream.ts';

/** Until then somebody has to have answered the first request; one that asks for nothing waits as long. */
const firstAnswerMs = 10_000;
/**
 * A body whose requests have all been answered, and of whose watches none is alive, will be told nothing more.
 * etcd's stream stays open until its client goes; here that might go unnoticed (below), so it ends.
 */
const nothingLeftMs = 10_000;
/**
 * The runtime tells us that a client is gone when we write to it, and not always before: an idle stream
 * says something now and then.
 */
const keepAliveEveryMs = 60_000;

export async function serveWatch(
  request: Request,
  env: RouterEnv,
  tenant: string,
): Promise<Response> {
  if (request.headers.get('upgrade')?.toLowerCase() === 'websocket')
    return serveWatchSocket(request, env, tenant);
  if (request.method !== 'POST') return gatewayError(GrpcCode.Unimplemented, 'Method Not Allowed');
  const timeout = request.headers.get('grpc-timeout');
  const timeoutMs = timeout ? parseGrpcTimeout(timeout) : Number.POSITIVE_INFINITY;
  if (Number.isNaN(timeoutMs))
    return gatewayError(GrpcCode.InvalidArgument, `invalid grpc-timeout: ${timeout}`);
  const deadline = { atMs: Date.now() + timeoutMs, byClient: true };
  const sent = await readSent(request, deadline, badStream);
  if (sent instanceof Response) return sent;
  const asked = readStream(WatchRequestSchema, sent);
  if (asked instanceof Response) return asked;
  return serveStream({ request, env, tenant, asked, deadline, form: sent.form });
}

interface Asked {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly asked: readonly WatchRequest[];
  readonly deadline: Deadline;
  readonly form: Form;
}

async function serveStream(call: Asked): Promise<Response> {
  const { request, env, tenant, asked, deadline, form } = call;
  const session = new WatchSession({
    ...{ env, tenant, credentials: credentialsOf(request, env) },
    requireLeader: requiresLeader(request),
  });
  const stream = new EtcdWatchStream(session);
  for (const one of asked) stream.ask(one);
  request.signal?.addEventListener('abort', () => session.close());
  const isClients = remainingMs(deadline) <= firstAnswerMs;
  const over = timer(Math.min(firstAnswerMs, remainingMs(deadline)), () => session.close());
  const first = await session.next();
  clearTimeout(over);
  if (first === null) return namedError(isClients ? 'DeadlineExceeded' : 'Timeout');
  if (first.type === 'noLeader') return streamRefusal('NoLeader');
  const lines = streamLines(request, form.headers, () => session.close());
  const ticker = setInterval(() => stream.tick(), notifyEveryMs);
  const keeper = setInterval(() => {
    const answer = lines.wasQuiet() ? stream.keepAlive() : null;
    if (answer !== null) void lines.write(form.part(WatchResponseSchema, answer));
  }, keepAliveEveryMs);
  const late = timer(remainingMs(deadline), () => {
    void lines.write(form.lastPart('DeadlineExceeded')).then(() => lines.close());
    session.close();
  });
  let nothingLeft: ReturnType<typeof timer>;
  const run = async () => {
    for (let message = first as WatchMessage | null; message; message = await session.next()) {
      if (message.type === 'noLeader') await lines.write(form.lastPart('NoLeader'));
      for (const answer of stream.responses(message))
        if (!(await lines.write(form.part(WatchResponseSchema, answer)))) return;
      if (stream.isIdle) nothingLeft ??= timer(nothingLeftMs, () => session.close());
    }
  };
  void run().finally(() => {
    clearInterval(ticker);
    clearInterval(keeper);
    clearTimeout(late);
    clearTimeout(nothingLeft);
    session.close();
    lines.close();
  });
  return lines.response;
}

function timer(ms: number, done: () => void): ReturnType<typeof setTimeout> | undefined {
  return ms > timerMaxMs ? undefined : setTimeout(done, Math.max(0, ms));
}
