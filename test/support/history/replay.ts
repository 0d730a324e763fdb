/**
 * Replays a history in the order of its revisions and holds every answer against the state.
 *
 * The state is exact but for revisions whose writer is open (explain.ts). There a key may have been
 * written or deleted unseen, and then an answer that fits some such write is accepted: the replay
 * accuses nobody wrongly.
 */

import type { Choice, Explanation } from './explain.ts';
import {
  type Answer,
  type Answered,
  type Compare,
  hasChanged,
  isAnswered,
  type Operation,
  type Step,
  stepsOf,
  type Version,
} from './history.ts';
import { firstAtLeast, keysBetween } from './keys.ts';
import type { Observations } from './observations.ts';
import type { Report } from './report.ts';
import { textOf } from './text.ts';

/** One key at the revision that the replay has reached. */
interface Held {
  /** null: absent. undefined: nobody saw it. */
  value: string | null | undefined;
  modRevision: number;
  /** Up to here nothing else can have happened to the key. */
  confirmedAt: number;
}

interface Moment {
  readonly revision: number;
  readonly run: () => void;
}

export interface Material {
  readonly operations: readonly Operation[];
  /** All keys, sorted. */
  readonly keys: readonly string[];
  readonly initial: readonly Version[];
  readonly initialRevision: number;
  readonly observations: Observations;
  readonly acknowledged: ReadonlyMap<number, Answered>;
  readonly explanation: Explanation;
  /** By id of a write without an answer: the revision that was reached when it began. */
  readonly floorOf: (operation: Operation) => number;
}

export class Replay {
  private readonly material: Material;
  private readonly report: Report;
  private readonly state = new Map<string, Held>();
  /** By key: the floors of the writes that may have touched it unseen, in order. */
  private readonly hiddenWrites: ReadonlyMap<string, readonly number[]>;
  private readonly hiddenDeletes: ReadonlyMap<string, readonly number[]>;
  private readonly deletesUsed = new Map<string, number>();

  constructor(material: Material, report: Report) {
    this.material = material;
    this.report = report;
    this.hiddenWrites = this.looseFloors(() => true);
    this.hiddenDeletes = this.looseFloors(({ kind }) => kind === 'delete');
    for (const { key, value, modRevision } of material.initial)
      this.state.set(key, { value, modRevision, confirmedAt: material.initialRevision });
  }

  run(): void {
    const reads: Moment[] = [];
    for (const operation of this.material.operations) {
      if (!isAnswered(operation)) continue;
      const { revision } = operation.outcome;
      if (!hasChanged(operation.outcome))
        reads.push({ revision, run: () => this.answered(operation, revision) });
      for (const { step, answer } of stepsOf(operation)) {
        if ((step.kind !== 'get' && step.kind !== 'range') || step.at === undefined) continue;
        const { at } = step;
        if (at > revision)
          this.report.add('reads show the state', `the future: ${textOf(operation)}`);
        reads.push({ revision: at, run: () => this.read(operation, step, answer, at) });
      }
    }
    // A read comes after the write of its revision: sorting is stable.
    const moments = [...this.writes(), ...reads].sort((a, b) => a.revision - b.revision);
    for (const { run } of moments) run();
  }

  private *writes(): Generator<Moment> {
    const { acknowledged, explanation, observations, initialRevision } = this.material;
    for (const [revision, operation] of acknowledged)
      yield { revision, run: () => this.answered(operation, revision - 1) };
    for (const [revision, choice] of explanation.certain)
      yield { revision, run: () => this.unanswered(choice, revision) };
    for (const revision of observations.writtenRevisions) {
      if (revision <= initialRevision) continue;
      if (acknowledged.has(revision) || explanation.certain.has(revision)) continue;
      const run = () => {
        for (const { key, value } of observations.writtenAt(revision))
          this.state.set(key, { value, modRevision: revision, confirmedAt: revision });
      };
      yield { revision, run };
    }
  }

  /** `at`: the revision whose state it met. */
  private answered(operation: Answered, at: number): void {
    this.compares(operation, operation.outcome.succeeded, at);
    for (const { step, answer } of stepsOf(operation)) {
      switch (step.kind) {
        case 'put':
          this.write(step, operation.outcome.revision);
          break;
        case 'delete':
          this.deletion(operation, step, answer.kind === 'delete' && answer.deleted, at);
          break;
        case 'get':
        case 'range':
          if (step.at === undefined) this.read(operation, step, answer, at);
      }
    }
  }

  /** A write without an answer that is certain to have this revision. */
  private unanswered({ operation, succeeded, writes }: Choice, revision: number): void {
    this.compares(operation, succeeded, revision - 1);
    const changesNothing = writes.every((step) => {
      const held = this.heldOf(step.key);
      const isGone = held.value === null && this.isCertain(step.key, held, revision - 1);
      return step.kind === 'delete' && isGone;
    });
    if (changesNothing) {
      const text = `revision ${revision} would be that of ${textOf(operation)}, which changes nothing`;
      this.report.add('every revision is written', text);
    }
    for (const step of writes) this.write(step, revision);
  }

  private deletion(
    operation: Answered,
    step: Step & { kind: 'delete' },
    deleted: boolean,
    at: number,
  ): void {
    const held = this.heldOf(step.key);
    const fits = deleted
      ? held.value !== null || !this.isCertain(step.key, held, at)
      : held.value === null || this.mayBeGone(step.key, held, at);
    if (!fits) this.accuse('answers fit the state', operation, step.key, held, at);
    if (deleted) this.write(step, operation.outcome.revision);
  }

  private write(step: Step & { kind: 'put' | 'delete' }, revision: number): void {
    const isPut = step.kind === 'put';
    this.state.set(step.key, {
      value: isPut ? step.value : null,
      modRevision: isPut ? revision : 0,
      confirmedAt: revision,
    });
  }

  private read(
    operation: Answered,
    step: Step & { kind: 'get' | 'range' },
    answer: Answer,
    at: number,
  ): void {
    const found = answer.kind === 'get' || answer.kind === 'range' ? answer.found : [];
    const asked =
      step.kind === 'get' ? [step.key] : keysBetween(this.material.keys, step.start, step.end);
    let next = 0;
    for (const key of asked) {
      const version = found[next]?.key === key ? found[next] : undefined;
      if (version) next += 1;
      const held = this.heldOf(key);
      const fits = version
        ? isSame(held, version)
        : held.value === null || this.mayBeGone(key, held, at);
      if (!fits) {
        this.accuse('reads show the state', operation, key, held, at, version);
        continue;
      }
      held.confirmedAt = Math.max(held.confirmedAt, at);
      if (version) held.value = version.value;
    }
    if (next < found.length)
      this.report.add(
        'reads show the state',
        `not in order, or not asked for: ${textOf(operation)}`,
      );
  }

  private compares(operation: Operation, succeeded: boolean, at: number): void {
    let held: boolean | null = true;
    for (const compare of operation.call.compares) {
      const holds = this.holds(compare, at);
      if (holds === false) held = false;
      if (holds === null && held) held = null;
    }
    if (held === null || held === succeeded) return;
    const key = operation.call.compares[0]?.key ?? '';
    this.accuse('answers fit the state', operation, key, this.heldOf(key), at);
  }

  /** null: it depends on a write that nobody saw. */
  private holds({ key, target, relation, operand }: Compare, at: number): boolean | null {
    const held = this.heldOf(key);
    if (!this.isCertain(key, held, at)) return null;
    if (target === 'modRevision') return (held.modRevision === operand) === (relation === '=');
    if (held.value === undefined) return null;
    return held.value !== null && (held.value === operand) === (relation === '=');
  }

  /** Whether no unseen write can have touched the key since it was last confirmed. */
  private isCertain(key: string, held: Held, at: number): boolean {
    return this.unseenCount(this.hiddenWrites.get(key), held, at) === 0;
  }

  /** Whether an unseen delete explains that the key is absent; if so, it has been used up. */
  private mayBeGone(key: string, held: Held, at: number): boolean {
    const used = this.deletesUsed.get(key) ?? 0;
    if (this.unseenCount(this.hiddenDeletes.get(key), held, at) <= used) return false;
    this.deletesUsed.set(key, used + 1);
    Object.assign(held, { value: null, modRevision: 0, confirmedAt: at });
    return true;
  }

  /** How many of the writes with these floors may be at an open revision after `held`. */
  private unseenCount(floors: readonly number[] | undefined, held: Held, at: number): number {
    const { open } = this.material.explanation;
    const latest = open[firstAtLeast(open, at + 1) - 1];
    if (floors === undefined || latest === undefined || latest <= held.confirmedAt) return 0;
    return firstAtLeast(floors, latest);
  }

  private heldOf(key: string): Held {
    let held = this.state.get(key);
    if (held === undefined) {
      held = { value: null, modRevision: 0, confirmedAt: this.material.initialRevision };
      this.state.set(key, held);
    }
    return held;
  }

  private looseFloors(isCounted: (step: Step) => boolean): Map<string, number[]> {
    const operationsByKey = new Map<string, Set<Operation>>();
    for (const { operation, writes } of this.material.explanation.loose) {
      for (const step of writes) {
        if (!isCounted(step)) continue;
        const operations = operationsByKey.get(step.key) ?? new Set();
        operationsByKey.set(step.key, operations.add(operation));
      }
    }
    return new Map(
      [...operationsByKey].map(([key, operations]) => [
        key,
        [...operations].map(this.material.floorOf).sort((a, b) => a - b),
      ]),
    );
  }

  private accuse(
    rule: 'answers fit the state' | 'reads show the state',
    operation: Operation,
    key: string,
    { value, modRevision }: Held,
    at: number,
    found?: Version,
  ): void {
    const isFailed = found !== undefined && isFailedPut(this.material.operations, found);
    const state = value === null ? 'absent' : `${value ?? '?'}@${modRevision}`;
    this.report.add(
      isFailed ? 'a failed write is never seen' : rule,
      `at revision ${at}, ${key} is ${state}: ${textOf(operation)}`,
    );
  }
}

function isSame(held: Held, { value, modRevision }: Version): boolean {
  if (held.value === null || held.modRevision !== modRevision) return false;
  return held.value === undefined || held.value === value;
}

function isFailedPut(operations: readonly Operation[], { key, value }: Version): boolean {
  return operations.some(
    ({ call, outcome }) =>
      outcome.type === 'failed' &&
      [...call.success, ...call.failure].some(
        (step) => step.kind === 'put' && step.key === key && step.value === value,
      ),
  );
}
