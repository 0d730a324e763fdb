/** What a member has cost in this life (src/api/member.ts, MemberCounters). */
import type { MemberCounters, MemberTotals } from '../api/member.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type Totals = Mutable<MemberTotals>;
export type Counters = Mutable<Omit<MemberCounters, 'totals'>> & { readonly totals: Totals };

export function newCounters(): Counters {
  return {
    requestsIn: { client: 0, peer: 0, birth: 0, status: 0, watch: 0 },
    watchMessages: 0,
    requestsOut: { peer: 0, birth: 0, relay: 0 },
    rowsRead: 0,
    rowsWritten: 0,
    commits: 0,
    alarms: 0,
    elections: 0,
    proposals: 0,
    entriesApplied: 0,
    reads: 0,
    totals: {
      leaderChanges: 0,
      failedProposals: 0,
      failedReads: 0,
      ranges: 0,
      puts: 0,
      deletes: 0,
      txns: 0,
      leasesGranted: 0,
      leasesEnded: 0,
      leasesExpired: 0,
      leasesRenewed: 0,
      watchEvents: 0,
      clientBytesReceived: 0,
      clientBytesSent: 0,
    },
  };
}
