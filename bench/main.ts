/**
 * `npm run bench`: measures Quorate beside a plain Durable Object and etcd on this machine, prints
 * tables and JSON lines, and ends within five minutes. Not a test: targets are reported only.
 * docs/benchmarks.md says what each row means.
 */
import { writeFileSync } from 'node:fs';
import { repoRoot, workDirectory } from './children.ts';
import { formOf } from './contender.ts';
import { startContenders } from './contenders.ts';
import { measureFanOut } from './fan-out.ts';
import { startGrpcLoad } from './grpc-load.ts';
import { measureIdle, measureLedger } from './ledger.ts';
import { measureCrowd } from './ledger-crowd.ts';
import { findLoadGenerator } from './load.ts';
import { machineFacts } from './machine.ts';
import { type Options, parseOptions, usage } from './options.ts';
import {
  fanOutTable,
  grpcTable,
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
  const workload = makeWorkload(directory);
  const generators = {
    json: findLoadGenerator(),
    grpc: startGrpcLoad(workload, options.grpcConnections),
  };
  const facts = machineFacts(directory, generators);
  emit({ bench: 'machine', ...facts });
  console.log(machineText(facts));

  const contenders = await startContenders(options.only, directory, log);
  const { measured, quorate } = contenders;

  const withLedger = options.ledger && quorate !== null;
  const reservedSeconds =
    (withLedger ? ledgerSeconds + crowdSeconds + crowdIdleSeconds + options.idleSeconds : 0) +
    (options.watchers.length > 0 ? fanOutSeconds : 0);
  const deadline = begin + (options.budgetSeconds - reservedSeconds) * 1000;
  const lines = await measureThroughput({
    ...{ contenders: measured, workload, generators, options, deadline, log },
  });
  for (const line of lines) emit(line);
  if (lines.length > 0) console.log(`\n${throughputTable(lines)}`);
  if (lines.some(({ contender }) => formOf[contender] === 'grpc'))
    console.log(`\n${grpcTable(lines)}`);
  const targets = judgeTargets(lines);
  for (const line of targets) emit(line);
  if (targets.length > 0) console.log(`\n${targetTable(targets)}`);

  const watched = measured.filter(({ name }) => name === 'quorate' || name === 'etcd');
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
  await contenders.stop();
  log('done');
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
