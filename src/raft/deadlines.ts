/**
 * Time in the core: deadlines, not ticks. No deadline means that the member is at rest.
 */

import { checkQuorum, contactAt, quorumDeadline } from './check-quorum.ts';
import { becomeFollower } from './election.ts';
import { wake } from './leader.ts';
import { expireTransfer, offerLeadership } from './leadership.ts';
import { remoteReadDeadline, tickRemoteReads } from './remote-reads.ts';
import { positionWanted, roundAt } from './replication.ts';
import { retransmit } from './retransmission.ts';
import type { Candidate, Leader, State } from './state.ts';
import { randomElectionTimeout } from './state.ts';
import { askRefuser, campaign, suspect, suspicionDeadline, tickSuspicion } from './suspicion.ts';
import { unreachable } from './types.ts';

export function nextDeadline(state: State): number | null {
  // Work left over by a bound of this turn, or made after its take(): go on at once.
  if (state.handedOut < state.commit || hasOutput(state)) return state.now;
  const { role } = state;
  switch (role.type) {
    case 'follower':
      return earliest(earliest(suspicionDeadline(state), state.lagAt), remoteReadDeadline(state));
    case 'preCandidate':
    case 'candidate':
      return earliest(role.deadline, state.suspicion?.until ?? null);
    case 'leader':
      return leaderDeadline(state, role);
    default:
      return unreachable(role);
  }
}

function hasOutput(state: State): boolean {
  const { messages, reads, droppedReads, chunks } = state;
  const { hardStateChanged, removal, closesSnapshot } = state;
  const count = messages.length + reads.length + droppedReads.length + chunks.length;
  return hardStateChanged || removal !== null || closesSnapshot || count > 0;
}

function leaderDeadline(state: State, role: Leader): number | null {
  let deadline = earliest(role.noticeAt, quorumDeadline(state, role));
  deadline = earliest(deadline, role.transfer?.deadline ?? null);
  deadline = earliest(deadline, role.offerAt);
  for (const progress of role.progress.values()) {
    deadline = earliest(deadline, progress.retransmitAt ?? contactAt(state, role, progress));
    const waitsForChunk = progress.state === 'snapshot' && !progress.probeSent;
    if (waitsForChunk && !progress.onRepairList && state.snapshot) return state.now;
    if (progress.state === 'replicate' && progress.sentPosition < positionWanted(role))
      deadline = earliest(deadline, roundAt(state, progress));
  }
  return deadline;
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

/** Does what is due at state.now. */
export function tick(state: State): void {
  const { role } = state;
  switch (role.type) {
    case 'follower':
      tickLag(state);
      tickRemoteReads(state);
      tickSuspicion(state);
      return;
    case 'preCandidate':
    case 'candidate':
      tickCandidate(state, role);
      return;
    case 'leader':
      retransmit(state, role);
      expireTransfer(state, role);
      offerLeadership(state, role);
      checkQuorum(state, role);
      return;
    default:
      unreachable(role);
  }
}

/** A round without a result: another one, if anybody still wants a leader. */
function tickCandidate(state: State, role: Candidate): void {
  const { suspicion } = state;
  const isWanted = suspicion !== null && state.now < suspicion.until;
  // Told to campaign by its leader, it has no suspicion, and a round like any other.
  if (state.now < role.deadline && (isWanted || suspicion === null)) return;
  becomeFollower(state, state.term, null);
  // The round's own length was drawn at random, so two candidates do not begin again together.
  if (!isWanted) state.suspicion = null;
  else if (role.type === 'candidate' || !askRefuser(state, role)) campaign(state);
}

/** Not at rest: a leader is looked for at growing intervals. */
export function armLag(state: State): void {
  if (state.role.type !== 'follower' || !isUnresolved(state)) {
    state.lagAt = null;
    if (!isUnresolved(state)) state.lagAttempts = 0;
    return;
  }
  if (state.lagAt !== null || state.lagAttempts >= state.settings.lagAttemptsMax) return;
  state.lagAt = state.now + randomElectionTimeout(state) * 2 ** state.lagAttempts;
}

/** Its own log, or what it left to the next leader. */
function isUnresolved({ commit, leftWork, log }: State): boolean {
  return log.lastIndex > commit || leftWork;
}

/** True when only a repair alarm will look again at what is unfinished here. */
export function needsRepair(state: State): boolean {
  const { role } = state;
  if (role.type === 'leader') return [...role.progress.values()].some((p) => p.onRepairList);
  return isUnresolved(state);
}

/** The repair alarm: what was given up for lost is tried again. */
export function repair(state: State): void {
  const { role } = state;
  if (role.type === 'leader') {
    wake(state, role);
    role.noticeAt = state.now;
  } else {
    state.lagAttempts = 0;
    if (isUnresolved(state)) suspect(state);
  }
}

function tickLag(state: State): void {
  if (state.lagAt === null || state.now < state.lagAt) return;
  state.lagAt = null;
  state.lagAttempts += 1;
  suspect(state);
}
