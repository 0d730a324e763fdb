/**
 * How the router and the members of a group reach each other: names of objects and internal paths.
 *
 * A member's object is found by the name `{tenant}/{place}`; internal requests go to a fixed,
 * meaningless host, since `stub.fetch` needs a URL.
 */

export const memberPaths = {
  /** Router to member: MemberRequest -> MemberReply (member.proto). */
  client: 'http://member/client',
  /** The same, several at once: MemberRequests -> MemberReplies (batch.proto). */
  clients: 'http://member/clients',
  /** Member to member: Envelope -> Envelope (peer.proto). */
  peer: 'http://member/peer',
  /** Place 1 to a founding place: empty -> BirthAnswer (peer.proto). */
  birth: 'http://member/birth',
  /** Router to member: upgrade to a WebSocket of one client's watches (watch.proto). */
  watch: 'http://member/watch',
  /** Router to member: empty -> MemberStatus as JSON. */
  status: 'http://member/status',
  /** Router to member, by hand: RecoverRequest as JSON -> the id of the new group. */
  recover: 'http://member/recover',
  /** Router to place 1: RestoreRequest -> RestoreReply (backup.proto). */
  restore: 'http://member/restore',
  /** Only when CHAOS is "true": `?do=abort`. (Eviction is the runtime's: src/router/chaos.ts.) */
  chaos: 'http://member/chaos',
} as const;

/** A header of that request, for what costs a row or two to tell; members of older code do not look at it. */
export const withMetrics = 'with-metrics';

export interface RecoverRequest {
  /** The id of the group that is given up. */
  readonly group: string;
  /** What the client shows of itself, as in MemberRequest. */
  readonly token: string;
  readonly operator: boolean;
  readonly user: string;
}

/** Text on a watch's socket that the runtime answers by itself, without waking the member. */
export const watchPing = 'ping';
export const watchPong = 'pong';

export function memberName(tenant: string, place: number): string {
  return `${tenant}/${place}`;
}

/** The inverse of memberName; null when the name is not of that form. */
export function parseMemberName(name: string): { tenant: string; place: number } | null {
  const match = /^([a-z0-9-]{1,63})\/([1-9][0-9]{0,2})$/.exec(name);
  return match?.[1] && match[2] ? { tenant: match[1], place: Number(match[2]) } : null;
}

/** The tenant that `/v3` and `/v1` without `/t/{tenant}` mean. */
export const defaultTenant = 'default';

export const tenantPattern = /^[a-z0-9-]{1,63}$/;

/** What a member knows of itself and what it has cost, for `GET /v1/status` and `/metrics`. */
export interface MemberStatus {
  readonly tenant: string;
  readonly place: number;
  readonly born: boolean;
  readonly incarnation: string | null;
  readonly groupId: string | null;
  readonly memberId: string | null;
  readonly boot: number;
  readonly role: 'unborn' | 'follower' | 'learner' | 'preCandidate' | 'candidate' | 'leader';
  readonly term: number;
  readonly leaderPlace: number | null;
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly revision: number;
  readonly compactRevision: number;
  /** Open here, sleeping ones included. */
  readonly watches: { readonly sockets: number; readonly watches: number };
  readonly databaseBytes: number;
  /** Whether users and roles decide who may do what. */
  readonly authEnabled: boolean;
  /** True when the core waits for nothing and the object holds no timer. */
  readonly atRest: boolean;
  /** Counters of this life (since `boot`). */
  readonly counters: MemberCounters;
  /** What only /metrics asks for. Absent: not asked for, no member, or one of older code. */
  readonly metrics?: MemberMetrics;
}

export interface MemberCounters {
  /** Requests that came to this object, by kind; their sum is what the platform bills. */
  readonly requestsIn: {
    client: number;
    peer: number;
    birth: number;
    status: number;
    watch: number;
  };
  /** Of sockets that were open already; the platform bills twenty of them as one request. */
  readonly watchMessages: number;
  readonly requestsOut: { peer: number; birth: number; relay: number };
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Transactions that wrote something. */
  readonly commits: number;
  readonly alarms: number;
  readonly elections: number;
  readonly proposals: number;
  readonly entriesApplied: number;
  readonly reads: number;
  /** Absent: a member of older code. */
  readonly totals?: MemberTotals;
}

/** What etcd counts by the same names (docs/metrics.md). */
export interface MemberTotals {
  readonly leaderChanges: number;
  readonly failedProposals: number;
  readonly failedReads: number;
  /** Those of transactions too. */
  readonly ranges: number;
  readonly puts: number;
  readonly deletes: number;
  /** Transactions of more than one operation. */
  readonly txns: number;
  readonly leasesGranted: number;
  /** Revoked or expired. */
  readonly leasesEnded: number;
  /** At the leader alone, as the next. */
  readonly leasesExpired: number;
  readonly leasesRenewed: number;
  readonly watchEvents: number;
  readonly clientBytesReceived: number;
  readonly clientBytesSent: number;
}

export interface MemberMetrics {
  readonly hasLeader: boolean;
  readonly pendingProposals: number;
  readonly authRevision: number;
  readonly isReceivingSnapshot: boolean;
  /** Of the database what is not log: what the quota counts. */
  readonly stateBytes: number;
  readonly quotaBytes: number;
  /** Watches that have yet to be told of the past. */
  readonly watchesBehind: number;
  readonly peers: readonly PeerMetrics[];
}

export interface PeerMetrics {
  /** Of its incarnation, in decimal. */
  readonly memberId: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Calls without an answer. */
  readonly failures: number;
  /** Answered calls by how long they took: one more number than `roundTripBoundsMs`. */
  readonly roundTrips: readonly number[];
  readonly roundTripMs: number;
}

/** Upper bounds of the classes of `roundTrips`; the clock of a member counts whole milliseconds. */
export const roundTripBoundsMs: readonly number[] = [
  ...[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024],
];
