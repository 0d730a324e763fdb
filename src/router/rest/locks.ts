/**
 * /v1/locks, and what /v1/elections has in common with it: to take, with or without waiting; to renew, to
 * give up and to look at. The token is the create revision of the holder's key: it only ever grows, so
 * whoever is shown it can refuse an earlier holder (`KV-Fence`, or a store of its own).
 */

import { create } from '@bufbuild/protobuf';
import * as v from 'valibot';
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import {
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
  RangeResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { planRange, planTimeToLive } from '../etcd/methods.ts';
import { parseDuration, startDeadline } from '../http/deadline.ts';
import { percentDecode, utf8Text } from '../http/query.ts';
import { type Caller, Unanswered, WaitOver } from '../locks/caller.ts';
import { firstOf, prefixOf } from '../locks/keys.ts';
import { acquire, acquireFree, keepAlive, leave, type Place } from '../locks/queue.ts';
import { withOwnLease } from '../locks/session.ts';
import { parseJson, readText } from './body.ts';
import { ask, type Call, type Data, json, safeNumber } from './call.ts';
import { ttlField } from './leases.ts';
import { readCondition } from './preconditions.ts';
import { problem, Refusal, storeProblem } from './problems.ts';

/** What the holder's key has as its value is called so in JSON. */
export type ValueName = 'owner' | 'value';

const ttlSeconds = 60;
const waitMaxSeconds = 60;
const valueMax = 65_536;
/** However long the holder may keep it, it may give it up at once. */
const retryMaxSeconds = 5;
const encoder = new TextEncoder();

const waitField = v.pipe(
  v.union([v.number(), v.string()]),
  v.transform((wait) => (typeof wait === 'number' ? wait : parseDuration(wait) / 1_000)),
  v.check(
    (seconds) => seconds >= 0 && seconds <= waitMaxSeconds,
    `must be seconds, or like "30s", at most ${waitMaxSeconds}`,
  ),
);
export const valueField = v.pipe(v.string(), v.maxLength(valueMax));
const common = { ttl: v.optional(ttlField, ttlSeconds), wait: v.optional(waitField, 0) };

/** `said`: what it calls its owner or value. */
function readBody(text: string, called: ValueName) {
  const json = text.trim() === '' ? '{}' : text;
  const said = v.optional(valueField, '');
  if (called === 'value') {
    const { value, ...rest } = parseJson(json, v.strictObject({ ...common, value: said }));
    return { ...rest, said: value };
  }
  const { owner, ...rest } = parseJson(json, v.strictObject({ ...common, owner: said }));
  return { ...rest, said: owner };
}

/** Throws Refusal. `text`: from a raw path. */
export function lockName(text: string): Uint8Array {
  const name = percentDecode(text, false);
  if (name === null) throw new Refusal('bad-key-encoding', 'a % in a name is written %25');
  if (name.length === 0) throw new Refusal('bad-request', 'a name has at least one byte');
  return name;
}

export function callerOf(call: Call, waitSeconds: number): Caller {
  const { env, tenant, credentials, request } = call;
  const untilMs = Date.now() + waitSeconds * 1_000;
  return { env, tenant, credentials, signal: request.signal ?? undefined, untilMs };
}

/** 409 `lock-held` when others have it, and still have it when the time to wait is over. */
export async function take(call: Call, name: Uint8Array, called: ValueName): Promise<Response> {
  const { ttl, wait, said } = readBody(await readText(call), called);
  if (wait === 0) {
    // Nothing is written to find out that it is held.
    const holder = await readHolder(call, name);
    if (holder instanceof Response) return holder;
    if (holder.kv !== null) return heldProblem(call, holder, called);
  }
  const caller = callerOf(call, wait);
  const prefix = prefixOf(name);
  try {
    return await withOwnLease(caller, ttl, async (lease, seconds) => {
      const wanted = { prefix, lease, value: encoder.encode(said) };
      const place = wait === 0 ? await acquireFree(caller, wanted) : await acquire(caller, wanted);
      if (place === null) throw new WaitOver('late');
      return taken(place, seconds);
    });
  } catch (error) {
    if (!(error instanceof WaitOver && error.why === 'late')) return refusal(error);
    // However long that took, the answer has the time of a request of its own.
    const again = { ...call, deadline: startDeadline(null, Date.now()) };
    const holder = await readHolder(again, name);
    return holder instanceof Response ? holder : heldProblem(again, holder, called);
  }
}

function taken({ createRevision, lease, header }: Place, seconds: number): Response {
  const token = safeNumber(createRevision);
  const headers = {
    'cache-control': 'no-store, no-transform',
    'kv-revision': String(header.revision),
    etag: `"${token}"`,
  };
  return json({ token, lease: String(lease), expires_in: seconds }, headers);
}

/** The answer to what was thrown while it waited or asked. */
export function refusal(error: unknown): Response {
  if (error instanceof Unanswered)
    return storeProblem(error.error, error.outcomeUnknown, error.message);
  if (!(error instanceof WaitOver)) throw error;
  return lostProblem('the lease ended while it waited', {});
}

/** The whole time again; 412 `lock-lost` if it is somebody else's by now. */
export async function renew(call: Call, name: Uint8Array): Promise<Response> {
  const held = await heldBy(call, name);
  if (held instanceof Response) return held;
  const { kv, headers } = held;
  const seconds = await keepAlive(callerOf(call, 0), kv.lease).catch(refusal);
  if (seconds instanceof Response) return seconds;
  if (seconds === 0) return lostProblem('its lease has ended', headers);
  const token = safeNumber(kv.createRevision);
  return json({ token, lease: String(kv.lease), expires_in: seconds }, headers);
}

export async function release(call: Call, name: Uint8Array): Promise<Response> {
  const held = await heldBy(call, name);
  if (held instanceof Response) return held;
  const { kv, headers } = held;
  const left = await leave(callerOf(call, 0), kv).catch(refusal);
  if (left instanceof Response) return left;
  if (!left.wasThere) return lostProblem('it has just ended', headers);
  const revision = safeNumber(left.header.revision);
  return json({ revision }, { ...headers, 'kv-revision': String(revision) });
}

/** Who holds it: `{held: false}`, or also the token, the value and what is left of the lease. */
export async function look(call: Call, name: Uint8Array, called: ValueName): Promise<Response> {
  const holder = await readHolder(call, name);
  if (holder instanceof Response) return holder;
  const { kv, headers } = holder;
  if (kv === null) return json({ held: false }, headers);
  const described = await describe(call, kv, called);
  return described instanceof Response ? described : json({ held: true, ...described }, headers);
}

interface Holder extends Pick<Data<unknown>, 'headers'> {
  readonly kv: KeyValue | null;
}

export async function readHolder(call: Call, name: Uint8Array): Promise<Holder | Response> {
  const data = await ask(call, planRange(firstOf(prefixOf(name))), RangeResponseSchema);
  if (data instanceof Response) return data;
  return { kv: data.message.kvs[0] ?? null, headers: data.headers };
}

/** The holder, if it has the token of If-Match. */
export async function heldBy(
  call: Call,
  name: Uint8Array,
): Promise<(Holder & { readonly kv: KeyValue }) | Response> {
  const token = readCondition(call.request, 'if-match');
  if (token === null || token === '*' || token.length !== 1) {
    throw new Refusal('bad-request', 'If-Match names the token in quotes, like "42"');
  }
  const holder = await readHolder(call, name);
  if (holder instanceof Response) return holder;
  const { kv, headers } = holder;
  if (kv === null || kv.createRevision !== token[0]) {
    return lostProblem('somebody else holds it, or nobody', headers);
  }
  return { kv, headers };
}

export function lostProblem(detail: string, headers: Readonly<Record<string, string>>): Response {
  return problem('lock-lost', detail, { headers });
}

async function heldProblem(call: Call, holder: Holder, called: ValueName): Promise<Response> {
  const { kv, headers } = holder;
  const holding = kv === null ? null : await describe(call, kv, called);
  if (holding instanceof Response) return holding;
  const left = holding?.expires_in ?? 1;
  const retryAfter = String(Math.min(retryMaxSeconds, Math.max(1, left)));
  return problem('lock-held', 'somebody holds it', {
    headers: { ...headers, 'retry-after': retryAfter },
    extras: { holder: holding },
  });
}

/** `expires_in`: null where a client has a lock without a lease. */
async function describe(call: Call, kv: KeyValue, called: ValueName) {
  const described = {
    token: safeNumber(kv.createRevision),
    [called]: utf8Text(kv.value),
    lease: kv.lease === 0n ? null : String(kv.lease),
  };
  if (kv.lease === 0n) return { ...described, expires_in: null };
  const value = create(LeaseTimeToLiveRequestSchema, { ID: kv.lease });
  const data = await ask(call, planTimeToLive(value), LeaseTimeToLiveResponseSchema);
  if (data instanceof Response) return data;
  return { ...described, expires_in: Math.max(0, safeNumber(data.message.TTL)) };
}
