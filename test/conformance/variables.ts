/**
 * Values that later exchanges need from earlier answers: `${name}` and `${name+1}` in what is sent
 * are replaced by what was captured, and captured values are put back as `${name}` in answers, so
 * that a recording does not depend on them.
 */
import type { Json } from './exchange.ts';

/** Shorter values would be found inside unrelated text. */
const shortestPutBack = 6;

export type Variables = Map<string, Json>;

export function substitute(text: string, variables: Variables): string {
  return text.replace(/\$\{(\w+)([+-]\d+)?\}/g, (whole, name: string, offset?: string) => {
    const value = variables.get(name);
    if (value === undefined) return whole;
    return offset === undefined ? String(value) : String(BigInt(String(value)) + BigInt(offset));
  });
}

export function putBack(text: string, variables: Variables): string {
  let result = text;
  for (const [name, value] of variables) {
    if (typeof value === 'string' && value.length >= shortestPutBack) {
      result = result.replaceAll(value, `\${${name}}`);
    }
  }
  return result;
}

/** The same value with every string in it changed. */
export function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, mapStrings(item, change)]),
  );
}

/** What stands at a dotted path, or undefined. */
export function dig(value: Json, path: string): Json | undefined {
  let found: Json | undefined = value;
  for (const part of path.split('.')) {
    if (Array.isArray(found)) found = found[Number(part)];
    else if (found !== null && typeof found === 'object') found = found[part];
    else return undefined;
  }
  return found;
}
