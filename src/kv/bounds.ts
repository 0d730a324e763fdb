/** The key interval that a request names by `key` and `range_end`, in etcd's notation. */

/** Half-open, in byte order. `end` null: up to the end of the key space. */
export interface Bounds {
  readonly start: Uint8Array;
  readonly end: Uint8Array | null;
  /** True when `range_end` was absent: exactly the key `start`. */
  readonly single: boolean;
}

/** An end at or before the start (unless it is "\0") makes an empty interval, not an error. */
export function boundsOf(key: Uint8Array, rangeEnd: Uint8Array): Bounds {
  if (rangeEnd.length === 0) return { start: key, end: keyAfter(key), single: true };
  const unbounded = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { start: key, end: unbounded ? null : rangeEnd, single: false };
}

/** The least key above `key`: nothing lies between them. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** Negative, zero or positive, in byte order; a prefix comes before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at += 1) {
    const difference = (a[at] as number) - (b[at] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
