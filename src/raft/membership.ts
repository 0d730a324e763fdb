/**
 * Changing who belongs to the group: always through a joint configuration (thesis 4.3).
 *
 * A configuration counts from its append. One change at a time, and none before the leader has
 * committed in its own term: else two leaders' changes could have disjoint quorums (Ongaro's
 * correction of the single-server change, 2015).
 */
import {
  allMembers,
  type Configuration,
  isJoint,
  isMember,
  isVoter,
  sameMembers,
} from './configuration.ts';
import { appendOwn } from './leader.ts';
import { handOver } from './leadership.ts';
import { newProgress } from './progress.ts';
import type { Leader, State } from './state.ts';
import { configurationOf, isSettled } from './state.ts';
import type { LogIndex, MemberId, Term } from './types.ts';
import { invariant } from './types.ts';

/** The configuration that is wanted; simple. */
export interface Target {
  readonly voters: readonly MemberId[];
  readonly learners: readonly MemberId[];
}

export type MembershipRefusal =
  | 'notLeader'
  /** This leader has not committed in its term yet, or no quorum has answered this life of it. */
  | 'notReady'
  | 'changeUnderWay'
  | 'transferUnderWay'
  /** No voters, a member named twice, or too many of them. */
  | 'invalid'
  | 'noChange'
  /** A voter has to be a learner first, so that it holds the log before its vote counts. */
  | 'notLearner'
  | 'learnerBehind'
  /** It has not said, in this leader's life, that it can apply (consensus-rules.md 8). */
  | 'cannotApply';

export type MembershipResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | { readonly ok: false; readonly reason: MembershipRefusal };

export function changeMembership(state: State, target: Target): MembershipResult {
  const { role } = state;
  if (role.type !== 'leader') return { ok: false, reason: 'notLeader' };
  const reason = refusal(state, role, target);
  if (reason) return { ok: false, reason };
  const { voters, learners } = target;
  const outgoing = configurationOf(state).voters;
  const index = appendConfiguration(state, role, { voters, outgoing, learners });
  return { ok: true, index, term: state.term };
}

function refusal(state: State, role: Leader, target: Target): MembershipRefusal | null {
  if (!isReady(state, role)) return 'notReady';
  if (!isSettled(state)) return 'changeUnderWay';
  if (role.transfer) return 'transferUnderWay';
  const wanted = [...target.voters, ...target.learners];
  if (target.voters.length === 0 || new Set(wanted).size < wanted.length) return 'invalid';
  if (wanted.length > state.settings.membersMax) return 'invalid';
  const present = configurationOf(state);
  if (sameMembers(target.voters, present.voters) && sameMembers(target.learners, present.learners))
    return 'noChange';
  for (const id of target.voters) {
    if (isVoter(present, id)) continue;
    if (!present.learners.includes(id)) return 'notLearner';
    const progress = role.progress.get(id);
    const lag = state.log.lastIndex - (progress?.match ?? 0);
    if (progress?.state !== 'replicate' || lag > state.settings.promotionLagMax)
      return 'learnerBehind';
    if (!progress.canApply) return 'cannotApply';
  }
  return null;
}

/**
 * Leaving the joint configuration is a condition, not an event: whoever leads, has committed in
 * its term and finds it committed goes on (consensus-rules.md 11). True: an entry was appended.
 */
export function leaveJoint(state: State, role: Leader): boolean {
  const newest = state.configurations.at(-1);
  if (!newest || !isJoint(newest.configuration)) return false;
  if (newest.index > state.commit || !isReady(state, role)) return false;
  appendConfiguration(state, role, { ...newest.configuration, outgoing: [] });
  return true;
}

/** It has committed in its term, and a quorum has answered this life of it. */
function isReady(state: State, role: Leader): boolean {
  return state.commit >= role.barrier && role.withheld === null;
}

function appendConfiguration(state: State, role: Leader, configuration: Configuration): LogIndex {
  const entry = appendOwn(state, role, { type: 'configuration', configuration });
  invariant(entry !== null, 'a configuration always finds room');
  state.configurations.push({ index: entry.index, configuration });
  followConfiguration(state, role);
  return entry.index;
}

/** Newcomers get the log from now on; who leaves gets it until it knows that it has left. */
export function followConfiguration(state: State, role: Leader): void {
  const configuration = configurationOf(state);
  for (const id of allMembers(configuration)) {
    if (id === state.self || role.progress.has(id)) continue;
    role.progress.set(id, newProgress(state.log.lastIndex + 1, state.settings.retransmitMs));
  }
  for (const [id, progress] of role.progress) progress.leaving = !isMember(configuration, id);
}

/** Who has left is forgotten when it knows that, or does not answer. */
export function forgetLeavers(state: State, role: Leader): void {
  const newest = state.configurations.at(-1);
  for (const [id, progress] of role.progress) {
    if (!progress.leaving) continue;
    const knows = newest !== undefined && progress.ackedCommit >= newest.index;
    if (knows || progress.onRepairList) role.progress.delete(id);
  }
}

/** A leader without a vote leads until that is committed, then somebody else does (4.2.2). */
export function leaveOffice(state: State, role: Leader): boolean {
  if (!isReady(state, role) || !isSettled(state)) return false;
  if (isVoter(configurationOf(state), state.self)) return false;
  handOver(state);
  return true;
}
