/** Calls of a history as requests to members, and replies as outcomes of a history. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Command, CommandSchema } from '../../../src/api/gen/command_pb.js';
import type { KeyValue } from '../../../src/api/gen/mvcc_pb.js';
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  CompareSchema,
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  type RequestOp,
  RequestOpSchema,
  type ResponseHeader,
  type ResponseOp,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../../src/api/gen/rpc_pb.js';
import type { MemberOp } from '../../../src/router/members/call.ts';
import {
  type Answer,
  type Call,
  type Compare,
  isWrite,
  type Step,
  type Success,
  type Version,
} from '../../support/history/history.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** One step travels as the plain request, several (or with compares) as a transaction. */
export function requestOf(call: Call): MemberOp {
  const [only] = call.success;
  const isPlain = call.compares.length === 0 && call.success.length === 1 && only !== undefined;
  if (!isWrite(call)) {
    if (!isPlain) throw new Error('reads travel one by one');
    return { case: 'range', value: rangeOf(only) };
  }
  if (!isPlain) return command({ case: 'txn', value: txnOf(call) });
  if (only.kind === 'put') return command({ case: 'put', value: putOf(only) });
  if (only.kind === 'delete') return command({ case: 'deleteRange', value: deleteOf(only) });
  throw new Error('a write of one step is a put or a delete');
}

export function compactionAt(revision: number): MemberOp {
  const value = { $typeName: 'etcdserverpb.CompactionRequest' as const, physical: false };
  return command({ case: 'compact', value: { ...value, revision: BigInt(revision) } });
}

/** What the response says; `serverOf` names the member that served it, by its cluster and its own id. */
export function outcomeOf(
  call: Call,
  response: Uint8Array,
  serverOf: (clusterId: bigint, memberId: bigint) => string,
): Omit<Success, 'type'> {
  const [only] = call.success;
  const from = (header: ResponseHeader | undefined) => ({
    revision: Number(header?.revision ?? 0),
    servedBy: serverOf(header?.clusterId ?? 0n, header?.memberId ?? 0n),
  });
  if (call.compares.length > 0 || call.success.length > 1) {
    const { header, succeeded, responses } = fromBinary(TxnResponseSchema, response);
    return { ...from(header), succeeded, answers: responses.map(answerOf) };
  }
  if (only?.kind === 'put') {
    const { header } = fromBinary(PutResponseSchema, response);
    return { ...from(header), succeeded: true, answers: [{ kind: 'put' }] };
  }
  if (only?.kind === 'delete') {
    const { header, deleted } = fromBinary(DeleteRangeResponseSchema, response);
    const answers = [{ kind: 'delete', deleted: deleted > 0n }] as const;
    return { ...from(header), succeeded: true, answers };
  }
  const { header, kvs } = fromBinary(RangeResponseSchema, response);
  const kind = only?.kind === 'range' ? 'range' : 'get';
  const answers = [{ kind, found: kvs.map(versionOf) }] as const;
  return { ...from(header), succeeded: true, answers };
}

function command(op: Command['op']): MemberOp {
  return { case: 'command', value: toBinary(CommandSchema, create(CommandSchema, { op })) };
}

function rangeOf(step: Step) {
  if (step.kind !== 'get' && step.kind !== 'range') throw new Error('not a read');
  const [key, end] = step.kind === 'get' ? [step.key, ''] : [step.start, step.end];
  return create(RangeRequestSchema, {
    key: encoder.encode(key),
    rangeEnd: encoder.encode(end),
    revision: BigInt(step.at ?? 0),
  });
}

function putOf({ key, value }: Step & { kind: 'put' }) {
  return create(PutRequestSchema, { key: encoder.encode(key), value: encoder.encode(value) });
}

function deleteOf({ key }: Step & { kind: 'delete' }) {
  return create(DeleteRangeRequestSchema, { key: encoder.encode(key) });
}

function txnOf({ compares, success, failure }: Call) {
  return create(TxnRequestSchema, {
    compare: compares.map(compareOf),
    success: success.map(opOf),
    failure: failure.map(opOf),
  });
}

function compareOf(compare: Compare) {
  if (compare.target !== 'modRevision' || compare.relation !== '=')
    throw new Error('the simulator compares revisions only');
  return create(CompareSchema, {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.MOD,
    key: encoder.encode(compare.key),
    targetUnion: { case: 'modRevision', value: BigInt(compare.operand) },
  });
}

function opOf(step: Step): RequestOp {
  switch (step.kind) {
    case 'put':
      return create(RequestOpSchema, { request: { case: 'requestPut', value: putOf(step) } });
    case 'delete':
      return create(RequestOpSchema, {
        request: { case: 'requestDeleteRange', value: deleteOf(step) },
      });
    default:
      return create(RequestOpSchema, { request: { case: 'requestRange', value: rangeOf(step) } });
  }
}

function answerOf({ response }: ResponseOp): Answer {
  switch (response.case) {
    case 'responsePut':
      return { kind: 'put' };
    case 'responseDeleteRange':
      return { kind: 'delete', deleted: response.value.deleted > 0n };
    case 'responseRange':
      return { kind: 'get', found: response.value.kvs.map(versionOf) };
    default:
      throw new Error(`a response of kind ${response.case}`);
  }
}

function versionOf({ key, value, modRevision }: KeyValue): Version {
  return {
    key: decoder.decode(key),
    value: decoder.decode(value),
    modRevision: Number(modRevision),
  };
}
