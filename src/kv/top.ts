/**
 * Keeps the first `limit` of the items offered, by a total order, in memory for `limit` items.
 * A binary heap with the last of the kept ones at its root, where the next one evicts it.
 */
export class Top<T> {
  private readonly limit: number;
  private readonly compare: (a: T, b: T) => number;
  private readonly heap: T[] = [];

  /** `limit` at least 1, or Infinity to keep all; `compare` never calls two items equal. */
  constructor(limit: number, compare: (a: T, b: T) => number) {
    this.limit = limit;
    this.compare = compare;
  }

  /** The item that no longer belongs to the first ones (perhaps the offered one), or undefined. */
  offer(item: T): T | undefined {
    if (this.limit === Number.POSITIVE_INFINITY || this.heap.length < this.limit) {
      this.heap.push(item);
      if (this.limit !== Number.POSITIVE_INFINITY) this.rise(this.heap.length - 1);
      return undefined;
    }
    const worst = this.heap[0] as T;
    if (this.compare(item, worst) > 0) return item;
    this.heap[0] = item;
    this.sink(0);
    return worst;
  }

  /** All kept items in order. The heap is used up. */
  sorted(): T[] {
    return this.heap.sort(this.compare);
  }

  private rise(from: number): void {
    const { heap } = this;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (this.compare(heap[at] as T, heap[parent] as T) <= 0) return;
      this.swap(at, parent);
      at = parent;
    }
  }

  private sink(from: number): void {
    const { heap } = this;
    let at = from;
    for (;;) {
      let largest = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < heap.length && this.compare(heap[child] as T, heap[largest] as T) > 0) {
          largest = child;
        }
      }
      if (largest === at) return;
      this.swap(at, largest);
      at = largest;
    }
  }

  private swap(a: number, b: number): void {
    const { heap } = this;
    const item = heap[a] as T;
    heap[a] = heap[b] as T;
    heap[b] = item;
  }
}
