/**
 * A member that leads: it makes the followers' logs equal to its own and moves the commit index.
 *
 * Nothing is sent where it is decided: inputs change state, and `pump` (from take()) sends each
 * follower what it lacks, so that everything of one turn travels together.
 */
import { isJoint, quorumValue } from './configuration.ts';
import { becomeFollower } from './election.ts';
import { payloadBytes } from './log.ts';
import { followConfiguration } from './membership.ts';
import type { Progress } from './progress.ts';
import { acknowledge, becomeProbe, becomeSnapshot, refuse } from './progress.ts';
import { pumpSnapshot } from './snapshots.ts';
import type { Candidate, Leader, State } from './state.ts';
import { configurationOf, send, setCommit } from './state.ts';
import { confirmLeader } from './suspicion.ts';
import type {
  AppendReply,
  Entry,
  FromLeader,
  LogIndex,
  MemberId,
  Message,
  Payload,
  ReadPosition,
} from './types.ts';
import { invariant } from './types.ts';

export function becomeLeader(state: State, candidate: Candidate): void {
  const { log } = state;
  state.termLeader = state.self;
  state.termLeaderBoot = state.boot;
  state.hardStateChanged = true;
  // Only an entry of its own term shows a leader what is committed (thesis 3.6.2, 6.4).
  const role = newLeader(log.lastIndex + 1, true);
  state.role = role;
  followConfiguration(state, role);
  startFromVotes(state, role, candidate);
  appendOwn(state, role, { type: 'noop' });
  confirmLeader(state, state.self);
}

/**
 * A voter said where its log ends. If ours has that entry the voter holds all up to it (Log Matching,
 * thesis 3.5), and in this term nobody but us can take it away: it needs no probe, so that the first
 * writes follow the no-op without waiting for its acknowledgement.
 */
function startFromVotes(state: State, role: Leader, { ends }: Candidate): void {
  for (const [id, { index, term }] of ends) {
    const progress = role.progress.get(id);
    if (progress && state.log.matches(index, term))
      acknowledge(progress, index, state.log.start.index);
  }
}

/**
 * A leader that was evicted leads its term again (design.md section 6). Its log holds everything it
 * ever sent, since nothing is sent before it is durable, and its new boot makes the others ignore
 * the old life. It grants nothing before all of that log is committed.
 */
export function resumeLeader(state: State): void {
  const { log } = state;
  invariant(log.lastTerm === state.term, "a leader's log ends in its own term");
  // It does not rest with a tail to confirm or a joint configuration to leave (rule 11).
  const hasWork = log.lastIndex > state.commit || isJoint(configurationOf(state));
  const role = newLeader(log.lastIndex, hasWork);
  state.role = role;
  followConfiguration(state, role);
  state.leader = state.self;
  if (!hasWork) return;
  role.quorumSince = state.now;
  // No input but this life's beginning asks for it: due at once.
  role.noticeAt = state.now;
}

function newLeader(barrier: LogIndex, awake: boolean): Leader {
  return {
    type: 'leader',
    barrier,
    progress: new Map(),
    awake,
    readPosition: 0,
    positionSent: true,
    pendingReads: [],
    uncommittedBytes: 0,
    quorumSince: null,
    noticeAt: null,
    transfer: null,
    offerAt: null,
  };
}

/** The caller has checked that this member leads. Null: too much is uncommitted already. */
export function appendOwn(state: State, role: Leader, payload: Payload): Entry | null {
  const { log, settings } = state;
  const entry: Entry = { index: log.lastIndex + 1, term: state.term, payload };
  const bytes = payloadBytes(entry);
  // A single large entry passes an empty tail; empty ones are free (etcd UncommittedEntryLimit).
  if (
    bytes > 0 &&
    role.uncommittedBytes > 0 &&
    role.uncommittedBytes + bytes > settings.uncommittedBytesMax
  )
    return null;
  role.uncommittedBytes += bytes;
  log.append([entry]);
  wake(state, role);
  return entry;
}

/** Somebody needs this leader: silence ends, and silent followers are tried again. */
export function wake(state: State, role: Leader): void {
  role.awake = true;
  role.offerAt = null;
  role.quorumSince ??= state.now;
  for (const progress of role.progress.values()) {
    progress.onRepairList = false;
    progress.neededSinceSent = true;
  }
}

/**
 * A member of a newer term asks for pre-votes: it can neither follow this leader nor, perhaps, win
 * without it. The reply to an append deposes this leader (etcd TestFreeStuckCandidate). A leader
 * with heartbeats would find out by itself; one at rest has to be told.
 */
export function showLeadership(state: State, role: Leader, peer: MemberId): void {
  const progress = role.progress.get(peer);
  if (!progress) return;
  wake(state, role);
  if (progress.state !== 'replicate' && progress.probeSent) return;
  if (progress.state === 'probe') progress.probeSent = true;
  const from = progress.state === 'probe' ? progress.next : progress.match + 1;
  // Any append will do, since only its term matters; this one is always at hand.
  const isAtHand = from > state.log.start.index;
  sendAppend(state, role, peer, progress, isAtHand ? from : state.log.lastIndex + 1, true);
}

export function onAppendReply(state: State, message: Message & AppendReply): void {
  const { role, log } = state;
  // Replies to an earlier life confirm nothing of this one.
  if (role.type !== 'leader' || message.toBoot !== state.boot) return;
  // A peer that holds an entry of this term that its leader lacks: our storage has gone back in
  // time, and the next entry would be a second one under the same index (consensus-rules.md 13).
  if (
    message.leaderLostEntries ||
    (message.lastTerm === state.term && message.lastIndex > log.lastIndex)
  ) {
    state.lost = true;
    return;
  }
  const progress = role.progress.get(message.from);
  if (!progress) return;
  progress.ackedPosition = Math.max(progress.ackedPosition, message.readPosition);
  progress.ackedCommit = Math.max(progress.ackedCommit, message.commit);
  progress.onRepairList = false;
  progress.repliedAt = state.now;
  progress.canApply = message.canApply;
  if (message.ok) acknowledge(progress, Math.min(message.index, log.lastIndex), log.start.index);
  else {
    const agree = log.lastIndexAtOrBelowTerm(message.hintIndex, message.hintTerm);
    // A refusal that tells nothing new must not bring the next message forward.
    if (!refuse(progress, message.index, agree.index)) return;
  }
  noteReply(state, progress);
}

export function noteReply(state: State, progress: Progress): void {
  measureRoundTrip(state, progress);
  progress.retransmitMs = retransmitBase(state, progress);
  const waits =
    progress.inflight.length > 0 ||
    progress.probeSent ||
    progress.sentPosition > progress.ackedPosition ||
    progress.sentCommit > progress.ackedCommit;
  progress.waitingSince = waits ? state.now : null;
  progress.retransmitAt = waits ? state.now + progress.retransmitMs : null;
}

/**
 * From the first sending to the first reply. After a retransmission nobody can say which of the two
 * was answered, so the estimate grows step by step: a far follower is found out in a few exchanges
 * (else it gets everything twice), and one that was away for a while is not taken for a far one.
 */
function measureRoundTrip(state: State, progress: Progress): void {
  if (progress.timedAt === null) return;
  const { roundTripMs } = progress;
  const cap = Math.max(state.settings.retransmitMs, 2 * roundTripMs);
  const sample = Math.min(state.now - progress.timedAt, cap);
  progress.timedAt = null;
  progress.roundTripMs = sample > roundTripMs ? sample : (7 * roundTripMs + sample) / 8;
}

function retransmitBase({ settings }: State, { roundTripMs }: Progress): number {
  const patience = Math.min(2 * roundTripMs, settings.retransmitMaxMs);
  return Math.max(settings.retransmitMs, Math.ceil(patience));
}

/** A follower shows that it lives while a retransmission waits for its time: it is due now. */
export function stopWaiting(state: State, progress: Progress): void {
  if (progress.retransmitMs <= retransmitBase(state, progress)) return;
  loseInflight(progress);
  progress.retransmitAt = null;
  progress.retransmitMs = retransmitBase(state, progress);
}

/** A new life of a follower has lost what was under way to the old one; its log is what it was. */
export function restartProgress(state: State, peer: MemberId): void {
  if (state.role.type !== 'leader') return;
  const progress = state.role.progress.get(peer);
  if (progress) loseInflight(progress);
}

/** The host could not deliver: wait for the retransmission instead of sending into the void. */
export function peerUnreachable(state: State, peer: MemberId): void {
  if (state.role.type !== 'leader') return;
  const progress = state.role.progress.get(peer);
  if (!progress || progress.retransmitAt === null) return;
  loseInflight(progress);
  progress.probeSent = true;
}

function loseInflight(progress: Progress): void {
  // A lost probe says nothing about where the logs meet: going back to match (0 in a new term)
  // would send the whole log again.
  if (progress.state === 'replicate') becomeProbe(progress);
  progress.probeSent = false;
  progress.sentPosition = progress.ackedPosition;
  progress.sentCommit = progress.ackedCommit;
}

/**
 * Moves the commit index to what a quorum holds, if that entry is of this term: older ones are
 * committed only through it (thesis 3.6.2, figure 8).
 */
export function advanceCommit(state: State, role: Leader): void {
  const { log } = state;
  const held = quorumValue(configurationOf(state), (id) =>
    id === state.self ? log.stable : (role.progress.get(id)?.match ?? 0),
  );
  if (held > state.commit && log.matches(held, state.term)) {
    setCommit(state, held);
    role.quorumSince = state.now;
    role.noticeAt = state.now + state.settings.commitNoticeMs;
  }
}

export function needsQuorum(state: State, role: Leader): boolean {
  return state.commit < state.log.lastIndex || role.pendingReads.length > 0;
}

/** Sends each follower what it lacks and may be sent. */
export function pump(state: State, role: Leader): void {
  if (!role.awake) return;
  // Here, after the reads of this turn were confirmed: left standing over a rest, the time would
  // depose this leader at its next write.
  if (!needsQuorum(state, role)) role.quorumSince = null;
  // A resumed leader that is needed has to learn where the others are before it can rest again.
  for (const [peer, progress] of role.progress) {
    if (progress.onRepairList) continue;
    // What a round to it would refer to is gone here.
    const isBehind = progress.match < state.log.start.index;
    if (progress.state === 'replicate' && isBehind) becomeProbe(progress);
    if (progress.state === 'replicate') pumpReplicate(state, role, peer, progress);
    if (progress.state === 'probe') pumpProbe(state, role, peer, progress);
    if (progress.state === 'snapshot') pumpSnapshot(state, role, peer, progress);
    // What nobody waits for any more is not sent again, and its loss is no sign of death.
    if (progress.retransmitAt === null) progress.waitingSince = null;
  }
  if (role.noticeAt !== null && state.now >= role.noticeAt) role.noticeAt = null;
}

function pumpProbe(state: State, role: Leader, peer: MemberId, progress: Progress): void {
  if (progress.probeSent) return;
  if (progress.next <= state.log.start.index) {
    // A snapshot is for somebody who answers; else ask where it is (etcd TestIgnoreProvidingSnap).
    if (state.now - progress.repliedAt < state.settings.repairAfterMs) {
      becomeSnapshot(progress);
      return;
    }
    progress.next = state.log.lastIndex + 1;
  }
  const lacks =
    progress.match < state.log.lastIndex ||
    progress.ackedPosition < positionWanted(role) ||
    noticeDue(state, role, progress);
  if (!lacks) return;
  progress.probeSent = true;
  sendAppend(state, role, peer, progress, progress.next);
}

function pumpReplicate(state: State, role: Leader, peer: MemberId, progress: Progress): void {
  const { log, settings } = state;
  while (
    progress.next <= log.lastIndex &&
    progress.inflight.length < settings.inflightMessagesMax &&
    progress.inflightBytes < settings.inflightBytesMax
  ) {
    const entries = sendAppend(state, role, peer, progress, progress.next);
    const lastIndex = progress.next + entries.length - 1;
    const bytes = entries.reduce((sum, entry) => sum + payloadBytes(entry), 0);
    progress.inflight.push({ lastIndex, bytes });
    progress.inflightBytes += bytes;
    progress.next = lastIndex + 1;
  }
  if (roundDue(state, role, progress) || noticeDue(state, role, progress))
    // At `match` the logs meet for certain, so this one cannot be refused.
    sendAppend(state, role, peer, progress, progress.match + 1, true);
}

/** The position that the newest waiting read needs; reads that are confirmed need no round. */
export function positionWanted(role: Leader): ReadPosition {
  return role.pendingReads.at(-1)?.position ?? 0;
}

function roundDue(state: State, role: Leader, progress: Progress): boolean {
  if (progress.sentPosition >= positionWanted(role)) return false;
  return state.now >= roundAt(state, progress);
}

/** When the next read round to this follower may begin: at once, unless one is under way. */
export function roundAt(state: State, progress: Progress): number {
  if (progress.sentPosition === progress.ackedPosition) return state.now;
  return progress.positionSentAt + state.settings.readSpacingMs;
}

function noticeDue(state: State, role: Leader, progress: Progress): boolean {
  if (progress.sentCommit >= state.commit || progress.match < state.commit) return false;
  return role.noticeAt === null || state.now >= role.noticeAt;
}

function sendAppend(
  state: State,
  role: Leader,
  peer: MemberId,
  progress: Progress,
  from: LogIndex,
  empty = false,
): Entry[] {
  const { log, settings } = state;
  const prevIndex = from - 1;
  const prevTerm = log.term(prevIndex);
  invariant(prevTerm !== undefined, 'the log reaches back to what a follower is sent');
  const entries = empty
    ? []
    : log.slice(from, log.lastIndex, settings.appendBytesMax, settings.appendEntriesMax);
  const { commit } = state;
  const facts = fromLeader(state, role, peer, progress);
  send(state, peer, { type: 'append', prevIndex, prevTerm, entries, commit, ...facts });
  progress.sentCommit = Math.max(progress.sentCommit, Math.min(commit, prevIndex + entries.length));
  noteSent(state, role, progress);
  return entries;
}

/** What every message of a leader carries. */
export function fromLeader(
  state: State,
  role: Leader,
  peer: MemberId,
  { match }: Progress,
): FromLeader {
  const knownBoot = state.boots.get(peer) ?? 0;
  return { readPosition: role.readPosition, barrier: role.barrier, knownBoot, knownMatch: match };
}

export function noteSent(state: State, role: Leader, progress: Progress): void {
  if (progress.sentPosition < role.readPosition) {
    progress.sentPosition = role.readPosition;
    progress.positionSentAt = state.now;
  }
  role.positionSent = true;
  progress.neededSinceSent = false;
  progress.waitingSince ??= state.now;
  progress.timedAt ??= state.now;
  progress.retransmitAt ??= state.now + progress.retransmitMs;
}

/** What is unanswered is lost after a while, and sent again at growing intervals. */
export function retransmit(state: State, role: Leader): void {
  const { settings } = state;
  for (const progress of role.progress.values()) {
    if (progress.retransmitAt === null || state.now < progress.retransmitAt) continue;
    loseInflight(progress);
    progress.retransmitAt = null;
    progress.retransmitMs = Math.min(progress.retransmitMs * 2, settings.retransmitMaxMs);
    const silentMs = state.now - (progress.waitingSince ?? state.now);
    // Work that came while this attempt was under way is owed another one.
    if (silentMs >= settings.repairAfterMs && !progress.neededSinceSent)
      progress.onRepairList = true;
  }
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

export function checkQuorum(state: State, role: Leader): void {
  const deadline = quorumDeadline(state, role);
  if (deadline !== null && state.now >= deadline) becomeFollower(state, state.term, null);
}
