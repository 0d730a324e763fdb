/**
 * Real time against revisions: an operation that begins after another has ended is served at no
 * lower revision, and a write gets a higher one. One sweep over the events, O(n log n).
 */

import { type Answered, hasChanged, isAnswered, type Operation } from './history.ts';
import type { Report } from './report.ts';
import { textOf } from './text.ts';

/** By operation id: the newest operation, by revision, that had ended when that one began. */
export type Floors = ReadonlyMap<number, Answered>;

/**
 * Serializable reads count as having ended, since what they show is committed; they themselves may
 * be late.
 */
export function floorsOf(operations: readonly Operation[]): Floors {
  const ended = operations.filter(isAnswered).sort((a, b) => a.completed - b.completed);
  const begun = [...operations].sort((a, b) => a.invoked - b.invoked);
  const floors = new Map<number, Answered>();
  let newest: Answered | undefined;
  let at = 0;
  for (const operation of begun) {
    for (; (ended[at]?.completed ?? Number.POSITIVE_INFINITY) < operation.invoked; at += 1) {
      const candidate = ended[at] as Answered;
      if (!newest || candidate.outcome.revision >= newest.outcome.revision) newest = candidate;
    }
    if (newest) floors.set(operation.id, newest);
  }
  return floors;
}

export function checkRealTime(
  operations: readonly Operation[],
  floors: Floors,
  report: Report,
): void {
  for (const operation of operations) {
    if (!isAnswered(operation) || operation.call.serializable) continue;
    const floor = floors.get(operation.id);
    if (floor === undefined || isAbove(operation, floor)) continue;
    const rule = floor.client === operation.client ? 'client order' : 'real time';
    report.add(rule, `${textOf(operation)} began after the end of ${textOf(floor)}`);
  }
}

/** What one member shows never goes back, not even in serializable reads. */
export function checkMembers(operations: readonly Operation[], report: Report): void {
  const byMember = new Map<string, Answered[]>();
  for (const operation of operations) {
    if (!isAnswered(operation) || operation.outcome.servedBy === undefined) continue;
    const served = byMember.get(operation.outcome.servedBy);
    if (served) served.push(operation);
    else byMember.set(operation.outcome.servedBy, [operation]);
  }
  for (const served of byMember.values()) {
    const floors = floorsOf(served);
    for (const operation of served) {
      const floor = floors.get(operation.id);
      if (!operation.call.serializable || !floor || isAbove(operation, floor)) continue;
      report.add('member order', `${textOf(operation)} began after the end of ${textOf(floor)}`);
    }
  }
}

function isAbove({ outcome }: Answered, floor: Answered): boolean {
  if (outcome.revision > floor.outcome.revision) return true;
  return outcome.revision === floor.outcome.revision && !hasChanged(outcome);
}
