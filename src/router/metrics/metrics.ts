/**
 * GET /metrics in Prometheus' text form: what this isolate's router has counted, and what each
 * member of the tenant says of itself. Asking a member wakes it; scrape an idle tenant seldom.
 */
import type { MemberCounters, MemberStatus } from '../../api/member.ts';
import type { RouterEnv } from '../env.ts';
import { corsHeaders, getOnly } from '../etcd/headers.ts';
import { groupStatus } from '../members/status.ts';
import { counters, requestCounts } from './counters.ts';

const contentType = 'text/plain; version=0.0.4; charset=utf-8; escaping=underscores';

export async function serveMetrics(
  request: Request,
  env: RouterEnv,
  tenant: string,
): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') return getOnly();
  const status = await groupStatus(env, tenant);
  const members = status.members.filter((member) => 'born' in member);
  const text = routerMetrics() + memberMetrics(members.filter((member) => member.born));
  return new Response(text, { headers: { ...corsHeaders, 'content-type': contentType } });
}

type Sample = readonly [labels: Readonly<Record<string, string | number>>, value: number];

function family(name: string, type: 'counter' | 'gauge', help: string, samples: Sample[]): string {
  if (samples.length === 0) return '';
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([key, label]) => `${key}="${label}"`);
    return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join('')}`;
}

function routerMetrics(): string {
  const requests = [...requestCounts()].map(([label, count]): Sample => {
    const [surface = '', status = ''] = label.split(' ');
    return [{ surface, status }, count];
  });
  return [
    family('etcd_cluster_version', 'gauge', 'Which version is spoken on /v3.', [
      [{ cluster_version: '3.5' }, 1],
    ]),
    family(
      'quorate_router_requests_total',
      'counter',
      'Requests answered by this isolate.',
      requests,
    ),
    family('quorate_router_attempts_total', 'counter', 'Calls to members.', [
      [{}, counters.attempts],
    ]),
    family('quorate_router_redirects_total', 'counter', 'Answers that named another member.', [
      [{}, counters.redirects],
    ]),
    family('quorate_router_faults_total', 'counter', 'Calls to members that got no answer.', [
      [{}, counters.faults],
    ]),
    family('quorate_router_unknown_outcomes_total', 'counter', 'Writes with unknown outcome.', [
      [{}, counters.unknownOutcomes],
    ]),
  ].join('');
}

const gauges: readonly (readonly [string, string, (status: MemberStatus) => number])[] = [
  ['is_leader', '1 on the leader.', (status) => (status.role === 'leader' ? 1 : 0)],
  ['term', 'Current term.', (status) => status.term],
  ['commit_index', 'Last committed entry.', (status) => status.commitIndex],
  ['applied_index', 'Last applied entry.', (status) => status.appliedIndex],
  ['last_index', 'Last entry in the log.', (status) => status.lastIndex],
  ['revision', 'Store revision.', (status) => status.revision],
  ['compact_revision', 'Compacted up to here.', (status) => status.compactRevision],
  ['database_bytes', 'Size of the database.', (status) => status.databaseBytes],
  ['at_rest', '1 when the member waits for nothing.', (status) => (status.atRest ? 1 : 0)],
];

const totals: readonly (readonly [string, string, (counted: MemberCounters) => number])[] = [
  ['rows_read', 'Rows read.', (counted) => counted.rowsRead],
  ['rows_written', 'Rows written.', (counted) => counted.rowsWritten],
  ['commits', 'Transactions that wrote something.', (counted) => counted.commits],
  ['alarms', 'Alarms.', (counted) => counted.alarms],
  ['elections', 'Elections begun.', (counted) => counted.elections],
  ['proposals', 'Proposals.', (counted) => counted.proposals],
  ['entries_applied', 'Entries applied.', (counted) => counted.entriesApplied],
  ['reads', 'Reads served.', (counted) => counted.reads],
];

const requestKinds = ['client', 'peer', 'birth', 'status'] as const;

function memberMetrics(members: readonly MemberStatus[]): string {
  const labels = ({ tenant, place }: MemberStatus) => ({ tenant, place });
  const parts = gauges.map(([name, help, read]) =>
    family(
      `quorate_member_${name}`,
      'gauge',
      help,
      members.map((status): Sample => [labels(status), read(status)]),
    ),
  );
  for (const [name, help, read] of totals) {
    const samples = members.map((status): Sample => [labels(status), read(status.counters)]);
    parts.push(family(`quorate_member_${name}_total`, 'counter', `${help} This life.`, samples));
  }
  const requestsIn = members.flatMap((status) =>
    requestKinds.map(
      (kind): Sample => [{ ...labels(status), kind }, status.counters.requestsIn[kind]],
    ),
  );
  const help = 'Requests that came to this object in this life: what is billed.';
  parts.push(family('quorate_member_requests_total', 'counter', help, requestsIn));
  return parts.join('');
}
