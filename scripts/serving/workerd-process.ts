/**
 * One workerd on one data directory: lock, build, start, wait until it answers, stop.
 *
 * Promises: `url` answers when `startService` returns; no workerd outlives the process that started
 * it, not even one killed with SIGKILL (see `spawnGuard`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildWorker, readCompatibility } from './build-worker.ts';
import { lockData } from './data-lock.ts';
import { bracketed, type WorkerSettings, workerdConfig } from './workerd-config.ts';

/** By require: what `import` makes of this CommonJS package differs from loader to loader. */
const require = createRequire(import.meta.url);
const { default: workerdPath } = require('workerd') as { default: string };
const startTimeoutMs = 30_000;
const readyPollMs = 10;
/** workerd waits for open connections when it is asked to end; after this long it is killed. */
const stopGraceMs = 3_000;

export interface ServiceSettings extends Omit<WorkerSettings, 'objectsDirectory' | 'hasApiToken'> {
  readonly dataDirectory: string;
  readonly apiToken: string | undefined;
  /** Ctrl-C in a terminal then does not reach workerd but through whoever started it. */
  readonly ownGroup?: boolean;
  /** Where workerd's own output goes: the terminal, or a file. */
  readonly log: 'inherit' | { readonly file: string };
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Service {
  readonly url: string;
  readonly port: number;
  /** workerd's own. */
  readonly pid: number;
  /** Settles when workerd has ended, for whatever reason, and the data directory is free again. */
  readonly ended: Promise<Exit>;
  stop(): Promise<void>;
  kill9(): Promise<void>;
}

export async function startService(settings: ServiceSettings): Promise<Service> {
  const dataDirectory = resolve(settings.dataDirectory);
  const lock = await lockData(dataDirectory);
  let child: ChildProcess;
  try {
    child = await spawnWorkerd(settings, dataDirectory);
  } catch (error) {
    lock.release();
    throw error;
  }
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot run ${workerdPath}`);
  lock.noteWorkerd(pid);
  const dismissGuard = spawnGuard(pid);
  const ended = once(child, 'exit').then(([code, signal]): Exit => {
    dismissGuard();
    lock.release();
    return { code, signal };
  });
  const kill9 = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  try {
    const port = await Promise.race([listeningPort(child), failure(ended)]);
    const url = `http://${bracketed(reachableHost(settings.host))}:${port}`;
    await Promise.race([untilAnswering(url), failure(ended)]);
    return { url, port, pid, ended, stop: () => stop(child, ended), kill9 };
  } catch (error) {
    await kill9();
    throw error;
  }
}

async function spawnWorkerd(settings: ServiceSettings, dataDirectory: string) {
  const [script, compatibility] = await Promise.all([buildWorker(), readCompatibility()]);
  const objectsDirectory = join(dataDirectory, 'objects');
  const runDirectory = join(dataDirectory, 'run');
  mkdirSync(objectsDirectory, { recursive: true });
  mkdirSync(runDirectory, { recursive: true });
  const hasApiToken = settings.apiToken !== undefined;
  writeFileSync(join(runDirectory, 'worker.js'), script);
  writeFileSync(
    join(runDirectory, 'workerd.capnp'),
    workerdConfig({ ...settings, objectsDirectory, hasApiToken }, compatibility),
  );
  const log = settings.log === 'inherit' ? 'inherit' : openSync(settings.log.file, 'a');
  const child = spawn(
    workerdPath,
    [
      'serve',
      '--control-fd=3',
      ...(settings.chaos ? ['--experimental'] : []), // workerd asks for it with unsafe_module.
      join(runDirectory, 'workerd.capnp'),
      'config',
    ],
    {
      stdio: ['ignore', log === 'inherit' ? process.stderr.fd : log, log, 'pipe'],
      detached: settings.ownGroup === true,
      env: hasApiToken ? { ...process.env, API_TOKEN: settings.apiToken } : process.env,
    },
  );
  await once(child, 'spawn');
  return child;
}

/**
 * Ends workerd when this process ends without doing so itself: a shell that waits on a pipe whose
 * other end only we hold. The kernel closes it with our last breath, then the shell kills. It
 * stands in a session of its own, so that what ends our process group does not end it first.
 */
function spawnGuard(workerdPid: number): () => void {
  const script = 'trap "" INT TERM HUP; read -r word || kill -9 "$1" 2>/dev/null';
  const guard = spawn('/bin/sh', ['-c', script, 'quorate-guard', String(workerdPid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  guard.unref();
  guard.on('error', () => {}); // No shell: only this convenience is lost.
  guard.stdin.on('error', () => {});
  return () => guard.stdin.end('dismissed\n');
}

/** workerd writes `{"event":"listen","socket":"http","port":N}` to its control descriptor. */
async function listeningPort(child: ChildProcess): Promise<number> {
  const control = child.stdio[3] as Readable;
  let received = '';
  for await (const chunk of control) {
    received += String(chunk);
    const port = /"event":"listen","socket":"http","port":(\d+)/.exec(received)?.[1];
    if (port !== undefined) return Number(port);
  }
  throw new Error('workerd closed its control pipe before it listened');
}

/** The router answers it by itself: no group, not even a sick one, keeps the service from starting. */
const startProbePath = '/version';

async function untilAnswering(url: string): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  for (;;) {
    try {
      const response = await fetch(url + startProbePath, { signal: AbortSignal.timeout(5_000) });
      await response.arrayBuffer();
      if (response.ok) return;
    } catch {
      // Not yet.
    }
    if (Date.now() > deadline)
      throw new Error(`workerd does not answer at ${url}${startProbePath}`);
    await sleep(readyPollMs);
  }
}

async function failure(ended: Promise<Exit>): Promise<never> {
  const { code, signal } = await ended;
  throw new Error(`workerd ended at its start (${signal ?? `exit code ${code}`})`);
}

async function stop(child: ChildProcess, ended: Promise<Exit>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
  await ended;
  clearTimeout(timer);
}

/** A wildcard address is for listening; the URL that is printed must be one to connect to. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0' || host === '*') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}
