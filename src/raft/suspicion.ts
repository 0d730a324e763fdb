/**
 * Suspecting a leader (design.md section 6): the request is the failure detector.
 *
 * Nobody campaigns because of silence. Who needs the leader and cannot reach it says so here; the
 * member asks the leader to have itself confirmed by a quorum, and campaigns only if it is not.
 * A suspicion lives until a leader is confirmed or nobody has renewed it for a while (rule 12).
 */
import { becomeFollower, startPreVote } from './election.ts';
import { showLeadership } from './leader.ts';
import { startMembersRead } from './reads.ts';
import { learnCommit, sendReadRequest, takeReadReply } from './remote-reads.ts';
import type { Candidate, State, Suspicion } from './state.ts';
import {
  configurationOf,
  mayCampaign,
  noteRemoval,
  randomElectionTimeout,
  rankOf,
  send,
  trustsLeader,
} from './state.ts';
import type { MemberId, Message, ReadReply } from './types.ts';

/** A refusal may name another leader; following such hints may not go in circles for ever. */
export const hintsMax = 4;

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
    state.suspicion = {
      until,
      check: null,
      lateCheck: null,
      campaignAt: null,
      campaigns: 0,
      hintsFollowed: 0,
      isAskedAsVoter: false,
    };
    if (state.role.type !== 'follower') return;
  }
  const leader = state.leader ?? state.termLeader;
  if (leader !== null && leader !== state.self) startCheck(state, leader, false);
  else planCampaign(state);
}

/** Whatever is known here: the answer is believed only if a quorum confirms it. */
export function askLeader(state: State, leader: MemberId): void {
  if (leader === state.self) return;
  suspect(state);
  startCheck(state, leader, false);
}

function startCheck(state: State, leader: MemberId, repeated: boolean): void {
  if (!state.suspicion) return;
  const id = state.nextRequestId;
  state.nextRequestId += 1;
  const deadline = state.now + state.settings.checkTimeoutMs;
  state.suspicion.check = { id, leader, deadline, repeated };
  state.suspicion.campaignAt = null;
  sendReadRequest(state, leader, id);
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
  // Who cannot campaign passes it on at once: those that can are staggered among themselves.
  const delay = mayCampaign(state) ? rankOf(state, state.self) * state.settings.staggerMs : 0;
  suspicion.campaignAt = state.now + delay;
  if (delay === 0) campaign(state);
}

/** Somebody else may be winning, or this round was lost: campaign later, at a random time. */
export function postponeCampaign(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  suspicion.check = null;
  suspicion.campaignAt = state.now + randomElectionTimeout(state);
}

/**
 * Who refused a pre-vote may know a leader that this member has never heard of, having been removed
 * for long: it is asked before the next round. False: nobody refused, or enough were asked.
 */
export function askRefuser(state: State, { votes }: Candidate): boolean {
  const { suspicion } = state;
  const refuser = [...votes].find(([, granted]) => !granted)?.[0];
  if (!suspicion || refuser === undefined || suspicion.hintsFollowed >= hintsMax) return false;
  suspicion.hintsFollowed += 1;
  startCheck(state, refuser, false);
  return true;
}

/** Begins a round now, if anybody still wants a leader. */
export function campaign(state: State): void {
  const { suspicion } = state;
  if (!suspicion) return;
  suspicion.campaignAt = null;
  suspicion.check = null;
  suspicion.campaigns += 1;
  if (mayCampaign(state)) startPreVote(state);
  else passOn(state);
}

/**
 * A learner, a removed member and one that cannot apply do not campaign; the suspicion is not lost
 * for that (consensus-rules.md 12). The new leader makes itself known, or is asked for again.
 */
function passOn(state: State): void {
  const { voters, outgoing } = configurationOf(state);
  for (const id of new Set([...voters, ...outgoing])) send(state, id, { type: 'suspicion' });
  postponeCampaign(state);
}

/** Somebody who cannot campaign suspects the leader. */
export function onSuspicion(state: State, { from, boot }: Message): void {
  const { role } = state;
  if (role.type !== 'leader') suspect(state);
  else if (role.progress.has(from)) showLeadership(state, role, from);
  // No member hears of a leader by its appends: it is told that it is removed, if it is.
  else startMembersRead(state, role, { id: from, boot }, 0);
}

/** A follower that cannot reach the leader tries once more, then campaigns. */
function checkFailed(state: State): void {
  const { suspicion } = state;
  const check = suspicion?.check;
  if (!suspicion || !check) return;
  // Heard of it since the check began: it reaches us, so the others would refuse us anyway.
  const heard = state.leaderContact >= check.deadline - state.settings.checkTimeoutMs;
  if (heard && state.leader === check.leader) {
    // The same request: the answer to it may be on its way, from further than one timeout.
    check.deadline = state.now + state.settings.checkTimeoutMs;
    sendReadRequest(state, check.leader, check.id);
    return;
  }
  suspicion.lateCheck = { id: check.id, leader: check.leader };
  giveUpLeader(state);
}

/**
 * Looked for and not found: it is trusted no more. Without this a leader that was busy when it died keeps
 * the votes from whoever would follow it, for as long as a silent one is trusted.
 */
function giveUpLeader(state: State): void {
  state.leaderContact = Number.NEGATIVE_INFINITY;
  planCampaign(state);
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
  // The reply must echo this life and this very request (consensus-rules.md 10).
  if (message.toBoot !== state.boot) return;
  const { index, indexTerm } = message;
  // It may have been added again since (hasBeenRemoved).
  if (message.removed) noteRemoval(state, { index, indexTerm });
  if (takeReadReply(state, message)) return;
  const { suspicion } = state;
  if (endedByLateReply(state, message)) return;
  const check = suspicion?.check;
  if (!suspicion || !check || message.id !== check.id || check.leader !== message.from) return;
  if (message.refused) checkRefused(state, suspicion, message.leader);
  else {
    confirmLeader(state, message.from);
    learnCommit(state, message);
  }
}

/**
 * A leader further than the check's patience answers after all: a quorum stands behind it, so this
 * member has nothing to campaign for.
 */
function endedByLateReply(state: State, message: Message & ReadReply): boolean {
  const late = state.suspicion?.lateCheck;
  if (!late || message.refused || late.id !== message.id || late.leader !== message.from)
    return false;
  if (state.role.type === 'leader' || state.role.type === 'candidate') return false;
  becomeFollower(state, state.term, message.from);
  confirmLeader(state, message.from);
  learnCommit(state, message);
  return true;
}

/** It says itself that it does not lead; perhaps it knows who does. */
function checkRefused(state: State, suspicion: Suspicion, hint: MemberId | null): void {
  if (hint === null || hint === state.self || suspicion.hintsFollowed >= hintsMax) {
    giveUpLeader(state);
    return;
  }
  suspicion.hintsFollowed += 1;
  startCheck(state, hint, false);
}

/** A quorum stands behind this leader, or this member has become it. */
export function confirmLeader(state: State, leader: MemberId): void {
  state.suspicion = null;
  state.leader = leader;
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
    const leader = state.leader ?? state.termLeader;
    // Passed on before: perhaps there is a new leader now, that only has to be found.
    if (!mayCampaign(state) && leader !== null && leader !== state.self)
      startCheck(state, leader, false);
    else campaign(state);
  }
}
