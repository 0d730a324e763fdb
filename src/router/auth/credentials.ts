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
}

/** Of a ping, which tells nobody anything. */
export const nobody: Credentials = { operator: false, token: '' };
/** Of what the router itself keeps in a group. */
export const operator: Credentials = { operator: true, token: '' };

/** As whoever made the ticket that it shows, and could do so only with the secret. */
export function withSecret(request: Request, { API_TOKEN = '' }: RouterEnv): Request {
  const headers = new Headers(request.headers);
  headers.set('authorization', `Bearer ${API_TOKEN}`);
  return new Request(request, { headers });
}

/**
 * Where etcd's gateway looks: the metadata `token`, then `authorization`, bare or as `Bearer`. With the
 * deployment's secret in the latter, a token in the former names the user for whom it is asked; an empty
 * one, nobody.
 */
export function credentialsOf(request: Request, env: RouterEnv): Credentials {
  const token = request.headers.get('grpc-metadata-token');
  if (token !== null) return { operator: false, token };
  const shown = shownSecret(request) ?? '';
  return isDeploymentSecret(shown, env)
    ? { operator: true, token: '' }
    : { operator: false, token: shown };
}

/**
 * Whom the token names, true or not: enough to tell users apart in what a member does only for a token
 * that is true. Empty: nobody.
 */
export function claimedUser({ token }: Credentials): string {
  try {
    return fromBinary(TokenClaimsSchema, base64Decode(token.split('.')[0] ?? '')).user;
  } catch {
    return '';
  }
}
