/**
 * Ways in which a history can be wrong, each put into a correct one. Null: it has no place for this
 * kind.
 */
import type { Random } from '../../random.ts';
import {
  type Answered,
  branchOf,
  hasChanged,
  isAnswered,
  type Operation,
  put,
  type Step,
  type Success,
  txn,
  type Version,
} from '../history.ts';
import type { Rule } from '../report.ts';

export interface Corruption {
  readonly name: string;
  /** What the revision checker may call it. */
  readonly rules: readonly Rule[];
  /** Whether the linearizability checker must find it too: it shows in one key. */
  readonly isLinearizability: boolean;
  readonly apply: (random: Random, operations: readonly Operation[]) => Operation[] | null;
}

export const corruptions: readonly Corruption[] = [
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

type Read = Answered;

/** Then it may be an excuse for what was seen. */
function hasUnknown(operations: readonly Operation[]): boolean {
  return operations.some(({ outcome }) => outcome.type === 'unknown');
}

/** Linearizable reads of one key that found it. */
function gets(operations: readonly Operation[]): Read[] {
  return operations.filter((one): one is Read => isPlainRead(one, 'get'));
}

function ranges(operations: readonly Operation[]): Read[] {
  return operations.filter((one): one is Read => isPlainRead(one, 'range'));
}

function isPlainRead(operation: Operation, kind: 'get' | 'range'): boolean {
  const { success, compares, serializable } = operation.call;
  const [step] = success;
  if (serializable || compares.length > 0 || success.length !== 1) return false;
  if (step?.kind !== kind || ('at' in step && step.at !== undefined)) return false;
  return isAnswered(operation) && foundBy(operation).length > 0;
}

function keyOf(read: Answered): string {
  return (read.call.success[0] as Step & { kind: 'get' }).key;
}

function foundBy({ outcome }: Operation): readonly Version[] {
  if (outcome.type !== 'ok') return [];
  return outcome.answers.flatMap((answer) =>
    answer.kind === 'get' || answer.kind === 'range' ? answer.found : [],
  );
}

function writerOf(operations: readonly Operation[], read: Answered): Answered | undefined {
  const [version] = foundBy(read);
  return operations
    .filter(isAnswered)
    .find(({ outcome }) => hasChanged(outcome) && outcome.revision === version?.modRevision);
}

function versionBefore(operations: readonly Operation[], read: Answered): Version | undefined {
  const [version] = foundBy(read);
  return version && olderVersion(operations, version.key, version.modRevision);
}

/** What an acknowledged put left there before. */
function olderVersion(
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

function putsOf(
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

/** After the end of the history, one more revision with this value. */
function seenAgain(operations: readonly Operation[], key: string, value: string): Operation[] {
  const { outcome } = last(operations);
  const revision = outcome.revision + 1;
  const found = [{ key, value, modRevision: revision }];
  const read = { ...outcome, revision, answers: [{ kind: 'get', found }] } as const;
  return appended(operations, [{ kind: 'get', key }], read, 'last');
}

/** An answered operation with the newest revision. */
function last(operations: readonly Operation[]): { invoked: number; outcome: Success } {
  const answered = operations.filter(isAnswered);
  const revision = Math.max(...answered.map(({ outcome }) => outcome.revision));
  return {
    invoked: Math.max(...operations.map(({ invoked }) => invoked)),
    outcome: { type: 'ok', revision, succeeded: true, answers: [] },
  };
}

/** One more operation, after all others. */
function appended(
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

function change(
  random: Random,
  candidates: readonly Answered[],
  operations: readonly Operation[],
  outcomeOf: (operation: Answered) => Success,
): Operation[] | null {
  if (candidates.length === 0) return null;
  const chosen = random.pick(candidates);
  return replaced(operations, chosen, { ...chosen, outcome: outcomeOf(chosen) });
}

function replaced(operations: readonly Operation[], old: Operation, next: Operation): Operation[] {
  return operations.map((operation) => (operation === old ? next : operation));
}

function withRevision(operation: Answered, revision: number): Operation {
  return { ...operation, outcome: { ...operation.outcome, revision } };
}
