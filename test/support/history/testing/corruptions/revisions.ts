/** Revisions that are not one for each change. */
import { type Answered, hasChanged, isAnswered } from '../../history.ts';
import type { Corruption } from './corruption.ts';
import { appended, change, last } from './edit.ts';
import { hasUnknown } from './find.ts';

export const revisionCorruptions: readonly Corruption[] = [
  {
    name: 'two writes have one revision',
    rules: ['one write a revision'],
    isLinearizability: false,
    apply: (random, operations) => {
      const writes = operations.filter(isAnswered).filter(({ outcome }) => hasChanged(outcome));
      return change(random, writes, operations, ({ outcome }) => {
        const other = writes.find((write) => write.outcome !== outcome) as Answered;
        return { ...outcome, revision: other.outcome.revision };
      });
    },
  },
  {
    name: 'a revision is left out',
    rules: ['every revision is written'],
    isLinearizability: false,
    apply: (_, operations) => {
      const missing = operations.filter(({ outcome }) => outcome.type === 'unknown').length + 1;
      const { outcome } = last(operations);
      return appended(
        operations,
        [{ kind: 'put', key: 'k1', value: 'last' }],
        { ...outcome, revision: outcome.revision + missing + 1, answers: [{ kind: 'put' }] },
        'last',
      );
    },
  },
  {
    name: 'a delete of an absent key takes a revision',
    rules: ['every revision is written'],
    isLinearizability: false,
    apply: (_, operations) => {
      if (hasUnknown(operations)) return null;
      const { outcome } = last(operations);
      const answers = [{ kind: 'delete', deleted: false }] as const;
      const next = { ...outcome, revision: outcome.revision + 1, answers };
      return appended(operations, [{ kind: 'delete', key: 'none' }], next, 'last');
    },
  },
];
