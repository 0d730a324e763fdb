/**
 * Linearizable reads waiting for their read point: batched, so that a round to the quorum serves
 * all reads that came before it.
 *
 * A read's index is taken when its batch leaves, which is after the read came, so it is never too
 * old. Reads that are confirmed before their index is applied here wait for that.
 */
import type { LogIndex } from '../raft/types.ts';
import { Pacing } from './pacing.ts';

const queueMax = 10_000;

export type ReadOutcome = 'ready' | 'notLeader' | 'timeout' | 'overloaded';

export interface Read {
  readonly queuedAt: number;
  settle(outcome: ReadOutcome): void;
}

interface Batch {
  readonly since: number;
  /** The wall time then. */
  readonly askedAt: number;
  readonly reads: readonly Read[];
}

export class Reads {
  private queue: Read[] = [];
  private readonly underWay = new Map<number, Batch>();
  private confirmed: (Batch & { readonly index: LogIndex })[] = [];
  /** Whoever asked has stopped waiting. */
  private readonly withdrawn = new WeakSet<Read>();
  private readonly pacing = new Pacing();
  private nextBatch = 1;
  private shownAt: number | null = null;

  /**
   * Everything that was acknowledged before this time, on this member's clock, is in the state here: a
   * quorum has confirmed an index for reads that left then, and it is applied. Null: this life has
   * not heard of any.
   */
  get freshAt(): number | null {
    return this.shownAt;
  }

  /** False: too many wait already. */
  enqueue(read: Read): boolean {
    if (this.queue.length >= queueMax) return false;
    this.queue.push(read);
    return true;
  }

  withdraw(read: Read): void {
    const at = this.queue.indexOf(read);
    if (at !== -1) this.queue.splice(at, 1);
    else this.withdrawn.add(read);
  }

  leavesAt(now: number): number | null {
    const { queue } = this;
    return this.pacing.leavesAt(queue.length, queue[0]?.queuedAt ?? 0, this.underWay.size, now);
  }

  /** The whole queue leaves as one batch; its id is what the core is asked with. */
  takeBatch(now: number, askedAt: number): number {
    const batch = this.nextBatch;
    this.nextBatch += 1;
    this.pacing.left(this.queue.length);
    this.underWay.set(batch, { since: now, askedAt, reads: this.queue });
    this.queue = [];
    return batch;
  }

  confirm(id: number, index: LogIndex, now: number): void {
    const batch = this.underWay.get(id);
    if (!batch) return;
    this.underWay.delete(id);
    this.pacing.ended(now - batch.since);
    this.confirmed.push({ ...batch, index });
  }

  drop(id: number): void {
    const batch = this.underWay.get(id);
    this.underWay.delete(id);
    for (const read of batch?.reads ?? []) read.settle('notLeader');
  }

  /** This member has ended. */
  abandon(): void {
    this.failQueue();
    for (const batch of [...this.underWay.keys()]) this.drop(batch);
    for (const { reads } of this.confirmed.splice(0))
      for (const read of reads) read.settle('notLeader');
  }

  /** No leader is known here: nothing queued can be served. */
  failQueue(): void {
    for (const read of this.queue.splice(0)) read.settle('notLeader');
  }

  /** Everything up to `applied` is in the state machine. */
  settleUpTo(applied: LogIndex): void {
    if (this.confirmed.length === 0) return;
    // What a leader has confirmed may never come, if nothing else of it arrives here.
    const isWanted = (read: Read) => !this.withdrawn.has(read);
    const waiting = this.confirmed.filter(
      ({ index, reads }) => index > applied && reads.some(isWanted),
    );
    const ready = this.confirmed.filter(({ index }) => index <= applied);
    this.confirmed = waiting;
    for (const { reads, askedAt } of ready) {
      this.shownAt = Math.max(this.shownAt ?? askedAt, askedAt);
      for (const read of reads) read.settle('ready');
    }
  }
}
