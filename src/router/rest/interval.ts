/**
 * Which keys a list means: `prefix=`, or `start=` and `end=`. As etcd has it, an interval is a key
 * and a range end, and the end "\0" means "to the last key".
 */
import type { Params } from './params.ts';
import { Refusal } from './problems.ts';

export interface Interval {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

const zero = new Uint8Array(1);

/** Refuses a query that names none: the whole key space has to be asked for. */
export function intervalOf(params: Params): Interval {
  const prefix = params.bytes('prefix');
  const start = params.bytes('start');
  const end = params.bytes('end');
  if (prefix !== null) {
    if (start !== null || end !== null) {
      throw new Refusal('bad-request', 'give prefix, or start and end, not both');
    }
    return withPrefix(prefix);
  }
  if (start === null && end === null) {
    throw new Refusal('range-required', 'give prefix= (empty: every key), or start= and end=');
  }
  return between(start, end);
}

/** `start` is in, `end` is not; null leaves that side open. */
export function between(start: Uint8Array | null, end: Uint8Array | null): Interval {
  if (end !== null && end.length === 0) throw new Refusal('bad-request', 'end is empty');
  return {
    key: start === null || start.length === 0 ? zero : start,
    rangeEnd: end ?? zero,
  };
}

/** Refuses an interval that holds no key: whoever watches it would wait for ever. */
export function notEmpty(interval: Interval): Interval {
  const { key, rangeEnd } = interval;
  if (rangeEnd.length > 0 && !isOpen(rangeEnd) && compareBytes(key, rangeEnd) >= 0)
    throw new Refusal('bad-request', 'end comes after start');
  return interval;
}

export function withPrefix(prefix: Uint8Array): Interval {
  return prefix.length === 0
    ? { key: zero, rangeEnd: zero }
    : { key: prefix, rangeEnd: prefixEnd(prefix) };
}

/** The first key after every key that begins with `prefix`; "\0" when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    const byte = prefix[i] ?? 0;
    if (byte < 0xff) {
      const end = prefix.slice(0, i + 1);
      end[i] = byte + 1;
      return end;
    }
  }
  return zero;
}

/** The smallest key after `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

export function contains({ key, rangeEnd }: Interval, candidate: Uint8Array): boolean {
  return (
    compareBytes(candidate, key) >= 0 && (isOpen(rangeEnd) || compareBytes(candidate, rangeEnd) < 0)
  );
}

export function isOpen(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export function startsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return key.length >= prefix.length && compareBytes(key.subarray(0, prefix.length), prefix) === 0;
}

/** Where `part` first stands in `bytes` at or after `from`; -1 when it does not. */
export function indexOfBytes(bytes: Uint8Array, part: Uint8Array, from: number): number {
  for (let i = from; i + part.length <= bytes.length; i++) {
    if (compareBytes(bytes.subarray(i, i + part.length), part) === 0) return i;
  }
  return -1;
}
