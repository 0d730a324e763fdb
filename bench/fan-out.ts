/**
 * Watch fan-out: one put, and how long until the first and until the last of so many watchers has it.
 * All watch one key by POST /v3/watch, each on a connection of its own as far as file descriptors reach
 * (workerd takes two for each), else several on one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contender, ContenderName } from './contender.ts';
import { Crowd } from './crowd.ts';
import { callJson, inParallel } from './http.ts';
import { median } from './statistics.ts';
import { randomValue } from './workload.ts';

export interface FanOutLine {
  readonly bench: 'fan-out';
  readonly contender: ContenderName;
  readonly watchers: number;
  readonly puts: number;
  readonly openedPerSecond: number;
  /** Medians over the puts, milliseconds from the start of the put. */
  readonly putMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

interface FanOutTask {
  readonly contenders: readonly Contender[];
  readonly watchers: readonly number[];
  readonly log: (text: string) => void;
}

const putsPerCount = 7;
/** The first ones compile and connect; they count for nobody. */
const warmUpPuts = 2;
const openAtOnce = 64;
const connectionsMax = 5_000;
const pauseMs = 200;

export async function measureFanOut({
  contenders,
  watchers,
  log,
}: FanOutTask): Promise<FanOutLine[]> {
  const lines: FanOutLine[] = [];
  for (const count of watchers)
    for (const contender of contenders) {
      log(`${contender.name}: ${count} watchers`);
      const crowd = new Crowd(contender.url, `fan-out/${count}`);
      try {
        lines.push(await measure(contender, crowd, count));
      } finally {
        crowd.close();
      }
      await sleep(pauseMs);
    }
  return lines;
}

async function measure({ name, url }: Contender, crowd: Crowd, count: number): Promise<FanOutLine> {
  const openBegan = performance.now();
  const connections = Math.min(count, connectionsMax);
  const each = Math.ceil(count / connections);
  await inParallel(connections, openAtOnce, (n) => crowd.join(Math.min(each, count - n * each)));
  const openedPerSecond = (count / (performance.now() - openBegan)) * 1_000;
  const rounds: { putMs: number; firstMs: number; lastMs: number }[] = [];
  for (let n = 0; n < warmUpPuts + putsPerCount; n += 1) {
    await sleep(pauseMs);
    const began = performance.now();
    const told = crowd.expect();
    await callJson(`${url}/v3/kv/put`, JSON.stringify({ key: crowd.key, value: randomValue() }));
    const putMs = performance.now() - began;
    const { first, last } = await told;
    if (n >= warmUpPuts) rounds.push({ putMs, firstMs: first - began, lastMs: last - began });
  }
  const of = (value: keyof (typeof rounds)[number]) =>
    Number(median(rounds.map((round) => round[value])).toFixed(2));
  return {
    bench: 'fan-out',
    contender: name,
    watchers: count,
    puts: putsPerCount,
    openedPerSecond: Math.round(openedPerSecond),
    putMs: of('putMs'),
    firstMs: of('firstMs'),
    lastMs: of('lastMs'),
  };
}
