/**
 * The key that a /v1 request names: the rest of the path after /v1/kv/, percent-decoded to bytes,
 * or `key64=` for keys that no URL path can hold (`.` and `..` segments vanish before we see them).
 */
import { percentDecode } from '../http/query.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

/** `path` is the raw path from /v1 on. */
export function keyFromPath(path: string): Uint8Array {
  const key = percentDecode(path.slice('/v1/kv/'.length), false);
  if (key === null) {
    throw new Refusal(
      'bad-key-encoding',
      'a % in a key is written %25, and is otherwise followed by two hex digits',
    );
  }
  return nonEmpty(key);
}

/** null when the request names no key this way. */
export function keyFromQuery(params: Params): Uint8Array | null {
  const key = params.base64('key64');
  return key === null ? null : nonEmpty(key);
}

function nonEmpty(key: Uint8Array): Uint8Array {
  if (key.length === 0) throw new Refusal('bad-request', 'a key has at least one byte');
  return key;
}
