/**
 * Becoming the leader, and what a leader does first: its own entries, and making itself known.
 */
import { hasQuorum, isJoint } from './configuration.ts';
import { payloadBytes } from './log.ts';
import { followConfiguration } from './membership.ts';
import { acknowledge } from './progress.ts';
import { sendAppend } from './replication.ts';
import { abandonReception } from './snapshots.ts';
import { type Candidate, configurationOf, type Leader, type State } from './state.ts';
import { confirmLeader } from './suspicion.ts';
import { type Entry, invariant, type LogIndex, type MemberId, type Payload } from './types.ts';

export function becomeLeader(state: State, candidate: Candidate): void {
  const { log } = state;
  state.termLeader = state.self;
  state.termLeaderBoot = state.boot;
  state.hardStateChanged = true;
  // Nobody sends the rest of it to a leader: the survivor of a lost quorum (docs/decisions/membership.md).
  if (state.receiving) abandonReception(state);
  // Only an entry of its own term shows a leader what is committed (thesis 3.6.2, 6.4).
  const role = newLeader(log.lastIndex + 1, true, null);
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
 * the old life. It grants nothing before all of that log is committed, and adds nothing to it
 * before a quorum has answered: were its storage set back, somebody among them would know better.
 */
export function resumeLeader(state: State): void {
  const { log } = state;
  invariant(log.lastTerm === state.term, "a leader's log ends in its own term");
  // It does not rest with a tail to confirm or a joint configuration to leave (rule 11).
  const hasWork = log.lastIndex > state.commit || isJoint(configurationOf(state));
  const role = newLeader(log.lastIndex, hasWork, []);
  state.role = role;
  followConfiguration(state, role);
  state.leader = state.self;
  if (!hasWork) return;
  role.quorumSince = state.now;
  // No input but this life's beginning asks for it: due at once.
  role.noticeAt = state.now;
}

function newLeader(barrier: LogIndex, awake: boolean, withheld: Entry[] | null): Leader {
  return {
    type: 'leader',
    barrier,
    withheld,
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
  const { withheld } = role;
  const index = log.lastIndex + (withheld?.length ?? 0) + 1;
  const entry: Entry = { index, term: state.term, payload };
  const bytes = payloadBytes(entry);
  // A single large entry passes an empty tail; empty ones are free (etcd UncommittedEntryLimit).
  if (
    bytes > 0 &&
    role.uncommittedBytes > 0 &&
    role.uncommittedBytes + bytes > settings.uncommittedBytesMax
  )
    return null;
  role.uncommittedBytes += bytes;
  if (withheld) withheld.push(entry);
  else log.append([entry]);
  wake(state, role);
  return entry;
}

/**
 * A quorum has answered a resumed leader's life, so nothing is missing from its log that was ever
 * committed under it, and no newer term was in the way: what it has been given meanwhile may follow.
 * Entries that it wrote sooner would look, by index and term, like those that it has lost.
 */
export function releaseWithheld(state: State, role: Leader): void {
  if (!role.withheld || !hasAnswered(state, role)) return;
  state.log.append(role.withheld);
  role.withheld = null;
}

function hasAnswered(state: State, { progress }: Leader): boolean {
  return hasQuorum(
    configurationOf(state),
    (id) => id === state.self || (progress.get(id)?.hasReplied ?? false),
  );
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
  const { log } = state;
  if (progress.state === 'probe') {
    progress.probeSent = true;
    // Compacted away there: asked at the end of the log, so that its refusal counts as a probe's.
    if (progress.next <= log.start.index) progress.next = log.lastIndex + 1;
  }
  const from = progress.state === 'probe' ? progress.next : progress.match + 1;
  // Any append will do, since only its term matters; this one is always at hand.
  sendAppend(state, role, peer, progress, from > log.start.index ? from : log.lastIndex + 1, true);
}
