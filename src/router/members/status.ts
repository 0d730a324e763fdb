/**
 * Asks every member of a tenant's group what it knows of itself. Founds no group: a place that was
 * never born says so.
 */
import { foundingPlaces } from '../../api/limits.ts';
import { type MemberStatus, memberPaths } from '../../api/member.ts';
import { groupSize, type RouterEnv } from '../env.ts';
import { within } from '../http/deadline.ts';
import { platformFault } from '../platform-errors.ts';
import { memberStub } from './call.ts';
import { hintFor } from './hints.ts';

export interface Unreachable {
  readonly place: number;
  readonly error: string;
}

export interface GroupStatus {
  readonly tenant: string;
  /** The member that says it leads, of the highest term if several do; null: nobody says so. */
  readonly leader: number | null;
  readonly members: readonly (MemberStatus | Unreachable)[];
}

const answerWithinMs = 2_000;

export async function groupStatus(env: RouterEnv, tenant: string): Promise<GroupStatus> {
  const known = hintFor(tenant)?.places ?? [];
  const first = known.length > 0 ? known : foundingPlaces.slice(0, groupSize(env));
  const found = await askAll(env, tenant, first);
  // The group may have other members by now than the hint or the variable says.
  const named = found.flatMap((status) =>
    'born' in status && status.born ? [...status.voters, ...status.learners] : [],
  );
  const rest = [...new Set(named)].filter((place) => !first.includes(place));
  found.push(...(await askAll(env, tenant, rest)));
  // A place of no group is listed while nobody is born, or when it lost what the group gave it.
  const members = found
    .filter(
      (status) =>
        !('born' in status) || status.born || named.length === 0 || named.includes(status.place),
    )
    .sort((a, b) => a.place - b.place);
  return { tenant, leader: leaderOf(members), members };
}

function askAll(env: RouterEnv, tenant: string, places: readonly number[]) {
  return Promise.all(places.map((place) => askOne(env, tenant, place)));
}

async function askOne(
  env: RouterEnv,
  tenant: string,
  place: number,
): Promise<MemberStatus | Unreachable> {
  try {
    return await within(answerWithinMs, async () => {
      const reply = await memberStub(env, tenant, place).fetch(memberPaths.status);
      if (reply.status !== 200) throw new Error(`member answered with status ${reply.status}`);
      return (await reply.json()) as MemberStatus;
    });
  } catch (error) {
    return { place, error: platformFault(error).reason };
  }
}

/** A hint of others may be older than the leader's storage. */
function leaderOf(members: readonly (MemberStatus | Unreachable)[]): number | null {
  let leader: MemberStatus | null = null;
  for (const member of members) {
    if (!('born' in member) || member.role !== 'leader') continue;
    if (leader === null || member.term > leader.term) leader = member;
  }
  return leader?.place ?? null;
}
