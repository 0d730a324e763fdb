/**
 * One /v1 request on its way: asks the group, and puts on every answer that carries data what its
 * reader must know of it (revision, who served it, how consistent it is, where the time went).
 */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import type { Server } from '../../api/gen/member_pb.js';
import type { ResponseHeader } from '../../api/gen/rpc_pb.js';
import { maxMessageBytes, maxRequestBytes } from '../../api/limits.ts';
import type { RouterEnv } from '../env.ts';
import type { Plan } from '../etcd/methods.ts';
import { type Deadline, startDeadline } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import type { Params } from './params.ts';
import { problem, Refusal, storeProblem } from './problems.ts';

export interface Call {
  readonly request: Request;
  readonly env: RouterEnv;
  readonly tenant: string;
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
  return { request, env, tenant, startedMs, deadline: startDeadline(timeoutMs, startedMs) };
}

/** The plan's answer, or the problem that ends the request. */
export async function ask<D extends DescMessage>(
  call: Call,
  plan: Plan,
  response: D,
  withoutCount = false,
): Promise<Data<MessageShape<D>> | Response> {
  if (plan.kind === 'oversized') {
    return problem('value-too-large', `${plan.size} bytes; at most ${maxMessageBytes} are taken`);
  }
  if (plan.kind === 'refused') {
    const limit = plan.error === 'RequestTooLarge' ? `at most ${maxRequestBytes} bytes` : '';
    return storeProblem(plan.error, false, limit);
  }
  const { kind, op } = plan;
  const { env, tenant, deadline } = call;
  const answer = await askGroup({ env, tenant, kind, op, deadline, withoutCount });
  const consistency = kind === 'serializable' ? 'serializable' : 'linearizable';
  if (!answer.ok) {
    const headers = answerHeaders(call, consistency, answer.servedBy, null);
    return storeProblem(answer.error, answer.outcomeUnknown, answer.detail, headers);
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
    const { role, place } = servedBy;
    headers['kv-served-by'] = `${role};place=${place}`;
  }
  if (membersMs !== null) headers['server-timing'] = serverTiming(call, servedBy, membersMs);
  const trace = call.request.headers.get('traceparent');
  if (trace !== null) headers.traceparent = trace;
  return headers;
}

function serverTiming(call: Call, servedBy: Server | undefined, membersMs: number): string {
  const edgeMs = Math.max(0, Date.now() - call.startedMs - membersMs);
  const parts = [`edge;dur=${edgeMs}`, `leader;dur=${membersMs}`];
  if (servedBy !== undefined) {
    parts.push(`quorum;dur=${round(servedBy.quorumMs)}`, `apply;dur=${round(servedBy.applyMs)}`);
  }
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

/** How consistent a read the client asks for: query first, then header. */
export function wantsSerializable(call: Call, params: Params): boolean {
  const choice = params.choice('consistency', ['linearizable', 'serializable']);
  const header = call.request.headers.get('kv-consistency');
  if (
    choice === null &&
    header !== null &&
    header !== 'linearizable' &&
    header !== 'serializable'
  ) {
    throw new Refusal('bad-request', 'KV-Consistency is linearizable or serializable');
  }
  return (choice ?? header) === 'serializable';
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
