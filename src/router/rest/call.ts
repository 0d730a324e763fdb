/**
 * One /v1 request on its way: asks the group, and puts on every answer that carries data what its
 * reader must know of it (revision, who served it, how consistent it is, where the time went).
 */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { Server } from '../../api/gen/member_pb.js';
import type { ResponseHeader } from '../../api/gen/rpc_pb.js';
import { maxMessageBytes, maxRequestBytes } from '../../api/limits.ts';
import { type Credentials, credentialsOf } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import type { Plan } from '../etcd/methods.ts';
import { type Deadline, startDeadline } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import { nameOf } from '../members/call.ts';
import { problem, storeProblem } from './problems.ts';
import type { ReadOptions } from './read-options.ts';

export interface Call {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  readonly startedMs: number;
  readonly deadline: Deadline;
}

/** What came back, with the headers that belong on the answer. */
export interface Data<M> {
  readonly message: M;
  readonly revision: number;
  readonly headers: Readonly<Record<string, string>>;
}

export function startCall(
  request: Request,
  env: RouterEnv,
  tenant: string,
  timeoutMs: number | null,
): Call {
  const startedMs = Date.now();
  const deadline = startDeadline(timeoutMs, startedMs);
  return { request, env, tenant, credentials: credentialsOf(request, env), startedMs, deadline };
}

export interface AskMore {
  /** Nobody needs the count of a range. */
  readonly withoutCount?: boolean;
  /** Of a read that a client may have wishes for. */
  readonly options?: ReadOptions | null;
}

/** The plan's answer, or the problem that ends the request. */
export async function ask<D extends DescMessage>(
  call: Call,
  plan: Plan,
  response: D,
  { withoutCount = false, options = null }: AskMore = {},
): Promise<Data<MessageShape<D>> | Response> {
  if (plan.kind === 'oversized') {
    return problem('value-too-large', `${plan.size} bytes; at most ${maxMessageBytes} are taken`);
  }
  if (plan.kind === 'refused') {
    const limit = plan.error === 'RequestTooLarge' ? `at most ${maxRequestBytes} bytes` : '';
    return storeProblem(plan.error, false, limit);
  }
  const { kind, op, repeatable = false } = plan;
  const { env, tenant, credentials, deadline } = call;
  const answer = await askGroup({
    ...{ env, tenant, credentials, kind, op, repeatable, deadline, withoutCount },
    ...(options === null ? {} : { terms: options, via: options.via }),
  });
  const consistency = kind === 'serializable' ? 'serializable' : 'linearizable';
  if (!answer.ok) {
    const headers = answerHeaders(call, consistency, answer.servedBy, null);
    const { error, outcomeUnknown, detail, compactRevision } = answer;
    const extras = compactRevision === undefined ? {} : { compact_revision: compactRevision };
    return storeProblem(error, outcomeUnknown, detail, headers, extras);
  }
  const message = fromBinary(response, answer.response);
  const revision = safeNumber((message as { header?: ResponseHeader }).header?.revision ?? 0n);
  const headers = {
    ...answerHeaders(call, consistency, answer.servedBy, answer.membersMs),
    'kv-revision': String(revision),
  };
  return { message, revision, headers };
}

function answerHeaders(
  call: Call,
  consistency: string,
  servedBy: Server | undefined,
  membersMs: number | null,
): Record<string, string> {
  const headers: Record<string, string> = {
    'cache-control': 'no-store, no-transform',
    'kv-consistency': consistency,
  };
  if (servedBy !== undefined) {
    const { stalenessMs } = servedBy;
    headers['kv-served-by'] = nameOf(servedBy);
    if (stalenessMs !== undefined) headers['kv-staleness-ms'] = String(stalenessMs);
  }
  if (membersMs !== null) headers['server-timing'] = serverTiming(call, servedBy, membersMs);
  const trace = call.request.headers.get('traceparent');
  if (trace !== null) headers.traceparent = trace;
  return headers;
}

/**
 * Only what was measured. `edge`: here; `leader` or `member`: until the one that served it had
 * answered, all attempts together; `quorum`, within that: waiting for the others. (How long applying
 * takes no member can tell: its clock stands still meanwhile.)
 */
function serverTiming(call: Call, servedBy: Server | undefined, membersMs: number): string {
  const edgeMs = Math.max(0, Date.now() - call.startedMs - membersMs);
  const who = servedBy?.role === 'leader' ? 'leader' : 'member';
  const parts = [`edge;dur=${edgeMs}`, `${who};dur=${membersMs}`];
  if (servedBy?.quorumMs !== undefined) parts.push(`quorum;dur=${round(servedBy.quorumMs)}`);
  return parts.join(', ');
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** Revisions are JSON numbers on /v1; they stay below 2^53 for longer than any tenant will live. */
export function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Error(`${value} is no safe integer`);
  return number;
}

export function json(
  body: unknown,
  headers: Readonly<Record<string, string>>,
  status = 200,
): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { ...headers, 'content-type': 'application/json' },
  });
}
