/**
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): a write that is sent again with its key takes
 * effect once. What decides is the state machine (src/kv/once.ts); here the key and the request become
 * hashes.
 */
import { claimedUser } from '../auth/credentials.ts';
import type { OnceMark } from '../etcd/methods.ts';
import { rawPath, rawQuery } from '../http/path.ts';
import type { Call } from './call.ts';
import { Refusal } from './problems.ts';

const hashBytes = 16;
/** As the draft has it, or bare as many clients send it. */
const form = /^(?:"([ !#-[\]-~]{1,255})"|([!#-[\]-~]{1,255}))$/;
const encoder = new TextEncoder();

/**
 * null: the client sends no key. Throws Refusal for one that is malformed. Users have keys of their own: nobody
 * gets what another was answered, or is kept from a key that another has taken.
 */
export async function onceMark(
  { request, credentials }: Pick<Call, 'request' | 'credentials'>,
  body: string | Uint8Array = '',
): Promise<OnceMark | null> {
  const text = request.headers.get('idempotency-key');
  if (text === null) return null;
  const [, quoted, bare] = form.exec(text) ?? [];
  const key = quoted ?? bare;
  if (key === undefined) {
    throw new Refusal('bad-request', 'Idempotency-Key is 1 to 255 visible characters, in quotes');
  }
  const bytes = typeof body === 'string' ? encoder.encode(body) : body;
  const user = claimedUser(credentials);
  return {
    keyHash: await hashOf(encoder.encode(`idempotency ${key}${user === '' ? '' : `\n${user}`}`)),
    requestHash: await hashOf(encoder.encode(`${head(request)}\n`), bytes),
    timeMs: Date.now(),
  };
}

/**
 * What else makes it the same request: how long a client waits is not part of it. A fence is, since it makes
 * another command of the write, whose answer has another form.
 */
function head({ method, url, headers }: Request): string {
  const path = rawPath(url).replace(/^\/t\/[^/]*/, '');
  const query = rawQuery(url)
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith('timeout='))
    .sort();
  const fence = headers.get('kv-fence');
  return `${method} ${path}?${query.join('&')}${fence === null ? '' : ` fence ${fence}`}`;
}

export async function hashOf(...parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', whole)).subarray(0, hashBytes);
}
