/**
 * CheckQuorum (thesis 6.2): a leader with work that hears of no quorum steps down, so that whoever
 * waits here learns of it, and a partial partition leaves no leader that cannot write in office.
 */
import { quorumValue } from './configuration.ts';
import { becomeFollower } from './election.ts';
import type { Progress } from './progress.ts';
import { configurationOf, type Leader, type State } from './state.ts';

export function needsQuorum(state: State, role: Leader): boolean {
  const waits = role.pendingReads.length > 0 || (role.withheld?.length ?? 0) > 0;
  return waits || state.commit < state.log.lastIndex;
}

/** CheckQuorum: when a leader with work has heard of no quorum for this long, it steps down. */
export function quorumDeadline(state: State, role: Leader): number | null {
  if (role.quorumSince === null || !needsQuorum(state, role)) return null;
  // Only replies to its own messages are contact (consensus-rules.md 9).
  const contact = quorumValue(configurationOf(state), (id) =>
    id === state.self ? state.now : (role.progress.get(id)?.repliedAt ?? Number.NEGATIVE_INFINITY),
  );
  return Math.max(role.quorumSince, contact) + state.settings.electionTimeoutMs;
}

/**
 * When to hear of a follower that has answered everything, while the quorum waits for a slower one:
 * silence would count as its absence and depose a leader that is getting on.
 */
export function contactAt(state: State, role: Leader, progress: Progress): number | null {
  const { hasReplied, onRepairList, repliedAt, retransmitAt, state: sends } = progress;
  const isAnswered = hasReplied && !onRepairList && retransmitAt === null && sends === 'replicate';
  if (!isAnswered || !needsQuorum(state, role)) return null;
  return repliedAt + state.settings.electionTimeoutMs / 2;
}

export function checkQuorum(state: State, role: Leader): void {
  const deadline = quorumDeadline(state, role);
  if (deadline !== null && state.now >= deadline) becomeFollower(state, state.term, null);
}
