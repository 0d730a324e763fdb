/**
 * Range: the keys of an interval at one revision, counted, filtered, sorted and cut as etcd does.
 *
 * It runs as a generator that yields after each page of bounded work. The revision is fixed when it
 * starts; what is written meanwhile is not seen, and a compaction beyond that revision ends it with
 * Compacted, since its versions may be gone. Memory: the reply, or `limit` records while sorting.
 */
import { create } from '@bufbuild/protobuf';
import type { KeyValue } from '../api/gen/mvcc_pb.js';
import {
  type RangeRequest,
  type RangeResponse,
  RangeResponseSchema,
  RangeRequest_SortTarget as SortTarget,
} from '../api/gen/rpc_pb.js';
import { type Bounds, boundsOf } from './bounds.ts';
import { orderOf, type Placed, valuePrefixBytes } from './order.ts';
import { header, keyValue, ReplyBudget } from './reply.ts';
import { type LiveVersion, readLive, readValue, Scan } from './scan.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { Top } from './top.ts';

/** Values loaded one by one between two yields, at most. */
const loadsPerPage = 256;

type RangeOutcome = Outcome<RangeResponse>;

interface Read {
  readonly store: Store;
  readonly request: RangeRequest;
  readonly bounds: Bounds;
  /** The revision read at. */
  readonly rev: number;
  /** Infinity when there is none. */
  readonly limit: number;
  readonly budget: ReplyBudget;
  readonly visits: Visits;
  /** False: nobody asks how many keys follow the page. */
  readonly withCount: boolean;
}

interface Found {
  readonly kvs: KeyValue[];
  readonly more: boolean;
  readonly count: number;
}

type Refusal = 'Compacted' | 'ReplyTooLarge' | 'TooManyVisits';

/** Counts down keys looked at, exactly and in key order: members must refuse the same commands. */
export interface Visits {
  visitsLeft: number;
}

/** A read outside of apply is in pages with other events between them: it may look at any number. */
export const unboundedVisits = (): Visits => ({ visitsLeft: Number.POSITIVE_INFINITY });

/**
 * `current` is the newest revision that the reader may see: the store's, or inside a transaction
 * that has written, the one that it is creating.
 */
export function* rangeAt(
  store: Store,
  request: RangeRequest,
  current: number,
  budget: ReplyBudget,
  visits: Visits,
  withCount = true,
): Generator<void, RangeOutcome> {
  if (request.revision > current) return failure('FutureRev');
  const rev = request.revision <= 0n ? current : Number(request.revision);
  if (rev < store.progress.compactRevision) return failure('Compacted');
  const bounds = boundsOf(request.key, request.rangeEnd);
  const limit = request.limit <= 0n ? Number.POSITIVE_INFINITY : Number(request.limit);
  const read: Read = { store, request, bounds, rev, limit, budget, visits, withCount };
  const found = bounds.single ? findOne(read) : yield* find(read);
  if (typeof found === 'string') return failure(found);
  const { kvs, more, count } = found;
  const response = create(RangeResponseSchema, {
    header: header(current),
    kvs,
    more,
    count: BigInt(count),
  });
  return { ok: true, response };
}

/** Runs a range, or any other paged read, to its end at once. */
export function drain<T>(pages: Generator<void, T>): T {
  for (;;) {
    const step = pages.next();
    if (step.done) return step.value;
  }
}

/**
 * Live keys in the interval. With `atMost` it stops once the count is above that; the result is
 * then only known to be larger.
 */
export function* countKeys(
  store: Store,
  bounds: Bounds,
  rev: number,
  atMost = Number.POSITIVE_INFINITY,
): Generator<void, number> {
  return yield* countRest(new Scan(store.sql, bounds, rev, store.limits.pages), atMost);
}

function* countRest(scan: Scan, atMost = Number.POSITIVE_INFINITY): Generator<void, number> {
  let count = 0;
  while (!scan.done && count <= atMost) {
    count += scan.countPage();
    if (!scan.done) yield;
  }
  return count;
}

function findOne(read: Read): Found | Refusal {
  const { store, request, bounds, rev, budget } = read;
  const version = readLive(store.sql, bounds.start, rev);
  if (!version) return { kvs: [], more: false, count: 0 };
  if (request.countOnly || !passes(request, version)) return { kvs: [], more: false, count: 1 };
  const value = request.keysOnly ? undefined : (version.value ?? undefined);
  if (!budget.takeRecord(version.key.length, value?.length ?? 0)) return 'ReplyTooLarge';
  return { kvs: [keyValue(version, value)], more: false, count: 1 };
}

function* find(read: Read): Generator<void, Found | Refusal> {
  const { store, request, bounds, rev } = read;
  if (request.countOnly) {
    const scan = new Scan(store.sql, bounds, rev, store.limits.pages);
    const count = yield* countRest(scan, read.visits.visitsLeft);
    if (overtaken(read)) return 'Compacted';
    return charge(read, { kvs: [], more: false, count });
  }
  const order = orderOf(store.sql, request);
  if (order) return yield* findSorted(read, order);
  return yield* findInKeyOrder(read);
}

/** Collects up to the limit, looks for one more match, and counts what is left. */
function* findInKeyOrder(read: Read): Generator<void, Found | Refusal> {
  const { store, request, limit, budget } = read;
  const scan = new Scan(store.sql, read.bounds, read.rev, store.limits.pages);
  const filtered = hasFilters(request);
  // With filters most keys may not match: then a value is read only for one that does.
  const paged = !request.keysOnly && !filtered;
  const kvs: KeyValue[] = [];
  let count = 0;
  let seen = 0;
  let more = false;
  while (!scan.done && !more) {
    if (overtaken(read)) return 'Compacted';
    const page = paged ? scan.valuePage(limit - kvs.length + 1) : scan.indexPage();
    count += page.length;
    for (const version of page) {
      if (++seen > read.visits.visitsLeft) return 'TooManyVisits';
      if (filtered && !passes(request, version)) continue;
      if (kvs.length === limit) {
        more = true;
        break;
      }
      const kv = take(read, version, budget);
      if (!kv) return 'ReplyTooLarge';
      kvs.push(kv);
    }
    if (!scan.done) yield;
  }
  if (read.withCount) count += yield* countRest(scan, read.visits.visitsLeft);
  if (overtaken(read)) return 'Compacted';
  return charge(read, { kvs, more, count });
}

function* findSorted(
  read: Read,
  order: (a: Placed, b: Placed) => number,
): Generator<void, Found | Refusal> {
  const { store, request, limit } = read;
  const byValue = request.sortTarget === SortTarget.VALUE;
  const filtered = hasFilters(request);
  const scan = new Scan(store.sql, read.bounds, read.rev, store.limits.pages);
  const top = new Top<Placed>(limit, order);
  // What is kept while sorting is bounded too; the reply itself is measured below.
  const kept = new ReplyBudget(2 * store.limits.replyBytes);
  let count = 0;
  let matches = 0;
  while (!scan.done) {
    if (overtaken(read)) return 'Compacted';
    const page = byValue ? scan.valuePage(Number.POSITIVE_INFINITY) : scan.indexPage();
    for (const found of page) {
      const position = count++;
      if (count > read.visits.visitsLeft) return 'TooManyVisits';
      if (filtered && !passes(request, found)) continue;
      matches += 1;
      const prefix = byValue ? valuePrefix(found) : null;
      kept.takeRecord(found.key.length, prefix?.length ?? 0);
      const evicted = top.offer({ version: { ...found, value: null }, position, prefix });
      if (evicted) kept.giveBack(evicted.version.key.length, evicted.prefix?.length ?? 0);
      if (kept.spent) return 'ReplyTooLarge';
    }
    if (!scan.done) yield;
  }
  const kvs: KeyValue[] = [];
  for (const { version } of top.sorted()) {
    if (kvs.length % loadsPerPage === loadsPerPage - 1) yield;
    if (overtaken(read)) return 'Compacted';
    const kv = take(read, version, read.budget);
    if (!kv) return 'ReplyTooLarge';
    kvs.push(kv);
  }
  return charge(read, { kvs, more: matches > limit, count });
}

/** A range costs all its keys, whatever its limit, since all are counted. */
function charge({ visits }: Read, found: Found): Found | Refusal {
  visits.visitsLeft -= found.count;
  return visits.visitsLeft < 0 ? 'TooManyVisits' : found;
}

/** Copied, so that the sort does not hold the whole value. */
function valuePrefix({ value }: LiveVersion): Uint8Array {
  return (value as Uint8Array).slice(0, valuePrefixBytes);
}

/** The record as the reply shows it, or null when the reply would become too large. */
function take(read: Read, version: LiveVersion, budget: ReplyBudget): KeyValue | null {
  const { store, request } = read;
  const value = request.keysOnly
    ? undefined
    : (version.value ?? readValue(store.sql, version.rev, version.sub));
  if (!budget.takeRecord(version.key.length, value?.length ?? 0)) return null;
  return keyValue(version, value);
}

/** True once versions at the revision of this read may have been deleted. */
function overtaken({ store, rev }: Read): boolean {
  return rev < store.progress.compactRevision;
}

function hasFilters(request: RangeRequest): boolean {
  return (
    request.minModRevision !== 0n ||
    request.maxModRevision !== 0n ||
    request.minCreateRevision !== 0n ||
    request.maxCreateRevision !== 0n
  );
}

/** A bound of 0 is none. */
function passes(request: RangeRequest, { rev, created }: LiveVersion): boolean {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = request;
  if (maxModRevision !== 0n && rev > maxModRevision) return false;
  if (minModRevision !== 0n && rev < minModRevision) return false;
  if (maxCreateRevision !== 0n && created > maxCreateRevision) return false;
  return minCreateRevision === 0n || created >= minCreateRevision;
}
