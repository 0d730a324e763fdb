/**
 * `npm run bench`: measures Quorate beside a plain Durable Object and etcd on this machine, prints
 * tables and JSON lines, and ends within five minutes. Not a test: targets are reported only.
 * docs/benchmarks.md says what each row means.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repoRoot, workDirectory } from './children.ts';
import { type Contender, ContenderMissing, type ContenderName } from './contender.ts';
import { startEtcd } from './etcd.ts';
import { measureFanOut } from './fan-out.ts';
import { measureIdle, measureLedger } from './ledger.ts';
import { measureCrowd } from './ledger-crowd.ts';
import { findLoadGenerator } from './load.ts';
import { machineFacts } from './machine.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { startPlain } from './plain.ts';
import { checkContender, preload } from './preload.ts';
import { type Quorate, startQuorate } from './quorate.ts';
import {
  fanOutTable,
  idleText,
  ledgerTable,
  machineText,
  targetTable,
  throughputTable,
} from './report.ts';
import { judgeTargets } from './targets.ts';
import { measureThroughput } from './throughput.ts';
import { makeWorkload } from './workload.ts';

/** What the ledger takes besides its idle part. */
const ledgerSeconds = 25;
const fanOutSeconds = 60;
/** With many watchers and leases; what it takes besides: to open them, and to count. */
const crowdIdleSeconds = 20;
const crowdSeconds = 25;

async function run(options: Options): Promise<void> {
  const begin = performance.now();
  const log = (text: string) => {
    const seconds = ((performance.now() - begin) / 1000).toFixed(0).padStart(3);
    process.stderr.write(`${seconds} s  ${text}\n`);
  };
  const jsonLines: string[] = [];
  const emit = (line: object) => jsonLines.push(JSON.stringify(line));

  const directory = workDirectory();
  const generator = findLoadGenerator();
  const facts = machineFacts(directory, generator.name);
  emit({ bench: 'machine', ...facts });
  console.log(machineText(facts));

  const workload = makeWorkload(directory);
  const contenders: Contender[] = [];
  let quorate: Quorate | null = null;
  for (const name of options.only) {
    const contender = await start(name, join(directory, name), log);
    if (contender === null) continue;
    await preload(contender);
    await checkContender(contender);
    log(`${name}: ready at ${contender.url}`);
    console.log(`${name}: ${contender.description}`);
    contenders.push(contender);
    if ('dataDirectory' in contender) quorate = contender as Quorate;
  }

  const withLedger = options.ledger && quorate !== null;
  const reservedSeconds =
    (withLedger ? ledgerSeconds + crowdSeconds + crowdIdleSeconds + options.idleSeconds : 0) +
    (options.watchers.length > 0 ? fanOutSeconds : 0);
  const deadline = begin + (options.budgetSeconds - reservedSeconds) * 1000;
  const lines = await measureThroughput({
    ...{ contenders, workload, generator, options, deadline, log },
  });
  for (const line of lines) emit(line);
  if (lines.length > 0) console.log(`\n${throughputTable(lines)}`);
  const targets = judgeTargets(lines);
  for (const line of targets) emit(line);
  if (targets.length > 0) console.log(`\n${targetTable(targets)}`);

  const watched = contenders.filter(({ name }) => name !== 'plain');
  if (options.watchers.length > 0 && watched.length > 0) {
    const fanOut = await measureFanOut({ contenders: watched, watchers: options.watchers, log });
    for (const line of fanOut) emit(line);
    console.log(`\n${fanOutTable(fanOut)}`);
  }

  if (withLedger && quorate !== null) {
    log('cost ledger');
    const ledger = await measureLedger(quorate, workload);
    for (const line of ledger) emit(line);
    console.log(`\n${ledgerTable(ledger)}`);
    if (options.idleSeconds > 0) {
      log(`idle for ${options.idleSeconds} s`);
      const idle = await measureIdle(quorate, options.idleSeconds);
      emit(idle);
      console.log(`\n${idleText(idle)}`);
      log('cost ledger with many watchers and leases');
      const seconds = Math.min(options.idleSeconds, crowdIdleSeconds);
      const crowd = await measureCrowd(quorate, workload, seconds);
      for (const line of [...crowd.ledger, crowd.idle]) emit(line);
      console.log(`\n${ledgerTable(crowd.ledger)}\n\n${idleText(crowd.idle)}`);
    }
  }

  console.log(`\n${jsonLines.join('\n')}`);
  if (options.jsonFile !== null) writeFileSync(options.jsonFile, `${jsonLines.join('\n')}\n`);
  await Promise.all(contenders.map((contender) => contender.stop()));
  log('done');
}

async function start(
  name: ContenderName,
  directory: string,
  log: (text: string) => void,
): Promise<Contender | null> {
  const starters = { quorate: startQuorate, plain: startPlain, etcd: startEtcd };
  mkdirSync(directory, { recursive: true });
  try {
    return await starters[name](directory);
  } catch (error) {
    if (!(error instanceof ContenderMissing)) throw error;
    log(`${name}: left out: ${error.message}`);
    return null;
  }
}

process.chdir(repoRoot);
try {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) console.log(usage);
  else await run(options);
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
