/**
 * Terms, votes and elections (thesis 3.4, 9.6), and the changes of role around them.
 *
 * PreVote and CheckQuorum are always on: a member that cannot win does not raise the term, and a
 * voter that hears its leader does not help to depose it.
 */
import { isVoter, voteOutcome } from './configuration.ts';
import { becomeLeader, showLeadership } from './leader.ts';
import { failReads } from './reads.ts';
import { dropRemoteReads } from './remote-reads.ts';
import { isOwed } from './replication.ts';
import type { State, Suspicion } from './state.ts';
import {
  configurationOf,
  mayCampaign,
  randomElectionTimeout,
  send,
  trustsLeader,
} from './state.ts';
import { askRefuser, hintsMax, postponeCampaign, suspect } from './suspicion.ts';
import type { MemberId, Message, PreVote, Term, Vote, VoteReply } from './types.ts';
import { invariant } from './types.ts';

/** Adopts a term that is at least the current one; whom to follow in it if that is known. */
export function becomeFollower(state: State, term: Term, leader: MemberId | null): void {
  invariant(term >= state.term, 'the term never falls');
  if (state.role.type === 'leader') {
    failReads(state, state.role);
    // Who lags may never ask, and has no deadline: without this a write that is acknowledged stays unknown there
    // until somebody asks for the next (simulated seed 1000003898).
    state.leftWork = isOwed(state, state.role);
  }
  if (term > state.term) {
    dropRemoteReads(state);
    state.term = term;
    // Only a new term clears the vote: within a term it never changes (thesis 3.4).
    state.vote = null;
    state.termLeader = null;
    state.termLeaderBoot = 0;
    state.hardStateChanged = true;
    state.leaderContact = Number.NEGATIVE_INFINITY;
  }
  state.role = { type: 'follower' };
  state.leader = leader;
}

/** Asks whether it could win; changes no term and no vote (thesis 9.6). */
export function startPreVote(state: State): void {
  if (!mayCampaign(state)) return;
  dropRemoteReads(state);
  state.role = {
    type: 'preCandidate',
    votes: new Map([[state.self, true]]),
    ends: new Map(),
    deadline: state.now + randomElectionTimeout(state),
  };
  state.leader = null;
  if (decideElection(state)) return;
  const { lastIndex, lastTerm } = state.log;
  for (const voter of otherVoters(state))
    send(state, voter, { type: 'preVote', lastIndex, lastTerm });
}

/** `transfer`: the leader has asked for it, so its voters need not doubt it first. */
export function startElection(state: State, transfer = false): void {
  dropRemoteReads(state);
  state.term += 1;
  state.vote = state.self;
  state.termLeader = null;
  state.termLeaderBoot = 0;
  state.hardStateChanged = true;
  state.leader = null;
  state.role = {
    type: 'candidate',
    votes: new Map([[state.self, true]]),
    ends: new Map(),
    deadline: state.now + randomElectionTimeout(state),
  };
  if (decideElection(state)) return;
  const { lastIndex, lastTerm } = state.log;
  for (const voter of otherVoters(state))
    send(state, voter, { type: 'vote', lastIndex, lastTerm, transfer });
}

/** True when the round has ended. */
function decideElection(state: State): boolean {
  const { role } = state;
  invariant(
    role.type === 'preCandidate' || role.type === 'candidate',
    'only candidates count votes',
  );
  switch (voteOutcome(configurationOf(state), role.votes)) {
    case 'pending':
      return false;
    case 'lost':
      becomeFollower(state, state.term, state.leader);
      // The suspicion that led here is not over because this member cannot win (rule 12).
      if (role.type === 'candidate' || !askRefuser(state, role)) postponeCampaign(state);
      return true;
    case 'won':
      if (role.type === 'preCandidate') startElection(state);
      else becomeLeader(state, role);
      return true;
  }
}

export function onPreVote(state: State, message: Message & PreVote): void {
  const wanted = message.term + 1;
  const logIsEnough = state.log.isUpToDate(message.lastIndex, message.lastTerm);
  const trusted = trustedLeader(state);
  const granted = wanted > state.term && logIsEnough && trusted === null;
  // Granting a pre-vote changes no timer, term or vote here: it is a question, not a contact.
  send(state, message.from, {
    type: 'preVoteReply',
    granted,
    toBoot: message.boot,
    requestTerm: message.term,
    leader: trusted,
    ...endOf(state),
  });
  // A voter that refuses because it knows better takes the suspicion over (design.md section 6):
  // it checks the leader, and campaigns with its longer log if nobody leads.
  if (!granted && (!logIsEnough || trusted !== null)) suspect(state);
  if (!logIsEnough && state.suspicion) state.suspicion.isAskedAsVoter = true;
  if (state.role.type === 'leader' && message.term > state.term)
    showLeadership(state, state.role, message.from);
}

export function onVote(state: State, message: Message & Vote): void {
  invariant(message.term <= state.term, 'a newer term was adopted before');
  const free = state.vote === null || state.vote === message.from;
  const granted =
    message.term === state.term &&
    free &&
    state.role.type === 'follower' &&
    // In a term that has its leader nobody else can win, and the vote would only confuse.
    (state.termLeader === null || state.termLeader === message.from) &&
    state.log.isUpToDate(message.lastIndex, message.lastTerm);
  if (granted && state.vote !== message.from) {
    state.vote = message.from;
    state.hardStateChanged = true;
  }
  // Give the candidate the time of an election before campaigning against it.
  if (granted) postponeCampaign(state);
  send(state, message.from, {
    type: 'voteReply',
    granted,
    toBoot: message.boot,
    requestTerm: message.term,
    leader: state.termLeader,
    ...endOf(state),
  });
}

/** Where a voter's log ends, as every answer to a request for votes says. */
export function endOf({ log: { lastIndex, lastTerm } }: State) {
  return { lastIndex, lastTerm };
}

export function onVoteReply(state: State, message: Message & VoteReply): void {
  const { role } = state;
  // Replies to an older life, round or kind of vote count for nothing.
  if (message.toBoot !== state.boot || message.requestTerm !== state.term) return;
  if (followHint(state, message)) return;
  const kind = message.type === 'preVoteReply' ? 'preCandidate' : 'candidate';
  if (role.type !== kind) return;
  if (!isVoter(configurationOf(state), message.from)) return;
  role.votes.set(message.from, message.granted);
  if (message.granted)
    role.ends.set(message.from, { index: message.lastIndex, term: message.lastTerm });
  decideElection(state);
}

/**
 * A voter that refuses knows a leader of this term: go and see whether a quorum confirms it. Also
 * when another refusal has ended the round before: the leader may have been the slower one.
 */
function followHint(state: State, { granted, leader, term }: Message & VoteReply): boolean {
  if (granted || leader === null || leader === state.self || term !== state.term) return false;
  const { role, suspicion } = state;
  if (role.type === 'leader' || (role.type === 'follower' && !suspicion)) return false;
  becomeFollower(state, state.term, leader);
  if (suspicion) followRefusal(suspicion);
  suspect(state);
  return true;
}

/**
 * Refused for trust, not beaten: once the check has failed here it has failed with those that trusted,
 * so the next campaign is a first one again, by rank and without the random wait. Not for ever: two
 * that trust each other's leader would never be drawn apart.
 */
function followRefusal(suspicion: Suspicion): void {
  if (!suspicion.check) suspicion.campaignAt = null;
  if (suspicion.hintsFollowed >= hintsMax) return;
  suspicion.hintsFollowed += 1;
  suspicion.campaigns = 0;
}

/** The leader that this member would not help to depose: itself, or one heard of lately. */
export function trustedLeader(state: State): MemberId | null {
  if (state.role.type === 'leader') return state.self;
  return trustsLeader(state) ? state.leader : null;
}

function otherVoters(state: State): MemberId[] {
  const { voters, outgoing } = configurationOf(state);
  return [...new Set([...voters, ...outgoing])].filter((id) => id !== state.self);
}
