/**
 * Judges what clients were told, all of it together.
 *
 * After a recovery there are two histories. The old group's has no exception. That of the new one begins
 * with what the survivor held: what the old one acknowledged beyond that may be lost, and nothing else.
 */
import { numericId } from '../../../src/node-do/identity.ts';
import { History, hasChanged, isAnswered, type Operation } from '../../support/history/history.ts';
import { assertLinearizable } from '../../support/history/linearizability.ts';
import { assertRevisions } from '../../support/history/revisions.ts';
import type { Simulation } from './simulation.ts';

const linearizabilityStepsMax = 200_000;

export function judgeHistory(simulation: Simulation): void {
  const { groups, history } = simulation;
  if (groups.successorId === null) judge(simulation, history);
  else {
    judge(simulation, ofFormer(simulation, groups.successorId));
    judge(simulation, ofSuccessor(simulation, groups.successorId));
  }
}

function judge(simulation: Simulation, history: History): void {
  try {
    assertLinearizable(history, { stepsMax: linearizabilityStepsMax });
  } catch (error) {
    simulation.fail(error instanceof Error ? error.message : String(error));
  }
  try {
    assertRevisions(history);
  } catch (error) {
    simulation.fail(error instanceof Error ? error.message : String(error));
  }
}

/** What the new group did is not known to the old one, and began when nobody could write there. */
function ofFormer(simulation: Simulation, successorId: string): History {
  const begunMs = simulation.recovery.askedAtMs ?? 0;
  return historyOf(simulation, (operation) => {
    if (isServedBy(operation, successorId))
      return operation.invokedMs < begunMs ? unknown(operation) : null;
    return isAnswered(operation) || operation.invokedMs < begunMs ? operation : null;
  });
}

function ofSuccessor(simulation: Simulation, successorId: string): History {
  const { groups, counts } = simulation;
  const held = groups.first.commonRevision(groups.current);
  return historyOf(simulation, (operation) => {
    if (!isAnswered(operation) || isServedBy(operation, successorId)) return operation;
    if (operation.outcome.revision <= held) return operation;
    if (!hasChanged(operation.outcome)) return null;
    counts.set(
      'writes that a recovery may lose',
      1 + (counts.get('writes that a recovery may lose') ?? 0),
    );
    return unknown(operation);
  });
}

function isServedBy(operation: Operation, groupId: string): boolean {
  if (!isAnswered(operation)) return false;
  return operation.outcome.servedBy?.startsWith(`${numericId(groupId)}/`) ?? false;
}

function unknown(operation: Operation): Operation {
  const never = Number.POSITIVE_INFINITY;
  return { ...operation, completed: never, completedMs: never, outcome: { type: 'unknown' } };
}

function historyOf(
  { history }: Simulation,
  seen: (operation: Operation) => Operation | null,
): History {
  const part = new History(() => 0);
  for (const operation of history.operations) {
    const kept = seen(operation);
    if (kept) part.operations.push({ ...kept, id: part.operations.length });
  }
  return part;
}
