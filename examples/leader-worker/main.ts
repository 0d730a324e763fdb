/**
 * `npm run example:leader`: three workers, and the service if none runs. So that something is to be seen, it ends
 * the worker that leads every few seconds, by turns with SIGTERM and with SIGKILL, and starts it again.
 *
 *   npm run example:leader -- --stall 15    ends none; worker a stalls as a leader instead
 *   KV_URL, API_TOKEN, DATA_DIR: see ../service.ts
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { stopRequest } from '../../scripts/serving/stop-request.ts';
import { exampleService } from '../service.ts';
import { ask, type Service } from './election.ts';

const { values } = parseArgs({ options: { stall: { type: 'string', default: '0' } } });
const names = ['a', 'b', 'c'];
const electionPath = '/v1/elections/example-worker';
const killEveryMs = 8_000;
const startAgainAfterMs = 2_000;
/** A worker that is asked to end resigns first. */
const endWithinMs = 8_000;

const workers = new Map<string, ChildProcess>();

function startWorker(name: string, url: string, stall: string): void {
  const program = join(import.meta.dirname, 'worker.ts');
  const worker = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, '--name', name, '--stall', stall],
    // Of a group of its own, so that Ctrl-C reaches it through us, while the service still runs.
    {
      env: { ...process.env, KV_URL: url },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    },
  );
  workers.set(name, worker);
}

async function endWorker(worker: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const ended = once(worker, 'exit');
  worker.kill(signal);
  const timer = setTimeout(() => worker.kill('SIGKILL'), endWithinMs);
  await ended;
  clearTimeout(timer);
}

/** Who leads, as the service knows; null: nobody, or it does not answer. */
async function leader(service: Service): Promise<string | null> {
  try {
    const { body } = await ask(service, { method: 'GET', path: electionPath, timeoutMs: 5_000 });
    return body.held === true ? String(body.value) : null;
  } catch {
    return null;
  }
}

async function endLeaders(service: Service, signal: AbortSignal): Promise<void> {
  for (let turn = 0; ; turn++) {
    const how = turn % 2 === 0 ? 'SIGTERM' : 'SIGKILL';
    await sleep(killEveryMs, undefined, { signal });
    const name = await leader(service);
    const worker = workers.get(name ?? '');
    if (name === null || worker === undefined) continue;
    console.log(`(${how} to ${name})`);
    await endWorker(worker, how);
    await sleep(startAgainAfterMs, undefined, { signal });
    startWorker(name, service.url, '0');
  }
}

async function main(): Promise<void> {
  const stopRequested = stopRequest('example:leader');
  const stopping = new AbortController();
  const { url, stop } = await exampleService();
  try {
    const [first = '', ...others] = names;
    startWorker(first, url, values.stall);
    await sleep(1_000); // So that it is the first to lead, who may have to stall.
    for (const name of others) startWorker(name, url, '0');
    const service = { url, token: process.env.API_TOKEN || null };
    const ending =
      values.stall === '0' ? endLeaders(service, stopping.signal).catch(() => {}) : null;
    await stopRequested;
    stopping.abort();
    await ending;
  } finally {
    await Promise.all([...workers.values()].map((worker) => endWorker(worker, 'SIGTERM')));
    await stop();
  }
}

try {
  await main();
  process.exit(0);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}
