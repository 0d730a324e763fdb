/**
 * GET /v1/kv: keys in order, in pages. The first page fixes the revision and all later ones read at
 * it, so a list that takes an hour still is what one moment looked like.
 */
import { create } from '@bufbuild/protobuf';
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import {
  RangeRequest_SortOrder as Order,
  type RangeRequest,
  RangeRequestSchema,
  RangeResponseSchema,
  RangeRequest_SortTarget as Target,
} from '../../api/gen/rpc_pb.js';
import { planRange } from '../etcd/methods.ts';
import { ask, type Call, json, safeNumber } from './call.ts';
import { type Cursor, encodeCursor, readCursor } from './cursor.ts';
import { listWithDelimiter } from './delimiter.ts';
import { contains, type Interval, intervalOf, keyAfter } from './interval.ts';
import { itemOf } from './item.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';
import { notBefore, type ReadOptions, readOptionParams, readOptions } from './read-options.ts';

export const listParams = [
  'count_only',
  'cursor',
  'delimiter',
  'end',
  'keys_only',
  'limit',
  'min_mod_revision',
  'order',
  'prefix',
  'revision',
  'sort',
  'start',
  'timeout',
  ...readOptionParams,
] as const;

const defaultLimit = 100;
const limitMax = 1_000;

const sortTargets = {
  key: Target.KEY,
  version: Target.VERSION,
  create: Target.CREATE,
  mod: Target.MOD,
  value: Target.VALUE,
} as const;

/** What a list asks for, read once. */
export interface ListQuery {
  readonly interval: Interval;
  readonly prefix: Uint8Array;
  readonly limit: number;
  readonly revision: number | null;
  readonly cursor: Cursor | null;
  readonly keysOnly: boolean;
  readonly sort: keyof typeof sortTargets;
  readonly descending: boolean;
  readonly options: ReadOptions;
  readonly minModRevision: number;
}

export async function list(call: Call, params: Params): Promise<Response> {
  const query = readQuery(call, params);
  if (params.flag('count_only')) return countOnly(call, query);
  const delimiter = params.bytes('delimiter');
  if (delimiter !== null) return listWithDelimiter(call, query, delimiter);
  // The cursor carries the first page's count: later pages read no more than they show.
  const withoutCount = query.cursor !== null;
  const { options } = query;
  const data = await ask(call, planRange(pageRequest(query)), RangeResponseSchema, {
    ...{ withoutCount, options },
  });
  if (data instanceof Response) return data;
  const { kvs, more } = data.message;
  const revision = query.cursor?.revision ?? query.revision ?? data.revision;
  const count = query.cursor?.count ?? safeNumber(data.message.count);
  const last = kvs.at(-1);
  // Only the order of keys can be taken up again at a key.
  const next =
    more && last !== undefined && query.sort === 'key'
      ? encodeCursor({ kind: 'key', revision, count, key: last.key })
      : null;
  const page = { items: kvs, prefixes: null, more, count, revision, next };
  return answerPage(call, query, page, data.headers);
}

export interface Page {
  readonly items: readonly KeyValue[];
  /** Only with a delimiter. */
  readonly prefixes: readonly { readonly prefix: string }[] | null;
  readonly more: boolean;
  readonly count: number;
  readonly revision: number;
  readonly next: string | null;
}

export function answerPage(
  call: Call,
  query: ListQuery,
  page: Page,
  headers: Readonly<Record<string, string>>,
): Response {
  const { prefixes, more, count, revision, next } = page;
  const items = page.items.map((kv) => itemOf(kv, query.keysOnly));
  const linked: Record<string, string> = { ...headers, vary: 'accept' };
  if (next !== null) linked.link = `<${nextUrl(call.request.url, next)}>; rel="next"`;
  if (call.request.headers.get('accept')?.includes('application/x-ndjson')) {
    const lines = [...items, ...(prefixes ?? [])].map((one) => `${JSON.stringify(one)}\n`);
    return new Response(lines.join(''), {
      headers: { ...linked, 'content-type': 'application/x-ndjson' },
    });
  }
  const grouped = prefixes === null ? {} : { prefixes };
  return json({ items, ...grouped, next_cursor: next, more, count, revision }, linked);
}

/** The same list from `next` on, relative to where it was asked. */
function nextUrl(url: string, next: string): string {
  const { pathname, search } = new URL(url);
  const kept = search
    .slice(1)
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith('cursor='));
  return `${pathname}?${[...kept, `cursor=${next}`].join('&')}`;
}

async function countOnly(call: Call, query: ListQuery): Promise<Response> {
  const request = pageRequest(query);
  request.countOnly = true;
  const { options } = query;
  const data = await ask(call, planRange(request), RangeResponseSchema, { options });
  if (data instanceof Response) return data;
  const revision = query.revision ?? data.revision;
  return json({ count: safeNumber(data.message.count), revision }, data.headers);
}

/** The page of `query` that its cursor points at, the first one without a cursor. */
export function pageRequest(query: ListQuery): RangeRequest {
  const { cursor, interval, descending } = query;
  return create(RangeRequestSchema, {
    key: cursor !== null && !descending ? keyAfter(cursor.key) : interval.key,
    rangeEnd: cursor !== null && descending ? cursor.key : interval.rangeEnd,
    limit: BigInt(query.limit),
    revision: BigInt(cursor?.revision ?? query.revision ?? 0),
    sortTarget: sortTargets[query.sort],
    sortOrder: descending ? Order.DESCEND : Order.NONE,
    serializable: query.options.serializable,
    keysOnly: query.keysOnly,
    minModRevision: BigInt(query.minModRevision),
  });
}

function readQuery(call: Call, params: Params): ListQuery {
  const interval = intervalOf(params);
  const cursor = readCursor(params);
  const revision = params.integer('revision', 1, Number.MAX_SAFE_INTEGER);
  const sort = params.choice('sort', ['key', 'version', 'create', 'mod', 'value']) ?? 'key';
  if (cursor !== null) {
    if (revision !== null && revision !== cursor.revision) {
      throw new Refusal('bad-request', 'the cursor belongs to another revision');
    }
    if (sort !== 'key') throw new Refusal('bad-request', 'a cursor goes with sort=key only');
    const kind = params.has('delimiter') ? 'level' : 'key';
    if (cursor.kind !== kind || !contains(interval, cursor.key)) {
      throw new Refusal('bad-request', 'the cursor belongs to another list');
    }
  }
  return {
    interval,
    prefix: params.bytes('prefix') ?? new Uint8Array(0),
    limit: params.integer('limit', 1, limitMax) ?? defaultLimit,
    revision,
    cursor,
    keysOnly: params.flag('keys_only'),
    sort,
    descending: params.choice('order', ['asc', 'desc']) === 'desc',
    options: notBefore(readOptions(call.request, params), cursor?.revision ?? null),
    minModRevision: params.integer('min_mod_revision', 0, Number.MAX_SAFE_INTEGER) ?? 0,
  };
}
