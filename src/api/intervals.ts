/**
 * Sets of half-open key intervals: does a put fall into a range that the same transaction deletes, does
 * what a user is granted cover what it asks for?
 *
 * Keys are held as binary strings (one UTF-16 unit per byte), whose `<` is the byte order of keys
 * and whose equality is cheap in a Map.
 */

/** `String.fromCharCode` takes its units as arguments; more than this at once overflows the stack. */
const unitsPerCall = 8192;

/** One UTF-16 unit per byte: compares with `<` like the bytes do. */
export function binaryString(bytes: Uint8Array): string {
  if (bytes.length <= unitsPerCall) return String.fromCharCode(...bytes);
  let text = '';
  for (let at = 0; at < bytes.length; at += unitsPerCall) {
    text += String.fromCharCode(...bytes.subarray(at, at + unitsPerCall));
  }
  return text;
}

/** Above every binary string: where an interval to the end of the key space ends. */
export const endOfKeys = '\u0100';

/** Disjoint intervals in ascending order; adjacent and overlapping ones are joined. */
export class IntervalSet {
  private begins: string[] = [];
  private ends: string[] = [];

  get size(): number {
    return this.begins.length;
  }

  /** Intervals in any order; an empty or inverted one ([b, a)) contains nothing and is dropped. */
  static of(intervals: readonly (readonly [begin: string, end: string])[]): IntervalSet {
    const sorted = intervals.filter(([begin, end]) => begin < end);
    sorted.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    const set = new IntervalSet();
    for (const [begin, end] of sorted) set.append(begin, end);
    return set;
  }

  has(key: string): boolean {
    const at = this.lastFrom(key);
    return at >= 0 && key < (this.ends[at] as string);
  }

  /** All of [begin, end); of an empty or inverted interval its begin. */
  covers(begin: string, end: string): boolean {
    const at = this.lastFrom(begin);
    const last = this.ends[at];
    return last !== undefined && begin < last && end <= last;
  }

  /** The last interval that begins at or before the key, the only one that can hold it; -1: none. */
  private lastFrom(key: string): number {
    let low = 0;
    let high = this.begins.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.begins[middle] as string) <= key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Adds all of `other`; linear in both, so that joining many siblings stays far from quadratic. */
  addAll(other: IntervalSet): void {
    if (other.size === 0) return;
    const { begins, ends } = this;
    this.begins = [];
    this.ends = [];
    let mine = 0;
    let theirs = 0;
    while (mine < begins.length || theirs < other.size) {
      const left = begins[mine];
      const right = other.begins[theirs];
      if (right === undefined || (left !== undefined && left <= right)) {
        this.append(left as string, ends[mine++] as string);
      } else {
        this.append(right, other.ends[theirs++] as string);
      }
    }
  }

  /** `begin` is at or after every begin so far. */
  private append(begin: string, end: string): void {
    const last = this.ends.length - 1;
    if (last >= 0 && begin <= (this.ends[last] as string)) {
      if (end > (this.ends[last] as string)) this.ends[last] = end;
      return;
    }
    this.begins.push(begin);
    this.ends.push(end);
  }
}
