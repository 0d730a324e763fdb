/**
 * Tokens: `{claims}.{MAC}`, both in base64url, the MAC HMAC-SHA-256 of the claims under the tenant's
 * secret. Nothing of them is stored. Whether one has expired is for whoever has a clock; applying
 * an entry looks at the MAC and at what the user has become since.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { base64Decode, base64Encode } from '@bufbuild/protobuf/wire';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { equalBytes } from '../../api/constant-time.ts';
import { type TokenClaims, TokenClaimsSchema } from '../../api/gen/auth_records_pb.js';

/** Longer ones are none: a name of 1 KiB still has one. */
export const tokenLengthMax = 2_048;
const form = /^([\w-]+)\.([\w-]{43})$/;

/** Seconds since the epoch. */
export interface Claims {
  readonly user: string;
  readonly version: bigint;
  readonly expires: bigint;
}

export function signToken(secret: Uint8Array, claims: Claims): string {
  const data = toBinary(TokenClaimsSchema, create(TokenClaimsSchema, claims));
  return `${base64Encode(data, 'url')}.${base64Encode(hmac(sha256, secret, data), 'url')}`;
}

/** What it says, true or not; null: it is no token. */
export function claimsOf(token: string): TokenClaims | null {
  return parsed(token)?.claims ?? null;
}

/** What it says, if it was signed with this secret. */
export function verifiedClaims(secret: Uint8Array, token: string): TokenClaims | null {
  const parts = parsed(token);
  if (!parts) return null;
  const expected = hmac(sha256, secret, parts.data);
  return equalBytes(parts.mac, expected) ? parts.claims : null;
}

interface Parts {
  readonly data: Uint8Array;
  readonly mac: Uint8Array;
  readonly claims: TokenClaims;
}

function parsed(token: string): Parts | null {
  if (token.length > tokenLengthMax) return null;
  const [, claims, mac] = form.exec(token) ?? [];
  if (claims === undefined || mac === undefined) return null;
  try {
    const data = base64Decode(claims);
    return { data, mac: base64Decode(mac), claims: fromBinary(TokenClaimsSchema, data) };
  } catch {
    return null;
  }
}
