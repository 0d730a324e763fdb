/**
 * Handing leadership on (thesis 3.10): on request, because another voter is preferred, because this
 * member is removed, or because it cannot apply.
 *
 * The target campaigns at once, without PreVote, and its votes say so: that the old leader is alive
 * is no reason to refuse (canonical/raft issue 203).
 */

import { needsQuorum } from './check-quorum.ts';
import { isVoter } from './configuration.ts';
import { becomeFollower, startElection } from './election.ts';
import { wake } from './leader.ts';
import type { Progress } from './progress.ts';
import type { Leader, State } from './state.ts';
import { configurationOf, isSettled, mayCampaign, rankOf, send } from './state.ts';
import type { MemberId, Message, TimeoutNow } from './types.ts';

export type TransferResult = 'ok' | 'notLeader' | 'notVoter' | 'cannotApply';

/** To itself: a transfer under way ends. Another target takes the place of the first. */
export function transferLeader(state: State, to: MemberId): TransferResult {
  const { role } = state;
  if (role.type !== 'leader') return 'notLeader';
  if (to === state.self) {
    role.transfer = null;
    return 'ok';
  }
  const progress = role.progress.get(to);
  if (!progress || !configurationOf(state).voters.includes(to)) return 'notVoter';
  if (progress.canApply === false) return 'cannotApply';
  if (role.transfer?.to === to) return 'ok';
  role.transfer = { to, deadline: state.now + state.settings.electionTimeoutMs, sent: false };
  wake(state, role);
  return 'ok';
}

/** Once the target holds the whole log it may campaign. */
export function pumpTransfer(state: State, role: Leader): void {
  const { transfer } = role;
  if (!transfer || transfer.sent || role.withheld) return;
  const progress = role.progress.get(transfer.to);
  if (!progress || !isComplete(state, progress)) return;
  transfer.sent = true;
  send(state, transfer.to, { type: 'timeoutNow' });
}

export function expireTransfer(state: State, role: Leader): void {
  if (role.transfer && state.now >= role.transfer.deadline) role.transfer = null;
}

/** Steps down; the most complete voter that can apply is told to campaign. */
export function handOver(state: State): void {
  const { role } = state;
  if (role.type !== 'leader') return;
  const heir = bestHeir(state, role);
  if (heir) send(state, heir, { type: 'timeoutNow' });
  becomeFollower(state, state.term, null);
}

function bestHeir(state: State, role: Leader): MemberId | null {
  let best: { readonly id: MemberId; readonly match: number } | null = null;
  for (const id of inOrder(state)) {
    const progress = role.progress.get(id);
    if (!progress?.canApply || progress.match < state.commit) continue;
    if (!best || progress.match > best.match) best = { id, match: progress.match };
  }
  return best?.id ?? null;
}

/** A quiet leader will offer its place to a complete voter that should have it (tick). */
export function planOffer(state: State, role: Leader): void {
  if (role.offerAt === null && preferredHeir(state, role) !== null)
    role.offerAt = state.now + state.settings.offerAfterMs;
}

/** In tick(), when nothing has happened for a while: a proposal is never refused for an offer. */
export function offerLeadership(state: State, role: Leader): void {
  if (role.offerAt === null || state.now < role.offerAt) return;
  const heir = preferredHeir(state, role);
  role.offerAt = null;
  if (heir === null) return;
  // Once only: if it cannot take the place, asking again and again would not help it.
  state.offered.add(heir);
  transferLeader(state, heir);
}

function preferredHeir(state: State, role: Leader): MemberId | null {
  if (state.preferred.length === 0 || role.transfer || !role.awake) return null;
  if (needsQuorum(state, role) || !isSettled(state)) return null;
  for (const id of inOrder(state)) {
    if (id === state.self) return null;
    const progress = role.progress.get(id);
    if (!progress || state.offered.has(id) || !isComplete(state, progress)) continue;
    if (progress.ackedCommit >= state.commit && progress.retransmitAt === null) return id;
  }
  return null;
}

function isComplete(state: State, progress: Progress): boolean {
  return progress.canApply === true && progress.match === state.log.lastIndex;
}

function inOrder(state: State): MemberId[] {
  const { voters } = configurationOf(state);
  return [...voters].sort((a, b) => rankOf(state, a) - rankOf(state, b));
}

export function onTimeoutNow(state: State, message: Message & TimeoutNow): void {
  if (message.term !== state.term || state.role.type !== 'follower') return;
  if (state.termLeader !== message.from || !mayCampaign(state)) return;
  if (!isVoter(configurationOf(state), state.self)) return;
  startElection(state, true);
}
