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
  /** The leader itself has asked for this election: its being alive is no reason to refuse. */
  readonly transfer: boolean;
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
  /** Where the voter's log ends. */
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
}
/** What every message of a leader says besides its business. */
export interface FromLeader {
  readonly readPosition: ReadPosition;
  /** Where the leader's log ended when this life of it began to lead. */
  readonly barrier: LogIndex;
  /** Highest boot that the leader has seen of the target: one that has less is not the newest life,
   * or its storage went back in time. */
  readonly knownBoot: Boot;
  /** Highest index that the target acknowledged in this term: one that has less has lost entries. */
  readonly knownMatch: LogIndex;
}
export interface Append extends FromLeader {
  readonly type: 'append';
  readonly prevIndex: LogIndex;
  readonly prevTerm: Term;
  readonly entries: readonly Entry[];
  readonly commit: LogIndex;
}
/** One chunk of a snapshot. The core names it; the host adds the content in the sending turn. */
export interface Snapshot extends FromLeader {
  readonly type: 'snapshot';
  readonly snapshot: SnapshotMeta;
  /** Where the chunk begins: '' or the `next` of the chunk before it. */
  readonly cursor: string;
  /** null: not filled yet, or it cannot be taken now. */
  readonly chunk: Chunk | null;
}
export interface SnapshotReply {
  readonly type: 'snapshotReply';
  readonly id: string;
  /** The chunk that the receiver wants now. */
  readonly cursor: string;
  readonly toBoot: Boot;
  readonly readPosition: ReadPosition;
}
/** The leader asks the target to campaign at once (thesis 3.10). */
export interface TimeoutNow {
  readonly type: 'timeoutNow';
}
/** A member that cannot campaign suspects the leader: let a voter look (consensus-rules.md 12). */
export interface SuspicionNotice {
  readonly type: 'suspicion';
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
  /** False: the sender cannot apply what is committed, so it must neither lead nor be promoted. */
  readonly canApply: boolean;
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
  /** Not refused: the asker belongs to the group no more, for certain. */
  readonly removed: boolean;
  /** Refused: whom the asked member follows. */
  readonly leader: MemberId | null;
}

export type Body =
  | PreVote
  | Vote
  | VoteReply
  | Append
  | AppendReply
  | Snapshot
  | SnapshotReply
  | ReadRequest
  | ReadReply
  | TimeoutNow
  | SuspicionNotice;

/** `term` is the sender's current term, in a pre-vote too (it asks for term + 1). */
export type Message = {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly boot: Boot;
  readonly term: Term;
} & Body;

/**
 * What the host must do, in this order and in one turn: make hardState, chunks, truncateFrom and
 * append durable, apply what is committed, then send and answer. take() counts the appended entries as
 * held by this member, so nothing of it may become visible before it is durable (thesis 3.8).
 */
export interface Effects {
  /** This member's storage has gone back in time: mark it in this turn and end this life. Nothing
   * else stands in the effects then. */
  lost: boolean;
  hardState: HardState | null;
  /** Chunks to store, in order, before the log is touched. */
  chunks: ReceivedChunk[];
  /** What was received of a snapshot is needed no more: appends have come further. */
  abandonReception: boolean;
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
  /** Open a snapshot of the applied state and say so with snapshotOpened(). */
  openSnapshot: boolean;
  /** Nobody needs the open snapshot any more. */
  closeSnapshot: boolean;
  /** This member is removed, and that is committed: leave a tombstone after this turn. */
  removed: boolean;
}

/** What a snapshot of the state machine stands for: everything up to `index`. */
export interface SnapshotMeta {
  /** Made by the host, unique: chunks of two snapshots are never mixed. */
  readonly id: string;
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
}

export interface Chunk {
  readonly data: Uint8Array;
  /** Cursor of the chunk after this one; null: this is the last. */
  readonly next: string | null;
}

export interface ReceivedChunk extends Chunk {
  readonly id: string;
  /** Forget what an earlier reception has left. */
  readonly first: boolean;
  /** With the last chunk: switch to it and reset the log, in this turn. */
  readonly install: SnapshotMeta | null;
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
  /** The snapshot that this member has open for others. */
  readonly snapshot: SnapshotMeta | null;
  /** How far it has received one. */
  readonly receiving: { readonly id: string; readonly cursor: string } | null;
  /** False: the log ends with entries that this code cannot apply. */
  readonly canApply: boolean;
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
