/**
 * Consistency of a history by its revisions, for any length: etcd counts one revision for each
 * transaction that changes something, every answer names one, and so all of them have one order.
 * Checked:
 *
 *   - each revision has one write, acknowledged or of unknown outcome, and each write one revision
 *   - an operation is not behind what had ended before it began: linearizable ones against all,
 *     serializable ones against what the same member had served
 *   - every answer (reads, also serializable and of history; compares; deletes) is what the state at
 *     its revision gives, transactions with all of their keys at once
 *   - failed writes are never seen, and nothing is seen that nobody wrote
 *
 * A correct history always passes. What an unseen write of unknown outcome may excuse is excused;
 * the linearizability checker is exact there, for single keys. Sorting dominates the cost; where
 * many revisions were written unseen, so does their number times that of the unknown writes.
 */

import { explain } from './explain.ts';
import { type Answered, hasChanged, isAnswered, type Operation, type Version } from './history.ts';
import { keysOf } from './keys.ts';
import { Observations } from './observations.ts';
import { Replay } from './replay.ts';
import { Report, type Violation } from './report.ts';
import { checkMembers, checkRealTime, floorsOf } from './revision-order.ts';
import { textOf } from './text.ts';

/** The state with which a history begins. */
export interface Initial {
  readonly revision: number;
  readonly versions: readonly Version[];
}

export interface RevisionReport {
  /** The first ones; empty: the history is consistent. */
  readonly violations: readonly Violation[];
  readonly violationCount: number;
  /** Revisions of acknowledged writes. */
  readonly acknowledged: number;
  /** Revisions that one certain write of unknown outcome has. */
  readonly explained: number;
  /** Revisions that one of several writes of unknown outcome has. */
  readonly open: number;
}

/** etcd's empty store. */
const empty: Initial = { revision: 1, versions: [] };

interface Recorded {
  readonly operations: readonly Operation[];
}

export function checkRevisions({ operations }: Recorded, initial = empty): RevisionReport {
  const report = new Report();
  const floors = floorsOf(operations);
  checkRealTime(operations, floors, report);
  checkMembers(operations, report);
  const acknowledged = acknowledgedWrites(operations, initial.revision, report);
  const names = keysOf(operations);
  for (const { key } of initial.versions) names.add(key);
  const keys = [...names].sort();
  const observations = new Observations(operations, keys, deletableKeys(operations));
  const initialRevision = initial.revision;
  const explanation = explain(
    { operations, floors, observations, acknowledged, initialRevision },
    report,
  );
  new Replay(
    {
      operations,
      keys,
      initial: initial.versions,
      initialRevision,
      observations,
      acknowledged,
      explanation,
      floorOf: ({ id }) => floors.get(id)?.outcome.revision ?? 0,
    },
    report,
  ).run();
  return {
    violations: report.violations,
    violationCount: report.count,
    acknowledged: acknowledged.size,
    explained: explanation.certain.size,
    open: explanation.open.length,
  };
}

/** Throws, with the first violations, unless the history is consistent. */
export function assertRevisions(history: Recorded, initial = empty): RevisionReport {
  const report = checkRevisions(history, initial);
  if (report.violationCount === 0) return report;
  const lines = report.violations.map(({ rule, text }) => `  ${rule}: ${text}`);
  throw new Error(
    [`the revisions of the history have ${report.violationCount} faults:`, ...lines].join('\n'),
  );
}

function acknowledgedWrites(
  operations: readonly Operation[],
  initialRevision: number,
  report: Report,
): Map<number, Answered> {
  const writes = new Map<number, Answered>();
  for (const operation of operations) {
    if (!isAnswered(operation) || !hasChanged(operation.outcome)) continue;
    const { revision } = operation.outcome;
    const other = writes.get(revision);
    if (other)
      report.add('one write a revision', `${textOf(operation)}, and also ${textOf(other)}`);
    else if (revision <= initialRevision)
      report.add('one write a revision', `written before the history: ${textOf(operation)}`);
    else writes.set(revision, operation);
  }
  return writes;
}

/** Keys that may have been deleted by somebody. */
function deletableKeys(operations: readonly Operation[]): Set<string> {
  const keys = new Set<string>();
  for (const { call, outcome } of operations) {
    if (outcome.type === 'failed') continue;
    for (const branch of [call.success, call.failure])
      for (const step of branch) if (step.kind === 'delete') keys.add(step.key);
  }
  return keys;
}
