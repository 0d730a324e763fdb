/** Whether somebody leads the group: a quorum answers one that says so. Wakes a group that rests. */
import { create } from '@bufbuild/protobuf';
import { PingSchema } from '../../api/gen/member_pb.js';
import { nobody } from '../auth/credentials.ts';
import type { RouterEnv } from '../env.ts';
import { startDeadline } from '../http/deadline.ts';
import { askGroup } from './ask.ts';

const askWithinMs = 5_000;

export async function hasLeader(
  env: RouterEnv,
  tenant: string,
  withinMs = askWithinMs,
): Promise<boolean> {
  const op = { case: 'ping', value: create(PingSchema) } as const;
  const deadline = startDeadline(withinMs, Date.now());
  return (await askGroup({ env, tenant, kind: 'read', op, credentials: nobody, deadline })).ok;
}
