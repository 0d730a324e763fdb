/**
 * Suspecting a leader (design.md section 6): the request is the failure detector.
 *
 * Nobody campaigns because of silence. Who needs the leader and cannot reach it says so here; the
 * member asks the leader to have itself confirmed by a quorum, and campaigns only if it is not.
 * A suspicion lives until a leader is confirmed or nobody has renewed it for a while (rule 12).
 */
import { startPreVote } from './election.ts';
import type { State } from './state.ts';
import {
  configurationOf,
  mayCampaign,
  randomElectionTimeout,
  send,
  trustsLeader,
} from './state.ts';
import type { MemberId, Message, ReadReply } from './types.ts';

export function suspect(state: State): void {
  const until = state.now + state.settings.suspicionTtlMs;
  if (state.role.type === 'leader') return;
  if (state.suspicion) {
    state.suspicion.until = until;
    if (
      state.role.type !== 'follower' ||
      state.suspicion.check ||
      state.suspicion.campaignAt !== null
    )
      return;
  } else {
    state.suspicion = { until, check: null, campaignAt: null, campaigns: 0 };
    if (state.role.type !== 'follower') return;
  }
  const leader = state.leader ?? state.termLeader;
  if (leader !== null && leader !== state.self) startCheck(state, leader, false);
  else planCampaign(state);
}

function startCheck(state: State, leader: MemberId, repeated: boolean): void {
  if (!state.suspicion) return;
  const id = state.nextCheckId;
  state.nextCheckId += 1;
  const deadline = state.now + state.settings.checkTimeoutMs;
  state.suspicion.check = { id, leader, deadline, repeated };
  state.suspicion.campaignAt = null;
  const { lastIndex, lastTerm } = state.log;
  send(state, leader, { type: 'readRequest', id, lastIndex, lastTerm });
}

/** The first campaign is staggered by rank, so that two suspects rarely split the vote. */
function planCampaign(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  if (suspicion.campaigns > 0) {
    postponeCampaign(state);
    return;
  }
  suspicion.check = null;
  const delay = rank(state) * state.settings.staggerMs;
  suspicion.campaignAt = state.now + delay;
  if (delay === 0 && mayCampaign(state)) campaign(state);
}

/** Somebody else may be winning, or this round was lost: campaign later, at a random time. */
export function postponeCampaign(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  suspicion.check = null;
  suspicion.campaignAt = state.now + randomElectionTimeout(state);
}

/** Begins a round now, if anybody still wants a leader. */
export function campaign(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  suspicion.campaignAt = null;
  suspicion.check = null;
  suspicion.campaigns += 1;
  startPreVote(state);
}

/** A follower that cannot reach the leader tries once more, then campaigns. */
function checkFailed(state: State): void {
  const { suspicion } = state;
  const check = suspicion?.check;
  if (!suspicion || !check) return;
  // Heard of it since the check began: it reaches us, so the others would refuse us anyway.
  const heard = state.leaderContact >= check.deadline - state.settings.checkTimeoutMs;
  if (heard && state.leader === check.leader) startCheck(state, check.leader, false);
  else planCampaign(state);
}

/** The host could not deliver to `peer`. */
export function checkUnreachable(state: State, peer: MemberId): void {
  const check = state.suspicion?.check;
  if (!check || check.leader !== peer) return;
  // An aborted object answers its next call in a new life and resumes its term: ask once more.
  if (check.repeated) checkFailed(state);
  else startCheck(state, peer, true);
}

export function onReadReply(state: State, message: Message & ReadReply): void {
  const check = state.suspicion?.check;
  // The reply must echo this life and this very request (consensus-rules.md 10).
  if (!check || message.toBoot !== state.boot || message.id !== check.id) return;
  if (check.leader !== message.from) return;
  if (message.refused) {
    // It says itself that it does not lead, so asking again at once would only be refused again.
    planCampaign(state);
    return;
  }
  confirmLeader(state, message.from);
  // The index is committed; take it only if our own entry there is the leader's (rule 10).
  if (
    message.index > state.commit &&
    message.index <= state.log.lastIndex &&
    state.log.matches(message.index, message.indexTerm)
  ) {
    state.commit = message.index;
  }
}

/** A quorum stands behind this leader, or this member has become it. */
export function confirmLeader(state: State, leader: MemberId): void {
  state.suspicion = null;
  state.leader = leader;
  state.lagAttempts = 0;
}

export function suspicionDeadline(state: State): number | null {
  const { suspicion } = state;
  if (!suspicion) return null;
  let deadline = suspicion.until;
  if (suspicion.check) deadline = Math.min(deadline, suspicion.check.deadline);
  if (suspicion.campaignAt !== null) deadline = Math.min(deadline, suspicion.campaignAt);
  return deadline;
}

export function tickSuspicion(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  if (state.now >= suspicion.until) {
    state.suspicion = null;
    // Nobody has confirmed it in all this time: it is a hint at best (termLeader), not a leader.
    if (!trustsLeader(state)) state.leader = null;
    return;
  }
  if (suspicion.check && state.now >= suspicion.check.deadline) checkFailed(state);
  if (suspicion.campaignAt !== null && state.now >= suspicion.campaignAt) {
    if (mayCampaign(state)) campaign(state);
    else suspicion.campaignAt = null;
  }
}

function rank(state: State): number {
  const at = configurationOf(state).voters.indexOf(state.self);
  return at === -1 ? 0 : at;
}
