/** Resident memory of processes, read now and then. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** In MiB; null: there is no such process. */
export async function residentMiB(pid: number): Promise<number | null> {
  try {
    const { stdout } = await run('ps', ['-o', 'rss=', '-p', String(pid)]);
    return Math.round(Number(stdout.trim()) / 1_024) || null;
  } catch {
    return null;
  }
}
