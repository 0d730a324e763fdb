/**
 * `Prefer: wait=30` on a GET whose If-None-Match still holds: waits on a watch for the key to change, for
 * shells and cron jobs that want no stream.
 */
import { WatchSession } from '../watch/session.ts';
import type { Call } from './call.ts';

const waitMaxSeconds = 60;

/** Seconds; null: the client would not wait. A preference that makes no sense is none (RFC 7240). */
export function preferredWait(request: Request): number | null {
  const match = /(?:^|[,;\s])wait=(\d{1,6})(?:$|[,;\s])/i.exec(request.headers.get('prefer') ?? '');
  const seconds = Number(match?.[1] ?? 0);
  return seconds > 0 ? Math.min(seconds, waitMaxSeconds) : null;
}

/** True: the key has changed after `revision`, or may have. */
export async function changesWithin(
  { env, tenant, credentials, request }: Call,
  key: Uint8Array,
  revision: number,
  seconds: number,
): Promise<boolean> {
  const session = new WatchSession({ env, tenant, credentials });
  const timer = setTimeout(() => session.close(), seconds * 1_000);
  request.signal?.addEventListener('abort', () => session.close());
  try {
    session.watch(0, { key, rangeEnd: new Uint8Array(), from: BigInt(revision + 1) });
    // Whoever may not see it any more is told so by the read that follows.
    for await (const { type } of session) if (type !== 'created') return true;
    return false;
  } finally {
    clearTimeout(timer);
    session.close();
  }
}
