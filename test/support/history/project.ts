/**
 * A history as seen from each of its keys: what the linearizability checker searches.
 *
 * An operation on many keys is projected to each of them. Every projection of a linearizable history
 * is linearizable; the reverse does not hold, since nothing here says that a transaction happens to
 * all of its keys at once. For that the revision checker is the authority.
 */
import {
  type Answered,
  branchOf,
  type Call,
  isAnswered,
  type Operation,
  type Step,
  stepsOf,
} from './history.ts';
import { keysBetween, keysOf, writtenKeys } from './keys.ts';
import { Mentions, mentionsByKey } from './mentions.ts';
import { type Attempt, type Entry, hidden, type KeyStep } from './register.ts';

/**
 * The operations by key, with what is known to take part in linearizability: no serializable reads,
 * no reads of history, no failed operations, no reads without an answer.
 */
export function entriesByKey(operations: readonly Operation[]): Map<string, Entry[]> {
  const keys = [...keysOf(operations)].sort();
  const mentions = mentionsByKey(operations);
  const byKey = new Map<string, Entry[]>(keys.map((key) => [key, []]));
  const add = (key: string, operation: Operation, attempts: readonly Attempt[]) => {
    if (attempts.length > 0) byKey.get(key)?.push({ operation, attempts });
  };
  for (const operation of operations) {
    const { call } = operation;
    if (call.serializable || operation.outcome.type === 'failed') continue;
    if (isAnswered(operation)) {
      const { succeeded, revision } = operation.outcome;
      for (const [key, steps] of answeredSteps(operation, keys))
        add(key, operation, [attemptOf(call, key, succeeded, steps, revision)]);
    } else {
      for (const key of writtenKeys(call))
        add(key, operation, unknownAttempts(call, key, mentions.get(key) ?? new Mentions()));
    }
  }
  return byKey;
}

function attemptOf(
  call: Call,
  key: string,
  succeeded: boolean,
  steps: readonly KeyStep[],
  revision: number,
): Attempt {
  const compares = call.compares.filter((compare) => compare.key === key);
  const decidesAlone = succeeded || compares.length === call.compares.length;
  return { compares, held: decidesAlone ? succeeded : null, steps, revision };
}

/** What an answered operation did to each key that it compared, wrote or read. */
function answeredSteps(operation: Answered, keys: readonly string[]): Map<string, KeyStep[]> {
  const byKey = new Map<string, KeyStep[]>();
  const add = (key: string, step: KeyStep) => {
    const steps = byKey.get(key);
    if (steps) steps.push(step);
    else byKey.set(key, [step]);
  };
  for (const { key } of operation.call.compares) byKey.set(key, []);
  for (const { step, answer } of stepsOf(operation)) {
    if (step.kind === 'put') add(step.key, step);
    else if (step.kind === 'delete')
      add(step.key, { kind: 'delete', deleted: answer.kind === 'delete' && answer.deleted });
    else if (step.at === undefined) {
      const found = answer.kind === 'get' || answer.kind === 'range' ? answer.found : [];
      const byName = new Map(found.map((version) => [version.key, version]));
      for (const key of readKeys(step, keys))
        add(key, { kind: 'get', found: byName.get(key) ?? null });
    }
  }
  return byKey;
}

function readKeys(
  step: Step & { kind: 'get' | 'range' },
  keys: readonly string[],
): readonly string[] {
  if (step.kind === 'get') return [step.key];
  return keysBetween(keys, step.start, step.end);
}

/** What stands for every value that no answer and no compare tells from another. */
const unseenValue = '\0';

/** Each branch that may have run, with each revision that its write may have had. */
function unknownAttempts(call: Call, key: string, mentions: Mentions): Attempt[] {
  return [true, false].flatMap((succeeded) => {
    if (!succeeded && call.compares.length === 0) return [];
    const steps = branchOf(call, succeeded).flatMap((step): KeyStep[] => {
      if (step.kind === 'delete' && step.key === key) return [{ kind: 'delete', deleted: null }];
      if (step.kind !== 'put' || step.key !== key) return [];
      return [{ kind: 'put', value: mentions.isKnown(step.value) ? step.value : unseenValue }];
    });
    const last = steps.at(-1);
    if (last === undefined) return [];
    const revisions = last.kind === 'put' ? mentions.revisionsOf(last.value) : [hidden];
    return revisions.map((revision) => attemptOf(call, key, succeeded, steps, revision));
  });
}
