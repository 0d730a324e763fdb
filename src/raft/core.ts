/**
 * The Raft core: a pure state machine with one entry for messages and one exit for effects.
 *
 * It imports nothing from outside this folder and knows no I/O, clock, randomness or promise. The
 * host calls one input, then take(), and carries out the effects in one turn (types.ts, Effects).
 * A thrown RaftInvariantError means that this life must end.
 */

import { type Configuration, isVoter } from './configuration.ts';
import { armLag, needsRepair, nextDeadline, repair, tick } from './deadlines.ts';
import { noEffects } from './effects.ts';
import {
  becomeFollower,
  endOf,
  onPreVote,
  onVote,
  onVoteReply,
  trustedLeader,
} from './election.ts';
import { answerOlderLife, answerOldLeader, onAppend } from './follower.ts';
import { appendOwn, releaseWithheld, resumeLeader } from './leader.ts';
import {
  handOver,
  onTimeoutNow,
  planOffer,
  pumpTransfer,
  type TransferResult,
  transferLeader,
} from './leadership.ts';
import { payloadBytes } from './log.ts';
import {
  changeMembership,
  forgetLeavers,
  leaveJoint,
  leaveOffice,
  type MembershipResult,
  type Target,
} from './membership.ts';
import { confirmReads, onReadRequest, startLocalRead } from './reads.ts';
import { pumpRemoteReads, remoteReadsUnreachable, startRemoteRead } from './remote-reads.ts';
import { advanceCommit, onAppendReply, pump } from './replication.ts';
import { peerUnreachable, restartProgress } from './retransmission.ts';
import {
  giveUpSnapshot,
  onSnapshot,
  onSnapshotReply,
  snapshotOpened,
  tendSnapshot,
} from './snapshots.ts';
import type { CoreConfig, Leader, State } from './state.ts';
import {
  configurationOf,
  hardStateOf,
  hasBeenRemoved,
  isSettled,
  newState,
  send,
} from './state.ts';
import {
  askLeader,
  checkUnreachable,
  onReadReply,
  onSuspicion,
  postponeCampaign,
  suspect,
} from './suspicion.ts';
import type {
  Boot,
  Effects,
  Entry,
  LogIndex,
  MemberId,
  Message,
  Millis,
  SnapshotMeta,
  Term,
} from './types.ts';
import { invariant, unreachable } from './types.ts';

export type RoleName = State['role']['type'];

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | { readonly ok: false; readonly reason: 'notLeader' | 'tooMuchUncommitted' | 'transferring' };

export class RaftCore {
  private readonly state: State;

  constructor(config: CoreConfig, boot: Boot, random: () => number, now: Millis) {
    this.state = newState(config, boot, random, now);
    const { termLeader, vote, self, log, term, canLead } = this.state;
    // Resuming needs the mark, the vote and the configuration to agree (design.md section 6). The
    // log of a leader ends in its term; one that does not has lost something, and must not lead.
    const leads = termLeader === self && vote === self && log.lastTerm === term;
    if (leads && canLead && isVoter(configurationOf(this.state), self)) resumeLeader(this.state);
    armLag(this.state);
  }

  /** Takes in one message of another member. */
  step(message: Message, now: Millis): void {
    const { state } = this;
    this.advance(now);
    if (message.to !== state.self || message.from === state.self) return;
    if (!this.acceptBoot(message)) {
      answerOlderLife(state, message);
      return;
    }
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
        if (message.term === state.term || message.leaderLostEntries) onAppendReply(state, message);
        return;
      case 'snapshot':
        if (message.term < state.term) answerOldLeader(state, message);
        else onSnapshot(state, message);
        return;
      case 'snapshotReply':
        if (message.term === state.term) onSnapshotReply(state, message);
        return;
      case 'readRequest':
        onReadRequest(state, message);
        return;
      case 'readReply':
        if (message.term === state.term) onReadReply(state, message);
        return;
      case 'timeoutNow':
        onTimeoutNow(state, message);
        return;
      case 'suspicion':
        onSuspicion(state, message);
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
    if (state.role.transfer) return { ok: false, reason: 'transferring' };
    const entry = appendOwn(state, state.role, { type: 'data', data });
    if (!entry) return { ok: false, reason: 'tooMuchUncommitted' };
    return { ok: true, index: entry.index, term: entry.term };
  }

  /**
   * Starts a linearizable read that came as a new event to this life. Its `id` comes back in
   * Effects.reads or droppedReads. False: no leader is known here, it is being doubted, or too many
   * reads wait. A follower's and a learner's reads are confirmed by the leader.
   */
  readIndex(id: number, now: Millis): boolean {
    const { state } = this;
    this.advance(now);
    if (state.role.type === 'leader') return startLocalRead(state, state.role, id);
    return startRemoteRead(state, id);
  }

  /** Makes `target` the configuration, by way of a joint one (thesis 4.3). */
  changeMembership(target: Target, now: Millis): MembershipResult {
    this.advance(now);
    return changeMembership(this.state, target);
  }

  /** Hands leadership to `to` when its log is complete; to itself: ends a transfer under way. */
  transferLeader(to: MemberId, now: Millis): TransferResult {
    this.advance(now);
    return transferLeader(this.state, to);
  }

  /** Who should lead, best first: ranks campaigns, and has a resting leader hand over. */
  preferLeaders(order: readonly MemberId[]): void {
    this.state.preferred = order;
  }

  /** The host has opened the snapshot that Effects.openSnapshot asked for. */
  snapshotOpened(snapshot: SnapshotMeta): void {
    snapshotOpened(this.state, snapshot);
  }

  /** The open snapshot holds up too much: it is given up, and another one opened if need be. */
  giveUpSnapshot(): void {
    giveUpSnapshot(this.state);
  }

  /**
   * Forgets the log up to `index`, or as far as nothing here needs it: what is not applied, what an
   * open snapshot needs after it, and what a follower that answers still lacks. Returns where the
   * log starts now, for the host to delete what is before it; null: nothing changed.
   */
  compactTo(index: LogIndex): { readonly index: LogIndex; readonly term: Term } | null {
    const { state } = this;
    let limit = Math.min(index, state.applied, state.log.stable);
    if (state.snapshot) limit = Math.min(limit, state.snapshot.index);
    if (state.role.type === 'leader') limit = Math.min(limit, neededByFollowers(state, state.role));
    if (limit <= state.log.start.index) return null;
    state.log.compact(limit);
    return { ...state.log.start };
  }

  /** The repair alarm: members that did not answer are tried again. */
  repair(now: Millis): void {
    this.advance(now);
    repair(this.state);
  }

  /** True when something is unfinished here that only a repair alarm will look at again. */
  get needsRepair(): boolean {
    return needsRepair(this.state);
  }

  /** Somebody could not reach the leader of `term` (0: knows none). */
  suspectLeader(term: Term, now: Millis): void {
    const { state } = this;
    this.advance(now);
    // Whatever the term: who asks again has not been helped by the leader known here either.
    invariant(term >= 0, 'a term is not negative');
    suspect(state);
  }

  /** `leader` says that it leads and that this member is none: have it confirmed. */
  askLeader(leader: MemberId, now: Millis): void {
    this.advance(now);
    if (this.state.role.type === 'follower') askLeader(this.state, leader);
  }

  /** The host could not deliver to `peer`, or got no answer in time. */
  peerUnreachable(peer: MemberId, now: Millis): void {
    this.advance(now);
    peerUnreachable(this.state, peer);
    remoteReadsUnreachable(this.state, peer);
    checkUnreachable(this.state, peer);
  }

  /** This member cannot apply what is committed: it hands over and campaigns no more (rule 8). */
  standDown(): void {
    const { state } = this;
    state.canLead = false;
    if (state.role.type === 'leader') handOver(state);
    else if (state.role.type !== 'follower') becomeFollower(state, state.term, null);
  }

  /** What it could not apply is gone from its log again. */
  standUp(): void {
    this.state.canLead = true;
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
    if (state.lost) return { ...noEffects(), lost: true };
    const truncateFrom = state.log.truncatedFrom;
    state.log.truncatedFrom = null;
    if (state.role.type === 'leader') releaseWithheld(state, state.role);
    const append = state.log.takeUnstable();
    tendSnapshot(state);
    if (state.role.type === 'leader') append.push(...this.lead(state.role));
    else pumpRemoteReads(state);
    armLag(state);
    const committed = this.takeCommitted();
    const { messages, reads, droppedReads, chunks } = state;
    const effects: Effects = {
      lost: false,
      hardState: state.hardStateChanged ? hardStateOf(state) : null,
      chunks,
      abandonReception: state.abandonsReception,
      truncateFrom,
      append,
      messages,
      committed,
      reads,
      droppedReads,
      openSnapshot: state.wantsSnapshot && state.snapshot === null,
      closeSnapshot: state.closesSnapshot,
      removed: hasBeenRemoved(state),
    };
    this.forgetOutput();
    return effects;
  }

  /** The leader's part of take(). Returns entries that it had to append on the way. */
  private lead(role: Leader): Entry[] {
    const { state } = this;
    const appended: Entry[] = [];
    advanceCommit(state, role);
    if (leaveJoint(state, role)) {
      appended.push(...state.log.takeUnstable());
      // Of a group of one the entry is committed now.
      advanceCommit(state, role);
    }
    confirmReads(state, role);
    forgetLeavers(state, role);
    if (leaveOffice(state, role)) return appended;
    pump(state, role);
    planOffer(state, role);
    pumpTransfer(state, role);
    return appended;
  }

  private forgetOutput(): void {
    const { state } = this;
    state.hardStateChanged = false;
    state.messages = [];
    state.reads = [];
    state.droppedReads = [];
    state.chunks = [];
    state.wantsSnapshot = false;
    state.closesSnapshot = false;
    state.abandonsReception = false;
    state.removal = null;
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
  /** The newest configuration is simple and committed: no change is under way. */
  get isConfigurationSettled(): boolean {
    return isSettled(this.state);
  }
  /** Term of an entry that is in the log, or of the one just before it. */
  termAt(index: LogIndex): Term {
    const term = this.state.log.term(index);
    invariant(term !== undefined, 'the log holds the entry');
    return term;
  }
  /** A transfer is under way: no proposal is taken. */
  get isTransferring(): boolean {
    const { role } = this.state;
    return role.type === 'leader' && role.transfer !== null;
  }
  /** False: this member stood down. */
  get canLead(): boolean {
    return this.state.canLead;
  }
  /** Entries of this leader that are not committed yet, for the host's pipeline. */
  get uncommittedEntries(): number {
    const { commit, log, role } = this.state;
    const withheld = role.type === 'leader' ? (role.withheld?.length ?? 0) : 0;
    return log.lastIndex + withheld - commit;
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
    if (message.type === 'preVote' || message.type === 'suspicion') return true;
    if (message.type === 'vote' && !message.transfer && trustedLeader(state) !== null) {
      // CheckQuorum's other half: who hears its leader does not help to depose it (thesis 4.2.3).
      send(state, message.from, {
        type: 'voteReply',
        granted: false,
        toBoot: message.boot,
        requestTerm: message.term,
        leader: null,
        ...endOf(state),
      });
      return false;
    }
    const leads =
      message.type === 'append' ||
      message.type === 'snapshot' ||
      (message.type === 'readReply' && !message.refused);
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

/** Up to where every follower that answers has the log; one that gets a snapshot needs none of it. */
function neededByFollowers({ now, settings }: State, role: Leader): LogIndex {
  let least = Number.POSITIVE_INFINITY;
  for (const { state, match, onRepairList, waitingSince } of role.progress.values()) {
    const answers = !onRepairList && now - (waitingSince ?? now) < settings.repairAfterMs;
    if (answers && state !== 'snapshot') least = Math.min(least, match);
  }
  return least;
}

function releaseUncommitted(role: Leader, entries: readonly Entry[]): void {
  for (const entry of entries)
    role.uncommittedBytes = Math.max(0, role.uncommittedBytes - payloadBytes(entry));
}
