/** What a member says of itself for `GET /v1/status` (src/api/member.ts). */
import type { MemberMetrics, MemberStatus } from '../api/member.ts';
import type { Counters } from './counters.ts';
import type { GroupMember } from './group-member.ts';
import { type Identity, placeOf } from './identity.ts';
import type { Platform } from './platform.ts';

export function memberStatus(
  platform: Platform,
  counters: Counters,
  identity: Identity | null,
  group: GroupMember | null,
): MemberStatus {
  const base = {
    tenant: platform.tenant,
    place: platform.place,
    born: group !== null,
    incarnation: identity?.incarnation ?? null,
    databaseBytes: platform.databaseBytes(),
    counters: structuredClone(counters),
  };
  return group ? { ...base, ...ofGroup(group) } : { ...base, ...unborn, ...formerGroup(identity) };
}

export function roleOf({ core, self }: GroupMember): Exclude<MemberStatus['role'], 'unborn'> {
  const isLearner = core.configuration.learners.includes(self) && core.role === 'follower';
  return isLearner ? 'learner' : core.role;
}

const unborn = {
  groupId: null,
  memberId: null,
  boot: 0,
  role: 'unborn',
  term: 0,
  leaderPlace: null,
  voters: [],
  learners: [],
  firstIndex: 0,
  lastIndex: 0,
  commitIndex: 0,
  appliedIndex: 0,
  revision: 0,
  compactRevision: 0,
  watches: { sockets: 0, watches: 0 },
  authEnabled: false,
  atRest: true,
} as const;

/** Where the group lives that this place was removed from. */
function formerGroup(identity: Identity | null) {
  const members = identity?.tombstone?.members;
  const placesOf = (list: readonly { place: number }[] = []) => list.map(({ place }) => place);
  return { voters: placesOf(members?.voters), learners: placesOf(members?.learners) };
}

function ofGroup(group: GroupMember) {
  const { core, machine } = group;
  const { voters, outgoing, learners } = core.configuration;
  const leader = core.leaderHint;
  return {
    groupId: group.birth.groupId,
    memberId: String(group.roster.idOf(group.self)),
    boot: group.boot,
    role: roleOf(group),
    term: core.term,
    leaderPlace: leader === null ? null : placeOf(leader),
    voters: [...new Set([...voters, ...outgoing])].map(placeOf),
    learners: learners.map(placeOf),
    firstIndex: core.firstIndex,
    lastIndex: core.lastIndex,
    commitIndex: core.commitIndex,
    appliedIndex: machine.appliedIndex,
    revision: machine.revision,
    compactRevision: machine.compactRevision,
    watches: group.watches.sizes,
    authEnabled: machine.auth.enabled,
    atRest: group.atRest,
  } as const;
}

/** Reads two rows at most. */
export function memberMetrics({ settings }: Platform, group: GroupMember): MemberMetrics {
  const { core, machine } = group;
  return {
    // One that is doubted may be none any more.
    hasLeader: core.leaderHint !== null && !core.isSuspecting,
    pendingProposals: group.pendingProposals,
    authRevision: machine.auth.revision,
    isReceivingSnapshot: machine.receiving !== null,
    stateBytes: group.stateBytes,
    quotaBytes: settings.quotaBytes,
    watchesBehind: group.watches.behind,
    peers: group.peers.traffic.map(([id, traffic]) => ({
      memberId: String(group.roster.idOf(id)),
      ...structuredClone(traffic),
    })),
  };
}
