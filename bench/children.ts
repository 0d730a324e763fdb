/**
 * Child processes and the work directory of one bench run. Every child leads a process group of its
 * own, and whatever way the bench ends (done, error, Ctrl-C, SIGTERM), the groups are killed and the
 * directory is removed. Only a kill -9 of the bench itself leaves children behind.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export const repoRoot = join(import.meta.dirname, '..');

const outputKeptMax = 64 * 1024;
const stopWaitMs = 5_000;

const running = new Set<Child>();
let workDir: string | null = null;

/** The run's directory: inside the repository, so that all contenders write to the same disk. */
export function workDirectory(): string {
  if (workDir === null) {
    const parent = join(repoRoot, '.quorate');
    mkdirSync(parent, { recursive: true });
    workDir = mkdtempSync(join(parent, 'bench-'));
    installCleanUp();
  }
  return workDir;
}

export class Child {
  /** The end of what it printed, both streams, for error messages. */
  output = '';
  readonly #process: ChildProcess;
  readonly #label: string;
  #exited = false;

  constructor(label: string, command: string, args: string[], env: Record<string, string> = {}) {
    this.#label = label;
    this.#process = spawn(command, args, {
      cwd: repoRoot,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    running.add(this);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.output = (this.output + chunk.toString()).slice(-outputKeptMax);
      });
    }
    const ended = () => {
      this.#exited = true;
      this.killGroup('SIGKILL');
      running.delete(this);
    };
    this.#process.on('exit', ended);
    this.#process.on('error', (error) => {
      this.output += String(error);
      ended();
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Polls until `check` gives something; throws with the child's output when it ends or is late. */
  async until<T>(what: string, timeoutMs: number, check: () => Promise<T | null> | T | null) {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const result = await check();
      if (result !== null) return result;
      if (this.#exited) throw new Error(`${this.#label} ended before ${what}:\n${this.output}`);
      if (performance.now() > deadline) {
        throw new Error(`${this.#label}: no ${what} within ${timeoutMs} ms:\n${this.output}`);
      }
      await sleep(50);
    }
  }

  /** At once and without grace: its data is thrown away with it. */
  async stop(): Promise<void> {
    this.killGroup('SIGKILL');
    const deadline = performance.now() + stopWaitMs;
    while (!this.#exited && performance.now() < deadline) await sleep(5);
  }

  killGroup(signal: NodeJS.Signals): void {
    if (this.pid === 0) return;
    try {
      process.kill(-this.pid, signal);
    } catch {
      // The whole group is gone already.
    }
  }
}

/** What `command --version` prints, or null when there is no such command on PATH. */
export function versionOf(command: string): string | null {
  const { error, stdout, stderr } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return error ? null : `${stdout}${stderr}`.trim();
}

/** Ports that were free a moment ago; asked for together, so they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    ports.push(address.port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** CPU time (user and system) that these processes have used, or null where there is no /proc. */
export function cpuMs(pids: readonly number[]): number | null {
  const ticksPerSecond = 100;
  let ticks = 0;
  for (const pid of pids) {
    try {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      return null;
    }
  }
  return (ticks * 1000) / ticksPerSecond;
}

/** `root` and everything that descends from it, from /proc. */
export function processTree(root: number): number[] {
  const tree = [root];
  for (const pid of tree) {
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      if (children !== '') tree.push(...children.split(' ').map(Number));
    } catch {
      // No /proc, or the process has just ended.
    }
  }
  return tree;
}

function installCleanUp(): void {
  process.on('exit', () => {
    for (const child of running) child.killGroup('SIGKILL');
    if (workDir !== null) {
      rmSync(workDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    }
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => process.exit(128 + constants.signals[signal]));
  }
}
