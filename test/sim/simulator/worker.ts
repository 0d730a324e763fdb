/** One thread of many seeds: every `step`-th from `first` on. */
import { parentPort, workerData } from 'node:worker_threads';
import { inMacrotask, type Outcome, runSeed } from './run.ts';

export interface Share {
  readonly first: number;
  readonly count: number;
  readonly step: number;
}

export type Result = Pick<Outcome, 'seed' | 'violation' | 'counts'>;

/** What fails is run again alone, with its stacks; here an error of every lost message costs one. */
Error.stackTraceLimit = 0;

const { first, count, step } = workerData as Share;

for (let at = 0; at < count; at += 1) {
  const { seed, violation, counts } = await inMacrotask(() => runSeed(first + at * step));
  const result: Result = { seed, violation, counts };
  parentPort?.postMessage(result);
}
