/**
 * The states that were seen, as 64 bit hashes in open addressing, each with the state it was first
 * reached from. 16 to 32 bytes a state.
 */

export class Visited {
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** The state before it on a shortest path; -1: a start. */
  readonly parent: Int32Array;
  count = 0;
  /** Number of the state plus one; 0 is empty. */
  private readonly slots: Int32Array;
  private readonly mask: number;

  constructor(statesMax: number) {
    this.low = new Int32Array(statesMax);
    this.high = new Int32Array(statesMax);
    this.parent = new Int32Array(statesMax);
    const size = 2 ** Math.ceil(Math.log2(statesMax * 2));
    this.slots = new Int32Array(size);
    this.mask = size - 1;
  }

  get isFull(): boolean {
    return this.count === this.low.length;
  }

  /** The number of the new state, or -1 when it was known. */
  add(low: number, high: number, parent: number): number {
    let slot = (low ^ Math.imul(high, 0x9e3779b1)) & this.mask;
    for (;;) {
      const number = (this.slots[slot] ?? 0) - 1;
      if (number === -1) break;
      if (this.low[number] === low && this.high[number] === high) return -1;
      slot = (slot + 1) & this.mask;
    }
    const number = this.count;
    this.slots[slot] = number + 1;
    this.low[number] = low;
    this.high[number] = high;
    this.parent[number] = parent;
    this.count += 1;
    return number;
  }

  /** From a start to `number`. */
  pathTo(number: number): number[] {
    const path: number[] = [];
    for (let at = number; at !== -1; at = this.parent[at] ?? -1) path.push(at);
    return path.toReversed();
  }
}
