/**
 * DELETE /v1/kv with a prefix or a range: all of its keys in one revision. Only what is named goes;
 * every key there is has to be named too, as `prefix=`.
 */
import { create } from '@bufbuild/protobuf';
import { checkDelete } from '../../api/checks.ts';
import {
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { planRange } from '../etcd/methods.ts';
import { ask, type Call, json, safeNumber } from './call.ts';
import { askWrite } from './fence.ts';
import { onceMark } from './idempotency.ts';
import { intervalOf } from './interval.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

export const deleteRangeParams = ['dry_run', 'end', 'prefix', 'start', 'timeout'] as const;

/** `dry_run`: counts what would go, and deletes nothing. */
export async function deleteRange(call: Call, params: Params): Promise<Response> {
  const interval = intervalOf(params);
  const { headers } = call.request;
  if (headers.has('if-match') || headers.has('if-none-match')) {
    throw new Refusal('bad-request', 'a condition goes with one key; POST /v1/txn compares ranges');
  }
  if (params.flag('dry_run')) {
    if (headers.has('idempotency-key')) {
      throw new Refusal('bad-request', 'a dry run has no effect, so it takes no Idempotency-Key');
    }
    if (headers.has('kv-fence')) {
      throw new Refusal('bad-request', 'a dry run has no effect, so it takes no KV-Fence');
    }
    const range = create(RangeRequestSchema, { ...interval, countOnly: true });
    const data = await ask(call, planRange(range), RangeResponseSchema);
    if (data instanceof Response) return data;
    const deleted = safeNumber(data.message.count);
    return json({ deleted, revision: data.revision, dry_run: true }, data.headers);
  }
  const value = create(DeleteRangeRequestSchema, interval);
  const once = await onceMark(call);
  const op = { case: 'deleteRange', value } as const;
  const data = await askWrite(call, op, () => checkDelete(value), DeleteRangeResponseSchema, once);
  if (data instanceof Response) return data;
  const deleted = safeNumber(data.message.deleted);
  return json({ deleted, revision: data.revision }, data.headers);
}
