/**
 * Who looks for a mutant: the tests that fit, whole folders of tests, random schedules of the core,
 * and the state search where nobody else has found it, or where it is asked for.
 *
 * A find is a failed assertion or a broken invariant. No find: a test that ran out of time, a program
 * that had to be killed, a file that did not load, a crash of the engine's making (TypeError and its
 * like), since any nonsense in the source would bring those forth.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { executedMark, type Mutant } from './mutant.ts';
import { runProgram } from './program.ts';
import { leanConfig, type Sandbox } from './sandbox.ts';

export interface Found {
  /** Null: none of the tests that were run. */
  readonly test: string | null;
  /** Random schedules until one broke; null: none did, or there are none for this file. */
  readonly seeds: number | null;
  /** States until the state search found a violation; null: it did not, or was not asked. */
  readonly states: number | null;
  /** Simulated clusters until one broke; null: none did, or they were not asked. */
  readonly simulated: number | null;
  readonly executed: boolean;
}

const testRunMs = 240_000;
const randomRunMs = 90_000;
/** Random schedules for a mutant that a test has found: how soon would they have? */
const seedsIfFound = 200;
const searchRunMs = 240_000;
const simulatedRunMs = 900_000;
/** By rules, whose tests are named "rule 5: ...". */
const ruleFiles = ['raft/rules', 'sim/rules', 'sim/lease-rules', 'kv/leases'].map(
  (name) => `test/${name}.test.ts`,
);

interface Look {
  readonly files: readonly string[];
  readonly project?: 'unit' | 'workerd';
  /** Only the tests whose full name matches. */
  readonly named?: string;
}

export interface Limits {
  readonly seeds: number;
  readonly states: number;
  /** The state search looks for each mutant of the core, found or not. */
  readonly search: boolean;
  /** The simulated clusters alone look, at so many seeds; 0: all others, and they where named. */
  readonly simulate: number;
}

export async function find(sandbox: Sandbox, mutant: Mutant, limits: Limits): Promise<Found> {
  const { simulatedSeeds = 0 } = mutant;
  const seeds = limits.simulate || simulatedSeeds;
  const simulated =
    seeds > 0 ? await runSimulated(sandbox, seeds) : { seeds: null, executed: false };
  const others = limits.simulate > 0 ? nobody : await findElsewhere(sandbox, mutant, limits);
  const executed = simulated.executed || others.executed;
  return { ...others, simulated: simulated.seeds, executed };
}

type Elsewhere = Omit<Found, 'simulated'>;

const nobody: Elsewhere = { test: null, seeds: null, states: null, executed: false };

async function findElsewhere(sandbox: Sandbox, mutant: Mutant, limits: Limits): Promise<Elsewhere> {
  let executed = false;
  let test: string | null = null;
  for (const look of looks(sandbox, mutant)) {
    if (look.files.length === 0) continue;
    const run = await runTests(sandbox, look);
    executed ||= run.executed;
    test = run.failed;
    if (test !== null) break;
  }
  if (!mutant.file.startsWith('src/raft/')) return { test, seeds: null, states: null, executed };
  const seedsMax = test === null ? limits.seeds : Math.min(limits.seeds, seedsIfFound);
  const random = await runRandom(sandbox, seedsMax);
  const { seeds } = random;
  executed ||= random.executed;
  if (!limits.search && (test !== null || seeds !== null))
    return { test, seeds, states: null, executed };
  const search = await runSearch(sandbox, limits.states);
  return { test, seeds, states: search.states, executed: executed || search.executed };
}

/** Without a mutant nobody may find anything. Returns what was found all the same. */
export async function control(sandbox: Sandbox, seedsMax: number): Promise<string | null> {
  const folders = ['raft', 'sim', 'kv', 'router', 'bridge', 'support/history'].map(
    (name) => `test/${name}`,
  );
  const files = ['test/raft/scenarios/scenarios.test.ts'];
  for (const folder of folders) files.push(...testsIn(sandbox, folder));
  const { failed, count } = await runTests(sandbox, { files });
  if (count === 0) return 'no test was run';
  const { seeds } = await runRandom(sandbox, seedsMax);
  return failed ?? (seeds === null ? null : `seed ${seeds}`);
}

function looks(sandbox: Sandbox, { file, rule, hint }: Mutant): Look[] {
  if (rule !== undefined) {
    const files = ruleFiles.filter((path) => existsSync(join(sandbox.root, path)));
    // Whatever else might find it: the rule has to have its scenario.
    return [{ files, named: `rule ${rule}:` }];
  }
  const first = { files: hint ?? [] };
  // The tests of the checkers are all there is: whoever is judged by them has no say.
  if (file.startsWith('test/')) return [first];
  const scenarios = { files: ['test/raft/scenarios/scenarios.test.ts'] };
  const raft = { files: testsIn(sandbox, 'test/raft') };
  const sim = { files: testsIn(sandbox, 'test/sim') };
  if (file.startsWith('src/raft/')) return [first, raft, scenarios, sim];
  if (file.startsWith('src/router/')) return [first, { files: testsIn(sandbox, 'test/router') }];
  if (file.startsWith('src/bridge/')) return [first, { files: testsIn(sandbox, 'test/bridge') }];
  const workerd: Look = { files: testsIn(sandbox, 'test/node-do'), project: 'workerd' };
  // The Durable Object itself runs nowhere else.
  return file === 'src/node-do/raft-node.ts' ? [workerd] : [first, sim, workerd];
}

/** Without the random schedules, which are counted by themselves. */
function testsIn(sandbox: Sandbox, folder: string): string[] {
  return readdirSync(join(sandbox.root, folder))
    .filter((name) => name.endsWith('.test.ts') && name !== 'random.test.ts')
    .map((name) => `${folder}/${name}`);
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

async function runTests(
  sandbox: Sandbox,
  { files, project = 'unit', named }: Look,
): Promise<{ failed: string | null; executed: boolean; count: number }> {
  const reportPath = join(sandbox.root, 'report.json');
  rmSync(reportPath, { force: true });
  const args = ['run', '--reporter=json', `--outputFile=${reportPath}`, '--bail=1'];
  args.push('--disable-console-intercept=true', '--cache=false', '--fsModuleCache=false');
  if (project === 'workerd') args.push('--project=workerd');
  else args.push(`--config=${leanConfig}`, '--pool=threads', '--no-isolate', '--maxWorkers=1');
  if (named !== undefined) args.push(`--testNamePattern=${named}`);
  const program = join(sandbox.root, 'node_modules/.bin/vitest');
  const output = await runProgram(program, [...args, ...files], sandbox.root, testRunMs);
  const executed = output.includes(executedMark);
  if (!existsSync(reportPath)) return { failed: null, executed, count: 0 };
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  const count = report.testResults.reduce(
    (sum, { assertionResults: { length } }) => sum + length,
    0,
  );
  for (const { name, assertionResults } of report.testResults) {
    for (const { fullName, status, failureMessages } of assertionResults) {
      if (status !== 'failed' || !failureMessages.some(isFind)) continue;
      const path = name.slice(sandbox.root.length + 1);
      const failed = `${path.replace(/^test\/|\.test\.ts$/g, '')}: ${fullName}`;
      return { failed, executed, count };
    }
  }
  return { failed: null, executed, count };
}

function isFind(message: string): boolean {
  return !/^(TypeError|RangeError|ReferenceError|SyntaxError)\b|timed out/.test(message);
}

async function runRandom(
  sandbox: Sandbox,
  seedsMax: number,
): Promise<{ seeds: number | null; executed: boolean }> {
  const program = process.execPath;
  const args = ['test/mutants/random.ts', `${seedsMax}`];
  const output = await runProgram(program, args, sandbox.root, randomRunMs);
  const broken = /^seed (\d+): (.*)$/m.exec(output);
  const seeds = broken && isFind(broken[2] ?? '') ? Number(broken[1]) : null;
  return { seeds, executed: output.includes(executedMark) };
}

async function runSimulated(
  sandbox: Sandbox,
  seedsMax: number,
): Promise<{ seeds: number | null; executed: boolean }> {
  const args = ['test/mutants/simulated.ts', `${seedsMax}`];
  const output = await runProgram(process.execPath, args, sandbox.root, simulatedRunMs);
  const broken = /^seed (\d+): (.*)$/m.exec(output);
  const isCrash = /\b(TypeError|RangeError|ReferenceError)\b/.test(broken?.[2] ?? '');
  return {
    seeds: broken && !isCrash ? Number(broken[1]) : null,
    executed: output.includes(executedMark),
  };
}

async function runSearch(
  sandbox: Sandbox,
  statesMax: number,
): Promise<{ states: number | null; executed: boolean }> {
  const args = ['test/explore/explore.ts', `--states=${statesMax}`];
  const output = await runProgram(process.execPath, args, sandbox.root, searchRunMs);
  const rows = [...output.matchAll(/^\S.*?\s{2,}(\d+)\s.*VIOLATION$/gm)];
  const counts = rows.map(([, count]) => Number(count));
  const isCrash = /(TypeError|RangeError|ReferenceError)\b/.test(output);
  const states = counts.length > 0 && !isCrash ? Math.min(...counts) : null;
  return { states, executed: output.includes(executedMark) };
}
