/**
 * Where a list goes on: opaque to clients. It pins the revision of the first page, so that all pages
 * together are one consistent snapshot, and carries the count that was true then.
 *
 * Form: base64url of `{kind}.{revision}.{count}.{key as hex}`. A client that forges one can only ask for
 * what it may ask for anyway.
 */
import { base64Encode } from '@bufbuild/protobuf/wire';
import { utf8Text } from '../http/query.ts';
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

/** `key`: on after that key. `level`: on at that position, of a list with a delimiter. */
export type CursorKind = 'key' | 'level';

export interface Cursor {
  readonly kind: CursorKind;
  readonly revision: number;
  readonly count: number;
  readonly key: Uint8Array;
}

const encoder = new TextEncoder();
const form = /^(key|level)\.([1-9]\d{0,15})\.(\d{1,16})\.((?:[0-9a-f]{2})+)$/;

export function encodeCursor({ kind, revision, count, key }: Cursor): string {
  const hex = Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return base64Encode(encoder.encode(`${kind}.${revision}.${count}.${hex}`), 'url');
}

export function readCursor(params: Params): Cursor | null {
  const bytes = params.base64('cursor');
  if (bytes === null) return null;
  const match = form.exec(utf8Text(bytes) ?? '');
  const [, kind, revision, count, hex] = match ?? [];
  if (kind === undefined || revision === undefined || hex === undefined) {
    throw new Refusal('bad-request', 'cursor is none that this service gave out');
  }
  const key = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  return {
    kind: kind === 'key' ? 'key' : 'level',
    revision: Number(revision),
    count: Number(count),
    key,
  };
}
