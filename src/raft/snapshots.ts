/**
 * Catching up by snapshot: the leader's side decides which chunk goes next, the follower's which one
 * is wanted. The content passes through; only the host knows it (docs/decisions/snapshots.md).
 */
import { acceptLeader, answerLeader, refuseLostLeader } from './follower.ts';
import type { Progress } from './progress.ts';
import { fromLeader } from './replication.ts';
import { noteContact, noteReply, noteSent } from './retransmission.ts';
import type { Leader, State } from './state.ts';
import { send, setCommit } from './state.ts';
import type { MemberId, Message, Snapshot, SnapshotMeta, SnapshotReply } from './types.ts';
import { invariant } from './types.ts';

/** The host has opened what Effects.openSnapshot asked for. */
export function snapshotOpened(state: State, snapshot: SnapshotMeta): void {
  invariant(snapshot.index >= state.log.start.index, 'a snapshot reaches to the start of the log');
  state.snapshot = snapshot;
  state.snapshotTouchedAt = state.now;
}

/** Sends the next chunk, one at a time. */
export function pumpSnapshot(state: State, role: Leader, peer: MemberId, progress: Progress): void {
  const { snapshot, log } = state;
  if (!snapshot || snapshot.index < log.start.index) {
    state.wantsSnapshot = true;
    return;
  }
  if (progress.chunk?.id !== snapshot.id) {
    progress.chunk = { id: snapshot.id, cursor: '' };
    progress.probeSent = false;
  }
  if (progress.probeSent) return;
  progress.probeSent = true;
  const { cursor } = progress.chunk;
  const chunk = null;
  const facts = fromLeader(state, role, peer, progress);
  send(state, peer, { type: 'snapshot', snapshot, cursor, chunk, ...facts });
  noteSent(state, role, progress);
}

export function onSnapshotReply(state: State, message: Message & SnapshotReply): void {
  const { role } = state;
  if (role.type !== 'leader' || message.toBoot !== state.boot) return;
  const progress = role.progress.get(message.from);
  if (!progress) return;
  noteContact(state, progress, message);
  if (progress.state !== 'snapshot' || progress.chunk?.id !== message.id) return;
  // It wants the same chunk again: it is not ready, and the retransmission is soon enough.
  if (progress.chunk.cursor === message.cursor) return;
  progress.chunk = { id: message.id, cursor: message.cursor };
  progress.probeSent = false;
  state.snapshotTouchedAt = state.now;
  noteReply(state, progress);
}

/** An open snapshot holds back the deletion of old versions, so it is closed when it can be. */
export function tendSnapshot(state: State): void {
  const { snapshot, role } = state;
  if (!snapshot) return;
  const needed =
    role.type === 'leader' &&
    [...role.progress.values()].some(({ state }) => state !== 'replicate');
  const idle = state.now - state.snapshotTouchedAt >= state.settings.snapshotIdleMs;
  if (!needed || idle) giveUpSnapshot(state);
}

export function giveUpSnapshot(state: State): void {
  if (!state.snapshot) return;
  state.snapshot = null;
  state.closesSnapshot = true;
}

/** `message.term` is the current term: older ones were answered, newer ones adopted before. */
export function onSnapshot(state: State, message: Message & Snapshot): void {
  if (refuseLostLeader(state, message) || !acceptLeader(state, message)) return;
  const { snapshot, cursor, chunk } = message;
  const { id, index } = snapshot;
  // Decided in the turn of each chunk: what is committed here is never reset (rule 5).
  if (index <= state.commit) {
    answerLeader(state, message, state.commit);
    return;
  }
  if (state.log.matches(index, snapshot.term)) {
    setCommit(state, index);
    answerLeader(state, message, index);
    return;
  }
  // Its rows have to go before there is room: in this turn, so that no later chunk of it is taken.
  if (cursor === '' && state.receiving && state.receiving.id !== id) abandonReception(state);
  const wanted = state.receiving?.id === id ? state.receiving.cursor : '';
  if (!chunk || cursor !== wanted) {
    answerSnapshot(state, message, wanted);
    return;
  }
  const isLast = chunk.next === null;
  const first = cursor === '';
  state.chunks.push({ ...chunk, id, first, install: isLast ? snapshot : null });
  state.receiving = chunk.next === null ? null : { id, cursor: chunk.next };
  if (chunk.next !== null) answerSnapshot(state, message, chunk.next);
  else {
    install(state, snapshot);
    answerLeader(state, message, index);
  }
}

/** Appends have come further than the snapshot that was being received, or another one has come. */
export function abandonReception(state: State): void {
  state.receiving = null;
  // Its chunks of this very turn are not stored any more.
  const installed = state.chunks.findLastIndex((chunk) => chunk.install !== null);
  state.chunks = state.chunks.slice(0, installed + 1);
  // Storage gives up what it has before it takes chunks in; what they complete is over anyway.
  if (installed < 0) state.abandonsReception = true;
}

function install(state: State, { index, term, configuration }: SnapshotMeta): void {
  state.log.reset(index, term);
  // Uncommitted ones went with the log; the newest committed one tells whether we were removed.
  const known = state.configurations.filter((older) => older.index <= state.commit);
  state.configurations = [...known.slice(-1), { index, configuration }];
  setCommit(state, index);
  state.handedOut = index;
  state.applied = index;
}

function answerSnapshot(state: State, message: Message & Snapshot, cursor: string): void {
  const { readPosition, boot } = message;
  const { id } = message.snapshot;
  send(state, message.from, { type: 'snapshotReply', id, cursor, toBoot: boot, readPosition });
}
