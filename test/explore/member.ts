/**
 * One member between two turns, and what a turn of the real core makes of it.
 *
 * A turn is one input, take() and the writes, as one step: take() is the point of durability
 * (docs/decisions/core.md), and the output gate holds messages back until the writes are durable.
 * What a turn must never do, whatever the others do, is checked here.
 */
import type { Configuration } from '../../src/raft/configuration.ts';
import { RaftCore } from '../../src/raft/core.ts';
import { joinEffects } from '../../src/raft/effects.ts';
import type { State } from '../../src/raft/state.ts';
import type { Boot, Effects, Entry, LogIndex, MemberId, Message } from '../../src/raft/types.ts';
import { stateOf } from '../raft/support/checks.ts';
import { type Codec, encode, flag, member, oneOf, record, union } from './codec.ts';
import * as fields from './fields.ts';

/** Has left for good: a removed member's tombstone. */
export interface Gone {
  readonly type: 'gone';
  readonly self: MemberId;
}

export interface Living {
  readonly type: 'living';
  readonly founding: Configuration;
  /** The number of this life is durable; it is written with the first message. */
  readonly bootSaved: boolean;
  /** After a turn nothing in it is more than what is durable, so storage is not a second copy. */
  readonly state: State;
}

export type Member = Gone | Living;

/** Needs the time that it was taken at: encode(memberCodec, member, renaming, state.now). */
export const memberCodec: Codec<Member> = union<Member>({
  gone: record({ type: oneOf('gone'), self: member }),
  living: record({
    type: oneOf('living'),
    founding: fields.configuration,
    bootSaved: flag,
    state: fields.state,
  }),
});

/** Effects: taken already, they belong to the same turn. A boolean: whether it was accepted. */
export type Input = (core: RaftCore) => Effects | boolean | null;

export interface Turn {
  readonly next: Member;
  readonly accepted: boolean;
  readonly messages: readonly Message[];
  /** What this turn learned to be committed. */
  readonly committed: readonly Entry[];
  readonly granted: readonly { readonly id: number; readonly index: LogIndex }[];
  readonly dropped: readonly number[];
}

export class Violation extends Error {}

export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Violation(message);
}

/** As the host does it: what the first take() commits may make room for the write. */
export function proposing(data: number): Input {
  return (core) => {
    const effects = core.take();
    core.propose(Uint8Array.of(data), 0);
    return effects;
  };
}

export function coreOf(state: State): RaftCore {
  return Object.assign(Object.create(RaftCore.prototype) as RaftCore, { state });
}

/** Memory is lost; what is durable begins a new life. */
export function newLife({ founding, bootSaved, state }: Living): Living {
  const entries = fields.entriesOf(state.log);
  const configurations = [{ index: 0, configuration: founding }];
  for (const { index, payload } of entries)
    if (payload.type === 'configuration')
      configurations.push({ index, configuration: payload.configuration });
  const { term, vote, termLeader, termLeaderBoot, applied } = state;
  const bootState = {
    hardState: { term, vote, termLeader, termLeaderBoot },
    logStart: { index: 0, term: 0 },
    last: { index: state.log.lastIndex, term: state.log.lastTerm },
    applied,
    configurations: configurations.slice(-2),
    snapshot: null,
    receiving: null,
    canApply: true,
  };
  const log = {
    term: (index: LogIndex) => (index === 0 ? 0 : entries[index - 1]?.term),
    entries: (from: LogIndex, to: LogIndex) => entries.slice(from - 1, to),
  };
  const config = { self: state.self, bootState, log, settings: fields.settings };
  const core = new RaftCore(config, durableBoot(bootSaved, state) + 1, fields.random, 0);
  return { type: 'living', founding, bootSaved: false, state: stateOf(core) };
}

function durableBoot(bootSaved: boolean, { boot }: State): Boot {
  return bootSaved ? boot : boot - 1;
}

/** When time next makes a difference: a deadline, or the end of trust in a silent leader. */
export function nextTime(state: State): number | null {
  const due = coreOf(state).nextDeadline();
  const trusts = state.role.type !== 'leader' && state.leader !== null;
  const trustEnds = state.leaderContact + fields.settings.electionTimeoutMs;
  if (!trusts || trustEnds <= state.now) return due;
  return due === null ? trustEnds : Math.min(due, trustEnds);
}

/** Changes `living.state`; throws a Violation, or the core's own error. */
export function takeTurn(living: Living, input: Input): Turn {
  const { state, founding } = living;
  const core = coreOf(state);
  const before = { ...state, role: state.role.type, log: fields.entriesOf(state.log) };
  const answer = input(core);
  const last = core.take();
  const effects = answer !== null && typeof answer === 'object' ? joinEffects(answer, last) : last;
  assert(!effects.lost, 'it takes itself for lost, and no storage went back in time');
  checkWrites(before, state, effects);
  for (const { index, term } of effects.committed) {
    assert(index === state.applied + 1, `it applies ${index} after ${state.applied}`);
    assert(state.log.term(index) === term, `it applies an entry ${index} that it does not hold`);
    core.applied(index);
  }
  checkState(before, state);
  for (const message of effects.messages) checkMessage(state, message);
  const bootSaved = living.bootSaved || effects.messages.length > 0;
  const next: Member = effects.removed
    ? { type: 'gone', self: state.self }
    : { type: 'living', founding, bootSaved, state };
  return {
    next,
    accepted: answer === true,
    messages: effects.messages,
    committed: fields.entriesOf(state.log).slice(before.commit, state.commit),
    granted: effects.reads,
    dropped: effects.droppedReads,
  };
}

type Before = Omit<State, 'log' | 'role'> & { readonly role: string; readonly log: Entry[] };

/** What is durable after the turn is what the core holds, and a vote never changes in its term. */
function checkWrites(before: Before, state: State, effects: Effects): void {
  const { hardState, truncateFrom, append } = effects;
  const durable = hardState ?? before;
  assert(durable.term >= before.term, 'the durable term fell');
  assert(
    durable.term > before.term || before.vote === null || durable.vote === before.vote,
    `it voted twice in term ${before.term}`,
  );
  assert(
    durable.term === state.term &&
      durable.vote === state.vote &&
      durable.termLeader === state.termLeader &&
      durable.termLeaderBoot === state.termLeaderBoot,
    'its term, vote or mark is not durable',
  );
  const log = truncateFrom === null ? [...before.log] : before.log.slice(0, truncateFrom - 1);
  log.push(...append);
  const held = fields.entriesOf(state.log);
  assert(
    log.length === held.length && log.every((entry, at) => sameEntry(entry, held[at])),
    'its log is not what is durable',
  );
  if (before.role === 'leader' && state.role.type === 'leader' && before.term === state.term)
    assert(truncateFrom === null, 'a leader overwrote its log');
}

function checkState(before: Before, state: State): void {
  const { commit, applied, log, role } = state;
  assert(commit >= before.commit, 'the commit index fell');
  assert(commit <= log.lastIndex, 'the commit index is beyond the log');
  assert(applied <= commit, 'it applied what it does not know to be committed');
  if (role.type !== 'leader') return;
  for (const { match, next } of role.progress.values()) {
    assert(match < next, 'match < next');
    assert(match <= log.lastIndex, 'match is beyond the log');
  }
}

/** Nothing is said that is not durable. */
function checkMessage({ term, vote, log }: State, message: Message): void {
  if (message.type === 'voteReply' && message.granted)
    assert(
      message.requestTerm < term || vote === message.to,
      'it granted a vote that is not durable',
    );
  // In a turn that went on to a newer term the end of the log may be gone again.
  if (message.type === 'appendReply' && message.ok && message.term === term)
    assert(message.index <= log.lastIndex, 'it acknowledged what it does not hold');
}

export function sameEntry(one: Entry, other: Entry | undefined): boolean {
  if (one === other) return true;
  if (!other || one.index !== other.index || one.term !== other.term) return false;
  return encode(fields.entry, one) === encode(fields.entry, other);
}
