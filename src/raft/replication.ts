/**
 * A member that leads: it makes the followers' logs equal to its own and moves the commit index.
 *
 * Nothing is sent where it is decided: inputs change state, and `pump` (from take()) sends each
 * follower what it lacks, so that everything of one turn travels together.
 */
import { contactAt, needsQuorum } from './check-quorum.ts';
import { quorumValue } from './configuration.ts';
import { payloadBytes } from './log.ts';
import { acknowledge, becomeProbe, becomeSnapshot, type Progress, refuse } from './progress.ts';
import { noteContact, noteReply, noteSent } from './retransmission.ts';
import { pumpSnapshot } from './snapshots.ts';
import { configurationOf, type Leader, type State, send, setCommit } from './state.ts';
import {
  type AppendReply,
  type Entry,
  type FromLeader,
  invariant,
  type LogIndex,
  type MemberId,
  type Message,
  type ReadPosition,
} from './types.ts';

export function onAppendReply(state: State, message: Message & AppendReply): void {
  const { role, log } = state;
  // Replies to an earlier life confirm nothing of this one.
  if (message.toBoot !== state.boot) return;
  // Whatever has become of the term: this storage has gone back in time (consensus-rules.md 13).
  if (message.leaderLostEntries) {
    state.lost = true;
    return;
  }
  if (role.type !== 'leader') return;
  // So it has if a peer holds an entry of this term that its leader lacks: the next entry would be
  // a second one under the same index.
  if (message.lastTerm === state.term && message.lastIndex > log.lastIndex) {
    state.lost = true;
    return;
  }
  const progress = role.progress.get(message.from);
  if (!progress) return;
  progress.ackedCommit = Math.max(progress.ackedCommit, message.commit);
  noteContact(state, progress, message);
  progress.canApply = message.canApply;
  if (message.ok) acknowledge(progress, Math.min(message.index, log.lastIndex), log.start.index);
  else {
    const agree = log.lastIndexAtOrBelowTerm(message.hintIndex, message.hintTerm);
    // A refusal that tells nothing new must not bring the next message forward.
    if (!refuse(progress, message.index, agree.index)) return;
  }
  noteReply(state, progress);
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

/** Some member lacks an entry or the final commit. A leader that resumed and rests knows of none. */
export function isOwed({ commit, log }: State, { awake, progress }: Leader): boolean {
  if (!awake) return false;
  return [...progress.values()].some(
    ({ match, ackedCommit }) => match < log.lastIndex || ackedCommit < commit,
  );
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
  const contact = contactAt(state, role, progress);
  const contactDue = contact !== null && state.now >= contact;
  if (roundDue(state, role, progress) || noticeDue(state, role, progress) || contactDue)
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

export function sendAppend(
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
