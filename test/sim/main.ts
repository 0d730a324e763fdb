/**
 * Simulates whole clusters from seeds (see README.md beside this file).
 *
 *   npm run sim -- --seeds 1000                seeds from a random base, which is printed
 *   npm run sim -- --seeds 1000 --first 1      seeds 1 to 1000
 *   npm run sim -- --seeds 100 --twice         each also in the opposite order, and it goes alike
 *   npm run sim -- --regressions               the seeds that failed once
 *   npm run sim -- --seed 17 [--trace]         one seed, with what happened in it
 *   npm run sim -- --seed 17 --shrink          the same, made small first if it fails
 */
import { URL } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { regressions } from './regressions.ts';
import { describeDecision } from './simulator/describe.ts';
import { makePlan, type Plan } from './simulator/plan.ts';
import { Report, replayCommand } from './simulator/report.ts';
import { inMacrotask, type Outcome, runPlan, runSeed } from './simulator/run.ts';
import { shrink } from './simulator/shrink.ts';
import type { Result, Share } from './simulator/worker.ts';

const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string' },
    first: { type: 'string' },
    seed: { type: 'string' },
    workers: { type: 'string', default: '2' },
    twice: { type: 'boolean', default: false },
    regressions: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
  },
});

const progressEveryMs = 10_000;
/**
 * A thread ends after so many, so that what one seed leaves behind reaches a bounded number of others. Its first
 * hundred seeds run at half the speed of all that follow, until their code is compiled.
 */
const seedsPerWorker = 2_000;
/** A run of so many seeds fails where a kind of fault never happened. */
const completeSeeds = 1_000;

if (options.seed !== undefined) await one(Number(options.seed));
else if (options.regressions) await again();
else await many(Number(options.seeds ?? 1_000));

async function one(seed: number): Promise<void> {
  const plan = makePlan(seed);
  const outcome = await inMacrotask(() => runPlan(plan, options.trace || options.shrink));
  if (outcome.violation && options.shrink) {
    const shrunk = await inMacrotask(() => shrink(plan, outcome));
    console.log(`${shrunk.runs} runs left ${shrunk.plan.decisions.length} decisions of`);
    console.log(`${plan.decisions.length}:\n${decisionsOf(shrunk.plan)}\n`);
    show(shrunk.outcome);
  } else show(outcome);
}

function decisionsOf({ decisions }: Plan): string {
  return decisions
    .map((one) => `${(one.at / 1_000).toFixed(3)}  ${describeDecision(one)}`)
    .join('\n');
}

function show({ seed, trace, violation, fingerprint }: Outcome): void {
  for (const line of trace) console.log(line);
  console.log(`seed ${seed} (${fingerprint}): ${violation ?? 'no violation'}`);
  if (violation) process.exitCode = 1;
}

async function again(): Promise<void> {
  const report = new Report();
  for (const { seed } of regressions) report.add(await inMacrotask(() => runSeed(seed)));
  console.log(`${report.seeds} seeds that failed once: ${report.failures.length} fail`);
  fail(report);
}

async function many(count: number): Promise<void> {
  const first = Number(options.first ?? 1 + Math.floor(Math.random() * 2 ** 30));
  console.log(`seeds ${first} to ${first + count - 1}`);
  const report = new Report();
  const begunAt = performance.now();
  const rate = () => (report.seeds / ((performance.now() - begunAt) / 1_000)).toFixed(1);
  const progress = setInterval(() => {
    const { seeds, failures } = report;
    console.log(`${seeds} seeds, ${failures.length} failed, ${rate()} a second`);
  }, progressEveryMs);
  await inWorkers(first, count, (result) => {
    report.add(result);
    if (result.violation) console.log(`seed ${result.seed}: ${result.violation}`);
  });
  clearInterval(progress);
  console.log(report.table());
  console.log(`${report.seeds} seeds, ${report.failures.length} failed, ${rate()} a second`);
  if (report.seeds >= completeSeeds && report.missing.length > 0) {
    console.log(`never happened: ${report.missing.join(', ')}`);
    process.exitCode = 1;
  }
  fail(report);
}

function inWorkers(first: number, count: number, take: (result: Result) => void) {
  const step = Number(options.workers);
  return Promise.all(
    Array.from({ length: step }, async (_, at) => {
      let left = Math.ceil((count - at) / step);
      for (let seed = first + at; left > 0; seed += seedsPerWorker * step) {
        const size = Math.min(left, seedsPerWorker);
        const share = { first: seed, count: size, step, isTwice: options.twice };
        await inWorker(share, take);
        left -= size;
      }
    }),
  );
}

function inWorker(share: Share, take: (result: Result) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./simulator/worker.ts', import.meta.url), {
      workerData: share,
    });
    worker.on('message', take);
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
}

function fail(report: Report): void {
  const [worst] = report.failures;
  if (!worst) return;
  console.log(
    `\n${report.failureText()}\n\nThe first one, made small:\n  ${replayCommand(worst.seed)}`,
  );
  process.exitCode = 1;
}
