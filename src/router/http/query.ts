/**
 * Percent-encoded text as bytes. Keys are bytes, so neither decodeURIComponent (throws away what is
 * not UTF-8) nor URLSearchParams (replaces it) will do.
 */
const plus = 0x2b;
const percent = 0x25;
const space = 0x20;

/** null when a `%` is not followed by two hex digits. */
export function percentDecode(text: string, plusIsSpace: boolean): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === percent) {
      const high = hexDigit(text.charCodeAt(i + 1));
      const low = hexDigit(text.charCodeAt(i + 2));
      if (high < 0 || low < 0) return null;
      bytes[length++] = high * 16 + low;
      i += 2;
    } else if (code > 0x7e) {
      // A URL parser has encoded these; whoever hands us one has not been through one.
      return null;
    } else {
      bytes[length++] = plusIsSpace && code === plus ? space : code;
    }
  }
  return bytes.subarray(0, length);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** null when `bytes` are not UTF-8; a byte order mark is a character like any other. */
export function utf8Text(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}
