/**
 * Which writes of unknown outcome wrote the revisions that no acknowledged write has.
 *
 * Each such write takes at most one revision, above all that had been reached when it began, and
 * only one that fits what answers show of its keys. That every revision gets a writer is decided by
 * bipartite matching (augmenting paths), so it is exact whatever the order in which writers are
 * tried. Where one writer only is possible, it is certain, and the replay holds it to all of its
 * effects; the other revisions stay open.
 */

import { branchOf, isWrite, type Operation, type Step } from './history.ts';
import type { Observations, Sighting } from './observations.ts';
import type { Report, Rule } from './report.ts';
import type { Floors } from './revision-order.ts';
import { textOf } from './text.ts';

/** A write of unknown outcome that took this branch. */
export interface Choice {
  readonly operation: Operation;
  readonly succeeded: boolean;
  /** Its puts and deletes. */
  readonly writes: readonly (Step & { kind: 'put' | 'delete' })[];
}

export interface Explanation {
  /** By revision: what certainly wrote it. */
  readonly certain: ReadonlyMap<number, Choice>;
  /** Revisions with several possible writers, in order. */
  readonly open: readonly number[];
  /** Writes of unknown outcome that are not certain to be anywhere. */
  readonly loose: readonly Choice[];
}

export interface Question {
  readonly operations: readonly Operation[];
  readonly floors: Floors;
  readonly observations: Observations;
  /** Revisions of acknowledged writes. */
  readonly acknowledged: ReadonlyMap<number, Operation>;
  /** Revision of the state with which the history begins. */
  readonly initialRevision: number;
}

export function explain(question: Question, report: Report): Explanation {
  return new Explainer(question, report).run();
}

class Explainer {
  private readonly question: Question;
  private readonly report: Report;
  private readonly choices: readonly Choice[];
  private readonly choicesByKey = new Map<string, Choice[]>();
  private readonly certain = new Map<number, Choice>();
  private readonly placed = new Set<Operation>();
  /** By id of the operation: the revision that the matching gives it. */
  private readonly taken = new Map<number, number>();
  private readonly possible = new Map<number, readonly Choice[]>();

  constructor(question: Question, report: Report) {
    this.question = question;
    this.report = report;
    this.choices = question.operations.flatMap(choicesOf);
    for (const choice of this.choices) {
      for (const { key } of choice.writes) {
        const known = this.choicesByKey.get(key);
        if (known) known.push(choice);
        else this.choicesByKey.set(key, [choice]);
      }
    }
  }

  run(): Explanation {
    const { observations, acknowledged, initialRevision } = this.question;
    const isMissing = (revision: number) =>
      revision > initialRevision && !acknowledged.has(revision);
    const seen = [...observations.writtenRevisions].filter(isMissing).sort((a, b) => a - b);
    for (const revision of seen) this.settle(revision, this.choicesFor(revision));
    for (const revision of seen) this.assign(revision);
    const unseen = this.unseenRevisions(isMissing, new Set(seen));
    // A write that is certain to be elsewhere is possible nowhere else.
    const free = this.choices.filter(({ operation }) => !this.placed.has(operation));
    for (const revision of unseen) {
      this.settle(revision, free);
      this.assign(revision);
    }
    return {
      certain: this.certain,
      open: [...seen, ...unseen]
        .filter((revision) => !this.certain.has(revision))
        .sort((a, b) => a - b),
      loose: this.choices.filter(({ operation }) => !this.placed.has(operation)),
    };
  }

  /** Revisions that nobody saw written; none when there are more than could be explained. */
  private unseenRevisions(
    isMissing: (revision: number) => boolean,
    seen: ReadonlySet<number>,
  ): number[] {
    const { observations, acknowledged, initialRevision } = this.question;
    const { newestRevision } = observations;
    const inRange = (revision: number) => revision > initialRevision && revision <= newestRevision;
    const known =
      [...acknowledged.keys()].filter(inRange).length + [...seen].filter(inRange).length;
    const missing = newestRevision - initialRevision - known;
    const writers = new Set(this.choices.map(({ operation }) => operation)).size;
    if (missing > writers) {
      this.report.add(
        'every revision is written',
        `${missing} revisions up to ${newestRevision} have no acknowledged write, ` +
          `and only ${writers} writes have an unknown outcome`,
      );
      return [];
    }
    if (missing <= 0) return [];
    const unseen: number[] = [];
    for (let revision = initialRevision + 1; revision <= newestRevision; revision += 1)
      if (isMissing(revision) && !seen.has(revision)) unseen.push(revision);
    return unseen;
  }

  /** What may have written a revision of which something was seen. */
  private choicesFor(revision: number): readonly Choice[] {
    const [first] = this.question.observations.writtenAt(revision);
    return this.choicesByKey.get(first?.key ?? '') ?? [];
  }

  private settle(revision: number, choices: readonly Choice[]): void {
    const possible = choices.filter((choice) => this.fits(choice, revision));
    this.possible.set(revision, possible);
    const [only] = possible;
    if (only === undefined || possible.length > 1 || this.placed.has(only.operation)) return;
    this.certain.set(revision, only);
    this.placed.add(only.operation);
  }

  private fits({ operation, writes }: Choice, revision: number): boolean {
    const { observations, floors } = this.question;
    const floor = floors.get(operation.id);
    if (floor && floor.outcome.revision >= revision) return false;
    const sightings = observations.writtenAt(revision);
    return (
      sightings.every((sighting) => shows(writes, sighting)) &&
      writes.every(({ key }) => !observations.excludesWrite(key, revision))
    );
  }

  private assign(revision: number): void {
    const possible = this.possible.get(revision) ?? [];
    if (possible.length === 0) {
      this.reportUnexplained(revision);
    } else if (!this.augment(revision, new Set())) {
      const [{ operation }] = possible as [Choice, ...Choice[]];
      this.report.add(
        this.question.observations.writtenAt(revision).length > 0
          ? 'a write takes effect once'
          : 'every revision is written',
        `revision ${revision}: what could have written it is needed for other revisions, ` +
          `such as ${this.taken.get(operation.id)} for ${textOf(operation)}`,
      );
    }
  }

  private augment(revision: number, visited: Set<number>): boolean {
    const possible = this.possible.get(revision) ?? [];
    for (const { operation } of possible) {
      if (this.taken.has(operation.id)) continue;
      this.taken.set(operation.id, revision);
      return true;
    }
    for (const { operation } of possible) {
      if (visited.has(operation.id)) continue;
      visited.add(operation.id);
      if (!this.augment(this.taken.get(operation.id) as number, visited)) continue;
      this.taken.set(operation.id, revision);
      return true;
    }
    return false;
  }

  private reportUnexplained(revision: number): void {
    const [sighting] = this.question.observations.writtenAt(revision);
    if (sighting === undefined) {
      const text = `no write of unknown outcome can have written revision ${revision}`;
      this.report.add('every revision is written', text);
      return;
    }
    const [rule, writer] = this.suspect(sighting, revision);
    const text = `${sighting.key}=${sighting.value ?? '?'} was there with revision ${revision}`;
    this.report.add(rule, writer ? `${text}; compare ${textOf(writer)}` : text);
  }

  /** Whose value is it, if it is none that may be seen there? */
  private suspect(sighting: Sighting, revision: number): [rule: Rule, writer?: Operation] {
    const writers = this.question.operations.filter(({ call, outcome }) => {
      const branches =
        outcome.type === 'ok' ? [branchOf(call, outcome.succeeded)] : [call.success, call.failure];
      return branches.some((steps) => shows(steps, sighting));
    });
    const typed = (type: string) => writers.find(({ outcome }) => outcome.type === type);
    const [unknown, ok, failed] = [typed('unknown'), typed('ok'), typed('failed')];
    if (unknown) {
      const reached = this.question.floors.get(unknown.id)?.outcome.revision ?? 0;
      return [reached >= revision ? 'real time' : 'reads show the state', unknown];
    }
    if (ok) return ['a write takes effect once', ok];
    return failed ? ['a failed write is never seen', failed] : ['every revision is written'];
  }
}

function choicesOf(operation: Operation): Choice[] {
  const { call, outcome } = operation;
  if (outcome.type !== 'unknown' || !isWrite(call)) return [];
  const branches = call.compares.length === 0 ? [true] : [true, false];
  return branches.flatMap((succeeded) => {
    const writes = branchOf(call, succeeded).filter(
      (step) => step.kind === 'put' || step.kind === 'delete',
    );
    return writes.length === 0 ? [] : [{ operation, succeeded, writes }];
  });
}

/** Whether the last write to that key leaves what was seen. */
function shows(steps: readonly Step[], { key, value }: Sighting): boolean {
  const last = steps.findLast(
    (step) => (step.kind === 'put' || step.kind === 'delete') && step.key === key,
  );
  return last?.kind === 'put' && (value === undefined || last.value === value);
}
