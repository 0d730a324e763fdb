/**
 * What goes into the core and what comes out of it: identities, entries, messages, effects.
 *
 * Everything here is plain data. The core imports nothing, so these types are also the boundary
 * at which the host translates its wire and storage forms.
 */
import type { Configuration } from './configuration.ts';

/** A member is the pair (place, incarnation), as one opaque string given by the host. */
export type MemberId = string & { readonly __brand: 'MemberId' };

// Flavoured numbers: arithmetic gives a plain number, which fits any of them, but a Term variable
// is not accepted where a LogIndex is asked for.
export type Term = number & { readonly __flavour?: 'term' };
export type LogIndex = number & { readonly __flavour?: 'index' };
/** One more with each life of a member; durable before the first message of that life. */
export type Boot = number & { readonly __flavour?: 'boot' };
/** Milliseconds of the host's clock. Only differences are used. */
export type Millis = number & { readonly __flavour?: 'millis' };
/** Counts the read rounds of one life of a leader. */
export type ReadPosition = number & { readonly __flavour?: 'position' };

export type Payload =
  | { readonly type: 'noop' }
  | { readonly type: 'data'; readonly data: Uint8Array }
  | { readonly type: 'configuration'; readonly configuration: Configuration };

export interface Entry {
  readonly index: LogIndex;
  readonly term: Term;
  readonly payload: Payload;
}

/**
 * What must survive, as one row: the term, the vote in it, and the mark of the term's leader with
 * the highest boot seen of it (consensus-rules.md 13).
 */
export interface HardState {
  readonly term: Term;
  readonly vote: MemberId | null;
  readonly termLeader: MemberId | null;
  readonly termLeaderBoot: Boot;
}

export interface PreVote {
  readonly type: 'preVote';
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}
export interface Vote {
  readonly type: 'vote';
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}
export interface VoteReply {
  readonly type: 'preVoteReply' | 'voteReply';
  readonly granted: boolean;
  /** Boot of the candidate that asked. */
  readonly toBoot: Boot;
  /** Term of the request (a pre-vote asks for requestTerm + 1). */
  readonly requestTerm: Term;
  /** With a refusal: the leader that the voter trusts. */
  readonly leader: MemberId | null;
}
export interface Append {
  readonly type: 'append';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
  readonly readPosition: ReadPosition;
  /** Where the leader's log ended when this life of it began to lead. */
  readonly barrier: LogIndex;
}
export interface AppendReply {
  readonly type: 'appendReply';
  readonly ok: boolean;
  /** ok: last index known to match. Refused: the prevIndex that did not match. */
  readonly index: LogIndex;
  /** Refused: the highest index where the logs may agree, and the term there. */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
  readonly commit: LogIndex;
  readonly toBoot: Boot;
  readonly readPosition: ReadPosition;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  /** Refused because the follower holds entries of this term that its leader has lost. */
  readonly leaderLostEntries: boolean;
}
export interface ReadRequest {
  readonly type: 'readRequest';
  readonly id: number;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}
export interface ReadReply {
  readonly type: 'readReply';
  readonly id: number;
  readonly toBoot: Boot;
  readonly index: LogIndex;
  readonly indexTerm: Term;
  readonly refused: boolean;
}

export type Body = PreVote | Vote | VoteReply | Append | AppendReply | ReadRequest | ReadReply;

/** `term` is the sender's current term, in a pre-vote too (it asks for term + 1). */
export type Message = {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly boot: Boot;
  readonly term: Term;
} & Body;

/**
 * What the host must do, in this order and in one turn: make hardState, truncateFrom and append
 * durable, apply what is committed, then send and answer. take() counts the appended entries as
 * held by this member, so nothing of it may become visible before it is durable (thesis 3.8).
 */
export interface Effects {
  hardState: HardState | null;
  /** Delete the entries from this index on, before appending. */
  truncateFrom: LogIndex | null;
  append: Entry[];
  messages: Message[];
  /** Next entries to apply, in order, without gap; bounded per turn. */
  committed: Entry[];
  /** Reads that may be served once `index` is applied. */
  reads: { id: number; index: LogIndex }[];
  /** Reads that this member cannot serve any more; ask the new leader. */
  droppedReads: number[];
}

/** Synchronous view of the durable log, for what the core does not keep in memory. */
export interface LogReader {
  /** Term at an index in the stored range; undefined outside it. */
  term(index: LogIndex): Term | undefined;
  /** Entries from `from` on, at least one, at most `maxCount`, together about `maxBytes`. */
  entries(from: LogIndex, to: LogIndex, maxBytes: number, maxCount: number): Entry[];
}

/** What storage holds when a life begins. */
export interface BootState {
  readonly hardState: HardState;
  /** Index and term just before the first stored entry (0, 0 in an uncompacted log). */
  readonly logStart: { readonly index: LogIndex; readonly term: Term };
  readonly last: { readonly index: LogIndex; readonly term: Term };
  /** Everything up to here is applied, hence committed. */
  readonly applied: LogIndex;
  /** Newest configuration and where in the log it stands, and the one before it if uncommitted. */
  readonly configurations: readonly {
    readonly index: LogIndex;
    readonly configuration: Configuration;
  }[];
}

export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new RaftInvariantError(message);
}

/** A broken invariant: the host must stop this life (fail-stop). */
export class RaftInvariantError extends Error {
  override readonly name = 'RaftInvariantError';
}

export function unreachable(value: never): never {
  throw new RaftInvariantError(`unexpected case: ${JSON.stringify(value)}`);
}
