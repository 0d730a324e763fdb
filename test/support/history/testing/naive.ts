/**
 * The checkers' questions, answered by trying everything: for histories of a few operations, and for
 * comparing with the real ones. Nothing is shared with them but the types.
 */
import type { Answered, Call, Operation, Step } from '../history.ts';
import { holds, Store } from './store.ts';

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

function isOk(operation: Operation): operation is Answered {
  return operation.outcome.type === 'ok';
}

/** A revision that nobody names. */
const unnamed = -1;

interface Place {
  readonly value: string | null;
  readonly modRevision: number;
  readonly passed: number;
}

/**
 * Whether some order of the operations fits real time and a register; `operations` name one key
 * only. Revisions of unknown writes: any that is named somewhere, or one that is not.
 */
export function isLinearizable(operations: readonly Operation[]): boolean {
  const taking = operations.filter(
    ({ call, outcome }) => !call.serializable && outcome.type !== 'failed',
  );
  const named = [...JSON.stringify(taking).matchAll(/"(?:modRevision|operand)":(\d+)/g)];
  const revisions = [...new Set(named.map(([, digits]) => Number(digits))), unnamed];
  const search = (left: readonly Operation[], place: Place): boolean => {
    if (!left.some(isOk)) return true;
    return left.some((operation) => {
      const others = left.filter((other) => other !== operation);
      if (others.some((other) => isOk(other) && other.completed < operation.invoked)) return false;
      const tried = isOk(operation) ? [operation.outcome.revision] : revisions;
      return tried.some((revision) => {
        const after = happen(operation, place, revision);
        return after !== null && search(others, after);
      });
    });
  };
  return search(taking, { value: null, modRevision: 0, passed: 0 });
}

/** The register after the operation, or null when its answer is another one. */
function happen({ call, outcome }: Operation, before: Place, revision: number): Place | null {
  const version = (place: Place) =>
    place.value === null
      ? undefined
      : { key: 'any', value: place.value, modRevision: place.modRevision };
  const succeeded = call.compares.every((compare) => holds(compare, version(before)));
  let place = before;
  const answers: unknown[] = [];
  for (const step of succeeded ? call.success : call.failure) {
    if (step.kind === 'put') {
      place = { ...place, value: step.value, modRevision: revision };
      answers.push({ kind: 'put' });
    } else if (step.kind === 'delete') {
      answers.push({ kind: 'delete', deleted: place.value !== null });
      place = { ...place, value: null, modRevision: 0 };
    } else {
      const found = version(place);
      answers.push({ kind: step.kind, found: found ? [{ ...found, key: keyOf(step) }] : [] });
    }
  }
  if (outcome.type === 'ok') {
    if (outcome.succeeded !== succeeded || !same(outcome.answers, answers)) return null;
  }
  const changed = place.value !== before.value || place.modRevision !== before.modRevision;
  const wrote = changed || answers.some((answer) => same(answer, { kind: 'put' }));
  if (!wrote || revision === unnamed) return place;
  return revision > before.passed ? { ...place, passed: revision } : null;
}

function keyOf(step: Step): string {
  return step.kind === 'range' ? step.start : step.key;
}

/** Whether some choice of writers for the revisions without one explains every answer. */
export function isConsistent(operations: readonly Operation[]): boolean {
  const answered = operations.filter(isOk);
  const changing = answered.filter(({ outcome }) =>
    outcome.answers.some((answer) => answer.kind === 'put' || same(answer, deletedAnswer)),
  );
  const unknown = operations.filter(({ outcome }) => outcome.type === 'unknown');
  const newest = Math.max(1, ...answered.map(({ outcome }) => outcome.revision));
  const revisions = new Set(changing.map(({ outcome }) => outcome.revision));
  if (revisions.size < changing.length || revisions.has(1)) return false;
  if (!keepsOrder(answered, changing)) return false;
  const readsAt = (revision: number) =>
    answered.filter((one) => !changing.includes(one) && one.outcome.revision === revision);

  const search = (states: Store['states'], left: readonly Operation[]): boolean => {
    const revision = states.length;
    if (!readsAt(revision).every((read) => isAnswerOf(read, states))) return false;
    if (revision === newest) return true;
    const writer = changing.find(({ outcome }) => outcome.revision === revision + 1);
    if (writer) {
      const after = changedStates(writer.call, states);
      return after !== null && isAnswerOf(writer, states) && search(after, left);
    }
    return left.some((operation) => {
      const ended = answered.filter(({ completed }) => completed < operation.invoked);
      if (ended.some(({ outcome }) => outcome.revision > revision)) return false;
      const after = changedStates(operation.call, states);
      return (
        after !== null &&
        search(
          after,
          left.filter((other) => other !== operation),
        )
      );
    });
  };
  return search(new Store().states, unknown);
}

const deletedAnswer = { kind: 'delete', deleted: true };

function changedStates(call: Call, states: Store['states']): Store['states'] | null {
  const store = new Store();
  store.states.splice(0, 1, ...states);
  store.run(call);
  return store.states.length > states.length ? store.states : null;
}

function isAnswerOf({ call, outcome }: Answered, states: Store['states']): boolean {
  const store = new Store();
  store.states.splice(0, 1, ...states);
  const { type, servedBy, ...given } = outcome;
  for (const step of [...call.success, ...call.failure])
    if ('at' in step && Number(step.at) > outcome.revision) return false;
  return same(given, store.run(call));
}

function keepsOrder(answered: readonly Answered[], changing: readonly Answered[]): boolean {
  return answered.every((later) =>
    answered.every((earlier) => {
      if (earlier.completed >= later.invoked) return true;
      const { servedBy } = later.outcome;
      const isFree =
        later.call.serializable &&
        (servedBy === undefined || servedBy !== earlier.outcome.servedBy);
      const least = earlier.outcome.revision + (changing.includes(later) ? 1 : 0);
      return isFree || later.outcome.revision >= least;
    }),
  );
}
