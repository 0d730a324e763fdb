/** docs/metrics.md tells every metric that there is, and why there is none for the rest of what etcd's alerts use. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { newCounters } from '../../../src/node-do/counters.ts';
import { createRouter } from '../../../src/router/app.ts';
import { readMetrics } from '../../support/prometheus.ts';
import { fakeMembers, success } from '../support/members.ts';
import { memberStatusOf } from '../support/metrics.ts';

const page = readFileSync('docs/metrics.md', 'utf8');
const namePattern = /`((?:etcd|grpc|quorate|process|go|os|promhttp)_[a-z0-9_*]+)`/g;

/** What etcd's mixin takes its alerts and panels from (contrib/mixin, August 2026). */
const usedByMixin = [
  ...['etcd_server_has_leader', 'etcd_server_leader_changes_seen_total'],
  ...['etcd_network_peer_sent_failures_total', 'etcd_network_peer_round_trip_time_seconds'],
  ...['grpc_server_handled_total', 'grpc_server_started_total', 'grpc_server_handling_seconds'],
  ...['etcd_server_proposals_failed_total', 'etcd_server_proposals_pending'],
  ...['etcd_server_proposals_committed_total', 'etcd_server_proposals_applied_total'],
  ...['etcd_disk_wal_fsync_duration_seconds', 'etcd_disk_backend_commit_duration_seconds'],
  ...['etcd_mvcc_db_total_size_in_bytes', 'etcd_mvcc_db_total_size_in_use_in_bytes'],
  ...['etcd_server_quota_backend_bytes', 'process_resident_memory_bytes'],
  ...['etcd_network_client_grpc_received_bytes_total', 'etcd_network_client_grpc_sent_bytes_total'],
  ...['etcd_network_peer_received_bytes_total', 'etcd_network_peer_sent_bytes_total'],
];

async function told(): Promise<string[]> {
  const fake = fakeMembers(success);
  fake.other = (name) => Response.json(memberStatusOf(name, newCounters()));
  const app = createRouter();
  await app.request('/v3/kv/range', { method: 'POST', body: '{"key":"YQ=="}' }, fake.env);
  const answer = await app.request('/metrics', {}, fake.env);
  return [...readMetrics(await answer.text()).keys()];
}

function namesIn(section: RegExp): string[] {
  const [, text = ''] = section.exec(page) ?? [];
  return [...text.matchAll(namePattern)].map(([, name = '']) => name);
}

const offered = [
  ...namesIn(/## etcd's names([\s\S]*?)Not offered:/),
  ...namesIn(/## Others([\s\S]*)$/),
];
const missing = namesIn(/Not offered:([\s\S]*?)## Others/);
const isMissing = (name: string) =>
  missing.some((pattern) => new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name));

test('every metric of the page is documented, and every documented one is there', async () => {
  expect([...new Set(offered)].sort()).toEqual((await told()).sort());
});

test.each(usedByMixin)('%s, which etcd’s mixin uses, is told, or it is said why not', (name) => {
  expect([offered.includes(name), isMissing(name)].filter(Boolean)).toHaveLength(1);
});
