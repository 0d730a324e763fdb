/** What many seeds came to: how often everything happened, and which seeds failed. */

import { changeKinds, faultKinds } from './plan.ts';
import { kindOf } from './shrink.ts';
import type { Result } from './worker.ts';

const failuresShown = 20;

/** What has to happen in a run of some size, or else the run does not test it. */
const expected = [
  ...faultKinds.map((kind) => `fault: ${kind}`),
  ...changeKinds.map((kind) => `change ${kind}: done`),
  'transfer: done',
  'alarms dropped',
  'crashes within a turn',
  'deploys of a protocol that others refuse',
  'lease: key attached',
  'lease: look at nothing',
  'lock: held',
  ...['add', 'grow', 'promote', 'remove', 'register', 'forget'].map((call) => `etcd ${call}: done`),
  'lock: stalled',
  'lock: write refused',
  'members removed',
  'preferred leader: took over',
  'snapshots installed',
];

export class Report {
  seeds = 0;
  readonly failures: { readonly seed: number; readonly violation: string }[] = [];
  private readonly totals = new Map<string, number>();
  /** In how many seeds it happened at all. */
  private readonly within = new Map<string, number>();

  add({ seed, violation, counts }: Result): void {
    this.seeds += 1;
    for (const [what, count] of counts) {
      this.totals.set(what, (this.totals.get(what) ?? 0) + count);
      if (count > 0) this.within.set(what, (this.within.get(what) ?? 0) + 1);
    }
    if (violation) this.failures.push({ seed, violation });
  }

  /** What should have happened and did not. */
  get missing(): string[] {
    return expected.filter((what) => (this.totals.get(what) ?? 0) === 0);
  }

  /** A fault that never happens is seen here. */
  table(): string {
    const rows = new Set([...this.totals.keys(), ...expected]);
    const lines = [...rows].sort().map((what) => {
      const total = this.totals.get(what) ?? 0;
      const share = (100 * (this.within.get(what) ?? 0)) / this.seeds;
      const mean = (total / this.seeds).toFixed(2);
      return `${what.padEnd(40)}${String(total).padStart(12)}${mean.padStart(10)}${share.toFixed(1).padStart(8)} %${this.missing.includes(what) ? '  NEVER' : ''}`;
    });
    const head = `${'what happened'.padEnd(40)}${'total'.padStart(12)}${'a seed'.padStart(10)}${'in seeds'.padStart(10)}`;
    return [head, ...lines].join('\n');
  }

  /** By kind, the most frequent first. */
  failureText(): string {
    const kinds = Map.groupBy(this.failures, ({ violation }) => kindOf(violation));
    const groups = [...kinds.values()].sort((a, b) => b.length - a.length);
    return groups
      .map((some) => {
        const seeds = some.map(({ seed }) => seed).sort((a, b) => a - b);
        const shown = seeds.slice(0, failuresShown).join(' ');
        return `${some.length} × ${some[0]?.violation}\n    seeds ${shown}\n    ${replayCommand(seeds[0] ?? 0)}`;
      })
      .join('\n');
  }
}

export function replayCommand(seed: number): string {
  return `npm run sim -- --seed ${seed} --shrink`;
}
