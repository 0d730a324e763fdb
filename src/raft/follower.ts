/**
 * A member that follows: it makes its log equal to the leader's (thesis 3.5).
 */
import { becomeFollower } from './election.ts';
import { abandonReception } from './snapshots.ts';
import type { State } from './state.ts';
import { configurationOf, send, setCommit } from './state.ts';
import type {
  Append,
  Entry,
  FromLeader,
  LogIndex,
  MemberId,
  Message,
  ReadPosition,
  Snapshot,
} from './types.ts';
import { invariant } from './types.ts';

/** `message.term` is the current term: older ones were answered, newer ones adopted before. */
export function onAppend(state: State, message: Message & Append): void {
  if (refuseLostLeader(state, message) || !acceptLeader(state, message)) return;
  const { prevIndex, prevTerm, entries, readPosition } = message;
  if (!state.log.matches(prevIndex, prevTerm) && prevIndex > state.commit) {
    const hint = state.log.lastIndexAtOrBelowTerm(prevIndex, prevTerm);
    reply(state, message, { ok: false, index: prevIndex, hint, readPosition });
    return;
  }
  checkEntries(message);
  if (state.receiving) abandonReception(state);
  appendNew(state, entries);
  const lastNew = prevIndex + entries.length;
  // Not beyond this message: the tail after it may be another leader's (etcd TestHandleMsgApp).
  setCommit(state, Math.min(message.commit, Math.max(lastNew, state.commit)));
  reply(state, message, { ok: true, index: lastNew, hint: { index: 0, term: 0 }, readPosition });
}

type LeaderMessage = Message & (Append | Snapshot);

/**
 * False when the message comes from an older life of the leader than one already seen, or shows
 * that this member is not what the leader takes it for.
 */
export function acceptLeader(state: State, message: LeaderMessage): boolean {
  const { from, boot } = message;
  invariant(state.role.type !== 'leader', 'one leader a term: a leader got an append of its term');
  invariant(
    state.termLeader === null || state.termLeader === from,
    'one leader a term: another was known',
  );
  // The mark outlives this member's own life (consensus-rules.md 13).
  if (state.termLeader === from && boot < state.termLeaderBoot) {
    answerOlderLife(state, message);
    return false;
  }
  if (hasGoneBack(state, message)) {
    state.lost = true;
    return false;
  }
  if (state.termLeader !== from || boot > state.termLeaderBoot) {
    state.termLeader = from;
    state.termLeaderBoot = boot;
    state.hardStateChanged = true;
  }
  if (state.role.type !== 'follower') becomeFollower(state, state.term, from);
  state.leader = from;
  state.leaderContact = state.now;
  if (state.suspicion) {
    // A leader has come forward: no campaign is needed. A check of this very leader goes on, since
    // that it reaches us does not show that a quorum confirms it.
    state.suspicion.campaignAt = null;
    if (state.suspicion.check?.leader !== from) state.suspicion = null;
  }
  state.leftWork = false;
  state.lagAt = null;
  state.lagAttempts = 0;
  return true;
}

/**
 * This member has said more than it knows: its storage went back in time, or this is not its newest
 * life. Either way it may vote and acknowledge nothing (consensus-rules.md 3; design.md section 4).
 */
function hasGoneBack({ boot, log }: State, { knownBoot, knownMatch }: FromLeader): boolean {
  return knownBoot > boot || knownMatch > log.lastIndex;
}

/**
 * A new life of this term's leader whose log began shorter than what an earlier life of it has
 * sent: its storage has gone back in time, and it would write other entries under the same indexes
 * and term (consensus-rules.md 13). Its first append shows it, however much it has written since.
 */
export function refuseLostLeader(state: State, message: LeaderMessage): boolean {
  const { log, term } = state;
  const { from, boot, barrier } = message;
  const newLife = state.termLeader === from && boot > state.termLeaderBoot;
  if (!newLife || log.lastTerm !== term || log.lastIndex <= barrier) return false;
  refuse(state, message, true);
  return true;
}

function checkEntries({ prevIndex, prevTerm, entries, term }: Message & Append): void {
  let index = prevIndex;
  let entryTerm = prevTerm;
  for (const entry of entries) {
    invariant(entry.index === index + 1, 'append: entries are contiguous');
    invariant(entry.term >= entryTerm && entry.term <= term, 'append: terms do not decrease');
    index = entry.index;
    entryTerm = entry.term;
  }
}

/** Keeps what matches; removes only what conflicts: a late, short append never shortens the log. */
function appendNew(state: State, entries: readonly Entry[]): void {
  const { log } = state;
  let skip = 0;
  for (const entry of entries) {
    if (entry.index > state.commit && !log.matches(entry.index, entry.term)) break;
    skip += 1;
  }
  const fresh = entries.slice(skip);
  const first = fresh[0];
  if (!first) return;
  if (first.index <= log.lastIndex) {
    invariant(first.index > state.commit, 'a committed entry never changes');
    log.truncate(first.index);
    rollBackConfigurations(state, first.index);
  }
  log.append(fresh);
  adoptConfigurations(state, fresh);
}

/** A configuration counts from when it is appended (thesis 4.1). */
export function adoptConfigurations(state: State, entries: readonly Entry[]): void {
  for (const { index, payload } of entries) {
    if (payload.type === 'configuration')
      state.configurations.push({ index, configuration: payload.configuration });
  }
}

function rollBackConfigurations(state: State, from: LogIndex): void {
  while ((state.configurations.at(-1)?.index ?? 0) >= from) state.configurations.pop();
  configurationOf(state);
}

interface ReplyFacts {
  readonly ok: boolean;
  readonly index: LogIndex;
  readonly hint: { readonly index: LogIndex; readonly term: number };
  readonly readPosition: ReadPosition;
  readonly leaderLostEntries?: boolean;
}

function reply(state: State, to: { from: MemberId; boot: number }, facts: ReplyFacts): void {
  send(state, to.from, {
    type: 'appendReply',
    ok: facts.ok,
    index: facts.index,
    hintIndex: facts.hint.index,
    hintTerm: facts.hint.term,
    commit: state.commit,
    toBoot: to.boot,
    readPosition: facts.readPosition,
    lastIndex: state.log.lastIndex,
    lastTerm: state.log.lastTerm,
    leaderLostEntries: facts.leaderLostEntries ?? false,
    canApply: state.canLead,
  });
}

/** The logs agree up to `index`: what a snapshot would bring is here already. */
export function answerLeader(state: State, message: LeaderMessage, index: LogIndex): void {
  const { readPosition } = message;
  reply(state, message, { ok: true, index, hint: { index: 0, term: 0 }, readPosition });
}

/** A message of an older term: the reply shows its sender the newer one. It confirms no read. */
export function answerOldLeader(state: State, message: LeaderMessage): void {
  refuse(state, message, false);
}

/**
 * A message of an older life of its sender than one already heard of. Mostly it is late, and its sender lives no more.
 * But a leader whose storage went back in time begins lives under numbers that it has used up: it would be ignored
 * here for ever, and learns by this answer what it is (consensus-rules.md 13).
 */
export function answerOlderLife(state: State, message: Message): void {
  if (message.type === 'append' || message.type === 'snapshot') refuse(state, message, true);
}

function refuse(state: State, message: LeaderMessage, leaderLostEntries: boolean): void {
  const index = message.type === 'append' ? message.prevIndex : message.snapshot.index;
  const hint = { index: 0, term: 0 };
  reply(state, message, { ok: false, index, hint, readPosition: 0, leaderLostEntries });
}
