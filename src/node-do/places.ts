/**
 * What a leader asks of places before it changes the membership: the incarnation that one gives out which is
 * no member yet, whether members answer, and that the founding places know where the group lives.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type BirthAnswer,
  BirthAnswerSchema,
  BirthQuestionSchema,
  Tombstone_Kind,
} from '../api/gen/peer_pb.js';
import { foundingPlaces } from '../api/limits.ts';
import type { LocationHint } from '../api/location-hints.ts';
import { allMembers } from '../raft/configuration.ts';
import type { Target } from '../raft/membership.ts';
import type { MemberId } from '../raft/types.ts';
import { toWireConfiguration, toWireMember } from './codec.ts';
import type { GroupMember } from './group-member.ts';
import { incarnationOf, memberId, placeOf } from './identity.ts';
import type { Platform } from './platform.ts';

const askTimeoutMs = 2_000;
/** Of the founding places, before the membership changes: any one of them may lose its storage. */
const knowingPlacesMin = 2;
/** A place that has yet to learn that it was removed. */
const askAttempts = 8;
export const askAgainMs = 250;

export class Places {
  private readonly platform: Platform;
  private readonly group: GroupMember;

  constructor(platform: Platform, group: GroupMember) {
    this.platform = platform;
    this.group = group;
  }

  /**
   * Tells the founding places where the group lives, and will live. A group may leave them all, and whoever
   * founded one has no other way to know of it (docs/decisions/birth.md). False: too few of them know.
   */
  async makeKnown({ voters, learners }: Target): Promise<boolean> {
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

  /** Null: one of them cannot be a member. */
  async resolve(places: readonly number[]): Promise<MemberId[] | null> {
    const ids = await Promise.all(places.map((place) => this.resolveOne(place, null)));
    const known = ids.filter((id) => id !== null);
    return known.length === ids.length ? known : null;
  }

  /** `hint`: where its object is created, should this be the first that is heard of it. */
  async resolveOne(place: number, hint: LocationHint | null): Promise<MemberId | null> {
    const { core, birth, self } = this.group;
    const member = allMembers(core.configuration).find((id) => placeOf(id) === place);
    if (member) return member;
    const question = { groupId: birth.groupId, leader: toWireMember(self) };
    const body = toBinary(BirthQuestionSchema, create(BirthQuestionSchema, question));
    for (let attempt = 0; attempt < askAttempts; attempt += 1) {
      const answer = await this.askPlace(place, body, hint);
      if (answer === 'other') return null;
      if (answer !== 'former') return memberId(place, answer);
      // It slept through its removal, and is asking us about it now. A removed incarnation is never
      // added again: what it finds in the log would tell it that it is removed.
      await this.group.until(() => false, this.platform.now() + askAgainMs);
    }
    return null;
  }

  /** The fresh incarnation; 'former': a member of this group, as far as it knows. */
  private async askPlace(
    place: number,
    body: Uint8Array,
    hint: LocationHint | null,
  ): Promise<string> {
    const answer = await this.call(place, body, hint);
    if (!answer) return 'other';
    const { state, fresh } = answer;
    if (state.case === 'record')
      return state.value.groupId === this.group.birth.groupId ? 'former' : 'other';
    const isDeleted = state.case === 'tombstone' && state.value.kind === Tombstone_Kind.DELETED;
    return isDeleted || fresh === '' ? 'other' : fresh;
  }

  /** Which of these members answer at their places, this one among them. */
  async answering(members: readonly MemberId[]): Promise<MemberId[]> {
    const { birth, self } = this.group;
    const body = toBinary(BirthQuestionSchema, create(BirthQuestionSchema));
    const answers = await Promise.all(
      members.map(async (id) => {
        const answer = id === self ? null : await this.call(placeOf(id), body);
        const { state, fresh } = answer ?? { state: { case: undefined }, fresh: '' };
        const isOurs = state.case === 'record' && state.value.groupId === birth.groupId;
        return id === self || (isOurs && fresh === incarnationOf(id));
      }),
    );
    return members.filter((_, at) => answers[at]);
  }

  private async call(
    place: number,
    body: Uint8Array,
    hint: LocationHint | null = null,
  ): Promise<BirthAnswer | null> {
    try {
      const answer = await this.platform.call(place, 'birth', body, askTimeoutMs, hint);
      return fromBinary(BirthAnswerSchema, answer);
    } catch {
      return null;
    }
  }
}

function isKnowing({ state }: BirthAnswer): boolean {
  return state.case === 'record' || state.case === 'tombstone';
}
