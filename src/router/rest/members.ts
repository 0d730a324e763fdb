/**
 * Who the members are and who leads: PUT /v1/members, POST /v1/leader, POST /v1/recover.
 *
 * A place is a number; places 1 to 5 may found a group, and any up to 999 can be added to one.
 */
import { create } from '@bufbuild/protobuf';
import * as v from 'valibot';
import { isEtcdErrorName } from '../../api/errors.ts';
import { ChangeMembershipSchema } from '../../api/gen/member_pb.js';
import { RangeResponseSchema } from '../../api/gen/rpc_pb.js';
import { memberPaths, type RecoverRequest } from '../../api/member.ts';
import { within } from '../http/deadline.ts';
import { memberStub } from '../members/call.ts';
import { platformFault } from '../platform-errors.ts';
import { readJson } from './body.ts';
import { ask, type Call, json } from './call.ts';
import { problem, storeProblem } from './problems.ts';

export const memberParams = ['timeout'] as const;

/** A new learner has to get the whole log before this request is over. */
export const memberTimeoutMs = 30_000;

const place = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(999));
const places = v.pipe(v.array(place), v.maxLength(16));
const membersBody = v.strictObject({ voters: places, learners: v.optional(places, []) });
const leaderBody = v.strictObject({ to: place });
const recoverBody = v.strictObject({ place, group: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)) });

/** The whole membership that is wanted: 200 when it is committed. */
export async function putMembers(call: Call): Promise<Response> {
  const { voters, learners } = await readJson(call, membersBody);
  const value = create(ChangeMembershipSchema, { voters, learners, stepwise: true });
  const plan = { kind: 'write', op: { case: 'changeMembership', value } } as const;
  const data = await ask(call, plan, RangeResponseSchema);
  return data instanceof Response ? data : json({ voters, learners }, data.headers);
}

/** Hands leadership to a place: 200 when it leads. */
export async function moveLeader(call: Call): Promise<Response> {
  const { to } = await readJson(call, leaderBody);
  const plan = { kind: 'write', op: { case: 'transferLeader', value: to } } as const;
  const data = await ask(call, plan, RangeResponseSchema);
  return data instanceof Response ? data : json({ leader: to }, data.headers);
}

/**
 * Makes a new group out of one survivor, when a quorum is lost for good. Whoever asks names the group
 * that is given up, so that a request for another one, or one sent twice, does nothing.
 */
export async function recoverGroup(call: Call): Promise<Response> {
  const { place, group } = await readJson(call, recoverBody);
  const { env, tenant, credentials } = call;
  try {
    return await within(memberTimeoutMs, async () => {
      const asked: RecoverRequest = { group, ...credentials };
      const init = { method: 'POST', body: JSON.stringify(asked) };
      const reply = await memberStub(env, tenant, place).fetch(memberPaths.recover, init);
      if (reply.status === 403) {
        const error = await reply.text();
        return storeProblem(isEtcdErrorName(error) ? error : 'PermissionDenied', false, '');
      }
      if (reply.status !== 200) {
        const detail = `place ${place} is no member of group ${group}`;
        return problem('precondition-failed', detail);
      }
      return json({ place, group: await reply.text() }, { 'cache-control': 'no-store' });
    });
  } catch (error) {
    return problem('no-leader', platformFault(error).reason, { outcome: 'unknown' });
  }
}
