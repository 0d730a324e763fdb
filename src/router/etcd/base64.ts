/**
 * Base64 as etcd's gateway takes it: standard or URL-safe alphabet, padded or not, line breaks
 * anywhere, nothing else. What is not of that form is refused rather than guessed at, since a key
 * that was typed as text would otherwise be stored as other bytes.
 */
import { base64Decode } from '@bufbuild/protobuf/wire';

const digits = /^[A-Za-z0-9+/]*={0,2}$/;
const urlSafeDigits = /^[A-Za-z0-9_-]*={0,2}$/;

/** null when `text` is not base64. */
export function decodeBase64(text: string): Uint8Array | null {
  const compact = text.includes('\n') || text.includes('\r') ? text.replace(/[\r\n]/g, '') : text;
  if (!digits.test(compact) && !urlSafeDigits.test(compact)) return null;
  const rest = compact.length % 4;
  // Padding completes a group of four or is left out altogether.
  if (rest !== 0 && (rest === 1 || compact.endsWith('='))) return null;
  return base64Decode(compact);
}
