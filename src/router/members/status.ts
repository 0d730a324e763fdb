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
  /** Place of the leader of the highest term that some member knows; null: nobody knows one. */
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
  const members = found
    .filter((status) => !('born' in status) || status.born || named.length === 0)
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

function leaderOf(members: readonly (MemberStatus | Unreachable)[]): number | null {
  let term = -1;
  let leader: number | null = null;
  for (const member of members) {
    if (!('born' in member) || !member.born) continue;
    const place = member.role === 'leader' ? member.place : member.leaderPlace;
    if (place === null) continue;
    if (member.term > term || (member.term === term && member.role === 'leader')) {
      term = member.term;
      leader = place;
    }
  }
  return leader;
}
