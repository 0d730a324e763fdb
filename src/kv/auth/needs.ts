/**
 * What an operation needs of its caller while auth is enabled: etcd's rules, of its 3.5.30 where older
 * ones had holes (semantics of its server/etcdserver/apply/auth.go and v3_server.go). An operation
 * that is not named here needs root.
 */
import type { Command } from '../../api/gen/command_pb.js';
import type {
  DeleteRangeRequest,
  PutRequest,
  RequestOp,
  TxnRequest,
} from '../../api/gen/rpc_pb.js';
import type { Access } from './grants.ts';

export type Need =
  | {
      readonly kind: 'keys';
      readonly access: Access;
      readonly key: Uint8Array;
      readonly rangeEnd: Uint8Array;
    }
  /** All keys that are attached to the lease. */
  | { readonly kind: 'lease'; readonly access: Access; readonly id: bigint }
  | { readonly kind: 'root' };

/** None: any user may do it. */
export type Needs = readonly Need[];

export const anyUser: Needs = [];
export const rootOnly: Needs = [{ kind: 'root' }];

const noEnd = new Uint8Array();

/** Of a range and of a watch: the end of one key is empty, that of all keys "\0". */
export function needsOfRead({
  key,
  rangeEnd,
}: {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}): Needs {
  return [keys('read', key, rangeEnd)];
}

export function needsOfLeases(access: Access, ids: readonly bigint[]): Needs {
  return ids.map((id) => ({ kind: 'lease', access, id }));
}

export function needsOfCommand({ op }: Command): Needs {
  switch (op.case) {
    case 'put':
      return needsOfPut(op.value);
    case 'deleteRange':
      return needsOfDelete(op.value);
    case 'txn':
      return needsOfTxn(op.value);
    case 'leaseGrant':
      return anyUser;
    case 'leaseRevoke':
      return needsOfLeases('write', [op.value.ID]);
    case 'once':
      return op.value.command ? needsOfCommand(op.value.command) : rootOnly;
    default:
      return rootOnly;
  }
}

/** Of both branches and all that is nested in them, taken or not. */
export function needsOfTxn(txn: TxnRequest): Needs {
  return [...needsWithin(txn)];
}

function* needsWithin({ compare, success, failure }: TxnRequest): Generator<Need> {
  for (const { key, rangeEnd } of compare) yield keys('read', key, rangeEnd);
  for (const branch of [success, failure]) for (const op of branch) yield* needsOfOp(op);
}

function* needsOfOp({ request }: RequestOp): Generator<Need> {
  switch (request.case) {
    case 'requestRange':
      yield* needsOfRead(request.value);
      return;
    case 'requestPut':
      yield* needsOfPut(request.value);
      return;
    case 'requestDeleteRange':
      yield* needsOfDelete(request.value);
      return;
    case 'requestTxn':
      yield* needsWithin(request.value);
      return;
    default:
      // An empty operation does nothing; checkTxn refuses it by name.
      request satisfies { case: undefined };
  }
}

/** Whoever attaches a key to a lease decides when that lease's keys go: it must be free to write all of them. */
function needsOfPut({ key, prevKv, lease }: PutRequest): Needs {
  const needs: Need[] = [keys('write', key, noEnd)];
  if (prevKv) needs.push(keys('read', key, noEnd));
  if (lease !== 0n) needs.push({ kind: 'lease', access: 'write', id: lease });
  return needs;
}

function needsOfDelete({ key, rangeEnd, prevKv }: DeleteRangeRequest): Needs {
  const write = keys('write', key, rangeEnd);
  return prevKv ? [write, keys('read', key, rangeEnd)] : [write];
}

function keys(access: Access, key: Uint8Array, rangeEnd: Uint8Array): Need {
  return { kind: 'keys', access, key, rangeEnd };
}
