/** `npm run dev`: the first command of a newcomer answers, keeps its data and ends whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';

const root = join(import.meta.dirname, '..', '..');
const answersWithinMs = 60_000;

let dataDir: string;
let dev: ChildProcess | null = null;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'quorate-dev-'));
});

afterEach(async () => {
  if (dev?.exitCode === null) {
    dev.kill('SIGTERM');
    await once(dev, 'exit');
  }
  rmSync(dataDir, { recursive: true, force: true });
});

/** Starts it and answers the URL of the first line that names one after "listening". */
async function startDev(): Promise<string> {
  const port = String(20_000 + (process.pid % 20_000));
  const child = spawn(process.execPath, [join('scripts', 'dev.ts')], {
    cwd: root,
    env: { ...process.env, PORT: port, DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  dev = child;
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += String(chunk);
    });
  }
  const deadline = Date.now() + answersWithinMs;
  for (;;) {
    const url = /Quorate is listening on (http:\S+?)\. Try:/.exec(output)?.[1];
    if (url !== undefined) return url;
    const failed = output.includes('Build failed') || child.exitCode !== null;
    if (failed || Date.now() > deadline) throw new Error(output);
    await sleep(50);
  }
}

/** Processes that were started for this data directory and are still there. */
function survivors(): string[] {
  const commands = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(dataDir) ? pid : '';
      } catch {
        return '';
      }
    });
  return commands.filter((pid) => pid !== '');
}

it('answers, ends on SIGTERM without leaving a process, and keeps the data', async () => {
  const first = new Gateway(await startDev());
  expect(await first.put('kept', 'yes')).toMatchObject({ acknowledged: true });
  first.close();
  expect(survivors().length).toBeGreaterThan(0);
  dev?.kill('SIGTERM');
  if (dev?.exitCode === null) await once(dev, 'exit');
  expect(dev?.exitCode).toBe(0);
  expect(survivors()).toEqual([]);

  const second = new Gateway(await startDev());
  expect((await second.range({ key: 'kept' })).kvs[0]?.value.toString()).toBe('yes');
  second.close();
});
