/**
 * What members say of themselves, under etcd's names where it means the same (docs/metrics.md). Totals
 * are of a life of a member, and begin again with the next: to Prometheus a restart.
 */
import {
  type MemberCounters,
  type MemberMetrics,
  type MemberStatus,
  type MemberTotals,
  type PeerMetrics,
  roundTripBoundsMs,
} from '../../api/member.ts';
import { etcdVersions } from '../../api/version.ts';
import { type Distribution, family, histogram, type Labels, type Sample } from './text.ts';

type Of<T> = readonly [name: string, help: string, read: (of: T) => number];

const is = (condition: boolean) => (condition ? 1 : 0);

const gauges: readonly Of<MemberStatus>[] = [
  ['etcd_server_is_leader', '1 on the leader.', ({ role }) => is(role === 'leader')],
  ['etcd_server_is_learner', '1 on a learner.', ({ role }) => is(role === 'learner')],
  ['etcd_server_proposals_committed_total', 'Last committed entry.', (of) => of.commitIndex],
  ['etcd_server_proposals_applied_total', 'Last applied entry.', (of) => of.appliedIndex],
  [
    'etcd_mvcc_db_total_size_in_bytes',
    'Size of the database, log included.',
    (of) => of.databaseBytes,
  ],
  ['etcd_debugging_mvcc_current_revision', 'Revision of the store.', (of) => of.revision],
  ['etcd_debugging_mvcc_compact_revision', 'Compacted up to here.', (of) => of.compactRevision],
  [
    'etcd_debugging_mvcc_watch_stream_total',
    'Open streams of watches.',
    (of) => of.watches.sockets,
  ],
  ['etcd_debugging_mvcc_watcher_total', 'Open watches.', (of) => of.watches.watches],
  ['quorate_member_term', 'Current term.', (of) => of.term],
  ['quorate_member_last_index', 'Last entry in the log.', (of) => of.lastIndex],
  ['quorate_member_first_index', 'First entry in the log.', (of) => of.firstIndex],
  ['quorate_member_at_rest', '1 when the member waits for nothing.', (of) => is(of.atRest)],
];

const ownGauges: readonly Of<MemberMetrics>[] = [
  [
    'etcd_server_has_leader',
    '1 if the leader of its term is known and not doubted.',
    (of) => is(of.hasLeader),
  ],
  ['etcd_server_proposals_pending', 'Commands whose fate is open.', (of) => of.pendingProposals],
  [
    'etcd_server_snapshot_apply_in_progress_total',
    '1 while a snapshot is received.',
    (of) => is(of.isReceivingSnapshot),
  ],
  [
    'etcd_mvcc_db_total_size_in_use_in_bytes',
    'Size of the database without the log: what the quota counts.',
    (of) => of.stateBytes,
  ],
  ['etcd_server_quota_backend_bytes', 'The quota of the tenant.', (of) => of.quotaBytes],
  ['etcd_debugging_auth_revision', 'Revision of users and roles.', (of) => of.authRevision],
  [
    'etcd_debugging_mvcc_slow_watcher_total',
    'Watches that still read history.',
    (of) => of.watchesBehind,
  ],
];

const etcdTotals: readonly Of<MemberTotals>[] = [
  ['etcd_server_leader_changes_seen_total', 'Changes of the leader.', (of) => of.leaderChanges],
  [
    'etcd_server_proposals_failed_total',
    'Commands that timed out, or whose outcome is unknown.',
    (of) => of.failedProposals,
  ],
  ['etcd_server_read_indexes_failed_total', 'Read points that timed out.', (of) => of.failedReads],
  ['etcd_mvcc_range_total', 'Ranges served here.', (of) => of.ranges],
  ['etcd_mvcc_put_total', 'Puts applied here.', (of) => of.puts],
  ['etcd_mvcc_delete_total', 'Deletes applied here.', (of) => of.deletes],
  ['etcd_mvcc_txn_total', 'Transactions of several operations.', (of) => of.txns],
  ['etcd_debugging_mvcc_events_total', 'Events sent to watches.', (of) => of.watchEvents],
  ['etcd_debugging_lease_granted_total', 'Leases granted.', (of) => of.leasesGranted],
  [
    'etcd_debugging_lease_revoked_total',
    'Leases that were revoked or expired.',
    (of) => of.leasesEnded,
  ],
  [
    'etcd_debugging_lease_renewed_total',
    'Keep-alives answered by the leader.',
    (of) => of.leasesRenewed,
  ],
  [
    'etcd_debugging_server_lease_expired_total',
    'Leases that expired, at the leader.',
    (of) => of.leasesExpired,
  ],
  [
    'etcd_network_client_grpc_received_bytes_total',
    'Bytes of the requests of clients, as protobuf.',
    (of) => of.clientBytesReceived,
  ],
  [
    'etcd_network_client_grpc_sent_bytes_total',
    'Bytes of the answers to clients, as protobuf.',
    (of) => of.clientBytesSent,
  ],
];

const ownTotals: readonly Of<MemberCounters>[] = [
  ['quorate_member_rows_read_total', 'Rows read.', (of) => of.rowsRead],
  ['quorate_member_rows_written_total', 'Rows written.', (of) => of.rowsWritten],
  ['quorate_member_commits_total', 'Transactions that wrote something.', (of) => of.commits],
  ['quorate_member_alarms_total', 'Alarms.', (of) => of.alarms],
  ['quorate_member_elections_total', 'Elections begun.', (of) => of.elections],
  ['quorate_member_proposals_total', 'Commands taken.', (of) => of.proposals],
  ['quorate_member_reads_total', 'Linearizable reads begun.', (of) => of.reads],
];

const requestKinds = ['client', 'peer', 'birth', 'status', 'watch'] as const;

/** `labelsOf` tells the members apart. */
export function memberMetrics(
  members: readonly MemberStatus[],
  labelsOf: (member: MemberStatus) => Labels,
): string {
  const told = <T>(type: 'counter' | 'gauge', list: readonly Of<T>[], part: PartOf<T>) =>
    list.map(([name, help, read]) => family(name, type, help, samples(part, read))).join('');
  const samples = <T>(part: PartOf<T>, read: (of: T) => number) =>
    members.flatMap((member): Sample[] => {
      const of = part(member);
      const value = of && read(of);
      // A member of older code does not tell.
      return Number.isFinite(value) ? [[labelsOf(member), Number(value)]] : [];
    });
  return [
    identities(members, labelsOf),
    told('gauge', gauges, (member) => member),
    told('gauge', ownGauges, ({ metrics }) => metrics),
    told('counter', etcdTotals, ({ counters }) => counters.totals),
    told('counter', ownTotals, ({ counters }) => counters),
    requests(members, labelsOf),
    peerMetrics(members, labelsOf),
  ].join('');
}

type PartOf<T> = (member: MemberStatus) => T | undefined;

function identities(members: readonly MemberStatus[], labelsOf: (of: MemberStatus) => Labels) {
  const { etcdserver: server_version } = etcdVersions;
  const ids = members.map(
    (of): Sample => [{ ...labelsOf(of), server_id: hex(of.memberId ?? '0') }, 1],
  );
  const versions = members.map((of): Sample => [{ ...labelsOf(of), server_version }, 1]);
  return (
    family('etcd_server_id', 'gauge', 'The id of the member.', ids) +
    family('etcd_server_version', 'gauge', 'The version that /version tells.', versions)
  );
}

function requests(members: readonly MemberStatus[], labelsOf: (of: MemberStatus) => Labels) {
  const samples = members.flatMap((of) =>
    requestKinds.map((kind): Sample => [{ ...labelsOf(of), kind }, of.counters.requestsIn[kind]]),
  );
  const help = 'Requests that came to this object: what is billed.';
  return family('quorate_member_requests_total', 'counter', help, samples);
}

function peerMetrics(members: readonly MemberStatus[], labelsOf: (of: MemberStatus) => Labels) {
  const pairs = members.flatMap((of) =>
    (of.metrics?.peers ?? []).map((peer) => ({ labels: labelsOf(of), peer })),
  );
  const counted = (label: 'To' | 'From', read: (peer: PeerMetrics) => number) =>
    pairs.map(
      ({ labels, peer }): Sample => [{ ...labels, [label]: hex(peer.memberId) }, read(peer)],
    );
  const roundTrips = pairs.map(
    ({ labels, peer }): Distribution => ({
      labels: { ...labels, To: hex(peer.memberId) },
      classes: peer.roundTrips,
      sum: peer.roundTripMs / 1_000,
    }),
  );
  const network = 'etcd_network_peer';
  return [
    family(
      `${network}_sent_bytes_total`,
      'counter',
      'Bytes sent to a peer.',
      counted('To', (of) => of.bytesSent),
    ),
    family(
      `${network}_received_bytes_total`,
      'counter',
      'Bytes of a peer.',
      counted('From', (of) => of.bytesReceived),
    ),
    family(
      `${network}_sent_failures_total`,
      'counter',
      'Calls that a peer did not answer.',
      counted('To', (of) => of.failures),
    ),
    histogram(
      `${network}_round_trip_time_seconds`,
      'How long a peer took to answer a call, what it wrote for it included.',
      roundTripBoundsMs.map((bound) => bound / 1_000),
      roundTrips,
    ),
  ].join('');
}

/** As etcd shows ids here. */
function hex(id: string): string {
  return BigInt(id).toString(16);
}
