/**
 * Keep-alives of leases on their way: they are no entries of the log, and are confirmed like
 * linearizable reads.
 *
 * Rule 6: whether an expiry has been proposed is looked at when the confirmation arrives, in the turn
 * that writes the row and answers; one that finds its lease's expiry proposed waits for what becomes
 * of it. From its arrival on it holds that expiry back. What is confirmed together is one transaction.
 */
import type { Lease, StateMachine } from '../kv/state-machine.ts';
import type { LeaseClock } from './lease-clock.ts';
import type { Platform } from './platform.ts';
import type { ReadOutcome } from './reads.ts';

export type KeepAliveOutcome =
  /** The TTL of each in seconds; 0: there is no such lease. */
  | { readonly type: 'answered'; readonly ttls: readonly number[] }
  | { readonly type: 'refused'; readonly reason: Exclude<ReadOutcome, 'ready'> };

export interface KeepAlive {
  readonly ids: readonly bigint[];
  answer(outcome: KeepAliveOutcome): void;
}

export class KeepAlives {
  private readonly platform: Platform;
  private readonly machine: StateMachine;
  private readonly clock: LeaseClock;
  private readonly confirmed = new Set<KeepAlive>();
  /** How many wait for each lease. */
  private readonly waiting = new Map<bigint, number>();

  constructor(platform: Platform, machine: StateMachine, clock: LeaseClock) {
    this.platform = platform;
    this.machine = machine;
    this.clock = clock;
  }

  begin({ ids }: KeepAlive): void {
    for (const id of ids) this.waiting.set(id, this.waitingFor(id) + 1);
  }

  waitingFor(id: bigint): number {
    return this.waiting.get(id) ?? 0;
  }

  /** A quorum stands behind this leader, and what it had committed is applied here. */
  confirm(keepAlive: KeepAlive): void {
    this.confirmed.add(keepAlive);
  }

  refuse(keepAlive: KeepAlive, reason: Exclude<ReadOutcome, 'ready'>): void {
    this.settle(keepAlive, { type: 'refused', reason });
  }

  /** At the end of a turn: answers those of the confirmed that nothing stands in the way of. */
  look(): void {
    if (this.confirmed.size === 0) return;
    if (!this.clock.isRunning) {
      for (const keepAlive of [...this.confirmed]) this.refuse(keepAlive, 'notLeader');
      return;
    }
    const ready: [KeepAlive, Lease[]][] = [];
    for (const keepAlive of this.confirmed) {
      const leases = keepAlive.ids.map((id) => this.living(id));
      const isEnding = leases.some(({ id, ttl }) => ttl > 0 && this.clock.deadlines.isProposed(id));
      if (!isEnding) ready.push([keepAlive, leases]);
    }
    this.restart(ready.flatMap(([, leases]) => leases.filter(({ ttl }) => ttl > 0)));
    for (const [keepAlive, leases] of ready)
      this.settle(keepAlive, { type: 'answered', ttls: leases.map(({ ttl }) => ttl) });
  }

  private living(id: bigint): Lease {
    return this.machine.lease(id) ?? { id, ttl: 0, grant: 0 };
  }

  private restart(leases: readonly Lease[]): void {
    if (leases.length === 0) return;
    const byId = new Map(leases.map((lease) => [lease.id, lease]));
    // Before the answers: the gate holds them back until the rows are durable.
    this.platform.transaction(() => {
      for (const lease of byId.values()) this.clock.restart(lease);
    });
  }

  private settle(keepAlive: KeepAlive, outcome: KeepAliveOutcome): void {
    this.confirmed.delete(keepAlive);
    for (const id of keepAlive.ids) {
      const left = this.waitingFor(id) - 1;
      if (left > 0) this.waiting.set(id, left);
      else this.waiting.delete(id);
    }
    keepAlive.answer(outcome);
  }
}
