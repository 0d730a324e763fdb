/** GET and HEAD of one key: its bytes, or JSON when that is accepted. */
import { create } from '@bufbuild/protobuf';
import { RangeRequestSchema, RangeResponseSchema } from '../../api/gen/rpc_pb.js';
import { planRange } from '../etcd/methods.ts';
import { startDeadline } from '../http/deadline.ts';
import { ask, type Call, json, safeNumber } from './call.ts';
import { itemOf } from './item.ts';
import { changesWithin, preferredWait } from './long-poll.ts';
import type { Params } from './params.ts';
import { etag, matches, readCondition } from './preconditions.ts';
import { problem } from './problems.ts';
import { readOptionParams, readOptions } from './read-options.ts';

export const readKeyParams = ['key64', 'revision', 'timeout', ...readOptionParams] as const;

export async function readKey(call: Call, key: Uint8Array, params: Params): Promise<Response> {
  return readOrWait(call, key, params, preferredWait(call.request));
}

/** `waitSeconds`: how long a client whose copy is still right would wait for another one; null: not. */
async function readOrWait(
  call: Call,
  key: Uint8Array,
  params: Params,
  waitSeconds: number | null,
): Promise<Response> {
  const ifMatch = readCondition(call.request, 'if-match');
  const ifNoneMatch = readCondition(call.request, 'if-none-match');
  const headOnly = call.request.method === 'HEAD';
  const options = readOptions(call.request, params);
  const range = create(RangeRequestSchema, {
    key,
    keysOnly: headOnly,
    revision: BigInt(params.integer('revision', 1, Number.MAX_SAFE_INTEGER) ?? 0),
    serializable: options.serializable,
  });
  const data = await ask(call, planRange(range), RangeResponseSchema, { options });
  if (data instanceof Response) return data;
  const { headers } = data;
  const kv = data.message.kvs[0];
  if (ifMatch !== null && !matches(ifMatch, kv?.modRevision ?? null)) {
    return preconditionFailed(kv?.modRevision ?? null, headers);
  }
  if (kv === undefined) return problem('key-not-found', 'the key does not exist', { headers });
  const tagged = { ...headers, etag: etag(kv.modRevision), vary: 'accept' };
  if (ifNoneMatch !== null && matches(ifNoneMatch, kv.modRevision)) {
    const unchanged = new Response(null, { status: 304, headers: tagged });
    if (waitSeconds === null || headOnly || params.has('revision')) return unchanged;
    const changed = await changesWithin(call, key, data.revision, waitSeconds);
    const newest = changed ? await readOrWait(withNewDeadline(call), key, params, null) : unchanged;
    newest.headers.set('preference-applied', `wait=${waitSeconds}`);
    return newest;
  }
  if (acceptsJson(call.request)) return json(itemOf(kv, headOnly), tagged);
  return new Response(kv.value as Uint8Array<ArrayBuffer>, {
    headers: {
      ...tagged,
      'content-type': 'application/octet-stream',
      // Whatever somebody stored is never a page of ours.
      'x-content-type-options': 'nosniff',
    },
  });
}

function withNewDeadline(call: Call): Call {
  return { ...call, deadline: startDeadline(null, Date.now()) };
}

function acceptsJson(request: Request): boolean {
  return request.headers.get('accept')?.includes('application/json') ?? false;
}

/** 412 tells the revision that stands, so that a client can go on without another read. */
export function preconditionFailed(
  current: bigint | null,
  headers: Readonly<Record<string, string>>,
): Response {
  const extras = { current_revision: current === null ? null : safeNumber(current) };
  const detail =
    current === null ? 'the key does not exist' : `the key was last changed at ${current}`;
  const tagged = current === null ? headers : { ...headers, etag: etag(current) };
  return problem('precondition-failed', detail, { headers: tagged, extras });
}
