/**
 * The RPCs of etcd's auth service that have a password in them: it is hashed or compared here, and goes
 * no further.
 */
import { create, type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { AuthBeginSchema, AuthBegunSchema, AuthIssueSchema } from '../../api/gen/member_pb.js';
import {
  AuthenticateRequestSchema,
  AuthenticateResponseSchema,
  AuthUserAddRequestSchema,
  AuthUserAddResponseSchema,
  AuthUserChangePasswordRequestSchema,
  AuthUserChangePasswordResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { clientAddressOf } from '../auth/client-address.ts';
import { hashPassword, isPassword } from '../auth/passwords.ts';
import type { Answer } from '../members/answer.ts';
import { askGroup } from '../members/ask.ts';
import { planChange } from './auth-methods.ts';
import { namedError } from './errors.ts';
import type { Plan } from './methods.ts';
import { type GatewayCall, passOn, readOr } from './request.ts';

/** Nobody types in more, and each byte of it is hashed. */
const passwordLengthMax = 4_096;

export async function authenticate(call: GatewayCall): Promise<Response> {
  const request = readOr(AuthenticateRequestSchema, call);
  if (request instanceof Response) return request;
  const { name, password } = request;
  if (password.length > passwordLengthMax) return namedError('AuthFailed');
  const client = clientAddressOf(call.request, call.env);
  const value = create(AuthBeginSchema, { name, client });
  const begun = await ask(call, { kind: 'read', op: { case: 'authBegin', value } });
  if (!begun.ok) return namedError(begun.error);
  const { password: kept, version } = fromBinary(AuthBegunSchema, begun.response);
  if (!(await isPassword(password, kept))) return namedError('AuthFailed');
  const proved = create(AuthIssueSchema, { name, client, version });
  const issued = await ask(call, { kind: 'read', op: { case: 'authIssue', value: proved } });
  return answered(call, issued, AuthenticateResponseSchema);
}

/** What the client says it has hashed itself is not looked at, as in etcd. */
export async function addUser(call: GatewayCall): Promise<Response> {
  const request = readOr(AuthUserAddRequestSchema, call);
  if (request instanceof Response) return request;
  const { name, password, options } = request;
  if (name === '') return namedError('UserEmpty');
  if (password.length > passwordLengthMax) return namedError('RequestTooLarge');
  const hashedPassword = options?.noPassword ? '' : await hashPassword(password);
  const value = { ...request, password: '', hashedPassword };
  const answer = await ask(call, planChange({ case: 'userAdd', value }));
  return answered(call, answer, AuthUserAddResponseSchema);
}

export async function changePassword(call: GatewayCall): Promise<Response> {
  const request = readOr(AuthUserChangePasswordRequestSchema, call);
  if (request instanceof Response) return request;
  const { password } = request;
  if (password.length > passwordLengthMax) return namedError('RequestTooLarge');
  const value = { ...request, password: '', hashedPassword: await hashPassword(password) };
  const answer = await ask(call, planChange({ case: 'userChangePassword', value }));
  return answered(call, answer, AuthUserChangePasswordResponseSchema);
}

async function ask(
  { env, tenant, credentials, deadline }: GatewayCall,
  plan: Plan,
): Promise<Answer> {
  if (!('op' in plan)) {
    const error = plan.kind === 'refused' ? plan.error : 'RequestTooLarge';
    return { ok: false, error, outcomeUnknown: false, detail: '', servedBy: undefined };
  }
  return askGroup({ env, tenant, credentials, deadline, kind: plan.kind, op: plan.op });
}

function answered(call: GatewayCall, answer: Answer, response: DescMessage): Response {
  return answer.ok ? passOn(call, response, answer.response) : namedError(answer.error);
}
