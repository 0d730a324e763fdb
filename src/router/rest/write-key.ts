/**
 * PUT and DELETE of one key. Both are one transaction in the log: the conditions of the headers are
 * its compares, so nothing can come between the check and the change.
 */
import { create } from '@bufbuild/protobuf';
import { checkDelete, checkTxn } from '../../api/checks.ts';
import {
  type Compare,
  CompareSchema,
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  PutRequestSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  type RequestOp,
  RequestOpSchema,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  TxnRequestSchema,
  type TxnResponse,
  TxnResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { maxRequestBytes } from '../../api/limits.ts';
import { type OnceMark, planRange } from '../etcd/methods.ts';
import { readBody } from '../http/body.ts';
import { ask, type Call, type Data, json } from './call.ts';
import { askWrite } from './fence.ts';
import { onceMark } from './idempotency.ts';
import { itemOf } from './item.ts';
import { grantOwn, leaseIdOf, revokeLease, ttlParam } from './leases.ts';
import type { Params } from './params.ts';
import { type Condition, etag, matches, readCondition } from './preconditions.ts';
import { problem, Refusal } from './problems.ts';
import { preconditionFailed } from './read-key.ts';

const writeKeyParams = ['key64', 'prev', 'timeout'];

export function writeParamsOf({ method }: Request): readonly string[] {
  return method === 'PUT' ? [...writeKeyParams, 'lease', 'ttl'] : writeKeyParams;
}

/** How often a change is tried whose key changes under it between two revisions of If-Match. */
const matchRoundsMax = 4;

interface Change {
  readonly key: Uint8Array;
  readonly ifMatch: Condition;
  readonly ifNoneMatch: Condition;
  /** Done when the conditions hold. */
  readonly ops: readonly RequestOp[];
  /** Never with conditions. */
  readonly once: OnceMark | null;
}

export async function putKey(call: Call, key: Uint8Array, params: Params): Promise<Response> {
  const conditions = readConditions(call.request);
  refuseBoth(call.request, conditions);
  const prevKv = params.flag('prev');
  const body = await readBody(call.request, maxRequestBytes, call.deadline);
  switch (body.kind) {
    case 'tooLarge': {
      const detail = `${body.size} bytes; at most ${maxRequestBytes} are taken, key included`;
      return problem('value-too-large', detail);
    }
    case 'late':
      return problem('request-timeout', 'the body did not come before the deadline');
    case 'broken':
      return problem('bad-request', 'the body ended too early');
    case 'bytes':
      break;
    default:
      return body satisfies never;
  }
  const once = await onceMark(call, body.bytes);
  const lease = await leaseOf(call, params, once);
  if (lease instanceof Response) return lease;
  const data = await change(call, {
    key,
    ...conditions,
    ops: [countOp(key), putOp(key, body.bytes, prevKv, lease?.id ?? 0n)],
    once,
  });
  if (data instanceof Response) {
    if (lease?.isOwn && once === null) await forgetOwn(call, lease.id, data);
    return data;
  }
  const [count, put] = data.message.responses;
  const created = count?.response.case === 'responseRange' && count.response.value.count === 0n;
  const prev = put?.response.case === 'responsePut' ? put.response.value.prevKv : undefined;
  const { revision } = data;
  const tied = lease === null ? {} : { lease: String(lease.id) };
  const answer = { revision, created, ...tied, ...(lease?.isOwn ? { ttl: lease.ttl } : {}) };
  return json(
    prevKv ? { ...answer, prev: prev === undefined ? null : itemOf(prev) } : answer,
    { ...data.headers, etag: etag(revision) },
    created ? 201 : 200,
  );
}

/** `isOwn`: made for this key alone, with that TTL in seconds. */
type Tie = { readonly id: bigint } & (
  | { readonly isOwn: true; readonly ttl: number }
  | { readonly isOwn: false }
);

/** What `lease=` or `ttl=` tie the key to. */
async function leaseOf(
  call: Call,
  params: Params,
  once: OnceMark | null,
): Promise<Tie | Response | null> {
  const named = params.text('lease');
  const ttl = ttlParam(params);
  if (named !== null && ttl !== null) {
    throw new Refusal('bad-request', 'give lease, or ttl for a lease of its own, not both');
  }
  if (named !== null) return { id: leaseIdOf(named), isOwn: false };
  if (ttl === null) return null;
  const own = await grantOwn(call, ttl, once);
  return own instanceof Response ? own : { ...own, isOwn: true };
}

/** A lease without its key is of no use; one that may have it ends by itself. */
async function forgetOwn(call: Call, id: bigint, { status }: Response): Promise<void> {
  if (status < 500) await revokeLease(call, id);
}

export async function deleteKey(call: Call, key: Uint8Array, params: Params): Promise<Response> {
  const conditions = readConditions(call.request);
  refuseBoth(call.request, conditions);
  const prevKv = params.flag('prev');
  const value = create(DeleteRangeRequestSchema, { key, prevKv });
  if (conditions.ifMatch === null && conditions.ifNoneMatch === null) {
    const once = await onceMark(call);
    const op = { case: 'deleteRange', value } as const;
    const check = () => checkDelete(value);
    const data = await askWrite(call, op, check, DeleteRangeResponseSchema, once);
    return data instanceof Response ? data : deleted(data, data.message, prevKv);
  }
  const ops = [create(RequestOpSchema, { request: { case: 'requestDeleteRange', value } })];
  const data = await change(call, { key, ...conditions, ops, once: null });
  if (data instanceof Response) return data;
  const response = data.message.responses[0]?.response;
  if (response?.case !== 'responseDeleteRange') throw new Error('a delete answers as a delete');
  return deleted(data, response.value, prevKv);
}

function deleted(
  data: Data<unknown>,
  response: { deleted: bigint; prevKvs: Parameters<typeof itemOf>[0][] },
  prevKv: boolean,
): Response {
  const answer = { deleted: Number(response.deleted), revision: data.revision };
  const prev = response.prevKvs[0];
  return json(
    prevKv ? { ...answer, prev: prev === undefined ? null : itemOf(prev) } : answer,
    data.headers,
  );
}

function readConditions(request: Request): Pick<Change, 'ifMatch' | 'ifNoneMatch'> {
  return {
    ifMatch: readCondition(request, 'if-match'),
    ifNoneMatch: readCondition(request, 'if-none-match'),
  };
}

function refuseBoth(
  request: Request,
  { ifMatch, ifNoneMatch }: Pick<Change, 'ifMatch' | 'ifNoneMatch'>,
): void {
  if (ifMatch === null && ifNoneMatch === null) return;
  if (!request.headers.has('idempotency-key')) return;
  const detail = 'Idempotency-Key goes with writes without a condition; POST /v1/txn takes both';
  throw new Refusal('bad-request', detail);
}

/**
 * Compares of a transaction are AND-ed, but a list in If-Match means any of them. So a list is
 * first narrowed to the revision that stands; when that changes meanwhile, the failed transaction
 * has read the new one.
 */
async function change(call: Call, asked: Change): Promise<Data<TxnResponse> | Response> {
  let expected = asked.ifMatch;
  if (Array.isArray(expected) && expected.length > 1) {
    const plan = planRange(create(RangeRequestSchema, { key: asked.key, keysOnly: true }));
    const data = await ask(call, plan, RangeResponseSchema);
    if (data instanceof Response) return data;
    const current = data.message.kvs[0]?.modRevision ?? null;
    if (current === null || !matches(expected, current)) {
      return preconditionFailed(current, data.headers);
    }
    expected = [current];
  }
  for (let round = 1; ; round++) {
    const data = await changeIf(call, asked, expected);
    if (data instanceof Response || data.message.succeeded) return data;
    const read = data.message.responses[0]?.response;
    const kv = read?.case === 'responseRange' ? read.value.kvs[0] : undefined;
    const current = kv?.modRevision ?? null;
    const stillListed =
      asked.ifNoneMatch === null &&
      Array.isArray(asked.ifMatch) &&
      asked.ifMatch.length > 1 &&
      matches(asked.ifMatch, current);
    if (!stillListed || current === null || round === matchRoundsMax) {
      return preconditionFailed(current, data.headers);
    }
    expected = [current];
  }
}

function changeIf(call: Call, asked: Change, ifMatch: Condition) {
  const { key } = asked;
  const txn = create(TxnRequestSchema, {
    compare: [...compareMatch(key, ifMatch), ...compareNoneMatch(key, asked.ifNoneMatch)],
    success: [...asked.ops],
    failure: [
      create(RequestOpSchema, {
        request: {
          case: 'requestRange',
          value: create(RangeRequestSchema, { key, keysOnly: true }),
        },
      }),
    ],
  });
  const op = { case: 'txn', value: txn } as const;
  return askWrite(call, op, () => checkTxn(txn), TxnResponseSchema, asked.once);
}

function compareMatch(key: Uint8Array, condition: Condition): Compare[] {
  if (condition === null) return [];
  if (condition === '*') return [compareVersion(key, Result.GREATER)];
  return condition.map((revision) => compareRevision(key, Result.EQUAL, revision));
}

function compareNoneMatch(key: Uint8Array, condition: Condition): Compare[] {
  if (condition === null) return [];
  if (condition === '*') return [compareVersion(key, Result.EQUAL)];
  return condition.map((revision) => compareRevision(key, Result.NOT_EQUAL, revision));
}

/** A key that does not exist has version 0. */
function compareVersion(key: Uint8Array, result: Result): Compare {
  const targetUnion = { case: 'version', value: 0n } as const;
  return create(CompareSchema, { key, target: Target.VERSION, result, targetUnion });
}

function compareRevision(key: Uint8Array, result: Result, revision: bigint): Compare {
  const targetUnion = { case: 'modRevision', value: revision } as const;
  return create(CompareSchema, { key, target: Target.MOD, result, targetUnion });
}

/** Says whether the key is there; a put alone does not. */
function countOp(key: Uint8Array): RequestOp {
  const value = create(RangeRequestSchema, { key, countOnly: true });
  return create(RequestOpSchema, { request: { case: 'requestRange', value } });
}

function putOp(key: Uint8Array, bytes: Uint8Array, prevKv: boolean, lease: bigint): RequestOp {
  const value = create(PutRequestSchema, { key, value: bytes, prevKv, lease });
  return create(RequestOpSchema, { request: { case: 'requestPut', value } });
}
