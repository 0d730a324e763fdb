/**
 * Waiting for one's turn, as etcd's concurrency package does: a key of one's own, then for the key before
 * it to go, until nobody's is before it. Each waits for one other, so a release wakes one.
 *
 * Whoever has waited looks again: its own key and its lease may have ended meanwhile, and then it holds
 * nothing, whoever else does.
 */
import { create } from '@bufbuild/protobuf';
import { checkTxn } from '../../api/checks.ts';
import { isEtcdErrorName } from '../../api/errors.ts';
import { LeaseKeepAliveRepliesSchema, LeaseKeepAliveSchema } from '../../api/gen/member_pb.js';
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import {
  type Compare,
  CompareSchema,
  DeleteRangeRequestSchema,
  PutRequestSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  type RequestOp,
  RequestOpSchema,
  type ResponseHeader,
  ResponseHeaderSchema,
  Compare_CompareTarget as Target,
  type TxnRequest,
  TxnRequestSchema,
  type TxnResponse,
  TxnResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { planRange, planWrite } from '../etcd/methods.ts';
import type { WatchSession } from '../watch/session.ts';
import { ask, askPatiently, type Caller, Unanswered, WaitOver, waiting } from './caller.ts';
import { firstOf, keyOf, lastBefore, type Prefix } from './keys.ts';

/** Somebody's place: it holds when no key of the prefix was created earlier. */
export interface Place {
  readonly prefix: Prefix;
  readonly key: Uint8Array;
  readonly lease: bigint;
  /** What fences: later holders have a larger one. */
  readonly createRevision: bigint;
  /** Of the answer to its coming. */
  readonly entered: ResponseHeader;
  /** Of the answer that said that it holds. */
  readonly header: ResponseHeader;
}

export interface Wanted {
  readonly prefix: Prefix;
  readonly lease: bigint;
  readonly value: Uint8Array;
}

/** What its key holds already if it had one; `isFirst`: it holds. */
interface Entered {
  readonly place: Place;
  readonly before: KeyValue | null;
  readonly isFirst: boolean;
}

/**
 * The place, when it holds; throws Unanswered or WaitOver, and has left the queue then, as far as that can
 * be done. `had` is told of a key that was there before, and may put the value right.
 */
export async function acquire(
  caller: Caller,
  wanted: Wanted,
  had: (place: Place, kv: KeyValue) => Promise<void> = async () => {},
): Promise<Place> {
  const { place, before, isFirst } = await enter(caller, wanted);
  try {
    if (before !== null) await had(place, before);
    if (isFirst) return place;
    await waiting(caller, (session, over) => untilFirst(caller, place, session, over));
    return await confirmed(caller, place);
  } catch (error) {
    // Whoever comes after would wait for a key that nobody minds.
    await leave(caller, place).catch(ignoreUnanswered);
    throw error;
  }
}

/** Only when nobody holds it or waits for it. Null: somebody does. */
export async function acquireFree(caller: Caller, wanted: Wanted): Promise<Place | null> {
  const { prefix, lease, value } = wanted;
  const txn = create(TxnRequestSchema, {
    // Of no key at all this is true, too.
    compare: [createdAt(prefix.key, 0n, prefix.rangeEnd)],
    success: [putOp(keyOf(prefix, lease), value, lease)],
  });
  const answer = await commit(caller, txn);
  return answer.succeeded ? placeOf(wanted, answer, revisionOf(answer)) : null;
}

/** Gives up the place: deletes its key, unless it is another one's by now. */
export async function leave(
  caller: Caller,
  { key, createRevision }: Pick<Place, 'key' | 'createRevision'>,
): Promise<{ readonly wasThere: boolean; readonly header: ResponseHeader }> {
  const answer = await changeOwn(caller, { key, createRevision }, deleteOp(key));
  return { wasThere: answer.succeeded, header: headerOf(answer) };
}

/** Another value for the key of a place. Null: the key is not there any more. */
export async function replaceValue(
  caller: Caller,
  { key, createRevision, lease }: Pick<Place, 'key' | 'createRevision' | 'lease'>,
  value: Uint8Array,
): Promise<ResponseHeader | null> {
  const answer = await changeOwn(caller, { key, createRevision }, putOp(key, value, lease));
  return answer.succeeded ? headerOf(answer) : null;
}

export interface Holder {
  readonly kv: KeyValue | null;
  readonly header: ResponseHeader;
}

export async function holderOf(caller: Caller, prefix: Prefix): Promise<Holder> {
  const { kvs, header } = await ask(caller, planRange(firstOf(prefix)), RangeResponseSchema);
  return { kv: kvs[0] ?? null, header: headerOf({ header }) };
}

/** Seconds that the lease has from now on; 0: there is none. */
export async function keepAlive(caller: Caller, lease: bigint): Promise<number> {
  const value = create(LeaseKeepAliveSchema, { ids: [lease] });
  const plan = { kind: 'read', op: { case: 'leaseKeepAlive', value } } as const;
  const { responses, error } = await askPatiently(caller, plan, LeaseKeepAliveRepliesSchema);
  if (isEtcdErrorName(error)) throw new Unanswered(error, false, '');
  return Number(responses[0]?.TTL ?? 0n);
}

async function enter(caller: Caller, wanted: Wanted): Promise<Entered> {
  const { prefix, lease, value } = wanted;
  const key = keyOf(prefix, lease);
  const first = rangeOp(firstOf(prefix));
  const txn = create(TxnRequestSchema, {
    compare: [createdAt(key, 0n)],
    success: [putOp(key, value, lease), first],
    failure: [rangeOp(create(RangeRequestSchema, { key })), first],
  });
  const answer = await commit(caller, txn);
  const [own, holder] = answer.responses.map(({ response }) =>
    response.case === 'responseRange' ? (response.value.kvs[0] ?? null) : null,
  );
  const before = answer.succeeded ? null : (own ?? null);
  const place = placeOf(wanted, answer, before?.createRevision ?? revisionOf(answer));
  return { place, before, isFirst: holder?.createRevision === place.createRevision };
}

async function untilFirst(
  caller: Caller,
  { prefix, createRevision }: Place,
  session: WatchSession,
  over: () => WaitOver,
): Promise<void> {
  for (let slot = 0; ; slot += 1) {
    const range = planRange(lastBefore(prefix, createRevision));
    const { kvs, header } = await askPatiently(caller, range, RangeResponseSchema);
    const [last] = kvs;
    if (last === undefined) return;
    const from = (header?.revision ?? 0n) + 1n;
    session.watch(slot, { key: last.key, rangeEnd: new Uint8Array(), from, noPut: true });
    if (!(await untilTold(session, slot))) throw over();
    session.cancel(slot);
  }
}

/** Its key has gone, or its history has: in either case it is time to look. False: the session has ended. */
async function untilTold(session: WatchSession, slot: number): Promise<boolean> {
  for await (const message of session) {
    if (!('slot' in message) || message.slot !== slot) continue;
    if (message.type !== 'created') return true;
  }
  return false;
}

/** Throws WaitOver unless the key is still its own, and its lease lives. */
async function confirmed(caller: Caller, place: Place): Promise<Place> {
  if ((await keepAlive(caller, place.lease)) === 0) throw new WaitOver('lost');
  const range = planRange(create(RangeRequestSchema, { key: place.key }));
  const { kvs, header } = await askPatiently(caller, range, RangeResponseSchema);
  const [kv] = kvs;
  const isOwn = kv?.createRevision === place.createRevision && kv.lease === place.lease;
  if (!isOwn) throw new WaitOver('lost');
  return { ...place, header: headerOf({ header }) };
}

/** `op` is done only while the key is the one that was created then. */
function changeOwn(
  caller: Caller,
  { key, createRevision }: Pick<Place, 'key' | 'createRevision'>,
  op: RequestOp,
): Promise<TxnResponse> {
  const compare = [createdAt(key, createRevision)];
  return commit(caller, create(TxnRequestSchema, { compare, success: [op] }));
}

function commit(caller: Caller, txn: TxnRequest): Promise<TxnResponse> {
  const plan = planWrite({ case: 'txn', value: txn }, () => checkTxn(txn));
  return ask(caller, plan, TxnResponseSchema);
}

function placeOf({ prefix, lease }: Wanted, answer: TxnResponse, createRevision: bigint): Place {
  const header = headerOf(answer);
  const key = keyOf(prefix, lease);
  return { prefix, key, lease, createRevision, entered: header, header };
}

export function headerOf({ header }: { header?: ResponseHeader | undefined }): ResponseHeader {
  return header ?? create(ResponseHeaderSchema);
}

function revisionOf(answer: TxnResponse): bigint {
  return headerOf(answer).revision;
}

/** 0: there is no such key. */
export function createdAt(
  key: Uint8Array,
  createRevision: bigint,
  rangeEnd: Uint8Array = new Uint8Array(),
): Compare {
  const targetUnion = { case: 'createRevision', value: createRevision } as const;
  return create(CompareSchema, { key, rangeEnd, target: Target.CREATE, targetUnion });
}

function putOp(key: Uint8Array, value: Uint8Array, lease: bigint): RequestOp {
  const put = create(PutRequestSchema, { key, value, lease });
  return create(RequestOpSchema, { request: { case: 'requestPut', value: put } });
}

function deleteOp(key: Uint8Array): RequestOp {
  const value = create(DeleteRangeRequestSchema, { key });
  return create(RequestOpSchema, { request: { case: 'requestDeleteRange', value } });
}

function rangeOp(value: ReturnType<typeof firstOf>): RequestOp {
  return create(RequestOpSchema, { request: { case: 'requestRange', value } });
}

export function ignoreUnanswered(error: unknown): void {
  if (!(error instanceof Unanswered)) throw error;
}
