/**
 * etcd's calls about members, served by the leader: its checks and errors, and what they mean for the Raft
 * configuration and for the records beside it (docs/decisions/cluster.md).
 *
 * One after another, each from a read point on, so that what a check has seen still holds when the change is
 * made. Once something is changed, no failure that follows is called one: the outcome is unknown then.
 */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  MemberAddResponseSchema,
  MemberListResponseSchema,
  MemberSchema,
} from '../../api/gen/cluster_pb.js';
import {
  CommandSchema,
  MemberChangeSchema,
  type MemberRecordSchema,
} from '../../api/gen/command_pb.js';
import type { ChangeMembership, Cluster, MemberReply } from '../../api/gen/member_pb.js';
import { learnersMax } from '../../api/limits.ts';
import { nameOfPlace, type PeerUrls, parsePeerUrls } from '../../api/peer-urls.ts';
import { rootOnly } from '../../kv/auth/needs.ts';
import { clusterRulesVersion } from '../../kv/batch.ts';
import { type Configuration, isMember, isVoter } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/types.ts';
import type { Shown } from '../auth/callers.ts';
import type { GroupMember } from '../group-member.ts';
import { incarnationOf, numericId, placeOf } from '../identity.ts';
import type { ChangeOutcome, Membership, Permitted, TargetOf } from '../membership.ts';
import type { Platform } from '../platform.ts';
import type { Replies } from '../replies.ts';
import type { ProposeOutcome } from '../requests.ts';
import { OneByOne } from './one-by-one.ts';
import { Promotions, promoted } from './promotions.ts';
import type { Listed } from './roster.ts';
import { mayAdd, mayPromote, mayRemove } from './safety.ts';

/** A leader that has just begun does not know yet what its learners hold. */
const promotionPatienceMs = 2_000;
const handOverWithinMs = 3_000;
/** The answer has to arrive before its deadline. */
const replyMarginMs = 100;

export type ClusterOutcome = MemberReply | Exclude<ChangeOutcome, 'done'>;
/** The member that it was about. */
type Done = { readonly id: bigint };
type Step = Done | Exclude<ChangeOutcome, 'done'>;
type Propose = (
  shown: Shown | null,
  command: Uint8Array,
  deadline: number,
) => Promise<ProposeOutcome>;

/** One request. */
interface Asked {
  readonly shown: Shown | null;
  readonly permitted: Permitted;
  readonly deadline: number;
}

export class ClusterService {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly replies: Replies;
  private readonly membership: Membership;
  private readonly propose: Propose;
  private readonly turns = new OneByOne();
  private readonly promotions: Promotions;

  constructor(
    platform: Platform,
    group: GroupMember,
    replies: Replies,
    membership: Membership,
    propose: Propose,
  ) {
    this.platform = platform;
    this.group = group;
    this.replies = replies;
    this.membership = membership;
    this.propose = propose;
    this.promotions = new Promotions(platform, group, membership);
  }

  /** As of what is applied here: whoever wants the newest has waited for it. */
  list(): MemberReply {
    this.promotions.pursue();
    const response = create(MemberListResponseSchema, { members: this.members() });
    return this.replies.withoutRevision(MemberListResponseSchema, response);
  }

  async serve(
    { request }: Cluster,
    shown: Shown | null,
    deadline: number,
  ): Promise<ClusterOutcome> {
    const permitted = () => this.group.machine.permit(shown, rootOnly);
    const asked = { shown, permitted, deadline };
    const step = await this.turns.run(() => this.perform(request, asked));
    if (step === null) return 'TooManyRequests';
    if (typeof step === 'string') return step;
    // Others need not wait for the log to arrive there.
    await this.promotions.settled(step.id, deadline - replyMarginMs);
    return request.case === 'add' ? this.added(step.id) : this.list();
  }

  /** As in etcd without a name: whether it has started is told in the list. */
  private added(id: bigint): MemberReply {
    const members = this.members();
    const { peerURLs = [], isLearner = false } = members.find(({ ID }) => ID === id) ?? {};
    const member = create(MemberSchema, { ID: id, peerURLs, isLearner });
    const response = create(MemberAddResponseSchema, { member, members });
    return this.replies.withoutRevision(MemberAddResponseSchema, response);
  }

  /**
   * A change through /v1 says of each place what it is to be. What was said through /v3 before ends with it: a
   * learner stays one, and what was known of a member that goes is forgotten.
   */
  async changedOtherwise(
    wanted: ChangeMembership,
    shown: Shown | null,
    deadline: number,
    change: () => Promise<ChangeOutcome>,
  ): Promise<ChangeOutcome> {
    const { roster, core } = this.group;
    const asked = { shown, permitted: () => null, deadline };
    const before = roster.list(core.configuration).filter(({ member }) => member !== null);
    for (const { id, place } of before) {
      const record = roster.record(id);
      if (!record || record.isLearner || !wanted.learners.includes(place ?? 0)) continue;
      const outcome = await this.put(id, { ...record, isLearner: true }, asked);
      if (outcome !== 'done') return outcome;
    }
    const outcome = await change();
    if (outcome !== 'done') return outcome;
    for (const { id, member } of before) {
      const hasGone = member && !isMember(core.configuration, member);
      if (hasGone && roster.record(id)) await this.forget(id, asked);
    }
    return outcome;
  }

  private async perform(request: Cluster['request'], asked: Asked): Promise<Step> {
    const { group } = this;
    if (this.platform.now() > asked.deadline) return 'Timeout';
    const read = await group.readPoint(asked.deadline);
    if (read === 'timeout') return 'Timeout';
    if (read === 'overloaded') return 'TooManyRequests';
    if (read === 'notLeader' || group.core.role !== 'leader') return 'notLeader';
    const refused = asked.permitted();
    if (refused) return refused;
    if (group.rules < clusterRulesVersion) return 'NotCapable';
    for (const id of group.roster.ofOtherGroups) {
      const outcome = await this.forget(id, asked);
      if (outcome !== 'done') return outcome;
    }
    switch (request.case) {
      case 'add':
        return this.add(request.value.peerURLs, request.value.isLearner, asked);
      case 'remove':
        return this.remove(request.value.ID, asked);
      case 'update':
        return this.update(request.value.ID, request.value.peerURLs, asked);
      case 'promote':
        return this.promote(request.value.ID, asked);
      default:
        return 'NotCapable';
    }
  }

  private async add(given: readonly string[], isLearner: boolean, asked: Asked): Promise<Step> {
    const urls = parsePeerUrls([...given].sort());
    if (!urls) return 'MemberBadURLs';
    const listed = this.listed();
    if (!isLearner && !mayAdd(listed)) return 'MemberNotEnoughStarted';
    if (isTaken(urls, listed, null)) return 'PeerURLExist';
    const learners = listed.filter((one) => one.isLearner);
    if (isLearner && learners.length >= learnersMax) return 'TooManyLearners';
    const record = { peerUrls: [...urls.urls], isLearner };
    if (urls.place === null) {
      const id = this.newId(listed);
      const startedLearners = learners.filter(({ isStarted }) => isStarted).length;
      return stepOf(await this.put(id, record, asked, { fresh: true, startedLearners }), id);
    }
    const member = await this.reach(urls.place, urls);
    if (!member) return 'MemberUnreachable';
    const outcome = await this.join(member, asked);
    if (outcome !== 'done') return outcome;
    const id = numericId(incarnationOf(member));
    return later(stepOf(await this.put(id, { ...record, ...this.linkTo(member) }, asked), id));
  }

  private async update(id: bigint, given: readonly string[], asked: Asked): Promise<Step> {
    const listed = this.listed();
    const one = listed.find((other) => other.id === id);
    if (!one) return 'MemberNotFound';
    const urls = parsePeerUrls(given);
    if (!urls) return 'MemberBadURLs';
    if (isTaken(urls, listed, id)) return 'PeerURLExist';
    const { isLearner, member } = one;
    const peerUrls = [...urls.urls];
    if (member !== null) {
      // It lives where it lives, whatever it is called.
      if (urls.place !== null && urls.place !== one.place) return 'MemberBadURLs';
      const record = { peerUrls, isLearner, ...this.linkTo(member) };
      return stepOf(await this.put(id, record, asked), id);
    }
    if (urls.place === null) return stepOf(await this.put(id, { peerUrls, isLearner }, asked), id);
    const fresh = await this.reach(urls.place, urls);
    if (!fresh) return 'MemberUnreachable';
    // First what keeps its id: if it gets no further, it still lives nowhere, and can be tried again.
    const record = { peerUrls, isLearner, ...this.linkTo(fresh) };
    const linked = await this.put(id, record, asked);
    if (linked !== 'done') return linked;
    return later(stepOf(await this.join(fresh, asked), id));
  }

  private async remove(id: bigint, asked: Asked): Promise<Step> {
    const listed = this.listed();
    const one = listed.find((other) => other.id === id);
    if (!one) return 'MemberNotFound';
    if (!mayRemove(listed, one)) return 'MemberNotEnoughStarted';
    const { member } = one;
    if (member === null) return stepOf(await this.forget(id, asked), id);
    const present = this.group.core.configuration;
    if (isVoter(present, member)) {
      const others = present.voters.filter((other) => other !== member);
      const answering = await this.membership.places.answering(others);
      if (answering.length <= others.length / 2) return 'Unhealthy';
      // Whoever leads next removes it: nothing is changed yet, so that the request can travel.
      if (member === this.group.self) return this.handOver(answering, asked.deadline);
    }
    if (!(await this.membership.places.makeKnown(present))) return 'MemberUnreachable';
    const outcome = await this.change(without(member), asked, asked.deadline);
    if (outcome !== 'done') return outcome;
    if (!this.group.roster.record(id)) return { id };
    return later(stepOf(await this.forget(id, asked), id));
  }

  private async promote(id: bigint, asked: Asked): Promise<Step> {
    const listed = this.listed();
    const one = listed.find((other) => other.id === id);
    if (!one) return 'MemberNotFound';
    const { member } = one;
    if (member === null) return 'LearnerNotReady';
    if (!mayPromote(listed, one)) return 'MemberNotEnoughStarted';
    if (isVoter(this.group.core.configuration, member)) return 'MemberNotLearner';
    const patience = this.platform.now() + promotionPatienceMs;
    return stepOf(await this.change(promoted(member), asked, patience), id);
  }

  /** The incarnation that the place gives out, once the founding places know of it. */
  private async reach(place: number, { hint }: PeerUrls): Promise<MemberId | null> {
    const { places } = this.membership;
    const member = await places.resolveOne(place, hint);
    if (!member) return null;
    const { voters, learners } = this.group.core.configuration;
    const isKnown = await places.makeKnown({ voters, learners: [...learners, member] });
    return isKnown ? member : null;
  }

  private join(member: MemberId, asked: Asked): Promise<ChangeOutcome> {
    const joined: TargetOf = (present) => ({
      voters: present.voters,
      learners: isMember(present, member) ? present.learners : [...present.learners, member],
    });
    return this.change(joined, asked, asked.deadline);
  }

  private change(target: TargetOf, asked: Asked, patience: number): Promise<ChangeOutcome> {
    const { permitted, deadline } = asked;
    return this.membership.persist(target, permitted, deadline, Math.min(patience, deadline));
  }

  private async handOver(
    to: readonly MemberId[],
    deadline: number,
  ): Promise<'notLeader' | 'Unhealthy'> {
    for (const heir of to) {
      const within = Math.min(deadline, this.platform.now() + handOverWithinMs);
      await this.membership.transferTo(heir, within);
      if (this.group.core.role !== 'leader') return 'notLeader';
    }
    return 'Unhealthy';
  }

  private put(
    id: bigint,
    value: MessageInitShape<typeof MemberRecordSchema>,
    asked: Asked,
    bounds: { fresh?: boolean; startedLearners?: number } = {},
  ): Promise<ChangeOutcome> {
    return this.record({ id, change: { case: 'put', value }, ...bounds }, asked);
  }

  private forget(id: bigint, asked: Asked): Promise<ChangeOutcome> {
    return this.record({ id, change: { case: 'gone', value: {} } }, asked);
  }

  private async record(
    init: MessageInitShape<typeof MemberChangeSchema>,
    { shown, deadline }: Asked,
  ): Promise<ChangeOutcome> {
    const value = create(MemberChangeSchema, init);
    const command = create(CommandSchema, { op: { case: 'member', value } });
    const outcome = await this.propose(shown, toBinary(CommandSchema, command), deadline);
    switch (outcome.type) {
      case 'applied':
        return outcome.result.ok ? 'done' : outcome.result.error;
      case 'notProposed':
        return 'notLeader';
      case 'refused':
        return outcome.error;
      case 'unknown':
        return 'unknown';
    }
  }

  private linkTo(member: MemberId) {
    return { incarnation: incarnationOf(member), groupId: this.group.birth.groupId };
  }

  private listed(): Listed[] {
    return this.group.roster.list(this.group.core.configuration);
  }

  private members() {
    const configuration: Configuration = this.group.appliedConfiguration;
    return this.group.roster.list(configuration).map((one) =>
      create(MemberSchema, {
        ID: one.id,
        name: one.member !== null && one.isStarted ? nameOfPlace(placeOf(one.member)) : '',
        peerURLs: [...one.peerUrls],
        isLearner: one.isLearner,
      }),
    );
  }

  private newId(listed: readonly Listed[]): bigint {
    for (;;) {
      const id = numericId(this.platform.randomId());
      if (!listed.some((one) => one.id === id)) return id;
    }
  }
}

function isTaken({ urls, place }: PeerUrls, listed: readonly Listed[], but: bigint | null) {
  return listed.some(({ id, peerUrls, place: taken }) => {
    if (id === but) return false;
    return (place !== null && place === taken) || urls.some((url) => peerUrls.includes(url));
  });
}

function without(member: MemberId): TargetOf {
  return ({ voters, learners }) => ({
    voters: voters.filter((id) => id !== member),
    learners: learners.filter((id) => id !== member),
  });
}

function stepOf(outcome: ChangeOutcome, id: bigint): Step {
  return outcome === 'done' ? { id } : outcome;
}

/** Of a step after the first: something has been changed already. */
function later(step: Step): Step {
  return typeof step === 'string' ? 'unknown' : step;
}
