/**
 * Linearizable reads without log entries (ReadIndex, thesis 6.4), confirmed by position.
 *
 * Each read belongs to a position of this leader's life. Appends carry the newest position and
 * replies echo it, so a reply confirms exactly the reads that began before its append was sent:
 * a delayed, repeated or reordered reply can confirm nothing later (etcd issue 20418).
 */
import { hasQuorum, isMember, quorumValue } from './configuration.ts';
import { wake } from './leader.ts';
import { stopWaiting } from './retransmission.ts';
import type { Leader, PendingRead, State } from './state.ts';
import { configurationOf, isSettled, send } from './state.ts';
import type { MemberId, Message, ReadRequest } from './types.ts';
import { invariant } from './types.ts';

/** A member has one request under way and repeats it when it is late; older ones are forgotten. */
const requestsPerMemberMax = 8;

/** False: too many reads wait already. The caller has checked that this member leads. */
export function startLocalRead(state: State, role: Leader, id: number): boolean {
  if (role.pendingReads.length >= state.settings.pendingReadsMax) return false;
  startRead(state, role, id, null);
  return true;
}

function startRead(
  state: State,
  role: Leader,
  id: number,
  requester: PendingRead['requester'],
): void {
  // A position that has left already cannot confirm a read that begins now.
  if (role.positionSent) {
    role.readPosition += 1;
    role.positionSent = false;
  }
  role.pendingReads.push({ position: role.readPosition, index: null, requester, id });
  wake(state, role);
  fixIndexes(state, role);
}

/** The read's index is the commit index when it came, but not before the barrier is committed. */
function fixIndexes(state: State, role: Leader): void {
  if (state.commit < role.barrier) return;
  for (let at = role.pendingReads.length - 1; at >= 0; at -= 1) {
    const read = role.pendingReads[at];
    if (!read || read.index !== null) return;
    read.index = state.commit;
  }
}

/** Releases the reads that a quorum has confirmed. */
export function confirmReads(state: State, role: Leader): void {
  if (role.pendingReads.length === 0) return;
  fixIndexes(state, role);
  if (state.commit < role.barrier) return;
  const configuration = configurationOf(state);
  const confirmed = quorumValue(configuration, (id) =>
    id === state.self ? role.readPosition : (role.progress.get(id)?.ackedPosition ?? 0),
  );
  const waiting: PendingRead[] = [];
  for (const read of role.pendingReads) {
    if (read.position <= confirmed || isConfirmedByRequester(state, role, read)) {
      release(state, read);
    } else waiting.push(read);
  }
  role.pendingReads = waiting;
}

/** A member's own request counts as its confirmation, for the reads it stands for and no other. */
function isConfirmedByRequester(state: State, role: Leader, read: PendingRead): boolean {
  const { requester } = read;
  if (!requester) return false;
  return hasQuorum(
    configurationOf(state),
    (id) =>
      id === state.self ||
      id === requester.id ||
      (role.progress.get(id)?.ackedPosition ?? 0) >= read.position,
  );
}

function release(state: State, read: PendingRead): void {
  const { index, id, requester } = read;
  invariant(index !== null, 'a released read has its index');
  if (!requester) state.reads.push({ id, index });
  else answer(state, requester, id, index);
}

function answer(
  state: State,
  requester: { readonly id: MemberId; readonly boot: number },
  id: number,
  index: number | null,
): void {
  send(state, requester.id, {
    type: 'readReply',
    id,
    toBoot: requester.boot,
    index: index ?? 0,
    indexTerm: index === null ? 0 : (state.log.term(index) ?? 0),
    refused: index === null,
    removed: index !== null && isRemoved(state, requester.id),
    leader: index === null ? hintFor(state, requester.id) : null,
  });
}

/**
 * Called when a quorum has confirmed this leader after the asker sent its request. Then a
 * configuration with the asker in it that was appended before can be committed no more, if the
 * newest one here is committed and without it (docs/decisions/membership.md).
 */
function isRemoved(state: State, asker: MemberId): boolean {
  return isSettled(state) && !isMember(configurationOf(state), asker);
}

function hintFor({ leader, termLeader, self }: State, asker: MemberId): MemberId | null {
  const hint = leader ?? termLeader;
  return hint === self || hint === asker ? null : hint;
}

/** A member asks for a read index, or whether this one still leads. */
export function onReadRequest(state: State, message: Message & ReadRequest): void {
  const requester = { id: message.from, boot: message.boot };
  const { role } = state;
  if (role.type !== 'leader') {
    answer(state, requester, message.id, null);
    return;
  }
  if (message.lastTerm === state.term && message.lastIndex > state.log.lastIndex) {
    // It holds an entry of this term that its leader has not (consensus-rules.md 13).
    state.lost = true;
    return;
  }
  startMembersRead(state, role, requester, message.id);
  // It is not contact (rule 9), but it shows that the sender lives: one that lacks entries gets
  // them at once, at rest or not (rule 10).
  const progress = role.progress.get(message.from);
  if (!progress) return;
  progress.onRepairList = false;
  if (message.lastIndex < state.log.lastIndex) stopWaiting(state, progress);
}

/** Never refused for want of room: a busy leader would be taken for none, and suspected by all. */
export function startMembersRead(
  state: State,
  role: Leader,
  requester: NonNullable<PendingRead['requester']>,
  id: number,
): void {
  forgetOldest(role, requester.id);
  startRead(state, role, id, requester);
}

function forgetOldest(role: Leader, member: MemberId): void {
  const isOf = (read: PendingRead) => read.requester?.id === member;
  if (role.pendingReads.filter(isOf).length < requestsPerMemberMax) return;
  role.pendingReads.splice(role.pendingReads.findIndex(isOf), 1);
}

/** This member leads no more: what it had not confirmed it cannot serve. */
export function failReads(state: State, role: Leader): void {
  for (const { id, requester } of role.pendingReads) {
    if (requester) answer(state, requester, id, null);
    else state.droppedReads.push(id);
  }
  role.pendingReads = [];
}
