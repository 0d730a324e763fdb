/**
 * GET /v1/watch: what changes, as server-sent events, as lines of JSON, or on a WebSocket. One message
 * tells one revision. Its id is the revision, so that a client that comes back names the last it has
 * seen and goes on after it.
 */
import { credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { type Lines, streamLines } from '../http/lines.ts';
import type { WatchMessage } from '../watch/message.ts';
import { WatchSession } from '../watch/session.ts';
import { safeNumber } from './call.ts';
import { Params } from './params.ts';
import { problem, problemOf, Refusal, storeProblem } from './problems.ts';
import { changesOf, specOf, watchParams } from './watch-events.ts';
import { serveWatchSocket } from './watch-socket.ts';

/** Until then a member has to have taken the watch. */
const beginWithinMs = 10_000;
/** Keeps proxies from closing what is idle, and finds out that a client has gone. */
const pingEveryMs = 15_000;
const progressEveryMs = 600_000;
/** When an EventSource that has lost us comes back. */
const retryMs = 2_000;

export function serveWatch(
  request: Request,
  env: RouterEnv,
  tenant: string,
): Response | Promise<Response> {
  if (request.headers.get('upgrade')?.toLowerCase() === 'websocket')
    return serveWatchSocket(request, env, tenant);
  const params = new Params(request, watchParams);
  const spec = specOf(params, lastSeen(request));
  const credentials = credentialsOf(request, env);
  const session = new WatchSession({ env, tenant, credentials, endOnOverflow: true });
  session.watch(slot, spec);
  session.locate(slot);
  return begin(request, session, spec.from === 0n, params.flag('progress'));
}

const slot = 0;

/** Last-Event-ID, as EventSource sends it by itself. */
function lastSeen(request: Request): number | null {
  const text = request.headers.get('last-event-id');
  if (text === null || text === '') return null;
  const revision = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(revision))
    throw new Refusal('bad-request', 'Last-Event-ID is a revision, like 42');
  return revision;
}

async function begin(
  request: Request,
  session: WatchSession,
  isFresh: boolean,
  withProgress: boolean,
): Promise<Response> {
  request.signal?.addEventListener('abort', () => session.close());
  const timer = setTimeout(() => session.close(), beginWithinMs);
  const early: WatchMessage[] = [];
  // `located` comes after whatever the member has to say against the watch.
  for (;;) {
    const message = await session.next();
    if (message === null)
      return problem('not-ready', 'no member of the group takes watches at the moment');
    if (message.type === 'located') break;
    if (message.type === 'compacted') {
      clearTimeout(timer);
      session.close();
      return compactedProblem(message.compactRevision);
    }
    if (message.type === 'denied') {
      clearTimeout(timer);
      session.close();
      return storeProblem(message.error, false, '');
    }
    // A watch of the past is current only when it has read it.
    if (message.type !== 'created' || isFresh) early.push(message);
  }
  clearTimeout(timer);
  const asEvents = request.headers.get('accept')?.includes('text/event-stream') ?? false;
  return stream(request, session, early, asEvents ? eventFormat : lineFormat, withProgress);
}

function compactedProblem(compactRevision: bigint): Response {
  const revision = safeNumber(compactRevision);
  const detail = `history begins at ${revision}: list the keys anew, then watch from that list on`;
  return problem('compacted', detail, { extras: { compact_revision: revision } });
}

interface Format {
  readonly contentType: string;
  readonly opening: string;
  readonly ping: string;
  /** `id`: the revision that a client is current to once it has this; null: none. */
  message(event: string, id: number | null, data: object): string;
}

const eventFormat: Format = {
  contentType: 'text/event-stream',
  opening: `retry: ${retryMs}\n\n`,
  ping: ': ping\n\n',
  message: (event, id, data) =>
    `${id === null ? '' : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`,
};

const lineFormat: Format = {
  contentType: 'application/x-ndjson',
  opening: '',
  ping: '\n',
  message: (event, _, data) => `${JSON.stringify({ event, ...data })}\n`,
};

function stream(
  request: Request,
  session: WatchSession,
  early: readonly WatchMessage[],
  format: Format,
  withProgress: boolean,
): Response {
  const headers = {
    'content-type': format.contentType,
    'cache-control': 'no-store, no-transform',
    'x-accel-buffering': 'no',
  };
  const lines = streamLines(request, headers, () => session.close());
  const ping = setInterval(() => {
    if (!lines.isBlocked) void lines.write(format.ping);
  }, pingEveryMs);
  const progress = withProgress ? setInterval(() => session.progress(), progressEveryMs) : null;
  void run(session, early, format, lines).finally(() => {
    clearInterval(ping);
    if (progress !== null) clearInterval(progress);
    session.close();
    lines.close();
  });
  return lines.response;
}

async function run(
  session: WatchSession,
  early: readonly WatchMessage[],
  format: Format,
  lines: Lines,
): Promise<void> {
  if (format.opening !== '' && !(await lines.write(format.opening))) return;
  const state = { last: 0 };
  for (const message of early) if (!(await tell(message, format, lines, state))) return;
  for await (const message of session) if (!(await tell(message, format, lines, state))) return;
}

/** False: that was the last. */
async function tell(
  message: WatchMessage,
  format: Format,
  lines: Lines,
  state: { last: number },
): Promise<boolean> {
  switch (message.type) {
    case 'events':
      for (const { revision, events } of changesOf(message)) {
        state.last = revision;
        if (!(await lines.write(format.message('change', revision, { revision, events }))))
          return false;
      }
      return true;
    case 'created':
    case 'progress': {
      const revision = safeNumber(message.header.revision);
      state.last = revision;
      return lines.write(format.message('progress', revision, { revision }));
    }
    case 'compacted': {
      const compact_revision = safeNumber(message.compactRevision);
      await lines.write(format.message('compacted', null, { compact_revision }));
      return false;
    }
    case 'denied':
      await lines.write(format.message('denied', null, { code: problemOf(message.error) }));
      return false;
    case 'overflow':
      await lines.write(format.message('overflow', null, { revision: state.last }));
      return false;
    case 'tooLarge':
      await lines.write(format.message('too-large', null, { revision: state.last }));
      return false;
    case 'canceled':
    case 'located':
    case 'noLeader':
      return true;
    default:
      return message satisfies never;
  }
}
