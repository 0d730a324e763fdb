/** The targets of the project for these figures: reported, never asserted. */
import type { ThroughputLine } from './throughput.ts';
import type { Operation } from './workload.ts';

interface Target {
  readonly op: Operation;
  readonly clients: number;
  readonly against: 'ratioToPlain' | 'ratioToEtcd';
  readonly atLeast: number;
}

export interface TargetLine extends Target {
  readonly bench: 'target';
  readonly measured: number;
  readonly met: boolean;
}

const targets: readonly Target[] = [
  { op: 'put', clients: 64, against: 'ratioToPlain', atLeast: 1.3 },
  { op: 'put', clients: 64, against: 'ratioToEtcd', atLeast: 0.4 },
  { op: 'get', clients: 64, against: 'ratioToPlain', atLeast: 0.7 },
  { op: 'get', clients: 64, against: 'ratioToEtcd', atLeast: 0.4 },
  { op: 'put', clients: 1, against: 'ratioToPlain', atLeast: 0.4 },
];

export function judgeTargets(lines: readonly ThroughputLine[]): TargetLine[] {
  return targets.flatMap((target) => {
    const line = lines.find(({ contender, op, clients }) => {
      return contender === 'quorate' && op === target.op && clients === target.clients;
    });
    const measured = line?.[target.against] ?? null;
    if (measured === null) return [];
    return [{ bench: 'target' as const, ...target, measured, met: measured >= target.atLeast }];
  });
}
