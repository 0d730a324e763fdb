/**
 * What this isolate's router has counted. A deployment has many isolates, and whichever a scrape meets
 * answers: the label `isolate` keeps them apart, so that no counter seems to fall.
 */
import { etcdVersions } from '../../api/version.ts';
import { counters, requestCounts } from './counters.ts';
import { countsOf, durationBounds, type RpcCounts } from './rpc-counts.ts';
import { type Distribution, family, histogram, type Labels, type Sample } from './text.ts';

let isolateName = '';

/** Drawn with the first request: the platform gives no random numbers before. */
function isolate(): string {
  isolateName ||= crypto.randomUUID().slice(0, 8);
  return isolateName;
}

export function routerMetrics(tenant: string): string {
  return ofIsolate({ isolate: isolate() }) + ofTenant(tenant, { tenant, isolate: isolate() });
}

const totals = [
  ['attempts', 'Calls to members.', () => counters.attempts],
  ['redirects', 'Answers that named another member.', () => counters.redirects],
  ['faults', 'Calls to members that got no answer.', () => counters.faults],
  ['unknown_outcomes', 'Writes with unknown outcome.', () => counters.unknownOutcomes],
] as const;

function ofIsolate(labels: Labels): string {
  const requests = [...requestCounts()].map(([label, count]): Sample => {
    const [surface = '', status = ''] = label.split(' ');
    return [{ ...labels, surface, status }, count];
  });
  const version = etcdVersions.etcdcluster.split('.').slice(0, 2).join('.');
  return [
    family('etcd_cluster_version', 'gauge', 'Version of the API that is spoken on /v3.', [
      [{ cluster_version: version }, 1],
    ]),
    family('quorate_router_requests_total', 'counter', 'Requests of all tenants.', requests),
    ...totals.map(([name, help, read]) =>
      family(`quorate_router_${name}_total`, 'counter', help, [[labels, read()]]),
    ),
  ].join('');
}

function ofTenant(tenant: string, labels: Labels): string {
  const { rpcs, health } = countsOf(tenant);
  const counted = joined([...rpcs.values()]);
  const labelsOf = ({ rpc }: RpcCounts): Labels => ({
    ...labels,
    grpc_type: rpc.type,
    grpc_service: rpc.service,
    grpc_method: rpc.method,
  });
  const started = counted.map((counts): Sample => [labelsOf(counts), counts.started]);
  const handled = counted.flatMap((counts) =>
    [...counts.handled].map(
      ([grpc_code, count]): Sample => [{ ...labelsOf(counts), grpc_code }, count],
    ),
  );
  const durations = counted
    .filter(({ rpc }) => rpc.type === 'unary')
    .map(
      (counts): Distribution => ({
        labels: labelsOf(counts),
        classes: counts.durations,
        sum: counts.seconds,
      }),
    );
  return [
    family('grpc_server_started_total', 'counter', 'RPCs of /v3 that have begun.', started),
    family('grpc_server_handled_total', 'counter', 'RPCs of /v3 that have ended.', handled),
    histogram(
      'grpc_server_handling_seconds',
      'How long unary RPCs of /v3 took.',
      durationBounds,
      durations,
    ),
    family('etcd_server_health_success', 'counter', 'Checks of /health that passed.', [
      [labels, health.success],
    ]),
    family('etcd_server_health_failures', 'counter', 'Checks of /health that failed.', [
      [labels, health.failure],
    ]),
  ].join('');
}

/** Some RPCs have two paths. */
function joined(all: readonly RpcCounts[]): RpcCounts[] {
  const byName = new Map<string, RpcCounts>();
  for (const counts of all) {
    const name = `${counts.rpc.service}/${counts.rpc.method}`;
    const before = byName.get(name);
    byName.set(name, before === undefined ? counts : sum(before, counts));
  }
  return [...byName.values()];
}

function sum(a: RpcCounts, b: RpcCounts): RpcCounts {
  const handled = new Map(a.handled);
  for (const [code, count] of b.handled) handled.set(code, (handled.get(code) ?? 0) + count);
  return {
    rpc: a.rpc,
    started: a.started + b.started,
    handled,
    durations: a.durations.map((count, at) => count + (b.durations[at] ?? 0)),
    seconds: a.seconds + b.seconds,
  };
}
