/** The tables of `bench:wan`, in Markdown. */
import { median, percentile } from '../statistics.ts';
import { leaderBoundMs } from './bounds.ts';
import { type LoadResult, type LowRateResult, operations, type Sample } from './latency.ts';
import type { Placement } from './placements.ts';
import { composition, type Recovery } from './recovery.ts';
import { regions, roundTripMs, standIns } from './round-trips.ts';

export function regionsText(): string {
  return regions.map((region) => `${region} ${standIns[region]}`).join(', ');
}

export function boundsTable(placements: readonly Placement[]): string {
  const rows = placements.map(({ name, members }) => [
    name,
    ...regions.map((region) => leaderBoundMs(region, members, roundTripMs).toFixed(0)),
  ]);
  return table(['members (the first leads)', ...regions], rows);
}

/** A cell is `p50`, or `p50 / p99` where they differ, of latency divided by its bound. */
export function ratiosTable(measured: readonly LowRateResult[]): string {
  const rows = measured.flatMap(({ placement, samples, elections }) =>
    operations.map((operation) => {
      const mine = samples.filter((sample) => sample.operation === operation);
      const whole = [callsCell(mine), errorsCell(mine), String(elections)];
      return [placement.name, operation, ...mine.map(ratioCell), ...whole];
    }),
  );
  return table(['members', 'op', ...regions, 'calls', 'errors', 'elections'], rows);
}

function ratioCell({ ratios }: Sample): string {
  const [middle, tail] = [percentile(ratios, 50).toFixed(2), percentile(ratios, 99).toFixed(2)];
  return middle === tail ? middle : `${middle} / ${tail}`;
}

function callsCell(samples: readonly Sample[]): string {
  const calls = samples.reduce((sum, sample) => sum + sample.calls, 0);
  return (calls / requestsIn(samples)).toFixed(1);
}

function errorsCell(samples: readonly Sample[]): string {
  const errors = samples.reduce((sum, sample) => sum + sample.errors, 0);
  return `${errors} of ${requestsIn(samples)}`;
}

function requestsIn(samples: readonly Sample[]): number {
  return samples.reduce((sum, { ratios }) => sum + ratios.length, 0);
}

export interface Loaded {
  readonly placement: Placement;
  readonly result: LoadResult;
}

export function loadTable(loaded: readonly Loaded[]): string {
  const rows = loaded.map(({ placement, result }) => [
    placement.name,
    result.operation,
    result.perSecond.toFixed(0),
    percentile(result.ratios, 50).toFixed(2),
    percentile(result.ratios, 99).toFixed(2),
    percentile(result.excessMs, 50).toFixed(0),
    percentile(result.excessMs, 99).toFixed(0),
    result.requestsPerEntry?.toFixed(1) ?? '-',
    result.callsPerRequest.toFixed(2),
    String(result.errors),
  ]);
  const head = ['members', 'op', 'per second', 'ratio p50', 'p99', 'above bound ms p50', 'p99'];
  return table([...head, 'writes per entry', 'calls per op', 'errors'], rows);
}

export function recoveryTable(recoveries: readonly Recovery[]): string {
  const rows = recoveries.map(({ placement, loss, clients, measuredMs, terms }) => {
    const { detectionMs, checkMs, roundTripsMs } = composition(placement, loss);
    const sumMs = detectionMs + checkMs + roundTripsMs;
    const middleMs = median(measuredMs);
    return [
      placement.name,
      clients === 1 ? 'at rest' : `${clients} clients`,
      loss,
      ...[detectionMs, checkMs, roundTripsMs, sumMs, middleMs].map((ms) => ms.toFixed(0)),
      Math.max(...measuredMs).toFixed(0),
      (middleMs - sumMs).toFixed(0),
      String(Math.max(...terms)),
    ];
  });
  const times = ['detection', 'check', '3 round trips', 'sum', 'measured p50', 'max', 'p50 - sum'];
  return table(['members', 'load', 'callers get', ...times, 'terms, max'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
