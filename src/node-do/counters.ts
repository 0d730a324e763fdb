/** What a member has cost in this life (src/api/member.ts, MemberCounters). */
import type { MemberCounters } from '../api/member.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type Counters = Mutable<MemberCounters>;

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
  };
}
