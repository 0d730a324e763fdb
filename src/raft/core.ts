/**
 * The Raft core: a pure state machine with one entry for messages and one exit for effects.
 *
 * It imports nothing from outside this folder and knows no I/O, clock, randomness or promise. The
 * host calls one input, then take(), and carries out the effects in one turn (types.ts, Effects).
 * A thrown RaftInvariantError means that this life must end.
 */

import type { Configuration } from './configuration.ts';
import { armLag, nextDeadline, tick } from './deadlines.ts';
import { becomeFollower, onPreVote, onVote, onVoteReply, trustedLeader } from './election.ts';
import { answerOldLeader, onAppend } from './follower.ts';
import { payloadBytes } from './log.ts';
import { confirmReads, onReadRequest, startLocalRead } from './reads.ts';
import {
  advanceCommit,
  appendOwn,
  onAppendReply,
  peerUnreachable,
  pump,
  restartProgress,
  resumeLeader,
} from './replication.ts';
import type { CoreConfig, Leader, State } from './state.ts';
import { configurationOf, hardStateOf, mayCampaign, newState } from './state.ts';
import { checkUnreachable, onReadReply, postponeCampaign, suspect } from './suspicion.ts';
import type { Boot, Effects, Entry, LogIndex, MemberId, Message, Millis, Term } from './types.ts';
import { invariant, unreachable } from './types.ts';

export type RoleName = State['role']['type'];

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | { readonly ok: false; readonly reason: 'notLeader' | 'tooMuchUncommitted' };

export class RaftCore {
  private readonly state: State;

  constructor(config: CoreConfig, boot: Boot, random: () => number, now: Millis) {
    this.state = newState(config, boot, random, now);
    const { termLeader, vote, self, log, term } = this.state;
    // Resuming needs the mark, the vote and the configuration to agree (design.md section 6). The
    // log of a leader ends in its term; one that does not has lost something, and must not lead.
    const leads = termLeader === self && vote === self && log.lastTerm === term;
    if (leads && mayCampaign(this.state)) resumeLeader(this.state);
    armLag(this.state);
  }

  /** Takes in one message of another member. */
  step(message: Message, now: Millis): void {
    const { state } = this;
    this.advance(now);
    if (message.to !== state.self || message.from === state.self) return;
    if (!this.acceptBoot(message)) return;
    if (message.term > state.term && !this.adoptTerm(message)) return;
    switch (message.type) {
      case 'preVote':
        onPreVote(state, message);
        return;
      case 'vote':
        onVote(state, message);
        return;
      case 'preVoteReply':
      case 'voteReply':
        onVoteReply(state, message);
        return;
      case 'append':
        if (message.term < state.term) answerOldLeader(state, message);
        else onAppend(state, message);
        return;
      case 'appendReply':
        if (message.term === state.term) onAppendReply(state, message);
        return;
      case 'readRequest':
        onReadRequest(state, message);
        return;
      case 'readReply':
        if (message.term === state.term) onReadReply(state, message);
        return;
      default:
        unreachable(message);
    }
  }

  /** Appends one entry with `data`; it is committed or lost later, as take() tells. */
  propose(data: Uint8Array, now: Millis): ProposeResult {
    const { state } = this;
    this.advance(now);
    if (state.role.type !== 'leader') return { ok: false, reason: 'notLeader' };
    const entry = appendOwn(state, state.role, { type: 'data', data });
    if (!entry) return { ok: false, reason: 'tooMuchUncommitted' };
    return { ok: true, index: entry.index, term: entry.term };
  }

  /**
   * Starts a linearizable read that came as a new event to this life. Its `id` comes back in
   * Effects.reads or droppedReads. False: this member does not lead, or too many reads wait.
   */
  readIndex(id: number, now: Millis): boolean {
    const { state } = this;
    this.advance(now);
    return state.role.type === 'leader' && startLocalRead(state, state.role, id);
  }

  /** Somebody could not reach the leader of `term` (0: knows none). */
  suspectLeader(term: Term, now: Millis): void {
    const { state } = this;
    this.advance(now);
    // Whatever the term: who asks again has not been helped by the leader known here either.
    invariant(term >= 0, 'a term is not negative');
    suspect(state);
  }

  /** The host could not deliver to `peer`, or got no answer in time. */
  peerUnreachable(peer: MemberId, now: Millis): void {
    this.advance(now);
    peerUnreachable(this.state, peer);
    checkUnreachable(this.state, peer);
  }

  /** This member cannot apply what is committed: it leads no more and does not campaign. */
  standDown(): void {
    const { state } = this;
    state.canLead = false;
    if (state.role.type !== 'follower') becomeFollower(state, state.term, null);
  }

  tick(now: Millis): void {
    this.advance(now);
    tick(this.state);
  }

  /** Everything up to `index` is applied, durably. */
  applied(index: LogIndex): void {
    invariant(index >= this.state.applied && index <= this.state.handedOut, 'applied in order');
    this.state.applied = index;
  }

  /** What the host must do now; see Effects for the order and for what it promises. */
  take(): Effects {
    const { state } = this;
    const truncateFrom = state.log.truncatedFrom;
    state.log.truncatedFrom = null;
    const append = state.log.takeUnstable();
    if (state.role.type === 'leader') {
      advanceCommit(state, state.role);
      confirmReads(state, state.role);
      pump(state, state.role);
    }
    armLag(state);
    const committed = this.takeCommitted();
    const effects: Effects = {
      hardState: state.hardStateChanged ? hardStateOf(state) : null,
      truncateFrom,
      append,
      messages: state.messages,
      committed,
      reads: state.reads,
      droppedReads: state.droppedReads,
    };
    state.hardStateChanged = false;
    state.messages = [];
    state.reads = [];
    state.droppedReads = [];
    return effects;
  }

  /** When tick() is to be called next; null: there is nothing to wait for. */
  nextDeadline(): Millis | null {
    return nextDeadline(this.state);
  }

  get role(): RoleName {
    return this.state.role.type;
  }
  get term(): Term {
    return this.state.term;
  }
  /** The leader this member follows, itself included; null when it knows none. */
  get leader(): MemberId | null {
    return this.state.leader;
  }
  /** The leader of this term even if it is silent now: where a router should ask first. */
  get leaderHint(): MemberId | null {
    return this.state.leader ?? this.state.termLeader;
  }
  /** True while the leader is being tested or replaced. */
  get isSuspecting(): boolean {
    return this.state.suspicion !== null && this.state.role.type !== 'leader';
  }
  get commitIndex(): LogIndex {
    return this.state.commit;
  }
  get appliedIndex(): LogIndex {
    return this.state.applied;
  }
  get lastIndex(): LogIndex {
    return this.state.log.lastIndex;
  }
  get firstIndex(): LogIndex {
    return this.state.log.start.index + 1;
  }
  get configuration(): Configuration {
    return configurationOf(this.state);
  }
  /** Entries of this leader that are not committed yet, for the host's pipeline. */
  get uncommittedEntries(): number {
    return this.state.log.lastIndex - this.state.commit;
  }

  private advance(now: Millis): void {
    // A clock that steps back only makes this member wait longer.
    this.state.now = Math.max(this.state.now, now);
  }

  /** False for a message of a life that its sender has left behind. */
  private acceptBoot(message: Message): boolean {
    const { state } = this;
    const known = state.boots.get(message.from) ?? 0;
    if (message.boot < known) return false;
    if (message.boot > known) {
      state.boots.set(message.from, message.boot);
      if (known > 0) restartProgress(state, message.from);
    }
    return true;
  }

  /** False when the message is to be ignored in spite of its newer term. */
  private adoptTerm(message: Message): boolean {
    const { state } = this;
    // A pre-vote is a question about a term that may never begin.
    if (message.type === 'preVote') return true;
    if (message.type === 'vote' && trustedLeader(state) !== null) {
      // CheckQuorum's other half: who hears its leader does not help to depose it (thesis 4.2.3).
      state.messages.push({
        type: 'voteReply',
        granted: false,
        toBoot: message.boot,
        requestTerm: message.term,
        leader: null,
        from: state.self,
        to: message.from,
        boot: state.boot,
        term: state.term,
      });
      return false;
    }
    const leads = message.type === 'append' || (message.type === 'readReply' && !message.refused);
    becomeFollower(state, message.term, leads ? message.from : null);
    // The suspicion outlives the term in which it began (consensus-rules.md 12).
    if (state.suspicion && !leads) postponeCampaign(state);
    return true;
  }

  private takeCommitted(): Entry[] {
    const { state } = this;
    if (state.handedOut >= state.commit) return [];
    const { committedBytesMax, committedEntriesMax } = state.settings;
    const from = state.handedOut + 1;
    const entries = state.log.slice(from, state.commit, committedBytesMax, committedEntriesMax);
    state.handedOut = from + entries.length - 1;
    if (state.role.type === 'leader') releaseUncommitted(state.role, entries);
    return entries;
  }
}

function releaseUncommitted(role: Leader, entries: readonly Entry[]): void {
  for (const entry of entries)
    role.uncommittedBytes = Math.max(0, role.uncommittedBytes - payloadBytes(entry));
}
