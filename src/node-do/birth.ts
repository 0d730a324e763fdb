/**
 * What the founding places' answers say: that the tenant's group lives somewhere, or who may found one
 * (docs/decisions/birth.md, consensus-rules.md 2).
 */
import { create } from '@bufbuild/protobuf';
import {
  type BirthAnswer,
  type Member,
  type Tombstone,
  Tombstone_Kind,
  TombstoneSchema,
} from '../api/gen/peer_pb.js';

/** Where the group lives, if any place knows of one; a member knows best. */
export function knownGroup(answers: readonly (BirthAnswer | null)[]): Tombstone | null {
  for (const answer of answers) {
    if (answer?.state.case !== 'record') continue;
    const { groupId, founding } = answer.state.value;
    const members = answer.members ?? founding;
    return elsewhere(groupId, members);
  }
  for (const answer of answers) if (answer?.state.case === 'tombstone') return answer.state.value;
  return null;
}

/** What a place that belongs to no group keeps of one. */
export function elsewhere(groupId: string, members: Tombstone['members']): Tombstone {
  const kind = Tombstone_Kind.ELSEWHERE;
  return create(TombstoneSchema, { kind, groupId, ...(members && { members }) });
}

/** By place. Null: one is silent, which might hide a record. */
export function foundersOf(
  answers: ReadonlyMap<number, BirthAnswer | null>,
  wanted: number,
): { readonly members: Pick<Member, 'place' | 'incarnation'>[]; readonly rules: number } | null {
  const members: Pick<Member, 'place' | 'incarnation'>[] = [];
  let rules = Number.MAX_SAFE_INTEGER;
  for (const [place, answer] of answers) {
    if (answer?.state.case !== 'incarnation') return null;
    if (place > wanted) continue;
    members.push({ place, incarnation: answer.state.value });
    rules = Math.min(rules, answer.rulesVersion);
  }
  return { members, rules };
}
