/** Turns measurements into aligned tables for people. Machines read the JSON lines of main.ts. */
import { formOf } from './contender.ts';
import type { FanOutLine } from './fan-out.ts';
import type { Costs, IdleLine, LedgerLine } from './ledger.ts';
import type { MachineFacts } from './machine.ts';
import type { TargetLine } from './targets.ts';
import type { ThroughputLine } from './throughput.ts';

/** A load average above this before anything has started means company. */
const busyLoadAverage = 0.5;

export function machineText(facts: MachineFacts): string {
  return [
    `${facts.cpu}, ${facts.cores} cores, ${facts.system}, load average ${facts.loadAverage}`,
    `node ${facts.node}, workerd ${facts.workerd}`,
    `load of JSON by ${facts.loadGenerators.json}; of gRPC by ${facts.loadGenerators.grpc}`,
    `fsync of 4 KiB: p50 ${facts.fsyncP50Ms.toFixed(2)} ms, p99 ${facts.fsyncP99Ms.toFixed(2)} ms`,
    ...(facts.loadAverage > busyLoadAverage
      ? ['This machine is busy with something else: the figures below are noise to that extent.']
      : []),
  ].join('\n');
}

export function throughputTable(lines: readonly ThroughputLine[]): string {
  const head = ['op', 'clients', 'contender', 'ops/s', 'min..max', 'p50 ms', 'p99 ms', 'errors'];
  const rows = lines.map((line) => [
    line.op,
    String(line.clients),
    line.contender,
    line.opsPerSecond.toFixed(0),
    `${line.opsPerSecondMin.toFixed(0)}..${line.opsPerSecondMax.toFixed(0)}`,
    line.p50Ms.toFixed(2),
    line.p99Ms.toFixed(2),
    String(line.errors),
    orDash(line.cpuUsPerOp),
    orDash(line.ratioToPlain),
    orDash(line.ratioToEtcd),
  ]);
  return table([...head, 'cpu us/op', 'x plain', 'x etcd'], rows);
}

/** Of what was asked by gRPC: the ratios that belong to it, and whether the generator stood in the way. */
export function grpcTable(lines: readonly ThroughputLine[]): string {
  const head = ['op', 'clients', 'by gRPC', 'ops/s', 'x etcd-grpc', 'x own JSON', 'generator busy'];
  const rows = lines
    .filter(({ contender }) => formOf[contender] === 'grpc')
    .map((line) => [
      line.op,
      String(line.clients),
      line.contender,
      line.opsPerSecond.toFixed(0),
      orDash(line.ratioToEtcdGrpc),
      orDash(line.ratioToOwnJson),
      orDash(line.generatorBusy),
    ]);
  return table(head, rows);
}

export function fanOutTable(lines: readonly FanOutLine[]): string {
  const rows = lines.map((line) => [
    String(line.watchers),
    line.contender,
    ...[line.putMs, line.firstMs, line.lastMs].map(twoDigits),
    String(line.openedPerSecond),
  ]);
  return table(['watchers', 'contender', 'put ms', 'first ms', 'last ms', 'opened/s'], rows);
}

export function targetTable(lines: readonly TargetLine[]): string {
  const rows = lines.map((line) => [
    `${line.op} at ${line.clients}`,
    line.against === 'ratioToPlain' ? 'x plain' : 'x etcd',
    `>= ${line.atLeast}`,
    line.measured.toFixed(2),
    line.met ? 'met' : 'missed',
  ]);
  return table(['target', 'against', 'wanted', 'measured', ''], rows);
}

export function ledgerTable(lines: readonly LedgerLine[]): string {
  const head = ['per op', 'clients', 'DO requests', 'client', 'peer', 'birth', 'rows read'];
  const rows = lines.map((line) => [
    line.op,
    String(line.clients),
    requestsOf(line).toFixed(2),
    ...[line.clientRequests, line.peerRequests, line.birthRequests].map(twoDigits),
    ...[line.rowsRead, line.rowsWritten, line.rowsWrittenMax].map(twoDigits),
    ...[line.commits, line.alarms].map(twoDigits),
    line.reloaded.length === 0 ? '' : `reloaded: ${line.reloaded.join(', ')}`,
  ]);
  return table([...head, 'rows written', 'most by one', 'commits', 'alarms', ''], rows);
}

function requestsOf(costs: Costs): number {
  const { clientRequests, peerRequests, birthRequests, watchRequests } = costs;
  return clientRequests + peerRequests + birthRequests + watchRequests;
}

export function idleText(line: IdleLine): string {
  const { seconds, crowd, costs, reloaded, cpuMs, filesChanged } = line;
  const among = crowd === 0 ? '' : ` with ${crowd} watchers and ${crowd} leases of an hour`;
  return [
    `idle for ${seconds} s${among}, all members together: ${requestsOf(costs)} DO requests, ` +
      `${costs.watchMessages} messages of watches, ` +
      `${costs.rowsRead} rows read, ${costs.rowsWritten} rows written, ${costs.commits} commits, ` +
      `${costs.alarms} alarms, ${costs.elections} elections`,
    `  seen from outside: ${cpuMs ?? '?'} ms of CPU, ${filesChanged} data files changed`,
    reloaded.length === 0
      ? '  no object was unloaded'
      : `  unloaded meanwhile: places ${reloaded.join(', ')} (the counts above are then those of ` +
        'the life that the second reading began, that is, of waking up)',
  ].join('\n');
}

function twoDigits(value: number): string {
  return value.toFixed(2);
}

function orDash(value: number | null): string {
  return value === null ? '-' : String(value);
}

/** Words to the left, numbers to the right; two spaces between columns. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const numeric = head.map((_, column) => {
    return rows.every((row) => /^(-|[>= ]*[0-9.]+)$/.test(row[column] ?? ''));
  });
  return all
    .map((row) => {
      const cells = row.map((cell, column) => {
        const width = widths[column] ?? 0;
        return numeric[column] ? cell.padStart(width) : cell.padEnd(width);
      });
      return cells.join('  ').trimEnd();
    })
    .join('\n');
}
