/**
 * Which calls may travel with others (docs/decisions/batches.md): the answers of all of them come together, so none may
 * be large or long in the making, whatever the store holds.
 */
import { fromBinary } from '@bufbuild/protobuf';
import {
  type DeleteRangeRequest,
  DeleteRangeRequestSchema,
  type RangeRequest,
  RangeRequestSchema,
  type RequestOp,
  type TxnRequest,
  TxnRequestSchema,
} from './gen/rpc_pb.js';

/** Values that one answer may hold: each is as large as a request may be. */
const valuesMax = 4;

/** `rpc`: the path below /v3/. `request`: encoded. */
export function hasSmallAnswer(rpc: string, request: Uint8Array): boolean {
  try {
    return valuesIn(rpc, request) <= valuesMax;
  } catch {
    // Whoever is asked says what is wrong with it.
    return false;
  }
}

function valuesIn(rpc: string, request: Uint8Array): number {
  switch (rpc) {
    // The key's last value, at most.
    case 'kv/put':
    case 'lease/grant':
      return 1;
    case 'kv/range':
      return ofRange(fromBinary(RangeRequestSchema, request));
    case 'kv/deleterange':
      return ofDelete(fromBinary(DeleteRangeRequestSchema, request));
    case 'kv/txn':
      return ofTxn(fromBinary(TxnRequestSchema, request));
    default:
      return Number.POSITIVE_INFINITY;
  }
}

function ofRange({ rangeEnd }: RangeRequest): number {
  return rangeEnd.length === 0 ? 1 : Number.POSITIVE_INFINITY;
}

function ofDelete({ rangeEnd, prevKv }: DeleteRangeRequest): number {
  if (rangeEnd.length > 0) return Number.POSITIVE_INFINITY;
  return prevKv ? 1 : 0;
}

/** What either branch may bring. A compare of a range looks at all of its keys. */
function ofTxn({ compare, success, failure }: TxnRequest): number {
  if (compare.some(({ rangeEnd }) => rangeEnd.length > 0)) return Number.POSITIVE_INFINITY;
  const sum = (ops: readonly RequestOp[]) => ops.reduce((values, op) => values + ofOp(op), 0);
  return Math.max(sum(success), sum(failure));
}

function ofOp({ request }: RequestOp): number {
  switch (request.case) {
    case 'requestRange':
      return ofRange(request.value);
    case 'requestPut':
      return request.value.prevKv ? 1 : 0;
    case 'requestDeleteRange':
      return ofDelete(request.value);
    case 'requestTxn':
      return ofTxn(request.value);
    case undefined:
      return 0;
    default:
      return request satisfies never;
  }
}
