/**
 * One attempt at one member: encode, call, decode. Everything that can go wrong comes back as a
 * value; whether to try again is decided in ask.ts.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type Failure,
  MemberReplySchema,
  type MemberRequest,
  MemberRequestSchema,
  type Redirect,
  type Server,
} from '../../api/gen/member_pb.js';
import { protocolVersion } from '../../api/limits.ts';
import { hintOf } from '../../api/location-hints.ts';
import { memberName, memberPaths } from '../../api/member.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { type Expiry, TimeIsUp, within } from '../http/deadline.ts';
import { type PlatformFault, platformFault } from '../platform-errors.ts';
import type { Courier } from './courier.ts';

/** What a member is asked to do. */
export type MemberOp = Exclude<MemberRequest['op'], { case: undefined }>;

/** A write changes state and so travels once; a serializable read goes to any member. */
export type AskKind = 'write' | 'read' | 'serializable';

export type MemberAnswer =
  | { readonly kind: 'response'; readonly response: Uint8Array; readonly servedBy?: Server }
  | { readonly kind: 'failure'; readonly failure: Failure; readonly servedBy?: Server }
  | { readonly kind: 'redirect'; readonly redirect: Redirect }
  /** No answer within the attempt's time; the member may be well and busy. */
  | { readonly kind: 'timeout'; readonly reason: string }
  | { readonly kind: 'fault'; readonly fault: PlatformFault };

/** How new the state has to be that a read sees. */
export interface ReadTerms {
  /** Of a serializable read: the member has to show it; null: any age will do. */
  readonly maxStalenessMs: number | null;
  /** To be waited for; null: none. */
  readonly minRevision: number | null;
}

export interface Attempt {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly place: number;
  readonly kind: AskKind;
  readonly op: MemberOp;
  readonly credentials: Credentials;
  /** A write that takes effect once, however often it is sent. */
  readonly repeatable: boolean;
  readonly groupSize: number;
  readonly withoutCount: boolean;
  readonly terms: ReadTerms | null;
  /** A linearizable read that this member is to serve, whoever leads. */
  readonly readHere: boolean;
  readonly timeoutMs: number;
  /** null: the leader is not suspected. */
  readonly suspectTerm: bigint | null;
  /** Takes it along with others; null: it goes alone. */
  readonly courier: Courier | null;
}

/** As `KV-Served-By` has it. */
export function nameOf({ role, place }: Server): string {
  return `${role};place=${place}`;
}

/** The member's own deadline ends this much earlier, so that what it knows gets here in time. */
const replyMarginMaxMs = 250;

/** The runtime's own retries would send a write twice and hide failures from our hints. */
const noRetries: DurableObjectNamespaceGetDurableObjectOptions = { retry: { maxRetries: 0 } };

export function memberStub(env: RouterEnv, tenant: string, place: number): DurableObjectStub {
  // A fresh stub per attempt: a stub stays broken after most exceptions.
  const hint = hintOf(env.LOCATION_HINTS, place);
  const options = hint === null ? noRetries : { ...noRetries, locationHint: hint };
  return env.RAFT_NODE.get(env.RAFT_NODE.idFromName(memberName(tenant, place)), options);
}

/** `early` ends the wait for the answer, and its timer. */
export async function callMember(attempt: Attempt, early?: Expiry): Promise<MemberAnswer> {
  const body = encode(attempt);
  try {
    const fetched = () => attempt.courier?.carry(attempt, body) ?? fetchReply(attempt, body);
    return decode(await within(attempt.timeoutMs, fetched, early));
  } catch (error) {
    if (error instanceof TimeIsUp) return { kind: 'timeout', reason: error.message };
    return { kind: 'fault', fault: platformFault(error) };
  }
}

async function fetchReply(attempt: Attempt, body: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const reply = await postToMember(attempt, memberPaths.client, body);
  if (reply === null) throw new Error('member answered with status 404');
  return reply;
}

/** Null: it has no such path. Throws what `stub.fetch` throws. */
export async function postToMember(
  { env, tenant, place }: Attempt,
  path: string,
  body: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array | null> {
  const reply = await memberStub(env, tenant, place).fetch(path, { method: 'POST', body });
  if (reply.status === 404) return null;
  if (reply.status !== 200) throw new Error(`member answered with status ${reply.status}`);
  return new Uint8Array(await reply.arrayBuffer());
}

function encode(attempt: Attempt): Uint8Array<ArrayBuffer> {
  const request = create(MemberRequestSchema);
  const { timeoutMs } = attempt;
  request.protocol = protocolVersion;
  request.op = attempt.op;
  request.timeoutMs = Math.max(
    1,
    Math.floor(timeoutMs - Math.min(replyMarginMaxMs, timeoutMs / 8)),
  );
  if (attempt.suspectTerm !== null) request.suspectTerm = attempt.suspectTerm;
  request.groupSize = attempt.groupSize;
  request.token = attempt.credentials.token;
  request.operator = attempt.credentials.operator;
  request.user = attempt.credentials.user;
  request.withoutCount = attempt.withoutCount;
  // Always true for a write: one that may have reached a core is not sent again at all (ask.ts).
  request.mayPropose = attempt.kind === 'write';
  request.serializable = attempt.kind === 'serializable';
  request.readHere = attempt.readHere;
  const { maxStalenessMs = null, minRevision = null } = attempt.terms ?? {};
  if (maxStalenessMs !== null) request.maxStalenessMs = maxStalenessMs;
  if (minRevision !== null) request.minRevision = BigInt(minRevision);
  return toBinary(MemberRequestSchema, request) as Uint8Array<ArrayBuffer>;
}

function decode(bytes: Uint8Array): MemberAnswer {
  const reply = fromBinary(MemberReplySchema, bytes);
  const by = reply.servedBy === undefined ? {} : { servedBy: reply.servedBy };
  const { outcome } = reply;
  switch (outcome.case) {
    case 'response':
      return { kind: 'response', response: outcome.value, ...by };
    case 'failure':
      return { kind: 'failure', failure: outcome.value, ...by };
    case 'redirect':
      return { kind: 'redirect', redirect: outcome.value };
    case undefined:
      throw new Error('member answered with an empty reply');
    default:
      return outcome satisfies never;
  }
}
