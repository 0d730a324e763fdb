/** Who leads an election, from now on: each leader, and each value that one proclaims. */
import { create } from '@bufbuild/protobuf';
import { type KeyValue, Event_EventType as Kind } from '../../api/gen/mvcc_pb.js';
import {
  RangeResponseSchema,
  type ResponseHeader,
  ResponseHeaderSchema,
} from '../../api/gen/rpc_pb.js';
import { planRange } from '../etcd/methods.ts';
import type { WatchSession } from '../watch/session.ts';
import { askPatiently, type Caller } from './caller.ts';
import { firstOf, type Prefix } from './keys.ts';
import { headerOf } from './queue.ts';

export interface Leadership {
  /** Its revision is the one of the key's change, or of the read that found it. */
  readonly header: ResponseHeader;
  readonly kv: KeyValue;
}

/** Ends with the session. Nothing is told while nobody leads. */
export async function* observe(
  caller: Caller,
  prefix: Prefix,
  session: WatchSession,
): AsyncGenerator<Leadership, void> {
  for (let slot = 0; ; slot += 2) {
    const first = planRange(firstOf(prefix));
    const { kvs, header } = await askPatiently(caller, first, RangeResponseSchema);
    const now = headerOf({ header });
    let leader: Leadership | null = kvs[0] === undefined ? null : { header: now, kv: kvs[0] };
    if (leader === null) {
      // The first that is put will lead.
      session.watch(slot, { ...prefix, from: now.revision + 1n, noDelete: true });
      const [event] = (await nextEvents(session, slot)) ?? [null];
      session.cancel(slot);
      if (event === null) return;
      if (!event?.leadership) continue;
      leader = event.leadership;
    }
    yield leader;
    const { key } = leader.kv;
    const from = leader.header.revision + 1n;
    session.watch(slot + 1, { key, rangeEnd: new Uint8Array(), from });
    for (let isThere = true; isThere; ) {
      const events = await nextEvents(session, slot + 1);
      if (events === null) return;
      for (const { leadership } of events) {
        if (leadership === null) break;
        yield leadership;
      }
      isThere = events.length > 0 && events.every((event) => event.leadership !== null);
    }
    session.cancel(slot + 1);
  }
}

/** null: the key was deleted. */
interface KeyEvent {
  readonly leadership: Leadership | null;
}

/** null: the session has ended. None: what was to be told is gone, it is time to look again. */
async function nextEvents(session: WatchSession, slot: number): Promise<KeyEvent[] | null> {
  for await (const message of session) {
    if (!('slot' in message) || message.slot !== slot || message.type === 'created') continue;
    if (message.type !== 'events') return [];
    return message.events.flatMap(({ type, kv }): KeyEvent[] => {
      if (type === Kind.DELETE) return [{ leadership: null }];
      if (kv === undefined) return [];
      const header = create(ResponseHeaderSchema, { ...message.header, revision: kv.modRevision });
      return [{ leadership: { header, kv } }];
    });
  }
  return null;
}
