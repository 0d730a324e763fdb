/**
 * A list as one level of a tree: keys that go on after the prefix with a delimiter in them are
 * shown as their common prefix, once.
 *
 * Below a large common prefix the search jumps over all its keys at once, so the work is bounded by
 * what is shown, not by what is stored.
 */
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import { RangeResponseSchema } from '../../api/gen/rpc_pb.js';
import { planRange } from '../etcd/methods.ts';
import { ask, type Call, type Data, safeNumber } from './call.ts';
import { type Cursor, encodeCursor } from './cursor.ts';
import { compareBytes, indexOfBytes, isOpen, keyAfter, prefixEnd, startsWith } from './interval.ts';
import { keyText } from './item.ts';
import { answerPage, type ListQuery, pageRequest } from './list.ts';
import { Refusal } from './problems.ts';
import { notBefore } from './read-options.ts';

/** Pages that one request may read from the group; then the client goes on with the cursor. */
const readsMax = 20;

interface Level {
  readonly items: KeyValue[];
  readonly prefixes: Uint8Array[];
  /** Everything before this has been listed. */
  from: Uint8Array;
  /** Nothing is left at or after `from`. */
  done: boolean;
}

export async function listWithDelimiter(
  call: Call,
  query: ListQuery,
  delimiter: Uint8Array,
): Promise<Response> {
  if (delimiter.length === 0) throw new Refusal('bad-request', 'delimiter is empty');
  if (query.sort !== 'key' || query.descending) {
    throw new Refusal('bad-request', 'a delimiter goes with ascending keys only');
  }
  const { cursor, interval } = query;
  const level: Level = {
    items: [],
    prefixes: [],
    from: cursor === null ? interval.key : cursor.key,
    done: false,
  };
  let pinned: Pick<Cursor, 'revision' | 'count'> | null = cursor;
  let first: Data<unknown> | null = null;
  for (let read = 0; read < readsMax && !level.done && shown(level) < query.limit; read++) {
    const request = pageRequest({
      ...query,
      cursor: null,
      revision: pinned?.revision ?? query.revision,
    });
    request.key = level.from;
    const options = notBefore(query.options, pinned?.revision ?? null);
    const data = await ask(call, planRange(request), RangeResponseSchema, { options });
    if (data instanceof Response) return data;
    first ??= data;
    pinned ??= {
      revision: query.revision ?? data.revision,
      count: safeNumber(data.message.count),
    };
    takeUp(level, query, delimiter, data.message.kvs, data.message.more);
  }
  if (pinned === null || first === null) throw new Error('a list reads at least once');
  const more = !level.done;
  const page = {
    items: level.items,
    prefixes: level.prefixes.map((prefix) => {
      const { key, ...encoding } = keyText(prefix);
      return { prefix: key, ...encoding };
    }),
    more,
    count: pinned.count,
    revision: pinned.revision,
    next: more ? encodeCursor({ ...pinned, kind: 'level', key: level.from }) : null,
  };
  return answerPage(call, query, page, first.headers);
}

function shown(level: Level): number {
  return level.items.length + level.prefixes.length;
}

function takeUp(
  level: Level,
  query: ListQuery,
  delimiter: Uint8Array,
  kvs: readonly KeyValue[],
  more: boolean,
): void {
  const { rangeEnd } = query.interval;
  for (const kv of kvs) {
    // The keys below a common prefix that came with the page: jumped over.
    if (compareBytes(kv.key, level.from) < 0) continue;
    if (shown(level) >= query.limit) return;
    const at = indexOfBytes(kv.key, delimiter, query.prefix.length);
    if (at < 0 || !startsWith(kv.key, query.prefix)) {
      level.items.push(kv);
      level.from = keyAfter(kv.key);
      continue;
    }
    const common = kv.key.slice(0, at + delimiter.length);
    level.prefixes.push(common);
    const next = prefixEnd(common);
    if (isOpen(next) || (!isOpen(rangeEnd) && compareBytes(next, rangeEnd) >= 0)) {
      level.done = true;
      return;
    }
    level.from = next;
  }
  if (!more) level.done = true;
}
