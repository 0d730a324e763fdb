/**
 * What is kept of a password: `pbkdf2-sha256${rounds}${salt}${key}`, salt and key in base64url. The
 * platform allows no more rounds, and has no bcrypt. Computed here, in the isolate that the request
 * came to, so that no member of a group is held up by it.
 */
import { base64Decode, base64Encode } from '@bufbuild/protobuf/wire';
import { equalBytes } from '../../api/constant-time.ts';

const rounds = 100_000;
const saltBytes = 16;
const keyBytes = 32;
const form = /^pbkdf2-sha256\$(\d{1,6})\$([\w-]+)\$([\w-]+)$/;
const encoder = new TextEncoder();

export async function hashPassword(password: string): Promise<string> {
  const salt = crypto.getRandomValues(new Uint8Array(saltBytes));
  const key = await derive(password, salt, rounds);
  return `pbkdf2-sha256$${rounds}$${base64Encode(salt, 'url')}$${base64Encode(key, 'url')}`;
}

/** Takes as long where nothing is kept, so that nobody learns from it who is a user. */
export async function isPassword(password: string, kept: string): Promise<boolean> {
  const [, count, salt, key] = form.exec(kept) ?? [];
  if (count === undefined || salt === undefined || key === undefined) {
    await derive(password, new Uint8Array(saltBytes), rounds);
    return false;
  }
  const expected = base64Decode(key);
  const given = await derive(password, base64Decode(salt), Number(count));
  return equalBytes(given, expected);
}

async function derive(password: string, salt: Uint8Array, count: number): Promise<Uint8Array> {
  const secret = encoder.encode(password);
  const key = await crypto.subtle.importKey('raw', secret, 'PBKDF2', false, ['deriveBits']);
  const algorithm = {
    name: 'PBKDF2',
    hash: 'SHA-256',
    salt: salt as Uint8Array<ArrayBuffer>,
    iterations: count,
  };
  return new Uint8Array(await crypto.subtle.deriveBits(algorithm, key, 8 * keyBytes));
}
