/**
 * Finds the field that a message in JSON names twice, in either of its spellings. JSON.parse keeps the last
 * of equal names and says nothing, so the text is looked at once more: from string to string, and only at names of
 * fields. What is inside a field that nobody knows may be anything, as in etcd.
 */

/** A message's fields by name. */
export type FieldNames = ReadonlyMap<string, NamedField>;

export interface NamedField {
  /** One of 32, that no other field of the message has; both spellings have the same. */
  readonly bit: number;
  /** Of the message that is its value, or of each that is in its list. */
  readonly inside: FieldNames | null;
}

/** An object that has not ended. */
interface Open {
  readonly fields: FieldNames;
  /** Bits of the fields that were named. */
  seen: number;
  /** What an object is that begins now. */
  inside: FieldNames | null;
}

const quote = 0x22;
const colon = 0x3a;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

/**
 * The name of the second, as it was written, without quotes; null: each field is named once. `text`
 * begins with a JSON object that JSON.parse has read; what follows it is not looked at.
 */
export function fieldNamedTwice(text: string, root: FieldNames): string | null {
  const outer: Open[] = [];
  let open: Open = { fields: root, seen: 0, inside: root };
  let unknownDepth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === openBrace) {
      if (unknownDepth > 0 || open.inside === null) {
        unknownDepth += 1;
        continue;
      }
      outer.push(open);
      open = { fields: open.inside, seen: 0, inside: null };
    } else if (char === closeBrace) {
      if (unknownDepth > 0) {
        unknownDepth -= 1;
        continue;
      }
      open = outer.pop() as Open;
      if (outer.length === 0) return null;
    } else if (char === quote) {
      const start = at + 1;
      at = stringEnd(text, start);
      if (unknownDepth > 0 || !isName(text, at)) continue;
      const written = text.slice(start, at);
      const field = open.fields.get(written.includes('\\') ? unescaped(written) : written);
      open.inside = field?.inside ?? null;
      if (field === undefined) continue;
      if ((open.seen & field.bit) !== 0) return written;
      open.seen |= field.bit;
    }
  }
  return null;
}

/** Index of the quote that ends the string whose first character is at `start`. */
function stringEnd(text: string, start: number): number {
  for (let end = text.indexOf('"', start); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (before > start && text.charCodeAt(before - 1) === backslash) before -= 1;
    if ((end - before) % 2 === 0) return end;
  }
  return text.length;
}

/** Whether the string that ends at `end` is followed by a colon: no value is. */
function isName(text: string, end: number): boolean {
  for (let at = end + 1; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char > 0x20) return char === colon;
  }
  return false;
}

function unescaped(written: string): string {
  return JSON.parse(`"${written}"`) as string;
}
