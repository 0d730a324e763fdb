/** What a member says of itself, for tests of the page of metrics. */
import { type MemberMetrics, type MemberStatus, parseMemberName } from '../../../src/api/member.ts';
import { type Counters, newCounters } from '../../../src/node-do/counters.ts';

export function memberOf(
  tenant: string,
  place: number,
  more: Partial<MemberStatus> = {},
): MemberStatus {
  const metrics: MemberMetrics = {
    hasLeader: true,
    pendingProposals: 2,
    authRevision: 4,
    isReceivingSnapshot: false,
    stateBytes: 3_000,
    quotaBytes: 2_000_000,
    watchesBehind: 1,
    peers: [
      {
        memberId: '255',
        bytesSent: 10,
        bytesReceived: 20,
        failures: 3,
        roundTrips: [0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        roundTripMs: 4_000,
      },
    ],
  };
  return {
    ...{ tenant, place, born: true, incarnation: 'a', groupId: 'g', memberId: String(place) },
    ...{ boot: 1, role: place === 1 ? 'leader' : 'follower', term: 3, leaderPlace: 1 },
    ...{ voters: [1, 2, 3], learners: [], firstIndex: 1, lastIndex: 9, commitIndex: 8 },
    ...{ appliedIndex: 7, revision: 6, compactRevision: -1, watches: { sockets: 2, watches: 5 } },
    ...{ databaseBytes: 4_096, authEnabled: false, atRest: true, counters: newCounters(), metrics },
    ...more,
  };
}

export function memberStatusOf(name: string, counters: Counters): MemberStatus {
  const { tenant, place } = parseMemberName(name) as { tenant: string; place: number };
  return memberOf(tenant, place, { counters });
}
