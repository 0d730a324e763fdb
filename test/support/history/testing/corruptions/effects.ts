/** Writes that are lost, or seen though they must not be, or in part. */
import type { Version } from '../../history.ts';
import type { Corruption } from './corruption.ts';
import { appended, change, last, seenAgain } from './edit.ts';
import { foundBy, gets, putsOf, versionBefore } from './find.ts';

export const effectCorruptions: readonly Corruption[] = [
  {
    name: 'an acknowledged write is lost: readers see the version before',
    rules: ['reads show the state'],
    isLinearizability: false,
    apply: (random, operations) => {
      const seen = gets(operations).filter((read) => versionBefore(operations, read));
      return change(random, seen, operations, (read) => ({
        ...read.outcome,
        answers: [{ kind: 'get', found: [versionBefore(operations, read) as Version] }],
      }));
    },
  },
  {
    name: 'a write of unknown outcome takes effect twice',
    rules: ['a write takes effect once'],
    isLinearizability: true,
    apply: (_, operations) => {
      const version = gets(operations)
        .flatMap(foundBy)
        .find((one) => putsOf(operations, 'unknown', one).length === 1);
      return version ? seenAgain(operations, version.key, version.value) : null;
    },
  },
  {
    name: 'an acknowledged write takes effect twice',
    rules: ['a write takes effect once'],
    isLinearizability: true,
    apply: (_, operations) => {
      for (const { call, outcome } of operations) {
        const [step] = call.success;
        if (outcome.type === 'ok' && call.compares.length === 0 && step?.kind === 'put')
          return seenAgain(operations, step.key, step.value);
      }
      return null;
    },
  },
  {
    name: 'a failed write is visible',
    rules: ['a failed write is never seen'],
    isLinearizability: true,
    apply: (_, operations) => {
      for (const { call, outcome } of operations) {
        const [step] = call.success;
        if (outcome.type === 'failed' && step?.kind === 'put')
          return seenAgain(operations, step.key, step.value);
      }
      return null;
    },
  },
  {
    name: 'a value is there that nobody wrote',
    rules: ['every revision is written'],
    isLinearizability: true,
    apply: (_, operations) => seenAgain(operations, 'k1', 'of nobody'),
  },
  {
    name: 'half of a transaction of unknown outcome is seen',
    rules: ['reads show the state'],
    isLinearizability: false,
    apply: (_, operations) => {
      const { outcome } = last(operations);
      const revision = outcome.revision + 1;
      const found = [{ key: 'y1', value: 'torn', modRevision: revision }];
      const read = { ...outcome, revision, answers: [{ kind: 'range', found }] } as const;
      const writes = ['y1', 'y2'].map((key) => ({ kind: 'put', key, value: 'torn' }) as const);
      const begun = appended(operations, writes, { type: 'unknown' }, 'torn');
      return appended(begun, [{ kind: 'range', start: 'y1', end: 'y3' }], read, 'last');
    },
  },
];
