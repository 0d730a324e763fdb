/**
 * Group commit: proposals that arrive while the pipeline is busy leave together, as one entry.
 * Pacing decides when; this file owns the queue, its bounds, and who waits for which entry.
 */
import { maxBatchBytes } from '../api/limits.ts';
import type { Entry, LogIndex, Term } from '../raft/types.ts';
import { Pacing } from './pacing.ts';

const queueMax = 4_096;
const queueBytesMax = 16 * 1024 * 1024;

export interface Proposal {
  readonly command: Uint8Array;
  readonly queuedAt: number;
  /** Set once the proposal is in the core: from then on its outcome may be unknown. */
  proposed: boolean;
  /** The commands of the entry are applied; `at` is this command's place in the batch. */
  settle(outcome: ProposalOutcome): void;
}

export type ProposalOutcome =
  | { readonly type: 'applied'; readonly at: number; readonly results: readonly unknown[] }
  | { readonly type: 'notProposed' }
  | { readonly type: 'unknown' };

interface UnderWay {
  readonly term: Term;
  readonly since: number;
  readonly proposals: readonly Proposal[];
  /** False while the core withholds the entry (consensus-rules.md 13): neither saved nor sent. */
  appended: boolean;
}

export class Proposals {
  private readonly queue: Proposal[] = [];
  private queueBytes = 0;
  private readonly underWay = new Map<LogIndex, UnderWay>();
  private readonly pacing = new Pacing();
  /** With so many uncommitted entries the core took no more; 0: it would. */
  private refusedAt = 0;

  /** Commands that wait to leave, or for what becomes of their entry. */
  get size(): number {
    let count = this.queue.length;
    for (const { proposals } of this.underWay.values()) count += proposals.length;
    return count;
  }

  /** False: too much waits already. */
  enqueue(proposal: Proposal): boolean {
    const bytes = this.queueBytes + proposal.command.length;
    if (this.queue.length >= queueMax || (this.queue.length > 0 && bytes > queueBytesMax))
      return false;
    this.queue.push(proposal);
    this.queueBytes = bytes;
    return true;
  }

  /** When the queue may leave, given the leader's uncommitted entries; null: not now. */
  leavesAt(uncommittedEntries: number, now: number): number | null {
    // What the core had no room for it has no room for until something is committed: asking again
    // at once would spin until then.
    if (this.refusedAt > 0 && uncommittedEntries >= this.refusedAt) return null;
    this.refusedAt = 0;
    return this.pacing.leavesAt(
      this.queue.length,
      this.queue[0]?.queuedAt ?? 0,
      uncommittedEntries,
      now,
    );
  }

  /** Takes the next batch off the queue: at least one command, about `maxBatchBytes` at most. */
  takeBatch(): Proposal[] {
    let bytes = 0;
    let count = 0;
    for (const { command } of this.queue) {
      bytes += command.length;
      if (count > 0 && bytes > maxBatchBytes) break;
      this.queueBytes -= command.length;
      count += 1;
    }
    return this.queue.splice(0, count);
  }

  /** The core has too much uncommitted to take the batch: it waits at the front of the queue. */
  putBack(batch: readonly Proposal[], uncommittedEntries: number): void {
    this.refusedAt = uncommittedEntries;
    this.queue.unshift(...batch);
    for (const { command } of batch) this.queueBytes += command.length;
  }

  track(index: LogIndex, term: Term, proposals: readonly Proposal[], now: number): void {
    this.pacing.left(proposals.length);
    for (const proposal of proposals) proposal.proposed = true;
    this.underWay.set(index, { term, since: now, proposals, appended: false });
  }

  /** What a take of this member, which leads, has added to its log. */
  appended(entries: readonly Entry[]): void {
    for (const { index, term } of entries) {
      const entry = this.underWay.get(index);
      if (entry?.term === term) entry.appended = true;
    }
  }

  /** Entry (index, term) is applied here with these results, whoever led when it committed. */
  settle(index: LogIndex, term: Term, results: readonly unknown[], now: number): void {
    const entry = this.underWay.get(index);
    if (!entry) return;
    this.underWay.delete(index);
    if (entry.term === term) this.pacing.ended(now - entry.since);
    for (const [at, proposal] of entry.proposals.entries()) {
      // Another leader's entry took the place. What became of ours is called unknown: a deposed
      // leader's entry is never reported as dropped (consensus-rules.md 1).
      proposal.settle(entry.term === term ? { type: 'applied', at, results } : { type: 'unknown' });
    }
  }

  /** This member has ended, or has skipped the entries up to `index`: nobody can say what became
   * of what was under way. */
  abandon(index: LogIndex = Number.POSITIVE_INFINITY): void {
    for (const [at, { proposals }] of [...this.underWay]) {
      if (at > index) continue;
      this.underWay.delete(at);
      for (const proposal of proposals) proposal.settle({ type: 'unknown' });
    }
  }

  /**
   * This member does not lead: what has not reached the core's log was certainly not proposed. Of a
   * leader that was set back, another entry of the same index and term may arrive in its place.
   */
  failQueue(): void {
    this.queueBytes = 0;
    for (const proposal of this.queue.splice(0)) proposal.settle({ type: 'notProposed' });
    for (const [index, { appended, proposals }] of this.underWay) {
      if (appended) continue;
      this.underWay.delete(index);
      for (const proposal of proposals) proposal.settle({ type: 'notProposed' });
    }
  }

  /** The client has stopped waiting for a proposal that is still queued. */
  withdraw(proposal: Proposal): void {
    const at = this.queue.indexOf(proposal);
    if (at === -1) return;
    this.queue.splice(at, 1);
    this.queueBytes -= proposal.command.length;
  }
}
