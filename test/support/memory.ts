/** Resident memory of a process, in MiB: now, and the most it ever was. Null: there is no such process, or no /proc. */
import { readFileSync } from 'node:fs';

export function memoryOf(pid: number): { readonly now: number; readonly most: number } | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const of = (field: string) =>
      Math.round(Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) / 1024);
    const now = of('VmRSS');
    // One that has ended and is not forgotten yet has none.
    return Number.isNaN(now) ? null : { now, most: of('VmHWM') };
  } catch {
    return null;
  }
}
