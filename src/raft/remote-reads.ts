/**
 * Linearizable reads at a member that does not lead (design.md section 3): it asks the leader for
 * an index, and serves the reads when it has applied that.
 *
 * A request is sent after the reads it stands for began, so it counts as its sender's
 * confirmation of them; in a group of three one round trip to the leader is all there is.
 */
import type { State } from './state.ts';
import { send, setCommit } from './state.ts';
import { suspect } from './suspicion.ts';
import type { MemberId, Message, ReadReply } from './types.ts';

/** False: no leader is known, it is being doubted, or too many reads wait. */
export function startRemoteRead(state: State, id: number): boolean {
  const { remoteReads, suspicion, role } = state;
  if (role.type !== 'follower' || suspicion || leaderToAsk(state) === null) return false;
  if (waitingReads(state) >= state.settings.pendingReadsMax) return false;
  remoteReads.queue.push(id);
  return true;
}

function waitingReads({ remoteReads: { queue, requests } }: State): number {
  return requests.reduce((sum, { reads }) => sum + reads.length, queue.length);
}

function leaderToAsk(state: State): MemberId | null {
  const leader = state.leader ?? state.termLeader;
  return leader === state.self ? null : leader;
}

/** Sends the waiting reads with one request, if one may leave now. */
export function pumpRemoteReads(state: State): void {
  const { remoteReads } = state;
  const at = requestAt(state);
  if (at === null || state.now < at) return;
  const leader = leaderToAsk(state);
  if (leader === null) {
    dropRemoteReads(state);
    return;
  }
  const id = state.nextRequestId;
  state.nextRequestId += 1;
  const reads = remoteReads.queue;
  remoteReads.queue = [];
  remoteReads.requests.push({ id, reads, leader, sentAt: state.now, repeated: false });
  remoteReads.lastSentAt = state.now;
  sendReadRequest(state, leader, id);
}

export function sendReadRequest(state: State, leader: MemberId, id: number): void {
  const { lastIndex, lastTerm } = state.log;
  send(state, leader, { type: 'readRequest', id, lastIndex, lastTerm });
}

/** When the next request may leave; null: nothing waits, or enough are under way. */
function requestAt({ remoteReads, settings, now }: State): number | null {
  const { queue, requests, lastSentAt } = remoteReads;
  if (queue.length === 0 || requests.length >= settings.readRequestsMax) return null;
  return requests.length === 0 ? now : lastSentAt + settings.readSpacingMs;
}

export function remoteReadDeadline(state: State): number | null {
  const { remoteReads, settings } = state;
  let deadline = requestAt(state);
  for (const { sentAt, repeated } of remoteReads.requests) {
    const at = sentAt + (repeated ? settings.readTimeoutMs : settings.checkTimeoutMs);
    deadline = deadline === null ? at : Math.min(deadline, at);
  }
  return deadline;
}

/** A late answer is asked for once more, then the reads are dropped and the leader is suspected. */
export function tickRemoteReads(state: State): void {
  const { remoteReads, settings } = state;
  let dead = false;
  for (const request of remoteReads.requests) {
    const age = state.now - request.sentAt;
    if (age >= settings.readTimeoutMs) dead = true;
    else if (age >= settings.checkTimeoutMs && !request.repeated) {
      // The same id: whatever reply comes was asked for after these reads began.
      request.repeated = true;
      sendReadRequest(state, request.leader, request.id);
    }
  }
  if (!dead) return;
  dropRemoteReads(state);
  suspect(state);
}

/** The host could not deliver to `peer`. */
export function remoteReadsUnreachable(state: State, peer: MemberId): void {
  if (!state.remoteReads.requests.some(({ leader }) => leader === peer)) return;
  dropRemoteReads(state);
  suspect(state);
}

/** True when the reply belonged to a read. The reply echoes boot and id, else it is ignored. */
export function takeReadReply(state: State, message: Message & ReadReply): boolean {
  const { remoteReads } = state;
  const request = remoteReads.requests.find(({ id }) => id === message.id);
  if (!request || request.leader !== message.from) return false;
  remoteReads.requests = remoteReads.requests.filter((other) => other !== request);
  if (message.refused) state.droppedReads.push(...request.reads);
  else {
    for (const id of request.reads) state.reads.push({ id, index: message.index });
    learnCommit(state, message);
  }
  return true;
}

/** The index is committed; it is taken only if our own entry there is the leader's (rule 10). */
export function learnCommit(state: State, { index, indexTerm }: ReadReply): void {
  if (index <= state.log.lastIndex && state.log.matches(index, indexTerm)) setCommit(state, index);
}

export function dropRemoteReads(state: State): void {
  const { remoteReads } = state;
  for (const { reads } of remoteReads.requests) state.droppedReads.push(...reads);
  state.droppedReads.push(...remoteReads.queue);
  remoteReads.requests = [];
  remoteReads.queue = [];
}
