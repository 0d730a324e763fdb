/** Who a client that watches is: looked at once, since its watches may outlive its token. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { type AuthCaller, AuthCallerSchema, AuthWhoIsSchema } from '../../api/gen/member_pb.js';
import type { RouterEnv } from '../env.ts';
import { startDeadline } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import type { Credentials } from './credentials.ts';

const askWithinMs = 5_000;

/** A user that there is not: members say of its watches that the token is none. */
const stranger = create(AuthCallerSchema, { caller: { case: 'user', value: { name: '' } } });

/** null: nobody can tell at the moment. */
export async function watcherOf(
  env: RouterEnv,
  tenant: string,
  credentials: Credentials,
): Promise<AuthCaller | null> {
  if (credentials.operator)
    return create(AuthCallerSchema, { caller: { case: 'operator', value: true } });
  if (credentials.user !== '')
    return create(AuthCallerSchema, { caller: { case: 'named', value: credentials.user } });
  if (credentials.token === '') return create(AuthCallerSchema);
  const op = { case: 'authWhoIs', value: create(AuthWhoIsSchema) } as const;
  const deadline = startDeadline(askWithinMs, Date.now());
  const answer = await askGroup({ env, tenant, kind: 'read', op, credentials, deadline });
  if (answer.ok) return fromBinary(AuthCallerSchema, answer.response);
  return answer.error === 'InvalidAuthToken' ? stranger : null;
}
