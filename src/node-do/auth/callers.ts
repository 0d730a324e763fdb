/** Who asks: what a request shows of its client, as the state machine wants to know it. */

import { create } from '@bufbuild/protobuf';
import { type AuthCaller, AuthCallerSchema, type MemberRequest } from '../../api/gen/member_pb.js';
import type { Auth } from '../../kv/auth/auth.ts';
import type { Caller } from '../../kv/auth/permit.ts';
import { claimsOf } from '../../kv/auth/tokens.ts';

export type Shown = Exclude<Caller, { kind: 'user' }>;

/** A token that nobody ever signs. */
const noToken: Shown = { kind: 'token', token: '' };

/** Null: it shows nothing. `now`: milliseconds since the epoch; an expired token is none. */
export function shownBy(
  { operator, token, user }: Pick<MemberRequest, 'operator' | 'token' | 'user'>,
  now: number,
): Shown | null {
  if (operator) return { kind: 'operator' };
  if (user !== '') return { kind: 'named', name: user };
  if (token === '') return null;
  const claims = claimsOf(token);
  return claims && now < Number(claims.expires) * 1_000 ? { kind: 'token', token } : noToken;
}

/** For later, when the token may have expired. Null: nobody. */
export function lastingCaller(shown: Shown | null, auth: Auth): AuthCaller | null {
  if (shown === null) return null;
  if (shown.kind === 'operator')
    return create(AuthCallerSchema, { caller: { case: 'operator', value: true } });
  if (shown.kind === 'named')
    return create(AuthCallerSchema, { caller: { case: 'named', value: shown.name } });
  const user = auth.userOf(shown.token);
  return user && create(AuthCallerSchema, { caller: { case: 'user', value: user } });
}

export function callerOf(lasting: AuthCaller | undefined): Caller | null {
  const { case: kind, value } = lasting?.caller ?? { case: undefined };
  if (kind === 'user') return { kind, name: value.name, version: value.version };
  if (kind === 'named') return { kind, name: value };
  return kind === 'operator' && value ? { kind } : null;
}
