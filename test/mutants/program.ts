/** Runs a program to its end, or to the end of its time. */
import { spawn } from 'node:child_process';

/** Process groups that run now. */
const running = new Set<number>();

/** For an end before time: a group of its own does not end with its parent. */
export function endPrograms(): void {
  for (const pid of running) process.kill(-pid, 'SIGKILL');
}

/** What it has printed. Whoever needs a result has to find it there, or in a file: it may be killed. */
export function runProgram(
  program: string,
  args: readonly string[],
  cwd: string,
  timeoutMs: number,
): Promise<string> {
  return new Promise((resolve, reject) => {
    // A group of its own, so that its workers end with it.
    const child = spawn(program, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const { pid } = child;
    if (pid !== undefined) running.add(pid);
    let output = '';
    const timer = setTimeout(() => {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL');
    }, timeoutMs);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString();
      });
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      if (pid !== undefined) running.delete(pid);
      resolve(output);
    });
  });
}
