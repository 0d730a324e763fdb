/**
 * `KV-Fence: {lock}={token}` on a write: it is made only while the holder of that token still holds the
 * lock. That is a compare of the write's own transaction, so the state machine decides: a writer that was
 * away for an hour is refused, however late its request comes.
 */
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { checkTxn } from '../../api/checks.ts';
import type { EtcdErrorName } from '../../api/errors.ts';
import {
  type Compare,
  CompareSchema,
  type DeleteRangeRequest,
  RangeRequestSchema,
  RangeResponseSchema,
  type RequestOp,
  RequestOpSchema,
  Compare_CompareResult as Result,
  Compare_CompareTarget as Target,
  type TxnRequest,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { type OnceMark, planRange, planWrite } from '../etcd/methods.ts';
import { percentDecode } from '../http/query.ts';
import { type Prefix, prefixOf } from '../locks/keys.ts';
import { createdAt } from '../locks/queue.ts';
import { ask, type Call, type Data } from './call.ts';
import { problem, Refusal } from './problems.ts';

export type WriteOp =
  | { readonly case: 'deleteRange'; readonly value: DeleteRangeRequest }
  | { readonly case: 'txn'; readonly value: TxnRequest };

interface Fence {
  readonly text: string;
  readonly prefix: Prefix;
  readonly token: bigint;
}

const form = /^([!-~]+)=([1-9]\d{0,15})$/;

/** Throws Refusal for a fence that is malformed. */
export function fenceOf({ headers }: Request): Fence | null {
  const text = headers.get('kv-fence');
  if (text === null) return null;
  const [, lock = '', token = ''] = form.exec(text) ?? [];
  const name = percentDecode(lock, false);
  if (name !== null && name.length > 0)
    return { text, prefix: prefixOf(name), token: BigInt(token) };
  const detail = 'KV-Fence is {lock}={token}: the name as in a path, the token as it was given';
  throw new Refusal('bad-request', detail);
}

/** Asks for a write, fenced if its request says so. */
export async function askWrite<D extends DescMessage>(
  call: Call,
  op: WriteOp,
  check: () => EtcdErrorName | null,
  response: D,
  once: OnceMark | null,
): Promise<Data<MessageShape<D>> | Response> {
  const fence = fenceOf(call.request);
  if (fence === null) return ask(call, planWrite(op, check, once), response);
  const { prefix, token } = fence;
  const key = await keyOfToken(call, fence);
  if (key instanceof Response) return key;
  // One that is sent again may have been made while it held: the state machine remembers.
  if (key === null && once === null) return fencedOut(fence, {});
  const txn = create(TxnRequestSchema, {
    compare: [createdAt(key ?? prefix.key, token), noneBefore(prefix, token)],
    success: [operationOf(op)],
  });
  const checkBoth = () => check() ?? checkTxn(txn);
  const plan = planWrite({ case: 'txn', value: txn }, checkBoth, once);
  const data = await ask(call, plan, TxnResponseSchema);
  if (data instanceof Response) return data;
  if (!data.message.succeeded) return fencedOut(fence, data.headers);
  const message = data.message.responses[0]?.response.value as MessageShape<D>;
  return { ...data, message };
}

/**
 * Where the key is that was created then. No other key is ever created at that revision, so this is no
 * decision: whether it is still there the transaction sees. null: it is not.
 */
async function keyOfToken(
  call: Call,
  { prefix, token }: Fence,
): Promise<Uint8Array | null | Response> {
  const range = create(RangeRequestSchema, {
    ...prefix,
    minCreateRevision: token,
    maxCreateRevision: token,
    limit: 1n,
    keysOnly: true,
  });
  const data = await ask(call, planRange(range), RangeResponseSchema, { withoutCount: true });
  return data instanceof Response ? data : (data.message.kvs[0]?.key ?? null);
}

/** Who waits has a key, too: only the first of them holds. */
function noneBefore({ key, rangeEnd }: Prefix, token: bigint): Compare {
  const targetUnion = { case: 'createRevision', value: token - 1n } as const;
  const result = Result.GREATER;
  return create(CompareSchema, { key, rangeEnd, target: Target.CREATE, result, targetUnion });
}

function operationOf(op: WriteOp): RequestOp {
  return create(RequestOpSchema, {
    request:
      op.case === 'txn'
        ? { case: 'requestTxn', value: op.value }
        : { case: 'requestDeleteRange', value: op.value },
  });
}

function fencedOut({ text, token }: Fence, headers: Readonly<Record<string, string>>): Response {
  const detail = `${text.slice(0, 200)} does not hold that lock any more, or never did`;
  return problem('fenced-out', detail, { headers, extras: { token: Number(token) } });
}
