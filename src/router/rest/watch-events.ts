/** What /v1 says of a watch, whatever carries it: one message for each revision, never less of one. */
import { type Event, Event_EventType } from '../../api/gen/mvcc_pb.js';
import type { WatchMessage, WatchSpec } from '../watch/message.ts';
import { safeNumber } from './call.ts';
import { type Interval, intervalOf, notEmpty } from './interval.ts';
import { itemOf, keyText } from './item.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

export interface Change {
  readonly revision: number;
  readonly events: readonly object[];
}

/** The revisions of a message, in order. */
export function changesOf({ events }: Extract<WatchMessage, { type: 'events' }>): Change[] {
  const changes: { revision: number; events: object[] }[] = [];
  for (const event of events) {
    const revision = safeNumber(event.kv?.modRevision ?? 0n);
    const last = changes.at(-1);
    if (last?.revision === revision) last.events.push(eventOf(event));
    else changes.push({ revision, events: [eventOf(event)] });
  }
  return changes;
}

function eventOf({ type, kv, prevKv }: Event): object {
  if (!kv) throw new Error('an event has its key');
  const previous = prevKv ? { previous: itemOf(prevKv) } : {};
  if (type === Event_EventType.DELETE) {
    const revision = safeNumber(kv.modRevision);
    return { type: 'delete', ...keyText(kv.key), mod_revision: revision, ...previous };
  }
  return { type: 'put', ...itemOf(kv), ...previous };
}

export const watchParams = [
  ...['end', 'from', 'key', 'key64', 'only', 'prefix', 'prev', 'progress', 'start', 'ticket'],
] as const;

/** Which keys a watch means: one, those with a prefix, or those from a start to an end. */
function watchedKeys(params: Params): Interval {
  const names = ['key', 'key64'].filter((name) => params.has(name));
  if (names.length === 0) return notEmpty(intervalOf(params));
  if (names.length > 1 || ['prefix', 'start', 'end'].some((name) => params.has(name)))
    throw new Refusal('bad-request', 'give key or key64, or prefix, or start and end: one of them');
  const key = params.bytes('key') ?? params.base64('key64') ?? new Uint8Array();
  if (key.length === 0) throw new Refusal('bad-request', 'a key has at least one byte');
  return { key, rangeEnd: new Uint8Array() };
}

/** `after`: the last revision that the client has seen, null when it says none. */
export function specOf(params: Params, after: number | null): WatchSpec {
  const from = params.integer('from', 1, Number.MAX_SAFE_INTEGER);
  const { noPut, noDelete } = filtersOf(params.text('only'));
  return {
    ...watchedKeys(params),
    // A client that comes back says what it has seen; what it began with is in its URL still.
    from: BigInt(after !== null ? after + 1 : (from ?? 0)),
    prevKv: params.flag('prev'),
    noPut,
    noDelete,
  };
}

export function filtersOf(only: string | null): { noPut: boolean; noDelete: boolean } {
  switch (only) {
    case null:
    case 'put,delete':
    case 'delete,put':
      return { noPut: false, noDelete: false };
    case 'put':
      return { noPut: false, noDelete: true };
    case 'delete':
      return { noPut: true, noDelete: false };
    default:
      throw new Refusal('bad-request', 'only is put or delete');
  }
}
