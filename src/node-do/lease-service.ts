/**
 * The requests about leases that are no commands (member.proto), served by the leader: keep-alives,
 * time to live, the list, and what another member's watchdog asks.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import {
  LeaseKeepAliveRepliesSchema,
  type MemberReply,
  NextDeadlineSchema,
} from '../api/gen/member_pb.js';
import {
  LeaseKeepAliveResponseSchema,
  LeaseLeasesResponseSchema,
  type LeaseTimeToLiveRequest,
  LeaseTimeToLiveResponseSchema,
} from '../api/gen/rpc_pb.js';
import { anyUser, type Needs, needsOfLeases } from '../kv/auth/needs.ts';
import type { Lease } from '../kv/state-machine.ts';
import type { GroupMember } from './group-member.ts';
import { skewAllowanceMs } from './lease-clock.ts';
import type { Platform } from './platform.ts';
import type { ReadOutcome } from './reads.ts';
import { failure, type Replies, reply } from './replies.ts';

const leasesPerPage = 1_000;
/** How long a watchdog waits here for what is due to end. */
const settleMs = 2_000;

export type LeaseOutcome = MemberReply | Exclude<ReadOutcome, 'ready'>;

/** Whether whoever asks may do what needs this. */
type Permitted = (needs: Needs) => EtcdErrorName | null;

export class LeaseService {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly replies: Replies;

  constructor(platform: Platform, group: GroupMember, replies: Replies) {
    this.platform = platform;
    this.group = group;
    this.replies = replies;
  }

  /** A response for each id; one without a TTL where there is no such lease. */
  async keepAlive(
    ids: readonly bigint[],
    permitted: Permitted,
    deadline: number,
  ): Promise<LeaseOutcome> {
    const refused = permitted(anyUser);
    if (refused) return failure(refused);
    const denials = ids.map((id) => permitted(needsOfLeases('write', [id])));
    const at = denials.findIndex((denial) => denial !== null);
    // As etcd, which takes one after the other: those before it are kept alive.
    const allowed = at < 0 ? ids : ids.slice(0, at);
    const outcome = await this.group.keepAlive(allowed, deadline);
    if (outcome.type === 'refused') return outcome.reason;
    this.group.counters.totals.leasesRenewed += outcome.ttls.filter((ttl) => ttl > 0).length;
    const responses = allowed.map((ID, place) => {
      const TTL = BigInt(outcome.ttls[place] ?? 0);
      return this.replies.atRevision(create(LeaseKeepAliveResponseSchema, { ID, TTL }));
    });
    const all = create(LeaseKeepAliveRepliesSchema, { responses, error: denials[at] ?? '' });
    return reply(toBinary(LeaseKeepAliveRepliesSchema, all));
  }

  async timeToLive(
    request: LeaseTimeToLiveRequest,
    permitted: Permitted,
    deadline: number,
  ): Promise<LeaseOutcome> {
    const point = await this.readPoint(deadline);
    if (point !== 'ready') return point;
    const { ID, keys } = request;
    const refused = permitted(keys ? needsOfLeases('read', [ID]) : anyUser);
    if (refused) return failure(refused);
    const response = create(LeaseTimeToLiveResponseSchema, { ID, TTL: -1n });
    const lease = this.group.machine.lease(ID);
    if (lease && lease.ttl > 0) {
      response.TTL = BigInt(this.remaining(lease));
      response.grantedTTL = BigInt(lease.ttl);
      if (keys) response.keys = await this.keysOf(lease);
    }
    return this.replies.current(LeaseTimeToLiveResponseSchema, response);
  }

  private async keysOf({ id }: Lease): Promise<Uint8Array[]> {
    const pages = this.group.machine.leaseKeys(id);
    for (;;) {
      const step = pages.next();
      if (step.done) return step.value;
      await this.platform.yieldTurn();
    }
  }

  /** Those that end first come first, as in etcd. */
  async list(permitted: Permitted, deadline: number): Promise<LeaseOutcome> {
    const point = await this.readPoint(deadline);
    if (point !== 'ready') return point;
    const leases: Lease[] = [];
    for (let after: bigint | null = null; ; ) {
      const page: Lease[] = this.group.machine.leasePage(after, leasesPerPage);
      leases.push(...page.filter(({ ttl }) => ttl > 0));
      after = page.at(-1)?.id ?? null;
      if (page.length < leasesPerPage) break;
      await this.platform.yieldTurn();
    }
    const refused = permitted(
      needsOfLeases(
        'read',
        leases.map(({ id }) => id),
      ),
    );
    if (refused) return failure(refused);
    leases.sort((a, b) => this.endOf(a) - this.endOf(b));
    const response = create(LeaseLeasesResponseSchema, {
      leases: leases.map(({ id }) => ({ ID: id })),
    });
    return this.replies.current(LeaseLeasesResponseSchema, response);
  }

  /**
   * Encoded NextDeadline, when what is due has ended. Not confirmed by a quorum: a leader that is
   * none any more finds out when it lets that lease expire.
   */
  async nextDeadline(deadline: number): Promise<LeaseOutcome> {
    const { clock } = this.group.leases;
    const isSettled = () => !clock.isLoading && !clock.deadlines.hasOverdue;
    // A life that this question began takes its office up again in a turn.
    await this.group.ask(() => {});
    await this.group.until(isSettled, Math.min(deadline, this.platform.now() + settleMs));
    if (!clock.isRunning) return 'notLeader';
    const answer = create(NextDeadlineSchema);
    const { next } = clock.deadlines;
    if (!isSettled()) answer.inMs = 0n;
    else if (next !== null) answer.inMs = BigInt(Math.max(0, next - this.platform.wallTime()));
    return reply(toBinary(NextDeadlineSchema, answer));
  }

  /** Deadlines are the leader's to tell, and a leader has all of them only once they are read. */
  private async readPoint(deadline: number): Promise<ReadOutcome> {
    const { clock } = this.group.leases;
    const outcome = await this.group.readPoint(deadline);
    if (outcome !== 'ready') return outcome;
    if (!(await this.group.until(() => !clock.isLoading, deadline))) return 'timeout';
    return clock.isRunning ? 'ready' : 'notLeader';
  }

  /** Whole seconds, as etcd counts them; one whose expiry is on its way has none left. */
  private remaining(lease: Lease): number {
    const leftMs = this.endOf(lease) - skewAllowanceMs - this.platform.wallTime();
    return Math.max(0, Math.floor(leftMs / 1_000));
  }

  private endOf({ id }: Lease): number {
    return this.group.leases.clock.deadlines.find(id)?.at ?? 0;
  }
}
