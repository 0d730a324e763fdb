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

type Answer = MemberStatus | Unreachable;

const answerWithinMs = 2_000;
/** How far the trail of places that the group has left is followed. */
const roundsMax = 24;

export async function groupStatus(
  env: RouterEnv,
  tenant: string,
  headers: HeadersInit = {},
): Promise<GroupStatus> {
  const known = hintFor(tenant)?.places ?? [];
  const first = known.length > 0 ? known : foundingPlaces.slice(0, groupSize(env));
  const found = await askOnward(env, tenant, first, headers);
  const named = membersOf(found.filter(isMember));
  // Who lost what the group gave it is listed, who has left it is not, unless nobody is a member.
  const members = found
    .filter(({ place }) => named.length === 0 || named.includes(place))
    .sort((a, b) => a.place - b.place);
  return { tenant, leader: leaderOf(members), members };
}

/**
 * Asks these places and whomever they name, and so on: the group may have other members by now than
 * the hint or the variable says, and one that it has left says where it went.
 */
async function askOnward(
  env: RouterEnv,
  tenant: string,
  first: readonly number[],
  headers: HeadersInit,
) {
  const found: Answer[] = [];
  const asked = new Set<number>();
  let next = first;
  for (let round = 0; round < roundsMax && next.length > 0; round++) {
    for (const place of next) asked.add(place);
    const answers = await Promise.all(
      next.map((place) => memberStatus(env, tenant, place, headers)),
    );
    found.push(...answers);
    next = membersOf(answers).filter((place) => !asked.has(place));
  }
  return found;
}

/** One that has left may take a while to hear that its removal is committed, and live on until then. */
function isMember(answer: Answer): boolean {
  return 'born' in answer && answer.born && membersOf([answer]).includes(answer.place);
}

function membersOf(answers: readonly Answer[]): number[] {
  const named = answers.flatMap((status) =>
    'born' in status ? [...status.voters, ...status.learners] : [],
  );
  return [...new Set(named)];
}

/** One place alone, whether it is a member or not. */
export async function memberStatus(
  env: RouterEnv,
  tenant: string,
  place: number,
  headers: HeadersInit,
): Promise<MemberStatus | Unreachable> {
  try {
    return await within(answerWithinMs, async () => {
      const reply = await memberStub(env, tenant, place).fetch(memberPaths.status, { headers });
      if (reply.status !== 200) throw new Error(`member answered with status ${reply.status}`);
      return (await reply.json()) as MemberStatus;
    });
  } catch (error) {
    return { place, error: platformFault(error).reason };
  }
}

/** A hint of others may be older than the leader's storage. */
function leaderOf(members: readonly Answer[]): number | null {
  let leader: MemberStatus | null = null;
  for (const member of members) {
    if (!('born' in member) || member.role !== 'leader') continue;
    if (leader === null || member.term > leader.term) leader = member;
  }
  return leader?.place ?? null;
}
