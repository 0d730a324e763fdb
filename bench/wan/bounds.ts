/**
 * The least time that a request can take, from the round-trip times alone: what the measured
 * latencies are divided by. All times in milliseconds.
 */

export type RoundTrip<Region> = (a: Region, b: Region) => number;

/** From `leader` to the member whose answer completes a majority with it. */
export function quorumRoundTripMs<Region>(
  leader: Region,
  others: readonly Region[],
  roundTripMs: RoundTrip<Region>,
): number {
  const sorted = others.map((other) => roundTripMs(leader, other)).toSorted((a, b) => a - b);
  const answersNeeded = Math.floor((others.length + 1) / 2);
  return answersNeeded === 0 ? 0 : (sorted[answersNeeded - 1] ?? Number.POSITIVE_INFINITY);
}

/** A write, or a linearizable read at the leader: to the leader, and from there to a quorum. */
export function leaderBoundMs<Region>(
  client: Region,
  members: readonly Region[],
  roundTripMs: RoundTrip<Region>,
): number {
  const [leader, ...others] = members;
  if (leader === undefined) throw new Error('a group has members');
  return roundTripMs(client, leader) + quorumRoundTripMs(leader, others, roundTripMs);
}

/**
 * A linearizable read at the follower of this place (from 2, the leader being the first): to it, from
 * there to the leader, and from the leader to those that complete a majority with the two.
 */
export function followerBoundMs<Region>(
  client: Region,
  members: readonly Region[],
  place: number,
  roundTripMs: RoundTrip<Region>,
): number {
  const [leader] = members;
  const follower = members[place - 1];
  if (leader === undefined || follower === undefined || place < 2) throw new Error('no follower');
  const further = members
    .filter((_, at) => at !== 0 && at !== place - 1)
    .map((member) => roundTripMs(leader, member))
    .toSorted((a, b) => a - b);
  const answersNeeded = Math.floor(members.length / 2) - 1;
  const furtherMs = answersNeeded === 0 ? 0 : (further[answersNeeded - 1] ?? 0);
  return roundTripMs(client, follower) + roundTripMs(follower, leader) + furtherMs;
}

/** The members with that of the leader's place (from 1) in front. */
export function ledBy<Region>(members: readonly Region[], place: number): Region[] {
  const leader = members[place - 1];
  if (leader === undefined) throw new Error(`the group has no place ${place}`);
  return [leader, ...members.filter((_, at) => at !== place - 1)];
}

/**
 * What commits add to a write: the platform lets nothing leave before what was written is durable.
 * So the leader's append waits for its own commit, and the follower's answer for the follower's.
 */
export function commitsBoundMs(commitMs: number): number {
  return 2 * commitMs;
}
