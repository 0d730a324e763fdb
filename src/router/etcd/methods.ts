/**
 * The RPCs offered under /v3: their messages, the checks that need no state, and whom they are for.
 */
import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import {
  checkDelete,
  checkPut,
  checkRange,
  checkTxn,
  isReadOnlyTxn,
  isSerializableTxn,
} from '../../api/checks.ts';
import type { EtcdErrorName } from '../../api/errors.ts';
import { type Command, CommandSchema, OnceSchema } from '../../api/gen/command_pb.js';
import {
  CompactionRequestSchema,
  CompactionResponseSchema,
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  type LeaseGrantRequest,
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseLeasesRequestSchema,
  LeaseLeasesResponseSchema,
  LeaseRevokeRequestSchema,
  LeaseRevokeResponseSchema,
  type LeaseTimeToLiveRequest,
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  type RangeRequest,
  RangeRequestSchema,
  RangeResponseSchema,
  type TxnRequest,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { maxMessageBytes, maxRequestBytes } from '../../api/limits.ts';
import type { AskKind, MemberOp } from '../members/call.ts';
import type { Sent } from './form.ts';
import { encodedSize } from './json-message.ts';
import { randomLeaseId } from './lease-id.ts';

/** Marks a write that is to take effect once (src/kv/once.ts): hashes of 16 bytes. */
export interface OnceMark {
  readonly keyHash: Uint8Array;
  readonly requestHash: Uint8Array;
  readonly timeMs: number;
}

/** What one request asks of the group, or why it is not asked at all. */
export type Plan =
  | {
      readonly kind: AskKind;
      readonly op: MemberOp;
      /** It may be sent again though an attempt of it may have been taken. */
      readonly repeatable?: boolean;
    }
  | { readonly kind: 'refused'; readonly error: EtcdErrorName }
  | { readonly kind: 'oversized'; readonly size: number };

export interface Method {
  /** Throws BadMessage. */
  readonly plan: (sent: Sent) => Plan;
  readonly response: DescMessage;
  /** Who may not do it is told so in the words of etcd's auth package. */
  readonly wordsOfAuth?: true;
  /** It may take longer than the usual deadline. */
  readonly isLong?: true;
  /** Any member can answer it, but who leads is to, unless another one is asked for. */
  readonly isForLeader?: true;
}

type CommandOp = Exclude<Command['op'], { case: undefined }>;

const leaseRevoke = method(LeaseRevokeRequestSchema, LeaseRevokeResponseSchema, (value) =>
  planWrite({ case: 'leaseRevoke', value }, () => null),
);
const leaseTimeToLive = method(
  LeaseTimeToLiveRequestSchema,
  LeaseTimeToLiveResponseSchema,
  planTimeToLive,
);
const leaseLeases = method(LeaseLeasesRequestSchema, LeaseLeasesResponseSchema, (value) => ({
  kind: 'read',
  op: { case: 'leaseLeases', value },
}));

export const methods: ReadonlyMap<string, Method> = new Map([
  [
    'kv/put',
    method(PutRequestSchema, PutResponseSchema, (value) =>
      planWrite({ case: 'put', value }, () => checkPut(value)),
    ),
  ],
  ['kv/range', method(RangeRequestSchema, RangeResponseSchema, planRange)],
  [
    'kv/deleterange',
    method(DeleteRangeRequestSchema, DeleteRangeResponseSchema, (value) =>
      planWrite({ case: 'deleteRange', value }, () => checkDelete(value)),
    ),
  ],
  ['kv/txn', method(TxnRequestSchema, TxnResponseSchema, planTxn)],
  [
    'kv/compaction',
    method(CompactionRequestSchema, CompactionResponseSchema, (value) =>
      planWrite({ case: 'compact', value }, () => null),
    ),
  ],
  [
    'lease/grant',
    method(LeaseGrantRequestSchema, LeaseGrantResponseSchema, (value) => planGrant(value)),
  ],
  ['lease/revoke', leaseRevoke],
  ['kv/lease/revoke', leaseRevoke],
  ['lease/timetolive', leaseTimeToLive],
  ['kv/lease/timetolive', leaseTimeToLive],
  ['lease/leases', leaseLeases],
  ['kv/lease/leases', leaseLeases],
]);

/** The log's command names its lease, so one that the client leaves open is chosen here. */
export function planGrant({ ID, TTL }: LeaseGrantRequest, once: OnceMark | null = null): Plan {
  const value = create(LeaseGrantRequestSchema, { ID: ID === 0n ? randomLeaseId() : ID, TTL });
  return planWrite({ case: 'leaseGrant', value }, () => null, once);
}

export function planTimeToLive(value: LeaseTimeToLiveRequest): Plan {
  return { kind: 'read', op: { case: 'leaseTimeToLive', value } };
}

export function planRange(value: RangeRequest): Plan {
  return planRead({ case: 'range', value }, value.serializable, checkRange(value));
}

export function planTxn(value: TxnRequest): Plan {
  if (!isReadOnlyTxn(value)) return planWrite({ case: 'txn', value }, () => checkTxn(value));
  // etcd also calls a transaction without any operation serializable. It may carry compares,
  // though, and their answer would be stale without anybody having asked for that.
  const empty = value.success.length === 0 && value.failure.length === 0;
  const serializable = !empty && isSerializableTxn(value);
  return planRead({ case: 'readTxn', value }, serializable, checkTxn(value));
}

/** In etcd's order: the transport's limit, then the request's own faults, then the log's limit. */
export function planWrite(
  op: CommandOp,
  check: () => EtcdErrorName | null,
  once: OnceMark | null = null,
): Plan {
  const command = create(CommandSchema);
  command.op = op;
  const bytes = toBinary(CommandSchema, command);
  const size = payloadSize(bytes.length);
  if (size > maxMessageBytes) return { kind: 'oversized', size };
  const error = check();
  if (error !== null) return { kind: 'refused', error };
  if (size > maxRequestBytes) return { kind: 'refused', error: 'RequestTooLarge' };
  if (once === null) return { kind: 'write', op: { case: 'command', value: bytes } };
  const { keyHash, requestHash, timeMs } = once;
  const value = create(OnceSchema, { keyHash, requestHash, timeMs: BigInt(timeMs), command });
  const marked = create(CommandSchema, { op: { case: 'once', value } });
  const encoded = toBinary(CommandSchema, marked);
  return { kind: 'write', op: { case: 'command', value: encoded }, repeatable: true };
}

function planRead(op: MemberOp, serializable: boolean, error: EtcdErrorName | null): Plan {
  if (error !== null) return { kind: 'refused', error };
  return { kind: serializable ? 'serializable' : 'read', op };
}

export function method<Q extends DescMessage>(
  request: Q,
  response: DescMessage,
  plan: (message: MessageShape<Q>) => Plan,
): Method {
  return {
    plan: (sent) => {
      const message = sent.message(request);
      const size = encodedSize(request, message, sent.length);
      return size > maxMessageBytes ? { kind: 'oversized', size } : plan(message);
    },
    response,
  };
}

/** Size of the request inside an encoded Command: without the field's tag and length. */
function payloadSize(commandSize: number): number {
  for (let lengthBytes = 1; ; lengthBytes++) {
    const size = commandSize - 1 - lengthBytes;
    if (size < 2 ** (7 * lengthBytes)) return size;
  }
}
