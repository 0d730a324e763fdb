/**
 * From the bytes of a body to a JSON value, as etcd's gateway reads it: the first JSON value counts
 * and what follows it is ignored; nothing at all is `{}`; a byte order mark, comments and trailing
 * commas are refused (recorded: exchanges `json-*`).
 */
import { BadMessage } from './bad-message.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new BadMessage('proto: syntax error: invalid UTF-8 in string');
  }
}

/** A number with more digits than a double holds, as it was written. */
export class LongNumber {
  readonly source: string;
  constructor(source: string) {
    this.source = source;
  }
}

/**
 * Numbers beyond 2^53 come as doubles, unless `keepDigits`: then as LongNumber. Few requests have
 * such a number, so the caller asks a second time when it meets one (json-message.ts).
 */
export function parseFirstValue(text: string, keepDigits = false): unknown {
  const reviver = keepDigits ? keepLongNumbers : undefined;
  try {
    return JSON.parse(text, reviver);
  } catch (error) {
    if (isBlank(text)) return {};
    const end = firstValueEnd(text);
    if (end === null) throw new BadMessage('unexpected EOF');
    try {
      return JSON.parse(text.slice(0, end), reviver);
    } catch {
      throw new BadMessage(error instanceof SyntaxError ? error.message : 'invalid JSON');
    }
  }
}

/** The texts of the JSON values that follow each other in `text`; the last one may be broken. */
export function* values(text: string): Generator<string, void> {
  for (let rest = text.trimStart(); rest !== ''; ) {
    const end = firstValueEnd(rest) ?? rest.length;
    yield rest.slice(0, end);
    rest = rest.slice(end).trimStart();
  }
}

// The third argument is ES2025 (JSON.parse source text access), not yet in the types.
function keepLongNumbers(_key: string, value: unknown, context?: { source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  return context?.source === undefined ? value : new LongNumber(context.source);
}

function isBlank(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (!isSpace(text.charCodeAt(i))) return false;
  }
  return true;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

/** Where the object or array that `text` begins with ends; null when it does not end. */
function firstValueEnd(text: string): number | null {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      i = stringEnd(text, i);
    } else if (char === '{' || char === '[') {
      depth += 1;
    } else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth <= 0) return i + 1;
    } else if (depth === 0 && !isSpace(text.charCodeAt(i))) {
      return text.length; // Neither object nor array: let the parser say what is wrong with it.
    }
  }
  return null;
}

/** Index of the quote that ends the string which begins at `start`. */
function stringEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const char = text[i];
    if (char === '\\') i += 1;
    else if (char === '"') return i;
  }
  return text.length;
}
