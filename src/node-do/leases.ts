/**
 * Leases at one member: at the leader their deadlines, the keep-alives and the expiries that it proposes
 * (docs/decisions/leases.md). Its clock is only the trigger: a lease ends by an entry of the log.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../api/gen/command_pb.js';
import type { StateMachine } from '../kv/state-machine.ts';
import { KeepAlives } from './keep-alives.ts';
import { LeaseClock } from './lease-clock.ts';
import type { Deadline } from './lease-deadlines.ts';
import type { Platform } from './platform.ts';
import type { Proposals } from './proposals.ts';

/** Expiries under way at a time: each ends a lease and its keys, in a turn of every member. */
const proposedMax = 64;
/** Leases that end close together share an alarm. */
const alarmGridMs = 500;
/** A keep-alive that is not confirmed by then holds the expiry of its lease back no longer. */
const heldBackMs = 2_000;
/** One whose expiry did not end it, or found no room among the proposals. */
const againMs = 20;

export class Leases {
  readonly clock: LeaseClock;
  readonly keepAlives: KeepAlives;
  private readonly platform: Platform;
  private readonly proposals: Proposals;

  constructor(
    platform: Platform,
    machine: StateMachine,
    proposals: Proposals,
    onLoaded: () => void,
  ) {
    this.platform = platform;
    this.proposals = proposals;
    this.clock = new LeaseClock(platform, machine, onLoaded);
    this.keepAlives = new KeepAlives(platform, machine, this.clock);
  }

  /** This member has ended. */
  stop(): void {
    this.clock.hold(null);
    this.keepAlives.look();
  }

  /** Proposes the expiry of what is due. An expiry names the grant that it ends (rule 6). */
  proposeDue(): void {
    if (!this.clock.isRunning) return;
    const now = this.platform.wallTime();
    const { deadlines } = this.clock;
    for (const deadline of deadlines.due(now)) {
      if (deadlines.proposedCount >= proposedMax) return;
      if (this.isHeldBack(deadline, now)) continue;
      if (!this.propose(deadline)) return;
    }
  }

  private propose(deadline: Deadline): boolean {
    const { id, grant } = deadline;
    const { deadlines } = this.clock;
    const value = { id, grant: BigInt(grant) };
    const command = toBinary(
      CommandSchema,
      create(CommandSchema, { op: { case: 'leaseExpire', value } }),
    );
    const isTaken = this.proposals.enqueue({
      command,
      queuedAt: this.platform.now(),
      proposed: false,
      // Whatever became of it: a lease that is still there is due again.
      settle: () => deadlines.settle(deadline),
    });
    if (isTaken) deadlines.propose(deadline);
    return isTaken;
  }

  private isHeldBack({ id, at }: Deadline, now: number): boolean {
    return now < at + heldBackMs && this.keepAlives.waitingFor(id) > 0;
  }

  /** When, in the time of this life, an overdue lease is to be looked at again if nothing else happens. */
  nextDeadline(): number | null {
    const { deadlines } = this.clock;
    const now = this.platform.wallTime();
    let earliest: number | null = null;
    for (const deadline of deadlines.due(now)) {
      // What becomes of those that are under way is an event.
      if (deadlines.proposedCount >= proposedMax) return null;
      const at = this.isHeldBack(deadline, now) ? deadline.at + heldBackMs : now + againMs;
      if (earliest === null || at < earliest) earliest = at;
    }
    return earliest === null ? null : this.platform.now() + (earliest - now);
  }

  /** When the alarm is to ring for the first lease that ends; null: there is none. */
  alarmAt(): number | null {
    const { deadlines } = this.clock;
    deadlines.due(this.platform.wallTime());
    const { next } = deadlines;
    return next === null ? null : Math.ceil(next / alarmGridMs) * alarmGridMs;
  }
}
