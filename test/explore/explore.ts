/**
 * `npm run explore`: searches the states that the real core can reach with three members, breadth
 * first, and checks Raft's safety properties in each. README.md says what is in it and what is not.
 *
 * Prints a row for each start. A violation prints a shortest path to it, and the exit code is 1.
 */
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Job, Report } from './job.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { starts } from './starts.ts';

const workerCount = 2;
const workerMegabytes = 3_000;
const columns = ['states', 'transitions', 'turns', 'depth', 'seconds', 'states/s', 'ended'];

async function run(options: Options): Promise<boolean> {
  const begin = performance.now();
  const states = Math.ceil(options.states / options.starts.length);
  const { scope, depth, seconds } = options;
  const limits = { states, depth, seconds };
  const jobs = options.starts.map((start) => ({ start, scope, limits }));
  console.log(rowText('start', columns));
  const reports: Report[] = [];
  await Promise.all(
    Array.from({ length: workerCount }, () =>
      work(jobs, (report) => {
        reports.push(report);
        console.log(reportText(report));
      }),
    ),
  );
  console.log(totalText(reports, (performance.now() - begin) / 1000));
  const broken = reports.filter(({ path }) => path !== null);
  for (const { start, path } of broken) console.log([``, start, ...(path ?? [])].join('\n'));
  return broken.length === 0;
}

/** One thread takes jobs until there are none. */
async function work(jobs: Job[], tell: (report: Report) => void): Promise<void> {
  const worker = new Worker(fileURLToPath(import.meta.resolve('./worker.ts')), {
    resourceLimits: { maxOldGenerationSizeMb: workerMegabytes },
  });
  try {
    for (let job = jobs.shift(); job; job = jobs.shift()) {
      const answer = once(worker, 'message');
      worker.postMessage(job);
      const [report] = await answer;
      tell(report);
    }
  } finally {
    await worker.terminate();
  }
}

function reportText({ start, result, path }: Report): string {
  const { states, transitions, turns, depth, seconds, isComplete } = result;
  const ended = path ? 'VIOLATION' : isComplete ? 'complete' : 'bound';
  return rowText(start, [...numbers(states, transitions, turns, depth, seconds), ended]);
}

function totalText(reports: readonly Report[], seconds: number): string {
  const sum = (of: 'states' | 'transitions' | 'turns') =>
    reports.reduce((total, { result }) => total + result[of], 0);
  const depth = Math.max(...reports.map(({ result }) => result.depth));
  return rowText('all', numbers(sum('states'), sum('transitions'), sum('turns'), depth, seconds));
}

function numbers(
  states: number,
  transitions: number,
  turns: number,
  depth: number,
  seconds: number,
): string[] {
  const rate = seconds > 0 ? Math.round(states / seconds) : 0;
  return [`${states}`, `${transitions}`, `${turns}`, `${depth}`, seconds.toFixed(1), `${rate}`];
}

function rowText(name: string, cells: readonly string[]): string {
  return name.padEnd(44) + cells.map((cell) => cell.padStart(12)).join('');
}

const options = parseOptions(process.argv.slice(2));
if (options === 'help') console.log(usage);
else if (options === 'list')
  for (const { name, scope } of starts) console.log(`${name.padEnd(44)} ${JSON.stringify(scope)}`);
else process.exitCode = (await run(options)) ? 0 : 1;
