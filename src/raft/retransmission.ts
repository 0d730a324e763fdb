/**
 * What is unanswered: when it is sent again, how far away a follower is, and when it is given up.
 */
import { becomeProbe, type Progress } from './progress.ts';
import type { Leader, State } from './state.ts';
import type { MemberId, ReadPosition } from './types.ts';

/** A reply to this leader's own message, whatever it says: contact, and a confirmed read position. */
export function noteContact(
  state: State,
  progress: Progress,
  { readPosition }: { readonly readPosition: ReadPosition },
): void {
  progress.ackedPosition = Math.max(progress.ackedPosition, readPosition);
  progress.onRepairList = false;
  progress.repliedAt = state.now;
  progress.hasReplied = true;
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
