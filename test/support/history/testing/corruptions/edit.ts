/** Histories with one operation changed, or one more at the end. */
import type { Random } from '../../../random.ts';
import {
  type Answered,
  isAnswered,
  type Operation,
  type Step,
  type Success,
  txn,
} from '../../history.ts';

/** After the end of the history, one more revision with this value. */
export function seenAgain(
  operations: readonly Operation[],
  key: string,
  value: string,
): Operation[] {
  const { outcome } = last(operations);
  const revision = outcome.revision + 1;
  const found = [{ key, value, modRevision: revision }];
  const read = { ...outcome, revision, answers: [{ kind: 'get', found }] } as const;
  return appended(operations, [{ kind: 'get', key }], read, 'last');
}

/** An answered operation with the newest revision. */
export function last(operations: readonly Operation[]): { invoked: number; outcome: Success } {
  const answered = operations.filter(isAnswered);
  const revision = Math.max(...answered.map(({ outcome }) => outcome.revision));
  return {
    invoked: Math.max(...operations.map(({ invoked }) => invoked)),
    outcome: { type: 'ok', revision, succeeded: true, answers: [] },
  };
}

/** One more operation, after all others. */
export function appended(
  operations: readonly Operation[],
  success: readonly Step[],
  outcome: Operation['outcome'],
  client: string,
): Operation[] {
  const ends = operations.flatMap(({ invoked, completed }) =>
    Number.isFinite(completed) ? [invoked, completed] : [invoked],
  );
  const invoked = Math.max(...ends) + 1;
  const completed = outcome.type === 'ok' ? invoked + 1 : Number.POSITIVE_INFINITY;
  const times = { invoked, completed, invokedMs: invoked, completedMs: completed };
  return [
    ...operations,
    { id: operations.length, client, call: txn({ success }), ...times, outcome },
  ];
}

export function change(
  random: Random,
  candidates: readonly Answered[],
  operations: readonly Operation[],
  outcomeOf: (operation: Answered) => Success,
): Operation[] | null {
  if (candidates.length === 0) return null;
  const chosen = random.pick(candidates);
  return replaced(operations, chosen, { ...chosen, outcome: outcomeOf(chosen) });
}

export function replaced(
  operations: readonly Operation[],
  old: Operation,
  next: Operation,
): Operation[] {
  return operations.map((operation) => (operation === old ? next : operation));
}

export function withRevision(operation: Answered, revision: number): Operation {
  return { ...operation, outcome: { ...operation.outcome, revision } };
}
