/**
 * Who belongs to the group, and what a quorum of it is.
 *
 * A configuration is joint while `outgoing` is not empty: then every decision needs a majority of
 * both halves (thesis 4.3). Learners receive the log and decide nothing.
 */
import type { MemberId } from './types.ts';

export interface Configuration {
  readonly voters: readonly MemberId[];
  readonly outgoing: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

export function isVoter(configuration: Configuration, id: MemberId): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

export function isMember(configuration: Configuration, id: MemberId): boolean {
  return isVoter(configuration, id) || configuration.learners.includes(id);
}

export function isJoint({ outgoing }: Configuration): boolean {
  return outgoing.length > 0;
}

/** The same members, in whatever order; neither list names one twice. */
export function sameMembers(some: readonly MemberId[], others: readonly MemberId[]): boolean {
  return some.length === others.length && some.every((id) => others.includes(id));
}

/** Every member once, voters first, in the order of the configuration. */
export function allMembers(configuration: Configuration): MemberId[] {
  return [
    ...new Set([...configuration.voters, ...configuration.outgoing, ...configuration.learners]),
  ];
}

/**
 * The largest value that a quorum has reached: with joint halves the smaller of the two.
 *
 * An empty half imposes nothing (Infinity), so that a simple configuration is the joint one with
 * an empty half; a wholly empty configuration decides nothing, hence 0.
 */
export function quorumValue(
  configuration: Configuration,
  valueFor: (id: MemberId) => number,
): number {
  const value = Math.min(
    majorityValue(configuration.voters, valueFor),
    majorityValue(configuration.outgoing, valueFor),
  );
  return value === Number.POSITIVE_INFINITY ? 0 : value;
}

function majorityValue(half: readonly MemberId[], valueFor: (id: MemberId) => number): number {
  if (half.length === 0) return Number.POSITIVE_INFINITY;
  // Sorted downwards, the member at floor(n/2) is the last one that a majority needs. By insertion: a
  // handful of members is sorted with every turn of a leader, and sort() calls back for each pair.
  const values: number[] = [];
  for (const id of half) {
    const value = valueFor(id);
    let at = values.length;
    for (; at > 0 && (values[at - 1] as number) < value; at -= 1)
      values[at] = values[at - 1] as number;
    values[at] = value;
  }
  return values[Math.floor(half.length / 2)] ?? 0;
}

/** True when the members for which `has` holds form a quorum. */
export function hasQuorum(configuration: Configuration, has: (id: MemberId) => boolean): boolean {
  return quorumValue(configuration, (id) => (has(id) ? 1 : 0)) === 1;
}

export type VoteOutcome = 'won' | 'lost' | 'pending';

/** `votes` holds true for a grant, false for a refusal. */
export function voteOutcome(
  configuration: Configuration,
  votes: ReadonlyMap<MemberId, boolean>,
): VoteOutcome {
  if (hasQuorum(configuration, (id) => votes.get(id) === true)) return 'won';
  // Lost when the missing and granted votes together can no longer win.
  if (!hasQuorum(configuration, (id) => votes.get(id) !== false)) return 'lost';
  return 'pending';
}
