/** Operations that are behind what had ended before they began. */
import {
  type Answered,
  hasChanged,
  isAnswered,
  type Operation,
  put,
  type Step,
  type Success,
  txn,
  type Version,
} from '../../history.ts';
import type { Corruption } from './corruption.ts';
import { appended, change, last, replaced, seenAgain, withRevision } from './edit.ts';
import { gets, keyOf, versionBefore, writerOf } from './find.ts';

export const orderCorruptions: readonly Corruption[] = [
  {
    name: 'a stale read: all of it is an older state',
    rules: ['real time', 'client order'],
    isLinearizability: true,
    apply: (random, operations) => {
      const stale = gets(operations).filter((read) => {
        const write = writerOf(operations, read);
        return write && write.completed < read.invoked && versionBefore(operations, read);
      });
      return change(random, stale, operations, (read) => {
        const version = versionBefore(operations, read) as Version;
        return {
          ...read.outcome,
          revision: version.modRevision,
          answers: [{ kind: 'get', found: [version] }],
        };
      });
    },
  },
  {
    name: 'a client sees an older state than before',
    rules: ['client order'],
    isLinearizability: false,
    apply: (_, operations) => {
      const { outcome } = last(operations);
      const answers = [{ kind: 'get', found: [] }] as const;
      const reading: Step[] = [{ kind: 'get', key: 'none' }];
      const first = appended(operations, reading, { ...outcome, answers }, 'one');
      const older = { ...outcome, answers, revision: outcome.revision - 1 };
      return appended(first, reading, older, 'one');
    },
  },
  {
    name: 'a member goes back in a serializable read',
    rules: ['member order'],
    isLinearizability: false,
    apply: (_, operations) => {
      const served = operations.filter(
        (one): one is Answered => isAnswered(one) && one.outcome.servedBy !== undefined,
      );
      for (const later of served) {
        for (const earlier of served) {
          if (later.outcome.servedBy !== earlier.outcome.servedBy) continue;
          if (earlier.completed > later.invoked) continue;
          if (earlier.outcome.revision < 3) continue;
          const call = txn({ success: [{ kind: 'get', key: 'none' }], serializable: true });
          const outcome: Success = {
            ...later.outcome,
            succeeded: true,
            answers: [{ kind: 'get', found: [] }],
            revision: earlier.outcome.revision - 1,
          };
          return replaced(operations, later, { ...later, call, outcome });
        }
      }
      return null;
    },
  },
  {
    name: 'two writes exchange their revisions',
    rules: ['real time', 'client order'],
    isLinearizability: false,
    apply: (_, operations) => {
      const writes = operations.filter(isAnswered).filter(({ outcome }) => hasChanged(outcome));
      for (const first of writes) {
        const second = writes.find(({ invoked }) => invoked > first.completed);
        if (!second) continue;
        const [low, high] = [first.outcome.revision, second.outcome.revision];
        const one = replaced(operations, first, withRevision(first, high));
        return replaced(one, second, withRevision(second, low));
      }
      return null;
    },
  },
  {
    name: 'a read sees a write that has not begun',
    rules: ['real time', 'client order', 'every revision is written'],
    isLinearizability: true,
    apply: (random, operations) => {
      const futureOf = (read: Answered) =>
        operations.find(
          ({ call, outcome, invoked }) =>
            outcome.type === 'ok' &&
            call.compares.length === 0 &&
            call.success[0]?.kind === 'put' &&
            call.success[0].key === keyOf(read) &&
            invoked > read.completed,
        );
      return change(random, gets(operations).filter(futureOf), operations, (read) => {
        const { call, outcome } = futureOf(read) as Answered;
        const value = (call.success[0] as Step & { kind: 'put' }).value;
        const { revision } = outcome;
        const found = [{ key: keyOf(read), value, modRevision: revision }];
        return { ...read.outcome, revision, answers: [{ kind: 'get', found }] };
      });
    },
  },
  {
    name: 'a write of unknown outcome is seen before it begins',
    rules: ['real time'],
    isLinearizability: true,
    apply: (_, operations) => {
      const again = seenAgain(operations, 'k1', 'too early');
      const { invoked } = last(again);
      const late = { ...put('k1', 'too early') };
      const unknown = { ...operations[0], client: 'late', call: late, invoked: invoked + 10 };
      const outcome = { type: 'unknown' } as const;
      const ends = { completed: Number.POSITIVE_INFINITY, completedMs: Number.POSITIVE_INFINITY };
      return [...again, { ...(unknown as Operation), ...ends, outcome, id: again.length }];
    },
  },
];
