/** POST /v1/txn: a transaction in plain JSON, carried out as the same command as etcd's. */
import { create } from '@bufbuild/protobuf';
import { checkTxn } from '../../api/checks.ts';
import {
  type Compare,
  CompareSchema,
  type RequestOp,
  RequestOpSchema,
  type ResponseOp,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { decodeBase64 } from '../etcd/base64.ts';
import { type OnceMark, planTxn } from '../etcd/methods.ts';
import { ask, type Call, json, safeNumber } from './call.ts';
import { askWrite } from './fence.ts';
import { between, withPrefix } from './interval.ts';
import { itemOf } from './item.ts';
import { Refusal } from './problems.ts';
import type { TxnBody, TxnCompare, TxnOperation } from './txn-schema.ts';

export const txnParams = ['timeout'] as const;

export async function runTxn(call: Call, body: TxnBody, once: OnceMark | null): Promise<Response> {
  const txn = create(TxnRequestSchema, {
    compare: body.compare.map(compareOf),
    success: body.then.map(operationOf),
    failure: body.else.map(operationOf),
  });
  // With a key even one that only reads is in the log: its answer is the same the next time.
  const inLog = once !== null || call.request.headers.has('kv-fence');
  const data = inLog
    ? await askWrite(
        call,
        { case: 'txn', value: txn },
        () => checkTxn(txn),
        TxnResponseSchema,
        once,
      )
    : await ask(call, planTxn(txn), TxnResponseSchema);
  if (data instanceof Response) return data;
  const { succeeded, responses } = data.message;
  const branch = succeeded ? body.then : body.else;
  const results = branch.map((operation, i) => resultOf(operation, responses[i], data.revision));
  return json({ succeeded, revision: data.revision, results }, data.headers);
}

type Encoding = 'utf8' | 'base64';

const encoder = new TextEncoder();

function bytesOf(text: string, encoding: Encoding): Uint8Array {
  if (encoding === 'base64') {
    const bytes = decodeBase64(text);
    if (bytes === null) throw new Refusal('bad-key-encoding', `not base64: ${text.slice(0, 64)}`);
    return bytes;
  }
  // A lone surrogate has no bytes in UTF-8; the encoder would store something else instead.
  if (!text.isWellFormed()) throw new Refusal('bad-key-encoding', 'text with half a character');
  return encoder.encode(text);
}

const results = {
  '=': Result.EQUAL,
  '!=': Result.NOT_EQUAL,
  '<': Result.LESS,
  '>': Result.GREATER,
};

function compareOf(compare: TxnCompare): Compare {
  return create(CompareSchema, {
    key: bytesOf(compare.key, compare.encoding),
    result: results[compare.op],
    ...operandOf(compare),
  });
}

function operandOf(compare: TxnCompare): Pick<Compare, 'target' | 'targetUnion'> {
  switch (compare.target) {
    case 'value': {
      const value = bytesOf(compare.value, compare.encoding);
      return { target: Target.VALUE, targetUnion: { case: 'value', value } };
    }
    case 'lease': {
      const value = leaseOf(compare.value);
      return { target: Target.LEASE, targetUnion: { case: 'lease', value } };
    }
    case 'version':
      return {
        target: Target.VERSION,
        targetUnion: { case: 'version', value: BigInt(compare.value) },
      };
    case 'create_revision':
      return {
        target: Target.CREATE,
        targetUnion: { case: 'createRevision', value: BigInt(compare.value) },
      };
    case 'mod_revision':
      return {
        target: Target.MOD,
        targetUnion: { case: 'modRevision', value: BigInt(compare.value) },
      };
    default:
      return compare satisfies never;
  }
}

function leaseOf(text: string): bigint {
  const id = BigInt(text);
  if (BigInt.asIntN(64, id) !== id) throw new Refusal('bad-request', 'a lease id has 64 bits');
  return id;
}

function operationOf(operation: TxnOperation): RequestOp {
  const { encoding } = operation;
  switch (operation.type) {
    case 'get': {
      const key = bytesOf(operation.key, encoding);
      const revision = BigInt(operation.revision ?? 0);
      return create(RequestOpSchema, {
        request: { case: 'requestRange', value: { key, revision } },
      });
    }
    case 'list':
      return create(RequestOpSchema, {
        request: {
          case: 'requestRange',
          value: {
            ...intervalOf(operation),
            limit: BigInt(operation.limit),
            keysOnly: operation.keys_only,
            countOnly: operation.count_only,
            revision: BigInt(operation.revision ?? 0),
          },
        },
      });
    case 'put': {
      const key = bytesOf(operation.key, encoding);
      const value = bytesOf(operation.value, encoding);
      return create(RequestOpSchema, {
        request: { case: 'requestPut', value: { key, value, prevKv: operation.prev } },
      });
    }
    case 'delete': {
      const { key, prev } = operation;
      const named = operation.prefix ?? operation.start ?? operation.end;
      if ((key === undefined) === (named === undefined)) {
        throw new Refusal('range-required', 'a delete names a key, a prefix, or start and end');
      }
      const value = {
        ...(key === undefined ? intervalOf(operation) : { key: bytesOf(key, encoding) }),
        prevKv: prev,
      };
      return create(RequestOpSchema, { request: { case: 'requestDeleteRange', value } });
    }
    default:
      return operation satisfies never;
  }
}

interface NamedInterval {
  readonly prefix?: string | undefined;
  readonly start?: string | undefined;
  readonly end?: string | undefined;
  readonly encoding: Encoding;
}

function intervalOf({ prefix, start, end, encoding }: NamedInterval) {
  if (prefix !== undefined) {
    if (start !== undefined || end !== undefined) {
      throw new Refusal('bad-request', 'give prefix, or start and end, not both');
    }
    return withPrefix(bytesOf(prefix, encoding));
  }
  if (start === undefined && end === undefined) {
    throw new Refusal('range-required', 'give prefix (empty: every key), or start and end');
  }
  return between(
    start === undefined ? null : bytesOf(start, encoding),
    end === undefined ? null : bytesOf(end, encoding),
  );
}

function resultOf(operation: TxnOperation, op: ResponseOp | undefined, revision: number): unknown {
  const response = op?.response;
  switch (response?.case) {
    case 'responseRange': {
      const { kvs, count, more } = response.value;
      if (operation.type !== 'list') {
        return { type: 'get', item: kvs[0] === undefined ? null : itemOf(kvs[0]) };
      }
      const items = kvs.map((kv) => itemOf(kv, operation.keys_only));
      return { type: 'list', items, count: safeNumber(count), more };
    }
    case 'responsePut': {
      const { prevKv } = response.value;
      const prev = prevKv === undefined ? null : itemOf(prevKv);
      const wanted = operation.type === 'put' && operation.prev;
      return { type: 'put', revision, ...(wanted ? { prev } : {}) };
    }
    case 'responseDeleteRange': {
      const { deleted, prevKvs } = response.value;
      const wanted = operation.type === 'delete' && operation.prev;
      const prev = prevKvs.map((kv) => itemOf(kv));
      return { type: 'delete', deleted: safeNumber(deleted), ...(wanted ? { prev } : {}) };
    }
    default:
      throw new Error('every operation of a transaction has a result of its kind');
  }
}
