/**
 * A WebSocket to one member of the group, for the watches of one client: the leader if the hint knows
 * it, for it has what is new first; any member would do.
 */
import { create } from '@bufbuild/protobuf';
import { PingSchema } from '../../api/gen/member_pb.js';
import { memberPaths } from '../../api/member.ts';
import { nobody } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { startDeadline, within } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import { memberStub } from '../members/call.ts';
import { hintFor } from '../members/hints.ts';

const openWithinMs = 5_000;
const firstPlace = 1;

/**
 * Not accepted yet. `look`: find the leader first, and with it a group, which a tenant's first request
 * gives birth to. null: nobody serves watches at the moment.
 */
export async function openMemberSocket(
  env: RouterEnv,
  tenant: string,
  look: boolean,
): Promise<WebSocket | null> {
  const hint = hintFor(tenant);
  if (look || hint === undefined || hint.suspect) {
    const op = { case: 'ping', value: create(PingSchema) } as const;
    const deadline = startDeadline(openWithinMs, Date.now());
    const answer = await askGroup({ env, tenant, kind: 'read', op, credentials: nobody, deadline });
    if (!answer.ok) return null;
  }
  const place = hintFor(tenant)?.place ?? firstPlace;
  try {
    const response = await within(openWithinMs, () =>
      memberStub(env, tenant, place).fetch(memberPaths.watch, {
        headers: { upgrade: 'websocket' },
      }),
    );
    return response.webSocket ?? null;
  } catch {
    // Aborted, overloaded, unreachable: the next attempt looks for another one.
    return null;
  }
}
