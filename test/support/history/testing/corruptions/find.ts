/** What a correct history has that a fault can be put into. */
import {
  type Answered,
  branchOf,
  hasChanged,
  isAnswered,
  type Operation,
  type Step,
  type Version,
} from '../../history.ts';

/** Then it may be an excuse for what was seen. */
export function hasUnknown(operations: readonly Operation[]): boolean {
  return operations.some(({ outcome }) => outcome.type === 'unknown');
}

/** Linearizable reads of one key that found it. */
export function gets(operations: readonly Operation[]): Answered[] {
  return operations.filter((one): one is Answered => isPlainRead(one, 'get'));
}

export function ranges(operations: readonly Operation[]): Answered[] {
  return operations.filter((one): one is Answered => isPlainRead(one, 'range'));
}

function isPlainRead(operation: Operation, kind: 'get' | 'range'): boolean {
  const { success, compares, serializable } = operation.call;
  const [step] = success;
  if (serializable || compares.length > 0 || success.length !== 1) return false;
  if (step?.kind !== kind || ('at' in step && step.at !== undefined)) return false;
  return isAnswered(operation) && foundBy(operation).length > 0;
}

export function keyOf(read: Answered): string {
  return (read.call.success[0] as Step & { kind: 'get' }).key;
}

export function foundBy({ outcome }: Operation): readonly Version[] {
  if (outcome.type !== 'ok') return [];
  return outcome.answers.flatMap((answer) =>
    answer.kind === 'get' || answer.kind === 'range' ? answer.found : [],
  );
}

export function writerOf(operations: readonly Operation[], read: Answered): Answered | undefined {
  const [version] = foundBy(read);
  return operations
    .filter(isAnswered)
    .find(({ outcome }) => hasChanged(outcome) && outcome.revision === version?.modRevision);
}

export function versionBefore(
  operations: readonly Operation[],
  read: Answered,
): Version | undefined {
  const [version] = foundBy(read);
  return version && olderVersion(operations, version.key, version.modRevision);
}

/** What an acknowledged put left there before. */
export function olderVersion(
  operations: readonly Operation[],
  key: string,
  below: number,
): Version | undefined {
  for (const { call, outcome } of operations.toReversed()) {
    if (outcome.type !== 'ok' || outcome.revision >= below) continue;
    const step = branchOf(call, outcome.succeeded).find(
      (one) => one.kind === 'put' && one.key === key,
    );
    if (step?.kind === 'put') return { key, value: step.value, modRevision: outcome.revision };
  }
  return undefined;
}

export function putsOf(
  operations: readonly Operation[],
  type: string,
  { key, value }: Version,
): Operation[] {
  return operations.filter(
    ({ call, outcome }) =>
      outcome.type === type &&
      call.success.some((step) => step.kind === 'put' && step.key === key && step.value === value),
  );
}
