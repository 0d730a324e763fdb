/**
 * Changing the group's membership and leadership on behalf of a client (member.proto).
 *
 * Clients speak of places. A place that is no member is asked for the incarnation that it gives out:
 * only that can be added, and only a message that names it makes the place a member.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import type { ChangeMembership } from '../api/gen/member_pb.js';
import {
  type BirthAnswer,
  BirthAnswerSchema,
  BirthQuestionSchema,
  Tombstone_Kind,
} from '../api/gen/peer_pb.js';
import { foundingPlaces } from '../api/limits.ts';
import { allMembers, type Configuration, sameMembers } from '../raft/configuration.ts';
import type { TransferResult } from '../raft/leadership.ts';
import type { MembershipRefusal, Target } from '../raft/membership.ts';
import type { MemberId } from '../raft/types.ts';
import { toWireConfiguration, toWireMember } from './codec.ts';
import type { GroupMember } from './group-member.ts';
import { memberId, placeOf } from './identity.ts';
import type { Platform } from './platform.ts';

const askTimeoutMs = 2_000;
/** Of the founding places, before the membership changes: any one of them may lose its storage. */
const knowingPlacesMin = 2;
/** A place that has yet to learn that it was removed, or a learner that lacks the log. */
const askAttempts = 8;
const askAgainMs = 250;

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

const transferRefusals: Record<Exclude<TransferResult, 'ok'>, ChangeOutcome> = {
  notLeader: 'notLeader',
  notVoter: 'BadLeaderTransferee',
  cannotApply: 'BadLeaderTransferee',
};

/** Whether whoever asks may; looked at where the change is made, for a new leader may learn only then of users. */
type Permitted = () => EtcdErrorName | null;

export class Membership {
  private readonly platform: Platform;
  private readonly group: GroupMember;

  constructor(platform: Platform, group: GroupMember) {
    this.platform = platform;
    this.group = group;
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
    const voters = await this.resolve(wanted.voters);
    const learners = await this.resolve(wanted.learners);
    if (!voters || !learners) return 'MemberUnreachable';
    const target = { voters, learners };
    if (!(await this.makeKnown(target))) return 'MemberUnreachable';
    if (!wanted.stepwise) return this.changeTo(target, permitted, deadline);
    const present = group.core.configuration;
    const fresh = voters.filter((id) => !allMembers(present).includes(id));
    if (fresh.length > 0) {
      const joined = { voters: present.voters, learners: [...present.learners, ...fresh] };
      const outcome = await this.changeTo(joined, permitted, deadline);
      if (outcome !== 'done') return outcome;
    }
    for (;;) {
      const refused = permitted();
      if (refused) return refused;
      const outcome = await this.changeTo(target, permitted, deadline);
      // A new leader, a change of somebody else's, or a learner that lacks the log: wait.
      const maySucceed = outcome === 'LearnerNotReady' || outcome === 'Unhealthy';
      if (!maySucceed || this.platform.now() + askAgainMs > deadline) return outcome;
      await this.pause();
    }
  }

  private async changeTo(
    target: Target,
    permitted: Permitted,
    deadline: number,
  ): Promise<ChangeOutcome> {
    const { group } = this;
    const ask = () => group.ask((core, now) => core.changeMembership(target, now));
    let result = await ask();
    // A leader that was asleep until now has to hear of a quorum before it changes anything.
    if (!result.ok && result.reason === 'notReady' && (await group.hasQuorum(deadline))) {
      const refused = permitted();
      if (refused) return refused;
      result = await ask();
    }
    if (!result.ok) {
      const { reason } = result;
      return reason === 'noChange' ? this.whileLeading(deadline) : refusals[reason];
    }
    const { index, term } = result;
    const isOver = () => this.isSettledAfter(index) || group.core.term !== term;
    await group.until(isOver, deadline);
    const isDone = this.isSettledAfter(index) && isTarget(group.core.configuration, target);
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
    const result = await group.ask((core, now) => core.transferLeader(to, now));
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

  /**
   * Tells the founding places where the group lives, and will live. A group may leave them all, and whoever
   * founded one has no other way to know of it (docs/decisions/birth.md). False: too few of them know.
   */
  private async makeKnown({ voters, learners }: Target): Promise<boolean> {
    const { core, birth, self } = this.group;
    const present = core.configuration;
    const members = toWireConfiguration({
      voters: [...new Set([...present.voters, ...voters])],
      outgoing: [],
      learners: [...new Set([...present.learners, ...learners])],
    });
    const question = create(BirthQuestionSchema, { groupId: birth.groupId, members });
    const body = toBinary(BirthQuestionSchema, question);
    const others = foundingPlaces.filter((place) => place !== placeOf(self));
    const answers = await Promise.all(others.map((place) => this.call(place, body)));
    const known = answers.filter((answer) => answer && isKnowing(answer)).length;
    return known + foundingPlaces.length - others.length >= knowingPlacesMin;
  }

  private async resolve(places: readonly number[]): Promise<MemberId[] | null> {
    const ids = await Promise.all(places.map((place) => this.resolveOne(place)));
    const known = ids.filter((id) => id !== null);
    return known.length === ids.length ? known : null;
  }

  private async resolveOne(place: number): Promise<MemberId | null> {
    const { core, birth, self } = this.group;
    const member = allMembers(core.configuration).find((id) => placeOf(id) === place);
    if (member) return member;
    const question = { groupId: birth.groupId, leader: toWireMember(self) };
    const body = toBinary(BirthQuestionSchema, create(BirthQuestionSchema, question));
    for (let attempt = 0; attempt < askAttempts; attempt += 1) {
      const answer = await this.askPlace(place, body);
      if (answer === 'other') return null;
      if (answer !== 'former') return memberId(place, answer);
      // It slept through its removal, and is asking us about it now. A removed incarnation is never
      // added again: what it finds in the log would tell it that it is removed.
      await this.pause();
    }
    return null;
  }

  /** The fresh incarnation; 'former': a member of this group, as far as it knows. */
  private async askPlace(place: number, body: Uint8Array): Promise<string> {
    const answer = await this.call(place, body);
    if (!answer) return 'other';
    const { state, fresh } = answer;
    if (state.case === 'record')
      return state.value.groupId === this.group.birth.groupId ? 'former' : 'other';
    const isDeleted = state.case === 'tombstone' && state.value.kind === Tombstone_Kind.DELETED;
    return isDeleted || fresh === '' ? 'other' : fresh;
  }

  private async call(place: number, body: Uint8Array): Promise<BirthAnswer | null> {
    try {
      return fromBinary(
        BirthAnswerSchema,
        await this.platform.call(place, 'birth', body, askTimeoutMs),
      );
    } catch {
      return null;
    }
  }
}

function isTarget({ voters, learners }: Configuration, wanted: Target): boolean {
  return sameMembers(voters, wanted.voters) && sameMembers(learners, wanted.learners);
}

function isKnowing({ state }: BirthAnswer): boolean {
  return state.case === 'record' || state.case === 'tombstone';
}
