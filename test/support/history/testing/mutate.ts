/** Changes one thing in a history at random. What comes out may be correct or not. */
import type { Random } from '../../random.ts';
import type { Answer, Operation, Success, Version } from '../history.ts';
import { foundBy } from './corruptions/find.ts';

type Mutation = (random: Random, operations: Operation[]) => void;

export function mutate(random: Random, operations: readonly Operation[]): Operation[] {
  const copy = [...operations];
  random.pick(mutations)(random, copy);
  return copy;
}

const mutations: readonly Mutation[] = [
  // Another answer.
  (random, operations) =>
    changeAnswer(random, operations, (outcome) => {
      const versions = operations.flatMap(foundBy);
      const answers = outcome.answers.map((answer) => changed(random, answer, versions));
      return { ...outcome, answers };
    }),
  (random, operations) =>
    changeAnswer(random, operations, (outcome) => {
      const revision = Math.max(1, outcome.revision + random.pick([-2, -1, 1, 2]));
      return { ...outcome, revision };
    }),
  // Two answers exchanged, in their revisions only.
  (random, operations) => {
    const [one, other] = [random.pick(operations), random.pick(operations)];
    if (one.outcome.type !== 'ok' || other.outcome.type !== 'ok') return;
    const [first, second] = [one.outcome.revision, other.outcome.revision];
    operations[operations.indexOf(one)] = {
      ...one,
      outcome: { ...one.outcome, revision: second },
    };
    const index = operations.indexOf(other);
    if (index >= 0)
      operations[index] = { ...other, outcome: { ...other.outcome, revision: first } };
  },
  // Another fate.
  (random, operations) => {
    const index = random.integer(0, operations.length - 1);
    const operation = operations[index] as Operation;
    const type = random.pick(['failed', 'unknown'] as const);
    operations[index] = { ...operation, completed: Number.POSITIVE_INFINITY, outcome: { type } };
  },
  (random, operations) => {
    operations.splice(random.integer(0, operations.length - 1), 1);
  },
  // Other times: the whole operation later or earlier.
  (random, operations) => {
    const index = random.integer(0, operations.length - 1);
    const operation = operations[index] as Operation;
    const by = random.integer(-8, 8) + 0.5;
    operations[index] = {
      ...operation,
      invoked: operation.invoked + by,
      completed: operation.completed + by,
    };
  },
];

function changeAnswer(
  random: Random,
  operations: Operation[],
  change: (outcome: Success) => Success,
): void {
  const answered = operations.filter(({ outcome }) => outcome.type === 'ok');
  if (answered.length === 0) return;
  const operation = random.pick(answered);
  if (operation.outcome.type !== 'ok') return;
  operations[operations.indexOf(operation)] = { ...operation, outcome: change(operation.outcome) };
}

function changed(random: Random, answer: Answer, versions: readonly Version[]): Answer {
  switch (answer.kind) {
    case 'put':
      return answer;
    case 'delete':
      return { ...answer, deleted: !answer.deleted };
    case 'get':
    case 'range': {
      if (random.next() < 0.3 || versions.length === 0) return { ...answer, found: [] };
      const version = random.pick(versions);
      const by = random.next() < 0.3 ? 1 : 0;
      return { ...answer, found: [{ ...version, modRevision: version.modRevision + by }] };
    }
  }
}
