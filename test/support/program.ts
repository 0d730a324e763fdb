/** A script of the project as a program of its own, with a data directory that goes with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const root = join(import.meta.dirname, '..', '..');
const saysWithinMs = 60_000;

export class Program {
  readonly dataDir: string;
  private readonly child: ChildProcess;
  private readonly ended: Promise<unknown>;
  private output = '';

  static start(
    script: string,
    options: { readonly env?: Record<string, string>; readonly args?: readonly string[] } = {},
  ): Program {
    return new Program(script, options.args ?? [], options.env ?? {});
  }

  private constructor(script: string, args: readonly string[], env: Record<string, string>) {
    this.dataDir = mkdtempSync(join(tmpdir(), 'quorate-program-'));
    this.child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', script, ...args],
      {
        cwd: root,
        env: { ...process.env, DATA_DIR: this.dataDir, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk) => {
        this.output += String(chunk);
      });
    this.ended = once(this.child, 'close');
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** What it has printed so far, to both streams. */
  said(): string {
    return this.output;
  }

  /** Waits until it has printed that; the first group of the match. */
  async says(pattern: RegExp): Promise<string> {
    const deadline = Date.now() + saysWithinMs;
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match[1] ?? '';
      if (this.child.exitCode !== null || Date.now() > deadline)
        throw new Error(`it has not said ${pattern}, but:\n${this.output}`);
      await sleep(20);
    }
  }

  /** Its exit code, null if it died by the signal. Ending what has ended does nothing. */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    await this.ended;
    rmSync(this.dataDir, { recursive: true, force: true });
    return this.child.exitCode;
  }
}
