/** What a client shows of itself, for the members to judge: a user's token, or the deployment's secret. */
import { fromBinary } from '@bufbuild/protobuf';
import { base64Decode } from '@bufbuild/protobuf/wire';
import { TokenClaimsSchema } from '../../api/gen/auth_records_pb.js';
import type { RouterEnv } from '../env.ts';
import { isDeploymentSecret, shownSecret } from './gate.ts';

export interface Credentials {
  /** Whoever holds API_TOKEN may do anything in every tenant. */
  readonly operator: boolean;
  /** Empty: none. */
  readonly token: string;
  /** For whom a client with the secret answers; empty: nobody. There is no token then. */
  readonly user: string;
}

/** Of a ping, which tells nobody anything. */
export const nobody: Credentials = { operator: false, token: '', user: '' };
/** Of what the router itself keeps in a group. */
export const operator: Credentials = { operator: true, token: '', user: '' };

/** As whoever made the ticket that it shows, and could do so only with the secret. */
export function withSecret(request: Request, { API_TOKEN = '' }: RouterEnv): Request {
  const headers = new Headers(request.headers);
  headers.set('authorization', `Bearer ${API_TOKEN}`);
  return new Request(request, { headers });
}

/**
 * Where etcd's gateway looks: the metadata `token`, then `authorization`, bare or as `Bearer`. With the
 * deployment's secret in the latter, a token in the former names the user for whom it is asked; an empty
 * one, nobody. Or `quorate-user` names a user without a token, as the bridge does for who has shown it a certificate.
 */
export function credentialsOf(request: Request, env: RouterEnv): Credentials {
  const token = request.headers.get('grpc-metadata-token');
  if (token) return { operator: false, token, user: '' };
  const shown = shownSecret(request) ?? '';
  const isOperator = isDeploymentSecret(shown, env);
  const user = isOperator ? request.headers.get('quorate-user') : null;
  if (user) return { operator: false, token: '', user };
  if (token !== null) return nobody;
  return isOperator ? operator : { operator: false, token: shown, user: '' };
}

/**
 * Whom the token names, true or not: enough to tell users apart in what a member does only for a token
 * that is true. Empty: nobody.
 */
export function claimedUser({ token, user }: Credentials): string {
  if (user !== '') return user;
  try {
    return fromBinary(TokenClaimsSchema, base64Decode(token.split('.')[0] ?? '')).user;
  } catch {
    return '';
  }
}
