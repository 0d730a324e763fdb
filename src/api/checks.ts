/**
 * What is wrong with a request whatever the store holds: etcd's static checks of keys, options and
 * transactions (its server/etcdserver/api/v3rpc/key.go). The router runs them to refuse early, the
 * state machine runs them again, since it trusts nobody. Null means nothing is wrong.
 */
import type { EtcdErrorName } from './errors.ts';
import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from './gen/rpc_pb.js';
import { RangeRequest_SortTarget } from './gen/rpc_pb.js';
import { binaryString, IntervalSet } from './intervals.ts';
import { maxTxnDepth, maxTxnOps } from './limits.ts';

type Fault = EtcdErrorName | null;

/**
 * An unknown sort order is taken as key order (etcd 3.5.30 answers 200); an unknown sort target has
 * no such answer to copy (3.4 crashes) and is refused.
 */
export function checkRange(request: RangeRequest): Fault {
  if (request.key.length === 0) return 'EmptyKey';
  if (RangeRequest_SortTarget[request.sortTarget] === undefined) return 'InvalidSortOption';
  return null;
}

export function checkPut(request: PutRequest): Fault {
  if (request.key.length === 0) return 'EmptyKey';
  if (request.ignoreValue && request.value.length !== 0) return 'ValueProvided';
  if (request.ignoreLease && request.lease !== 0n) return 'LeaseProvided';
  return null;
}

export function checkDelete(request: DeleteRangeRequest): Fault {
  return request.key.length === 0 ? 'EmptyKey' : null;
}

/** Every operation of every branch, then the keys that one branch would write twice. */
export function checkTxn(request: TxnRequest): Fault {
  return (
    checkOps(request, maxTxnOps, 1) ?? checkBranch(request.success) ?? checkBranch(request.failure)
  );
}

/** Nothing in it can write, nested transactions included; such a transaction needs no log entry. */
export function isReadOnlyTxn(request: TxnRequest): boolean {
  return everyRange(request, () => true);
}

/**
 * Read-only, and each range in it asks for no more than this member's own state. One without any
 * range is not: its compares would be stale without anybody having asked for that.
 */
export function isSerializableTxn(request: TxnRequest): boolean {
  let ranges = 0;
  const allowed = everyRange(request, (range) => {
    ranges += 1;
    return range.serializable;
  });
  return allowed && ranges > 0;
}

/**
 * The longest of the three lists counts against the budget; what it leaves is the budget of each
 * nested transaction. A list of 128 therefore leaves nested transactions no operation at all.
 */
function checkOps(request: TxnRequest, budget: number, depth: number): Fault {
  const { compare, success, failure } = request;
  const longest = Math.max(compare.length, success.length, failure.length);
  if (longest > budget || depth > maxTxnDepth) return 'TooManyOps';
  for (const { key } of compare) {
    if (key.length === 0) return 'EmptyKey';
  }
  for (const branch of [success, failure]) {
    for (const op of branch) {
      const fault = checkOp(op, budget - longest, depth);
      if (fault) return fault;
    }
  }
  return null;
}

function checkOp({ request }: RequestOp, nestedBudget: number, depth: number): Fault {
  switch (request.case) {
    case 'requestRange':
      return checkRange(request.value);
    case 'requestPut':
      return checkPut(request.value);
    case 'requestDeleteRange':
      return checkDelete(request.value);
    case 'requestTxn':
      return checkOps(request.value, nestedBudget, depth + 1);
    default:
      return 'KeyNotFound';
  }
}

function checkBranch(ops: readonly RequestOp[]): Fault {
  return collectWrites(ops) === null ? 'DuplicateKey' : null;
}

interface Writes {
  readonly puts: Set<string>;
  readonly deletes: IntervalSet;
}

/**
 * All keys that a branch and the transactions nested in it put and delete, or null when one of them
 * is put twice or both put and deleted. Two branches of one nested transaction may put the same
 * key, since only one of them runs.
 *
 * The answer depends on the order of sibling transactions exactly as in etcd (asked of 3.4): a put
 * is held against the deletes of its own level and of siblings before it, not of those after it.
 */
function collectWrites(ops: readonly RequestOp[]): Writes | null {
  const deletes = IntervalSet.of(ops.flatMap(deletedInterval));
  const puts = new Set<string>();
  for (const { request } of ops) {
    if (request.case !== 'requestTxn') continue;
    const success = collectWrites(request.value.success);
    const failure = success && collectWrites(request.value.failure);
    if (!success || !failure) return null;
    for (const key of success.puts) {
      if (puts.has(key) || deletes.has(key)) return null;
    }
    for (const key of failure.puts) {
      if (puts.has(key) || deletes.has(key)) return null;
    }
    for (const key of success.puts) puts.add(key);
    for (const key of failure.puts) puts.add(key);
    deletes.addAll(success.deletes);
    deletes.addAll(failure.deletes);
  }
  for (const { request } of ops) {
    if (request.case !== 'requestPut') continue;
    const key = binaryString(request.value.key);
    if (puts.has(key) || deletes.has(key)) return null;
    puts.add(key);
  }
  return { puts, deletes };
}

/**
 * A delete up to the end of the key space ("\0") is an inverted interval here, as it is in etcd: a
 * put inside it is accepted, and the operations then run in their order (asked of 3.4).
 */
function deletedInterval({ request }: RequestOp): [string, string][] {
  if (request.case !== 'requestDeleteRange') return [];
  const begin = binaryString(request.value.key);
  const { rangeEnd } = request.value;
  return [[begin, rangeEnd.length === 0 ? `${begin}\0` : binaryString(rangeEnd)]];
}

function everyRange(request: TxnRequest, holds: (range: RangeRequest) => boolean): boolean {
  const opHolds = ({ request: op }: RequestOp): boolean => {
    if (op.case === 'requestRange') return holds(op.value);
    if (op.case === 'requestTxn') return everyRange(op.value, holds);
    // An empty operation changes nothing; checkTxn refuses it by name.
    return op.case === undefined;
  };
  return request.success.every(opHolds) && request.failure.every(opHolds);
}
