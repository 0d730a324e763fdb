/**
 * A store that runs one call after another, like etcd: what correct histories are made with, and
 * what the naive checkers ask. Written for clearness alone.
 */
import type { Answer, Call, Compare, Step, Success, Version } from '../history.ts';

type State = Map<string, Version>;

export type Answers = Omit<Success, 'type' | 'servedBy'>;

export class Store {
  /** The state at each revision; the first is that of revision 1. */
  readonly states: State[] = [new Map()];

  get revision(): number {
    return this.states.length;
  }

  stateAt(revision: number): State | undefined {
    return this.states[revision - 1];
  }

  /** Runs it on the newest state; `at` an older one: what a member that is behind would answer. */
  run(call: Call, at = this.revision): Answers {
    const before = this.stateAt(at) as State;
    const succeeded = call.compares.every((compare) => holds(compare, before.get(compare.key)));
    const steps = succeeded ? call.success : call.failure;
    const mayChange = steps.some(({ kind }) => kind === 'put' || kind === 'delete');
    const state = mayChange ? new Map(before) : before;
    const answers = steps.map((step) => this.step(step, state, at + 1));
    const changed = answers.some(
      (answer) => answer.kind === 'put' || (answer.kind === 'delete' && answer.deleted),
    );
    if (changed) this.states.push(state);
    return { revision: changed ? at + 1 : at, succeeded, answers };
  }

  private step(step: Step, state: State, revision: number): Answer {
    switch (step.kind) {
      case 'put':
        state.set(step.key, { key: step.key, value: step.value, modRevision: revision });
        return { kind: 'put' };
      case 'delete':
        return { kind: 'delete', deleted: state.delete(step.key) };
      case 'get':
      case 'range': {
        const seen = step.at === undefined ? state : (this.stateAt(step.at) ?? new Map());
        const isAsked = (key: string) =>
          step.kind === 'get' ? key === step.key : key >= step.start && key < step.end;
        const found = [...seen.values()].filter(({ key }) => isAsked(key));
        found.sort((a, b) => (a.key < b.key ? -1 : 1));
        return { kind: step.kind, found };
      }
    }
  }
}

export function holds(
  { target, relation, operand }: Compare,
  version: Version | undefined,
): boolean {
  if (target === 'modRevision')
    return ((version?.modRevision ?? 0) === operand) === (relation === '=');
  return version !== undefined && (version.value === operand) === (relation === '=');
}
