/** POST /v1/compact: history below a revision is not to be read any more. */
import { create } from '@bufbuild/protobuf';
import * as v from 'valibot';
import { CompactionRequestSchema, CompactionResponseSchema } from '../../api/gen/rpc_pb.js';
import { planWrite } from '../etcd/methods.ts';
import { readJson } from './body.ts';
import { ask, type Call, json } from './call.ts';

const compactBody = v.strictObject({
  revision: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  physical: v.optional(v.boolean(), false),
});

/** `physical`: answered when the rows are gone from the leader's disk, or at the deadline. */
export async function compact(call: Call): Promise<Response> {
  const { revision, physical } = await readJson(call, compactBody);
  const value = create(CompactionRequestSchema, { revision: BigInt(revision), physical });
  const plan = planWrite({ case: 'compact', value }, () => null);
  const data = await ask(call, plan, CompactionResponseSchema);
  if (data instanceof Response) return data;
  return json({ compact_revision: revision, revision: data.revision }, data.headers);
}
