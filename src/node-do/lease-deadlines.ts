/**
 * When each lease ends, in the memory of the member that leads. Pure: knows no clock and no storage.
 *
 * A lease waits for its deadline in a heap; from then on it is overdue until its expiry is proposed, and
 * again if that did not end it. Deadlines of one grant only move later, so one that has moved is put
 * right when it comes to the top of the heap, and keeping a lease alive costs no search.
 */
import type { Lease } from '../kv/state-machine.ts';

export interface Deadline {
  readonly id: bigint;
  /** Log index of the grant that it belongs to. */
  readonly grant: number;
  /** Wall time in milliseconds. */
  readonly at: number;
}

/** Places in the heap that may belong to leases which are gone. */
const sparePlaces = 64;

interface Waiting extends Deadline {
  at: number;
  /** Its place in the heap: at most `at`. */
  queuedAt: number;
}

export class LeaseDeadlines {
  private readonly byId = new Map<bigint, Waiting>();
  /** A binary heap by queuedAt; what `byId` does not hold any more is dropped at the top, or when
   * there is more of it than of the rest. */
  private readonly heap: Waiting[] = [];
  /** In the order in which they came to be. */
  private readonly overdue = new Set<Deadline>();
  private readonly proposed = new Set<Deadline>();

  find(id: bigint): Deadline | undefined {
    return this.byId.get(id);
  }

  /** The lease ends at `at`, or later if that was known already. */
  set({ id, grant }: Pick<Lease, 'id' | 'grant'>, at: number): void {
    const known = this.byId.get(id);
    if (known?.grant === grant) {
      known.at = Math.max(known.at, at);
      if (this.overdue.delete(known)) this.push(known);
      return;
    }
    this.remove(id);
    const deadline = { id, grant, at, queuedAt: at };
    this.byId.set(id, deadline);
    this.push(deadline);
  }

  /** It is ending, and only keys of it are left: due at once. */
  end(lease: Pick<Lease, 'id' | 'grant'>): void {
    this.remove(lease.id);
    this.set(lease, 0);
  }

  remove(id: bigint): void {
    const known = this.byId.get(id);
    if (!known) return;
    this.byId.delete(id);
    this.overdue.delete(known);
    this.proposed.delete(known);
    if (this.heap.length > 2 * this.byId.size + sparePlaces) this.forget();
  }

  /** A lease of a year that lived for a moment would keep its place for a year. */
  private forget(): void {
    for (const waiting of this.heap.splice(0))
      if (this.byId.get(waiting.id) === waiting) this.push(waiting);
  }

  /** The first that is still ahead. */
  get next(): number | null {
    this.settleTop();
    return this.heap[0]?.at ?? null;
  }

  /** Whether one has passed whose lease is still there. */
  get hasOverdue(): boolean {
    return this.overdue.size + this.proposed.size > 0;
  }

  isProposed(id: bigint): boolean {
    const known = this.byId.get(id);
    return known !== undefined && this.proposed.has(known);
  }

  get proposedCount(): number {
    return this.proposed.size;
  }

  /** Those whose deadline has passed and whose expiry is not proposed. */
  due(now: number): Iterable<Deadline> {
    for (let next = this.next; next !== null && next <= now; next = this.next) {
      const deadline = this.pop();
      if (deadline) this.overdue.add(deadline);
    }
    return this.overdue;
  }

  propose(deadline: Deadline): void {
    this.overdue.delete(deadline);
    this.proposed.add(deadline);
  }

  /** What became of the proposal is known: if the lease is still there, it is overdue again. */
  settle(deadline: Deadline): void {
    if (this.proposed.delete(deadline)) this.overdue.add(deadline);
  }

  /** Those that have moved later, and those that are gone, leave the top of the heap. */
  private settleTop(): void {
    for (let top = this.heap[0]; top; top = this.heap[0]) {
      const isCurrent = this.byId.get(top.id) === top;
      if (isCurrent && top.at === top.queuedAt) return;
      this.pop();
      if (isCurrent) this.push(top);
    }
  }

  private push(deadline: Waiting): void {
    const { heap } = this;
    deadline.queuedAt = deadline.at;
    let place = heap.length;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = heap[above];
      if (!other || other.queuedAt <= deadline.queuedAt) break;
      heap[place] = other;
      place = above;
    }
    heap[place] = deadline;
  }

  /** The last one takes the place of the first and sinks. */
  private pop(): Waiting | undefined {
    const { heap } = this;
    const top = heap[0];
    const last = heap.pop();
    if (!last || heap.length === 0) return top;
    let place = 0;
    for (let below = 1; below < heap.length; below = 2 * place + 1) {
      const right = heap[below + 1];
      if (right && right.queuedAt < (heap[below] as Waiting).queuedAt) below += 1;
      const first = heap[below] as Waiting;
      if (last.queuedAt <= first.queuedAt) break;
      heap[place] = first;
      place = below;
    }
    heap[place] = last;
    return top;
  }
}
