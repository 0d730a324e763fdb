/**
 * /v1/leases: a lease is a time that keys can be tied to; when it ends they go, in one revision. And
 * `PUT /v1/kv/{key}?ttl=`, which ties a key to a lease of its own (docs/rest.md).
 */

import { create } from '@bufbuild/protobuf';
import * as v from 'valibot';
import { isEtcdErrorName } from '../../api/errors.ts';
import { LeaseKeepAliveRepliesSchema, LeaseKeepAliveSchema } from '../../api/gen/member_pb.js';
import {
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { leaseIdFrom, randomLeaseId } from '../etcd/lease-id.ts';
import { type OnceMark, planGrant, planTimeToLive, planWrite } from '../etcd/methods.ts';
import { parseDuration } from '../http/deadline.ts';
import { rawPath } from '../http/path.ts';
import { parseJson, readText } from './body.ts';
import { ask, type Call, type Data, json, safeNumber } from './call.ts';
import { onceMark } from './idempotency.ts';
import { keyText } from './item.ts';
import type { Params } from './params.ts';
import { problem, Refusal, statusOf, storeProblem } from './problems.ts';

const collection = '/v1/leases';
/** etcd's, and the state machine's. */
const ttlMinSeconds = 2;
const ttlMaxSeconds = 9_000_000_000;

/** Whole seconds as a number, or text like "30s" and "5m". */
export const ttlField = v.pipe(
  v.union([v.number(), v.string()]),
  v.transform((ttl) => (typeof ttl === 'number' ? ttl : parseDuration(ttl) / 1_000)),
  v.check(isTtl, 'must be whole seconds, or like "30s"'),
);

const grantBody = v.strictObject({
  ttl: ttlField,
  id: v.optional(v.pipe(v.string(), v.regex(/^-?\d{1,19}$/))),
});

function isTtl(seconds: number): boolean {
  return Number.isInteger(seconds) && seconds >= 1 && seconds <= ttlMaxSeconds;
}

/** `path` is the raw path from /v1 on; null: nothing is there. */
export function leaseRoute(path: string): { readonly id: bigint; readonly rest: string } | null {
  const [, id, rest = ''] = /^\/v1\/leases\/([^/]+)(\/keepalive)?$/.exec(path) ?? [];
  return id === undefined ? null : { id: leaseIdOf(id), rest };
}

/** Throws Refusal unless it is a number of 64 bits that is not 0. */
export function leaseIdOf(text: string): bigint {
  const id = /^-?\d{1,19}$/.test(text) ? BigInt(text) : 0n;
  if (id !== 0n && BigInt.asIntN(64, id) === id) return id;
  throw new Refusal('bad-request', 'a lease id is a whole number of 64 bits, and not 0');
}

export function ttlParam(params: Params): number | null {
  const text = params.text('ttl');
  if (text === null) return null;
  const seconds = parseDuration(text) / 1_000;
  if (isTtl(seconds)) return seconds;
  throw new Refusal('bad-request', 'ttl is in whole seconds, like 30 or 30s');
}

export async function createLease(call: Call): Promise<Response> {
  const text = await readText(call);
  const body = parseJson(text, grantBody);
  const id = body.id === undefined ? 0n : leaseIdOf(body.id);
  const value = create(LeaseGrantRequestSchema, { ID: id, TTL: BigInt(body.ttl) });
  const plan = planGrant(value, await onceMark(call, text));
  const data = await ask(call, plan, LeaseGrantResponseSchema);
  if (data instanceof Response) return data;
  const { ID, TTL } = data.message;
  const location = `${rawPath(call.request.url).split(collection)[0]}${collection}/${ID}`;
  return json({ id: String(ID), ttl: safeNumber(TTL) }, { ...data.headers, location }, 201);
}

export async function readLease(call: Call, id: bigint, withKeys: boolean): Promise<Response> {
  const value = create(LeaseTimeToLiveRequestSchema, { ID: id, keys: withKeys });
  const data = await ask(call, planTimeToLive(value), LeaseTimeToLiveResponseSchema);
  if (data instanceof Response) return data;
  const { TTL, grantedTTL, keys } = data.message;
  if (TTL < 0n) return noLease(id, data);
  const lease = { id: String(id), ttl: safeNumber(TTL), granted_ttl: safeNumber(grantedTTL) };
  return json(withKeys ? { ...lease, keys: keys.map(keyText) } : lease, data.headers);
}

export async function keepLease(call: Call, id: bigint): Promise<Response> {
  const value = create(LeaseKeepAliveSchema, { ids: [id] });
  const plan = { kind: 'read', op: { case: 'leaseKeepAlive', value } } as const;
  const data = await ask(call, plan, LeaseKeepAliveRepliesSchema);
  if (data instanceof Response) return data;
  const { responses, error } = data.message;
  if (isEtcdErrorName(error)) return storeProblem(error, false, '', data.headers);
  const ttl = responses[0]?.TTL ?? 0n;
  return ttl === 0n
    ? noLease(id, data)
    : json({ id: String(id), ttl: safeNumber(ttl) }, data.headers);
}

export async function revokeLease(call: Call, id: bigint): Promise<Response> {
  const value = create(LeaseRevokeRequestSchema, { ID: id });
  const plan = planWrite({ case: 'leaseRevoke', value }, () => null);
  const data = await ask(call, plan, LeaseRevokeResponseSchema);
  return data instanceof Response ? data : json({ revision: data.revision }, data.headers);
}

function noLease(id: bigint, { headers }: Data<unknown>): Response {
  return problem('lease-not-found', `there is no lease ${id}`, { headers });
}

/**
 * A lease for one key or lock alone: its id and its TTL in seconds, which may be more than asked for. A
 * request that is sent again with its Idempotency-Key finds the lease that it was given the first time.
 */
export async function grantOwn(
  call: Call,
  ttl: number,
  once: OnceMark | null = null,
): Promise<{ readonly id: bigint; readonly ttl: number } | Response> {
  const ID = once === null ? randomLeaseId() : leaseIdFrom(once.keyHash);
  const plan = planGrant(create(LeaseGrantRequestSchema, { ID, TTL: BigInt(ttl) }));
  const data = await ask(call, plan, LeaseGrantResponseSchema);
  if (!(data instanceof Response)) return { id: ID, ttl: safeNumber(data.message.TTL) };
  const isThere = once !== null && data.status === statusOf('lease-exists');
  return isThere ? { id: ID, ttl: Math.max(ttl, ttlMinSeconds) } : data;
}
