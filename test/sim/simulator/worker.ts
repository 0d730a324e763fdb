/**
 * One thread of many seeds: every `step`-th from `first` on. With `isTwice` each of them runs once more, in
 * the opposite order, and has to go as it went before: whatever ran in between leaves nothing behind.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { inMacrotask, type Outcome, runSeed } from './run.ts';

export interface Share {
  readonly first: number;
  readonly count: number;
  readonly step: number;
  readonly isTwice: boolean;
}

export type Result = Pick<Outcome, 'seed' | 'violation' | 'counts'>;

/** What fails is run again alone, with its stacks; here an error of every lost message costs one. */
Error.stackTraceLimit = 0;

const { first, count, step, isTwice } = workerData as Share;
const seeds = Array.from({ length: count }, (_, at) => first + at * step);

if (isTwice) await forthAndBack();
else for (const seed of seeds) tell(await run(seed));

function run(seed: number): Promise<Outcome> {
  return inMacrotask(() => runSeed(seed));
}

async function forthAndBack(): Promise<void> {
  const fingerprints = new Map<number, string>();
  for (const seed of seeds) fingerprints.set(seed, (await run(seed)).fingerprint);
  for (const seed of seeds.reverse()) {
    const outcome = await run(seed);
    const before = fingerprints.get(seed);
    const differs = `went as ${before}, and after other seeds as ${outcome.fingerprint}`;
    const violation = before === outcome.fingerprint ? outcome.violation : differs;
    tell({ ...outcome, violation });
  }
}

function tell({ seed, violation, counts }: Outcome): void {
  const result: Result = { seed, violation, counts };
  parentPort?.postMessage(result);
}
