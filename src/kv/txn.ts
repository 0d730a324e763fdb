/**
 * Transactions: all compares, nested ones too, are decided against the state before the first
 * operation; then everything on the taken path is checked against that same state; only then does
 * it run, each operation seeing the ones before it, all in one revision.
 *
 * What only running can tell (a reply that grew too large) takes the whole change back: a
 * transaction happens entirely or not at all, and equally on every member.
 */
import { create } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import {
  type RangeRequest,
  type RequestOp,
  type ResponseOp,
  ResponseOpSchema,
  type TxnRequest,
  type TxnResponse,
  TxnResponseSchema,
} from '../api/gen/rpc_pb.js';
import { clusterRulesVersion } from './batch.ts';
import { type Bounds, boundsOf, compareBytes } from './bounds.ts';
import { holds } from './compare.ts';
import { countKeys, drain, rangeAt, unboundedVisits, type Visits } from './range.ts';
import { header, type ReplyBudget } from './reply.ts';
import { readLive } from './scan.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { type Change, changesFault, checkLease, type EntryBudget } from './write.ts';

/** A transaction with its compares decided: which branch runs, and the same for nested ones. */
export interface Path {
  readonly succeeded: boolean;
  readonly ops: readonly RequestOp[];
  /** Of the nested transactions among `ops`, in their order. */
  readonly nested: readonly Path[];
}

/** All compares at `rev`, those of nested transactions too. */
export function* decide(
  store: Store,
  request: TxnRequest,
  rev: number,
  visits: Visits,
): Generator<void, Path | 'TooManyVisits'> {
  let succeeded = true;
  for (const compare of request.compare) {
    const outcome = yield* holds(store, compare, rev, visits);
    if (outcome === 'TooManyVisits') return outcome;
    succeeded = outcome;
    if (!succeeded) break;
  }
  const ops = succeeded ? request.success : request.failure;
  const nested: Path[] = [];
  for (const { request: op } of ops) {
    if (op.case !== 'requestTxn') continue;
    const path = yield* decide(store, op.value, rev, visits);
    if (path === 'TooManyVisits') return path;
    nested.push(path);
  }
  return { succeeded, ops, nested };
}

/**
 * What would make an operation on the path fail: of all puts first, then of all ranges, since that
 * is the order in which etcd looks (apply's checkPut, then checkRange).
 */
export function checkPath(store: Store, path: Path): EtcdErrorName | null {
  return checkOps(store, path, checkPutOp) ?? checkOps(store, path, checkRangeOp);
}

type CheckOp = (store: Store, op: RequestOp['request']) => EtcdErrorName | null;

function checkOps(store: Store, path: Path, check: CheckOp): EtcdErrorName | null {
  let child = 0;
  for (const { request: op } of path.ops) {
    const fault =
      op.case === 'requestTxn'
        ? checkOps(store, path.nested[child++] as Path, check)
        : check(store, op);
    if (fault) return fault;
  }
  return null;
}

const checkPutOp: CheckOp = (store, op) => {
  if (op.case !== 'requestPut') return null;
  const { key, ignoreValue, ignoreLease } = op.value;
  const { sql, progress } = store;
  const noLease = checkLease(store, op.value);
  if (!ignoreValue && !ignoreLease) return noLease;
  const noKey = readLive(sql, key, progress.revision) ? null : 'KeyNotFound';
  // etcd looks for the key first; a put of its own looks for the lease first, in both.
  return progress.rulesVersion < clusterRulesVersion ? (noLease ?? noKey) : (noKey ?? noLease);
};

const checkRangeOp: CheckOp = (store, op) =>
  op.case === 'requestRange' ? checkRevision(store, op.value) : null;

/**
 * Stricter than a range on its own: there a negative revision means now, here it is one that has
 * been compacted, once anything has (asked of etcd 3.4).
 */
function checkRevision({ progress }: Store, { revision }: RangeRequest): EtcdErrorName | null {
  if (revision === 0n) return null;
  if (revision > progress.revision) return 'FutureRev';
  return revision < progress.compactRevision ? 'Compacted' : null;
}

/**
 * Whether the path changes more keys than its entry still may. Deletes are counted as the union of
 * their ranges, since a key is deleted once.
 */
export function checkChanges(store: Store, path: Path, entry: EntryBudget): EtcdErrorName | null {
  const ranges: Bounds[] = [];
  let changes = collectChanges(path, ranges);
  for (const bounds of union(ranges)) {
    if (changes > entry.changesLeft) break;
    const room = entry.changesLeft - changes;
    changes += drain(countKeys(store, bounds, store.progress.revision, room));
  }
  return changes > entry.changesLeft ? changesFault(store, entry) : null;
}

/** Counts puts and deletes of one key, collects deletes of ranges. */
function collectChanges(path: Path, ranges: Bounds[]): number {
  let changes = 0;
  for (const { request: op } of path.ops) {
    if (op.case === 'requestPut') changes += 1;
    if (op.case !== 'requestDeleteRange') continue;
    const bounds = boundsOf(op.value.key, op.value.rangeEnd);
    if (bounds.single) changes += 1;
    else ranges.push(bounds);
  }
  for (const nested of path.nested) changes += collectChanges(nested, ranges);
  return changes;
}

function union(ranges: Bounds[]): Bounds[] {
  ranges.sort((a, b) => compareBytes(a.start, b.start));
  const joined: Bounds[] = [];
  for (const next of ranges) {
    const last = joined[joined.length - 1];
    if (!last || (last.end !== null && compareBytes(next.start, last.end) > 0)) joined.push(next);
    else if (endsAfter(next, last)) joined[joined.length - 1] = { ...last, end: next.end };
  }
  return joined;
}

function endsAfter(a: Bounds, b: Bounds): boolean {
  if (b.end === null) return false;
  return a.end === null || compareBytes(a.end, b.end) > 0;
}

/** Runs the path. With an error the caller undoes the change; the response is never used. */
export function execute(
  store: Store,
  path: Path,
  change: Change,
  reply: ReplyBudget,
  visits: Visits,
): Outcome<TxnResponse> {
  const responses: ResponseOp[] = [];
  let child = 0;
  for (const { request: op } of path.ops) {
    let response: ResponseOp['response'];
    switch (op.case) {
      case 'requestRange': {
        const outcome = drain(rangeAt(store, op.value, change.revision, reply, visits));
        if (!outcome.ok) return outcome;
        response = { case: 'responseRange', value: outcome.response };
        break;
      }
      case 'requestPut': {
        const outcome = change.put(op.value);
        if (!outcome.ok) return outcome;
        response = { case: 'responsePut', value: outcome.response };
        break;
      }
      case 'requestDeleteRange': {
        const outcome = change.deleteRange(op.value);
        if (!outcome.ok) return outcome;
        response = { case: 'responseDeleteRange', value: outcome.response };
        break;
      }
      case 'requestTxn': {
        const outcome = execute(store, path.nested[child++] as Path, change, reply, visits);
        if (!outcome.ok) return outcome;
        response = { case: 'responseTxn', value: outcome.response };
        break;
      }
      default:
        return failure('KeyNotFound');
    }
    responses.push(create(ResponseOpSchema, { response }));
  }
  return { ok: true, response: txnResponse(path, responses) };
}

/** The path of a transaction that only reads, at `rev`, in pages with other events between them. */
export function* executeRead(
  store: Store,
  path: Path,
  rev: number,
  reply: ReplyBudget,
): Generator<void, Outcome<TxnResponse>> {
  const responses: ResponseOp[] = [];
  let child = 0;
  for (const { request: op } of path.ops) {
    let response: ResponseOp['response'];
    if (op.case === 'requestRange') {
      const outcome = yield* rangeAt(store, op.value, rev, reply, unboundedVisits());
      if (!outcome.ok) return outcome;
      response = { case: 'responseRange', value: outcome.response };
    } else {
      const outcome = yield* executeRead(store, path.nested[child++] as Path, rev, reply);
      if (!outcome.ok) return outcome;
      response = { case: 'responseTxn', value: outcome.response };
    }
    responses.push(create(ResponseOpSchema, { response }));
  }
  return { ok: true, response: txnResponse(path, responses) };
}

/** etcd leaves the header of a nested transaction empty, without a revision. */
function txnResponse({ succeeded }: Path, responses: ResponseOp[]): TxnResponse {
  return create(TxnResponseSchema, { header: header(0), succeeded, responses });
}
