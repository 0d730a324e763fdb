/** Answers that differ from the state at their revision. */
import { type Answered, isAnswered } from '../../history.ts';
import type { Corruption } from './corruption.ts';
import { appended, change, last, replaced } from './edit.ts';
import { foundBy, hasUnknown, olderVersion, ranges } from './find.ts';

export const answerCorruptions: readonly Corruption[] = [
  {
    name: 'a compare lies: it held with another value',
    rules: ['answers fit the state'],
    isLinearizability: true,
    apply: (_, operations) => {
      if (hasUnknown(operations)) return null;
      const swap = operations.find(
        (one) =>
          isAnswered(one) &&
          one.outcome.succeeded &&
          one.call.compares[0]?.target === 'value' &&
          one.call.compares[0].relation === '=',
      );
      if (!swap) return null;
      const compares = [
        { ...swap.call.compares[0], operand: 'other' } as (typeof swap.call.compares)[0],
      ];
      return replaced(operations, swap, { ...swap, call: { ...swap.call, compares } });
    },
  },
  {
    name: 'a compare lies: it did not hold, and nothing was compared',
    rules: ['answers fit the state'],
    isLinearizability: true,
    apply: (_, operations) => {
      if (hasUnknown(operations)) return null;
      const swap = operations.find(
        (one) => isAnswered(one) && !one.outcome.succeeded && one.call.compares.length === 1,
      );
      if (!swap) return null;
      // Every key differs from this revision.
      const compares = swap.call.compares.map(
        ({ key }) => ({ key, target: 'modRevision', relation: '!=', operand: 1_000_000 }) as const,
      );
      return replaced(operations, swap, { ...swap, call: { ...swap.call, compares } });
    },
  },
  {
    name: 'a delete lies about its key',
    rules: ['answers fit the state'],
    isLinearizability: true,
    apply: (_, operations) => {
      const { outcome } = last(operations);
      const answers = [{ kind: 'delete', deleted: true }] as const;
      const next = { ...outcome, revision: outcome.revision + 1, answers };
      return appended(operations, [{ kind: 'delete', key: 'none' }], next, 'last');
    },
  },
  {
    name: 'a range leaves out a key',
    rules: ['reads show the state'],
    isLinearizability: false,
    apply: (random, operations) =>
      change(random, ranges(operations), operations, (read) => ({
        ...read.outcome,
        answers: [{ kind: 'range', found: foundBy(read).slice(1) }],
      })),
  },
  {
    name: 'a range shows two states: one key is older than the rest',
    rules: ['reads show the state'],
    isLinearizability: false,
    apply: (random, operations) => {
      const isOlder = (read: Answered) =>
        foundBy(read).some(({ key, modRevision }) => olderVersion(operations, key, modRevision));
      return change(random, ranges(operations).filter(isOlder), operations, (read) => {
        const found = foundBy(read).map(
          (one) => olderVersion(operations, one.key, one.modRevision) ?? one,
        );
        return { ...read.outcome, answers: [{ kind: 'range', found }] };
      });
    },
  },
];
