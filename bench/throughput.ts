/**
 * Throughput and latency: every contender, operation and number of clients, in rounds. All
 * contenders run all the time, one is measured at a time, and each round begins with another one, so
 * that a drift of the machine meets all of them. The median of the rounds is what is reported.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './asking.ts';
import { cpuMs } from './children.ts';
import { type Contender, type ContenderName, type Form, formOf } from './contender.ts';
import type { Load, LoadGenerator, Measurement } from './load.ts';
import type { Options } from './options.ts';
import { type Ratios, ratiosOf } from './ratios.ts';
import { median } from './statistics.ts';
import { type Operation, operations, type Workload } from './workload.ts';

export interface ThroughputLine extends Ratios {
  readonly bench: 'throughput';
  readonly contender: ContenderName;
  readonly op: Operation;
  readonly clients: number;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: number;
  readonly rounds: number;
  /** Slowest and fastest round: how far the median can be trusted. */
  readonly opsPerSecondMin: number;
  readonly opsPerSecondMax: number;
  /** CPU time of the contender's processes for one operation, where /proc shows it. */
  readonly cpuUsPerOp: number | null;
  /** Part of the time in which the load generator was at work; near 1, it is what was measured. */
  readonly generatorBusy: number | null;
}

interface Round extends Measurement {
  readonly cpuUsPerOp: number | null;
}

const settleMs = 100;
/** What a measurement takes besides: to settle, to wake its contender, to start its generator. */
const besidesMs = 200;
const warmUpClients = 16;
const warmUpSeconds = 1;

export interface ThroughputTask {
  readonly contenders: readonly Contender[];
  readonly workload: Workload;
  readonly generators: Readonly<Record<Form, LoadGenerator>>;
  readonly options: Options;
  /** When the last measurement of a further round must be over (performance.now). */
  readonly deadline: number;
  readonly log: (text: string) => void;
}

export async function measureThroughput(task: ThroughputTask): Promise<ThroughputLine[]> {
  const { options, contenders, log } = task;
  const rounds = new Map<string, Round[]>();
  if (options.clients.length > 0) await warmUp(task);
  const seconds = measurementSeconds(
    options.seconds,
    contenders.length * operations.length * options.clients.length,
    task.deadline - performance.now(),
  );
  if (seconds < options.seconds) log(`${seconds} s a measurement: the budget takes no more`);
  for (let round = 0; round < options.rounds; round++) {
    for (const clients of options.clients) {
      for (const operation of operations) {
        for (const contender of rotated(contenders, round)) {
          const late = performance.now() + seconds * 1000 > task.deadline;
          if (round > 0 && late) continue;
          const result = await measureOnce(task, contender, { operation, clients, seconds });
          const key = keyOf(contender.name, operation, clients);
          rounds.set(key, [...(rounds.get(key) ?? []), result]);
          log(`round ${round + 1}: ${key} ${result.opsPerSecond.toFixed(0)}/s`);
        }
      }
    }
  }
  return summarize(task, rounds);
}

/** Whole seconds of one measurement, so that the first round ends in time; one at least, even if it does not. */
export function measurementSeconds(wanted: number, measurements: number, leftMs: number): number {
  const each = Math.floor((leftMs / measurements - besidesMs) / 1000);
  return Math.max(1, Math.min(wanted, each));
}

/** The first second of a process is spent compiling, in all but etcd: it counts for nobody. */
async function warmUp({ contenders, workload, generators, log }: ThroughputTask): Promise<void> {
  log('warming up');
  for (const { name, url } of contenders) {
    for (const operation of operations) {
      const load = { url, operation, workload, clients: warmUpClients, seconds: warmUpSeconds };
      await generators[formOf[name]].run(load);
    }
  }
}

async function measureOnce(
  { workload, generators }: ThroughputTask,
  contender: Contender,
  { operation, clients, seconds }: Pick<Load, 'operation' | 'clients' | 'seconds'>,
): Promise<Round> {
  // An object that has rested is loaded again before the clock starts.
  const [wakeBody] = workload.bodies[operation];
  await ask(contender, operation, wakeBody as string);
  await sleep(settleMs);
  const cpuBefore = cpuMs(contender.pids);
  const load = { url: contender.url, operation, workload, clients, seconds };
  const result = await generators[formOf[contender.name]].run(load);
  const cpuAfter = cpuMs(contender.pids);
  const known = cpuBefore !== null && cpuAfter !== null && result.operations > 0;
  const cpuUsPerOp = known ? ((cpuAfter - cpuBefore) * 1000) / result.operations : null;
  return { ...result, cpuUsPerOp };
}

function summarize(task: ThroughputTask, rounds: ReadonlyMap<string, Round[]>): ThroughputLine[] {
  const lines: ThroughputLine[] = [];
  for (const op of operations) {
    for (const clients of task.options.clients) {
      const speedOf = (name: ContenderName) => {
        const results = rounds.get(keyOf(name, op, clients));
        return results ? median(results.map((result) => result.opsPerSecond)) : null;
      };
      for (const { name } of task.contenders) {
        const results = rounds.get(keyOf(name, op, clients)) ?? [];
        const speeds = results.map((result) => result.opsPerSecond);
        const opsPerSecond = median(speeds);
        lines.push({
          bench: 'throughput',
          contender: name,
          op,
          clients,
          opsPerSecond: rounded(opsPerSecond, 1),
          p50Ms: rounded(median(results.map((result) => result.p50Ms)), 3),
          p99Ms: rounded(median(results.map((result) => result.p99Ms)), 3),
          errors: results.reduce((sum, result) => sum + result.errors, 0),
          rounds: results.length,
          opsPerSecondMin: rounded(Math.min(...speeds), 1),
          opsPerSecondMax: rounded(Math.max(...speeds), 1),
          cpuUsPerOp: medianOrNull(results.map((result) => result.cpuUsPerOp)),
          generatorBusy: medianOrNull(
            results.map((result) => result.generatorBusy),
            2,
          ),
          ...ratiosOf(name, speedOf),
        });
      }
    }
  }
  return lines;
}

function keyOf(name: ContenderName, operation: Operation, clients: number): string {
  return `${name} ${operation} at ${clients}`;
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

function medianOrNull(values: readonly (number | null)[], digits = 0): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : rounded(median(known), digits);
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
