/**
 * Sees to it that somebody ends the leases: the part of a member that does not lead.
 *
 * Its alarm stands after the earliest deadline that it knows of. Then it asks the leader when the
 * first lease ends now, and waits for that. Whoever asks wakes a leader that missed its own alarm;
 * if nobody leads, the question is a suspicion, so that somebody campaigns. An answer without a
 * lease ends the watch, and none at all makes the interval grow (consensus-rules.md 14).
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  MemberReplySchema,
  MemberRequestSchema,
  type NextDeadline,
  NextDeadlineSchema,
} from '../api/gen/member_pb.js';
import { protocolVersion } from '../api/limits.ts';
import type { LeaseChanges, StateMachine } from '../kv/state-machine.ts';
import type { MemberId } from '../raft/types.ts';
import type { Alarms } from './alarms.ts';
import { placeOf } from './identity.ts';
import { skewAllowanceMs } from './lease-clock.ts';
import type { Peers } from './peers.ts';
import type { Platform } from './platform.ts';

const graceMs = 2_000;
/** So that not all of them ask, and then campaign, at the same time. */
const graceOfRankMs = 1_000;
const askTimeoutMs = 4_000;
const findTimeoutMs = 10_000;

export interface Watched {
  readonly self: MemberId;
  readonly peers: Peers;
  /** Among the voters, from 0. */
  rank(): number;
  /** Another member that is known to lead, confirmed or not; null: none. */
  leaderHint(): MemberId | null;
  /** Has the leader checked, and replaced if nobody confirms it. */
  findLeader(deadline: number): Promise<MemberId | null>;
  /** A turn without input: it sets the alarm. */
  onAnswer(): void;
}

export class LeaseWatchdog {
  private readonly platform: Platform;
  private readonly alarms: Alarms;
  private readonly machine: StateMachine;
  private readonly watched: Watched;

  constructor(platform: Platform, alarms: Alarms, machine: StateMachine, watched: Watched) {
    this.platform = platform;
    this.alarms = alarms;
    this.machine = machine;
    this.watched = watched;
  }

  /** Within the transaction that holds the changes. */
  follow({ granted, reset }: LeaseChanges): void {
    // With a snapshot came leases whose deadlines nobody has told: the leader is asked soon.
    if (reset) this.lookSoon();
    for (const { ttl } of granted) this.watch(ttl * 1_000 + skewAllowanceMs);
    this.alarms.save();
  }

  /** For a member that knows no deadline: its office is over, or it rings and does not know why. */
  lookSoon(): void {
    if (this.machine.leasePage(null, 1).length > 0) this.watch(0);
  }

  /** At an alarm. */
  look(isDue: boolean): void {
    if (isDue) this.ask();
    else if (!this.alarms.isWatching) this.lookSoon();
  }

  private ask(): void {
    this.alarms.watchAsks();
    this.findDeadline()
      .catch(() => null)
      .then((answer) => {
        this.take(answer);
        this.watched.onAnswer();
      })
      // A turn that threw has ended this life and said why.
      .catch(() => {});
  }

  private take(answer: NextDeadline | null): void {
    // A leader that does not get its leases to end is asked less and less often, too.
    if (answer === null || answer.inMs === 0n) this.alarms.watchUnanswered();
    else if (answer.inMs === undefined) this.alarms.watchNext(null);
    else this.alarms.watchNext(this.platform.wallTime() + Number(answer.inMs) + this.grace);
  }

  private watch(inMs: number): void {
    this.alarms.watchFrom(this.platform.wallTime() + inMs + this.grace);
  }

  private get grace(): number {
    return graceMs + graceOfRankMs * this.watched.rank();
  }

  private async findDeadline(): Promise<NextDeadline | null> {
    const { self } = this.watched;
    const hint = this.watched.leaderHint();
    const answer = hint === null ? null : await this.askLeader(hint);
    if (answer) return answer;
    const leader = await this.watched.findLeader(this.platform.now() + findTimeoutMs);
    if (leader === null) return null;
    // Leading, this member has a clock, and nothing to watch.
    return leader === self ? create(NextDeadlineSchema) : this.askLeader(leader);
  }

  private async askLeader(leader: MemberId): Promise<NextDeadline | null> {
    const { peers } = this.watched;
    if (!peers.mayRelay) return null;
    const request = create(MemberRequestSchema, {
      protocol: protocolVersion,
      op: { case: 'askDeadline', value: {} },
      timeoutMs: askTimeoutMs,
    });
    const body = toBinary(MemberRequestSchema, request);
    try {
      const answer = await peers.relay(placeOf(leader), body, askTimeoutMs);
      const { outcome } = fromBinary(MemberReplySchema, answer);
      return outcome.case === 'response' ? fromBinary(NextDeadlineSchema, outcome.value) : null;
    } catch {
      return null;
    }
  }
}
