/**
 * What a leader knows of one follower, and how much it may send to it.
 *
 * Invariants: match < next; match never falls in a term; match <= the leader's last index; while
 * `state` is 'probe' at most one append is under way, in 'snapshot' one chunk; in 'replicate' at
 * most the named window.
 */

import type { LogIndex, Millis, ReadPosition } from './types.ts';
import { invariant } from './types.ts';

export interface Inflight {
  /** Last index of the append, so that an acknowledgement frees all up to it. */
  readonly lastIndex: LogIndex;
  readonly bytes: number;
}

export interface Progress {
  /**
   * probe: where the logs meet is unknown; replicate: known, sends run ahead of replies; snapshot:
   * what the follower lacks is compacted away, so it gets the state instead, chunk by chunk.
   */
  state: 'probe' | 'replicate' | 'snapshot';
  /** Highest index known to be held by the follower. */
  match: LogIndex;
  /** Next index to send. */
  next: LogIndex;
  inflight: Inflight[];
  inflightBytes: number;
  /** In probe and snapshot: a message is under way, nothing more is sent until its reply or
   * retransmission. */
  probeSent: boolean;
  /** In snapshot: the chunk that the follower wants. */
  chunk: { readonly id: string; readonly cursor: string } | null;
  sentPosition: ReadPosition;
  /** When a read position was last sent, to keep rounds apart. */
  positionSentAt: Millis;
  ackedPosition: ReadPosition;
  sentCommit: LogIndex;
  ackedCommit: LogIndex;
  /** Last reply to a message of this leader's life: the only thing that counts as contact. */
  repliedAt: Millis;
  hasReplied: boolean;
  /** When the oldest unanswered message was sent; null when all is answered. */
  waitingSince: Millis | null;
  /** When a message was sent whose reply will tell the round trip; null: none is being timed. */
  timedAt: Millis | null;
  /** Round trip to this follower, on the long side; 0: not known yet. */
  roundTripMs: number;
  /** Doubles with each retransmission without a reply. */
  retransmitMs: number;
  retransmitAt: Millis | null;
  /** Somebody needed the leader since the last append to this follower was sent. */
  neededSinceSent: boolean;
  /** Unanswered for so long that it no longer keeps the leader awake (design.md section 6). */
  onRepairList: boolean;
  /** It said so itself (null: nothing yet): neither leadership nor a vote goes to one that cannot. */
  canApply: boolean | null;
  /** Removed from the configuration, and not told yet that this is committed. */
  leaving: boolean;
}

export function newProgress(next: LogIndex, retransmitMs: number): Progress {
  return {
    state: 'probe',
    match: 0,
    next,
    inflight: [],
    inflightBytes: 0,
    probeSent: false,
    chunk: null,
    sentPosition: 0,
    positionSentAt: Number.NEGATIVE_INFINITY,
    ackedPosition: 0,
    sentCommit: 0,
    ackedCommit: 0,
    repliedAt: Number.NEGATIVE_INFINITY,
    hasReplied: false,
    waitingSince: null,
    timedAt: null,
    roundTripMs: 0,
    retransmitMs,
    retransmitAt: null,
    neededSinceSent: false,
    onRepairList: false,
    canApply: null,
    leaving: false,
  };
}

/**
 * The follower holds everything up to `index`. False when that was known already. `logStart` is
 * the index before the leader's first entry: a follower that has that much needs no snapshot,
 * whatever one it was being sent (etcd issues 10225, 10308).
 */
export function acknowledge(progress: Progress, index: LogIndex, logStart: LogIndex): boolean {
  // Frees the window also when a later reply overtook this one.
  let freed = 0;
  while (freed < progress.inflight.length) {
    const oldest = progress.inflight[freed];
    if (!oldest || oldest.lastIndex > index) break;
    progress.inflightBytes -= oldest.bytes;
    freed += 1;
  }
  if (freed > 0) progress.inflight.splice(0, freed);
  const held = Math.max(index, progress.match);
  if (progress.state === 'probe' || (progress.state === 'snapshot' && held >= logStart)) {
    progress.state = 'replicate';
    progress.probeSent = false;
    progress.chunk = null;
    progress.next = held + 1;
  }
  if (index <= progress.match) return false;
  progress.match = index;
  progress.next = Math.max(progress.next, index + 1);
  invariant(progress.match < progress.next, 'progress: match < next');
  return true;
}

/**
 * The follower refused an append at `rejected`; `agreeAt` is the highest index where the logs may
 * agree. False when the refusal is stale (thesis 3.5, and etcd's rule for reordered refusals).
 */
export function refuse(progress: Progress, rejected: LogIndex, agreeAt: LogIndex): boolean {
  if (progress.state === 'replicate') {
    if (rejected <= progress.match) return false;
    becomeProbe(progress);
    return true;
  }
  if (progress.state === 'snapshot' || rejected !== progress.next - 1) return false;
  const next = Math.max(Math.min(rejected, agreeAt + 1), progress.match + 1);
  // It lacks what it had acknowledged: its storage has gone back in time. There is nowhere to go
  // back to, so it is tried again with the retransmissions only, not as fast as it refuses.
  if (next === progress.next) return false;
  progress.next = next;
  progress.probeSent = false;
  return true;
}

/** Forgets what is under way: lost, or its order is in doubt. */
export function becomeProbe(progress: Progress): void {
  progress.state = 'probe';
  progress.probeSent = false;
  progress.chunk = null;
  progress.next = progress.match + 1;
  progress.inflight = [];
  progress.inflightBytes = 0;
}

/** The log reaches not back far enough for this follower. */
export function becomeSnapshot(progress: Progress): void {
  becomeProbe(progress);
  progress.state = 'snapshot';
}
