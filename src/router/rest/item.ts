/**
 * A key and its value as JSON. Bytes that are UTF-8 are text; others are base64 and say so. Lease
 * ids are strings: they use all 64 bits.
 */
import { base64Encode } from '@bufbuild/protobuf/wire';
import type { KeyValue } from '../../api/gen/mvcc_pb.js';
import { utf8Text } from '../http/query.ts';
import { safeNumber } from './call.ts';

export interface Item {
  readonly key: string;
  /** Only when the key is not UTF-8. */
  readonly key_encoding?: 'base64';
  readonly value?: string;
  readonly encoding?: 'utf8' | 'base64';
  readonly mod_revision: number;
  readonly create_revision: number;
  readonly version: number;
  readonly lease: string | null;
}

export function itemOf(kv: KeyValue, keysOnly = false): Item {
  return {
    ...keyText(kv.key),
    ...(keysOnly ? {} : valueText(kv.value)),
    mod_revision: safeNumber(kv.modRevision),
    create_revision: safeNumber(kv.createRevision),
    version: safeNumber(kv.version),
    lease: kv.lease === 0n ? null : String(kv.lease),
  };
}

export function keyText(key: Uint8Array): { key: string; key_encoding?: 'base64' } {
  const text = utf8Text(key);
  return text === null ? { key: base64Encode(key), key_encoding: 'base64' } : { key: text };
}

function valueText(value: Uint8Array): { value: string; encoding: 'utf8' | 'base64' } {
  const text = utf8Text(value);
  return text === null
    ? { value: base64Encode(value), encoding: 'base64' }
    : { value: text, encoding: 'utf8' };
}
