/**
 * Changing the group's membership and leadership on behalf of a client (member.proto).
 *
 * Clients speak of places. A place that is no member is asked for the incarnation that it gives out:
 * only that can be added, and only a message that names it makes the place a member.
 */
import type { EtcdErrorName } from '../api/errors.ts';
import type { ChangeMembership } from '../api/gen/member_pb.js';
import { allMembers, type Configuration, isMember, sameMembers } from '../raft/configuration.ts';
import type { TransferResult } from '../raft/leadership.ts';
import type { MembershipRefusal, Target } from '../raft/membership.ts';
import type { MemberId } from '../raft/types.ts';
import type { GroupMember } from './group-member.ts';
import { placeOf } from './identity.ts';
import { askAgainMs, Places } from './places.ts';
import type { Platform } from './platform.ts';

export type ChangeOutcome = 'done' | 'notLeader' | 'unknown' | EtcdErrorName;

const refusals: Record<Exclude<MembershipRefusal, 'noChange'>, ChangeOutcome> = {
  notLeader: 'notLeader',
  notReady: 'Unhealthy',
  changeUnderWay: 'Unhealthy',
  transferUnderWay: 'Unhealthy',
  invalid: 'BadMembership',
  notLearner: 'LearnerNotReady',
  learnerBehind: 'LearnerNotReady',
  cannotApply: 'LearnerNotReady',
};

const overtaken = { ok: false, reason: 'changeUnderWay' } as const;

const transferRefusals: Record<Exclude<TransferResult, 'ok'>, ChangeOutcome> = {
  notLeader: 'notLeader',
  notVoter: 'BadLeaderTransferee',
  cannotApply: 'BadLeaderTransferee',
};

/** Whether whoever asks may; looked at where the change is made, for a new leader may learn only then of users. */
export type Permitted = () => EtcdErrorName | null;

/** What is wanted, given who the members are now: another change may have come before. Null: it cannot be had any more. */
export type TargetOf = (present: Configuration) => Target | null;

export class Membership {
  readonly places: Places;
  private readonly platform: Platform;
  private readonly group: GroupMember;

  constructor(platform: Platform, group: GroupMember) {
    this.platform = platform;
    this.group = group;
    this.places = new Places(platform, group);
  }

  /** 'done' when the new configuration is committed and simple; 'unknown' if not by the deadline. */
  async change(
    wanted: ChangeMembership,
    permitted: Permitted,
    deadline: number,
  ): Promise<ChangeOutcome> {
    const { group } = this;
    const early = permitted();
    if (early) return early;
    const members = allMembers(group.core.configuration);
    const [voters, learners] = await Promise.all([
      this.places.resolve(wanted.voters),
      this.places.resolve(wanted.learners),
    ]);
    if (!voters || !learners) return 'MemberUnreachable';
    const target = { voters, learners };
    if (!(await this.places.makeKnown(target))) return 'MemberUnreachable';
    // Who was a member when it was looked up, and is none any more, has been removed, and is never added again.
    const unlessRemoved = (next: Target) => (present: Configuration) => {
      const isRemoved = (id: MemberId) => members.includes(id) && !isMember(present, id);
      return [...next.voters, ...next.learners].some(isRemoved) ? null : next;
    };
    if (!wanted.stepwise) return this.changeTo(unlessRemoved(target), permitted, deadline);
    const present = group.core.configuration;
    const fresh = voters.filter((id) => !isMember(present, id));
    if (fresh.length > 0) {
      const joined = { voters: present.voters, learners: [...present.learners, ...fresh] };
      const outcome = await this.changeTo(unlessRemoved(joined), permitted, deadline);
      if (outcome !== 'done') return outcome;
    }
    return this.persist(unlessRemoved(target), permitted, deadline, deadline);
  }

  /**
   * Waits for a new leader's first commit, a change of somebody else's, or a learner that lacks the log: but
   * not beyond `patience`. What was once appended is not tried again.
   */
  async persist(
    targetOf: TargetOf,
    permitted: Permitted,
    deadline: number,
    patience: number,
  ): Promise<ChangeOutcome> {
    for (;;) {
      const refused = permitted();
      if (refused) return refused;
      const outcome = await this.changeTo(targetOf, permitted, deadline);
      const maySucceed = outcome === 'LearnerNotReady' || outcome === 'Unhealthy';
      if (!maySucceed || this.platform.now() + askAgainMs > patience) return outcome;
      await this.pause();
    }
  }

  private async changeTo(
    targetOf: TargetOf,
    permitted: Permitted,
    deadline: number,
  ): Promise<ChangeOutcome> {
    const { group } = this;
    let target = targetOf(group.core.configuration);
    const ask = () =>
      group.ask((core, now) => {
        target = targetOf(core.configuration);
        return target ? core.changeMembership(target, now) : overtaken;
      });
    let result = await ask();
    // A leader that was asleep until now has to hear of a quorum before it changes anything.
    const isNotReady = result && !result.ok && result.reason === 'notReady';
    if (isNotReady && (await group.hasQuorum(deadline))) {
      const refused = permitted();
      if (refused) return refused;
      result = await ask();
    }
    if (result === null) return 'notLeader';
    if (!result.ok) {
      const { reason } = result;
      return reason === 'noChange' ? this.whileLeading(deadline) : refusals[reason];
    }
    const { index, term } = result;
    let isDone = false;
    const isOver = () => {
      // Looked at in the turn itself: the next change may begin at once.
      const isSettled = this.isSettledAfter(index);
      isDone ||= isSettled && target !== null && isTarget(group.core.configuration, target);
      return isDone || isSettled || group.core.term !== term;
    };
    await group.until(isOver, deadline);
    return isDone ? 'done' : 'unknown';
  }

  /**
   * There is nothing to do, as far as this leader knows: 'done' if a quorum confirms that it is one. Others
   * may have replaced it, and changed the members since.
   */
  private async whileLeading(deadline: number): Promise<ChangeOutcome> {
    const { core } = this.group;
    const { term } = core;
    const outcome = await this.group.readPoint(deadline);
    switch (outcome) {
      case 'ready':
        return core.role === 'leader' && core.term === term ? 'done' : 'notLeader';
      case 'timeout':
        return 'Timeout';
      case 'overloaded':
        return 'TooManyRequests';
      case 'notLeader':
        return 'notLeader';
    }
  }

  private async pause(): Promise<void> {
    await this.group.until(() => false, this.platform.now() + askAgainMs);
  }

  private isSettledAfter(index: number): boolean {
    const { core } = this.group;
    return core.isConfigurationSettled && core.appliedIndex > index;
  }

  /** 'done' when another member is known to lead. */
  async transfer(place: number, permitted: Permitted, deadline: number): Promise<ChangeOutcome> {
    const { group } = this;
    const refused = permitted();
    if (refused) return refused;
    const to = allMembers(group.core.configuration).find((id) => placeOf(id) === place);
    if (!to) return 'BadLeaderTransferee';
    return this.transferTo(to, deadline);
  }

  async transferTo(to: MemberId, deadline: number): Promise<ChangeOutcome> {
    const { group } = this;
    const result = await group.ask((core, now) => core.transferLeader(to, now));
    if (result === null) return 'notLeader';
    if (result !== 'ok') return transferRefusals[result];
    if (to === group.self) return this.whileLeading(deadline);
    const { core } = group;
    const isOver = () => core.leader === to || !core.isTransferring;
    await group.until(isOver, deadline);
    // It campaigns, and has not made itself known yet.
    if (core.leader !== to)
      await group.until(() => core.leader === to || core.role === 'leader', deadline);
    return core.leader === to ? 'done' : 'Timeout';
  }
}

function isTarget({ voters, learners }: Configuration, wanted: Target): boolean {
  return sameMembers(voters, wanted.voters) && sameMembers(learners, wanted.learners);
}
