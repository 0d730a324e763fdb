/**
 * What a history says about the versions of one key that writes of unknown outcome may have made.
 * It leaves the search few ways in which such a write may have happened, and loses none that could
 * matter.
 */
import { branchOf, type Operation, stepsOf } from './history.ts';
import { hidden } from './register.ts';

export class Mentions {
  /** Values that a compare may have needed. */
  readonly compared = new Set<string>();
  /** Mod revisions that a compare may have needed. */
  readonly asked = new Set<number>();
  /** Mod revisions, without those of acknowledged writes, at which a read saw this value. */
  readonly seen = new Map<string, Set<number>>();
  /** Puts of this value in writes of unknown outcome. */
  readonly writers = new Map<string, number>();

  /** Whether anything tells this value from others that are not known. */
  isKnown(value: string): boolean {
    return this.compared.has(value) || this.seen.has(value);
  }

  /** Those that an unknown write of this value may have had; `hidden`: one that nobody names. */
  revisionsOf(value: string): number[] {
    const seen = this.seen.get(value) ?? [];
    const asked = [...this.asked].filter((revision) => !this.isSeen(revision));
    // What was seen must be explained: an only writer has a revision at which its value was seen.
    const isNeeded = this.seen.has(value) && this.writers.get(value) === 1;
    return isNeeded ? [...seen] : [...seen, ...asked, hidden];
  }

  private isSeen(revision: number): boolean {
    for (const revisions of this.seen.values()) if (revisions.has(revision)) return true;
    return false;
  }
}

/** By key. Serializable reads and reads of history take no part in linearizability: left out. */
export function mentionsByKey(operations: readonly Operation[]): Map<string, Mentions> {
  const byKey = new Map<string, Mentions>();
  const mentionsOf = (key: string): Mentions => {
    const mentions = byKey.get(key) ?? new Mentions();
    byKey.set(key, mentions);
    return mentions;
  };
  const acknowledged = acknowledgedPuts(operations);
  for (const operation of operations) {
    const { call, outcome } = operation;
    if (call.serializable || outcome.type === 'failed') continue;
    for (const { key, target, relation, operand } of call.compares) {
      if (!mayHaveRun(operation, relation === '=', key)) continue;
      const { compared, asked } = mentionsOf(key);
      if (target === 'value') compared.add(operand);
      else if (operand > 0 && !acknowledged.has(operand)) asked.add(operand);
    }
    if (outcome.type === 'ok') {
      for (const { step, answer } of stepsOf({ ...operation, outcome })) {
        if (answer.kind === 'put' || answer.kind === 'delete' || 'at' in step) continue;
        for (const { key, value, modRevision } of answer.found) {
          if (acknowledged.has(modRevision)) continue;
          const { seen } = mentionsOf(key);
          seen.set(value, (seen.get(value) ?? new Set()).add(modRevision));
        }
      }
    } else {
      for (const step of [...call.success, ...call.failure]) {
        if (step.kind !== 'put') continue;
        const { writers } = mentionsOf(step.key);
        writers.set(step.value, (writers.get(step.value) ?? 0) + 1);
      }
    }
  }
  return byKey;
}

/**
 * Whether the branch that needs what a compare names did run, or may have written the key: that of
 * success for =, of failure for !=. The other one goes as well with a value that nobody names.
 */
function mayHaveRun({ call, outcome }: Operation, succeeded: boolean, key: string): boolean {
  if (outcome.type === 'ok') return outcome.succeeded === succeeded;
  return branchOf(call, succeeded).some((step) => step.kind !== 'range' && step.key === key);
}

/** Revisions of acknowledged transactions that put something. */
function acknowledgedPuts(operations: readonly Operation[]): Set<number> {
  const revisions = new Set<number>();
  for (const { call, outcome } of operations)
    if (outcome.type === 'ok' && branchOf(call, outcome.succeeded).some(isPut))
      revisions.add(outcome.revision);
  return revisions;
}

function isPut({ kind }: { kind: string }): boolean {
  return kind === 'put';
}
