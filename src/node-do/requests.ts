/**
 * What clients wait for at a member: commands, read points and keep-alives, each until its deadline. Whatever comes
 * first, an answer or the deadline, settles it once.
 */
import type { EtcdErrorName } from '../api/errors.ts';
import type { CommandResult } from '../kv/state-machine.ts';
import type { RaftCore } from '../raft/core.ts';
import type { Counters } from './counters.ts';
import type { KeepAlive, KeepAliveOutcome, KeepAlives } from './keep-alives.ts';
import type { Platform } from './platform.ts';
import type { Proposal, ProposalOutcome, Proposals } from './proposals.ts';
import type { Read, ReadOutcome, Reads } from './reads.ts';
import type { WaitingRoom } from './waiting.ts';

export type ProposeOutcome =
  | { readonly type: 'applied'; readonly result: CommandResult }
  | { readonly type: 'notProposed' }
  | { readonly type: 'unknown' }
  | { readonly type: 'refused'; readonly error: EtcdErrorName };

/** The member that they wait at. */
interface At {
  readonly core: Pick<RaftCore, 'role'>;
  /** It can apply what is committed. */
  readonly canServe: boolean;
  /** It is a member no more, and takes no turns. */
  readonly isOver: boolean;
  /** It leads, or knows whom to ask. */
  readonly mayRead: boolean;
  /** A turn, in which the queues are looked at. */
  rest(): void;
}

interface Queues {
  readonly room: WaitingRoom;
  readonly proposals: Proposals;
  readonly reads: Reads;
  readonly keepAlives: KeepAlives;
}

export class Requests {
  private readonly member: At;
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly room: WaitingRoom;
  private readonly proposals: Proposals;
  private readonly reads: Reads;
  private readonly keepAlives: KeepAlives;

  constructor(member: At, platform: Platform, counters: Counters, queues: Queues) {
    this.member = member;
    this.platform = platform;
    this.counters = counters;
    this.room = queues.room;
    this.proposals = queues.proposals;
    this.reads = queues.reads;
    this.keepAlives = queues.keepAlives;
  }

  /** A member that has ended may think that it leads, and nothing that waited there would ever be looked at. */
  private get mayLead(): boolean {
    return this.member.core.role === 'leader' && !this.member.isOver;
  }

  /** Replicates one command. Resolves when it is applied here, or its deadline has passed. */
  propose(command: Uint8Array, deadline: number): Promise<ProposeOutcome> {
    return new Promise((resolve) => {
      const waiter = {
        deadline,
        expire: () => {
          if (!proposal.proposed) this.proposals.withdraw(proposal);
          resolve(proposal.proposed ? { type: 'unknown' } : { type: 'refused', error: 'Timeout' });
        },
      };
      const proposal: Proposal = {
        command,
        queuedAt: this.platform.now(),
        proposed: false,
        settle: (outcome) => {
          this.room.remove(waiter);
          resolve(toProposeOutcome(outcome));
        },
      };
      if (!this.member.canServe) resolve({ type: 'refused', error: 'NotCapable' });
      else if (!this.mayLead) resolve({ type: 'notProposed' });
      else if (!this.proposals.enqueue(proposal))
        resolve({ type: 'refused', error: 'TooManyRequests' });
      else {
        this.counters.proposals += 1;
        this.room.add(waiter);
        this.member.rest();
      }
    });
  }

  /**
   * Resolves 'ready' when the state here is at least as new as everything acknowledged before the
   * call. Must be called in an event that arrived on this life (design.md section 4).
   */
  readPoint(deadline: number): Promise<ReadOutcome> {
    return new Promise((resolve) => this.beginRead(deadline, resolve));
  }

  private beginRead(deadline: number, settle: (outcome: ReadOutcome) => void): void {
    const waiter = {
      deadline,
      expire: () => {
        this.reads.withdraw(read);
        this.counters.totals.failedReads += 1;
        settle('timeout');
      },
    };
    const read: Read = {
      queuedAt: this.platform.now(),
      settle: (outcome) => {
        this.room.remove(waiter);
        settle(outcome);
      },
    };
    if (!this.member.mayRead) settle('notLeader');
    else if (!this.reads.enqueue(read)) settle('overloaded');
    else {
      this.counters.reads += 1;
      this.room.add(waiter);
      this.member.rest();
    }
  }

  /**
   * Gives these leases their whole TTL again, confirmed like a linearizable read; like one it must be
   * called in an event that arrived on this life. Only the leader does it.
   */
  keepAlive(ids: readonly bigint[], deadline: number): Promise<KeepAliveOutcome> {
    return new Promise((resolve) => {
      const { keepAlives } = this;
      const waiter = { deadline, expire: () => keepAlives.refuse(keepAlive, 'timeout') };
      const keepAlive: KeepAlive = {
        ids,
        answer: (outcome) => {
          this.room.remove(waiter);
          resolve(outcome);
        },
      };
      keepAlives.begin(keepAlive);
      if (!this.mayLead) keepAlives.refuse(keepAlive, 'notLeader');
      else
        this.beginRead(deadline, (outcome) => {
          if (outcome !== 'ready') return keepAlives.refuse(keepAlive, outcome);
          // It may have to wait for what becomes of a proposed expiry.
          this.room.add(waiter);
          keepAlives.confirm(keepAlive);
        });
    });
  }
}

function toProposeOutcome(outcome: ProposalOutcome): ProposeOutcome {
  if (outcome.type !== 'applied') return outcome;
  const result = outcome.results[outcome.at] as CommandResult | undefined;
  // Committed, but this member could not apply it: others may have.
  return result ? { type: 'applied', result } : { type: 'unknown' };
}
