/**
 * What clients wait for, each with a deadline, swept by one timer for all of them.
 *
 * A promise made here belongs to a Durable Object, whose requests share one I/O context: it may be
 * resolved by another request's turn.
 */
export interface Waiter {
  readonly deadline: number;
  /** The deadline has passed; must settle the waiter. */
  expire(): void;
}

export class WaitingRoom {
  private readonly waiters = new Set<Waiter>();
  private sweepAt: number | null = null;

  add(waiter: Waiter): void {
    this.waiters.add(waiter);
    if (this.sweepAt === null || waiter.deadline < this.sweepAt) this.sweepAt = waiter.deadline;
  }

  remove(waiter: Waiter): void {
    this.waiters.delete(waiter);
    // An empty room needs no timer: the member can rest.
    if (this.waiters.size === 0) this.sweepAt = null;
  }

  get nextDeadline(): number | null {
    return this.sweepAt;
  }

  sweep(now: number): void {
    if (this.sweepAt === null || now < this.sweepAt) return;
    let next: number | null = null;
    for (const waiter of [...this.waiters]) {
      if (waiter.deadline <= now) {
        this.remove(waiter);
        waiter.expire();
      } else if (next === null || waiter.deadline < next) next = waiter.deadline;
    }
    this.sweepAt = next;
  }
}
