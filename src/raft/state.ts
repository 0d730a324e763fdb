/**
 * The state of one member's core, and the few helpers that every part of it needs.
 *
 * The parts (election, follower, replication, reads, suspicion, deadlines) are modules of
 * functions over this state; RaftCore in core.ts is their only door.
 */

import type { Configuration } from './configuration.ts';
import { isMember, isVoter } from './configuration.ts';
import { RaftLog } from './log.ts';
import type { Progress } from './progress.ts';
import type {
  Body,
  Boot,
  BootState,
  Entry,
  HardState,
  LogIndex,
  LogReader,
  MemberId,
  Message,
  Millis,
  ReadPosition,
  ReceivedChunk,
  SnapshotMeta,
  Term,
} from './types.ts';
import { invariant } from './types.ts';

/** Times in milliseconds, sizes in bytes. `defaultSettings` says what each is for. */
export interface Settings {
  readonly electionTimeoutMs: number;
  readonly retransmitMs: number;
  readonly retransmitMaxMs: number;
  readonly checkTimeoutMs: number;
  readonly staggerMs: number;
  readonly commitNoticeMs: number;
  readonly readSpacingMs: number;
  readonly suspicionTtlMs: number;
  readonly repairAfterMs: number;
  readonly lagAttemptsMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  readonly appendBytesMax: number;
  readonly appendEntriesMax: number;
  readonly uncommittedBytesMax: number;
  readonly committedBytesMax: number;
  readonly committedEntriesMax: number;
  readonly pendingReadsMax: number;
  readonly readTimeoutMs: number;
  readonly readRequestsMax: number;
  readonly snapshotIdleMs: number;
  readonly promotionLagMax: number;
  readonly membersMax: number;
  readonly offerAfterMs: number;
}

export const defaultSettings: Settings = {
  /** Trust in a silent leader, patience with an unfinished election: drawn from [T, 2T). */
  electionTimeoutMs: 500,
  /** First retransmission of an unanswered message; doubles up to the maximum. */
  retransmitMs: 150,
  retransmitMaxMs: 1_000,
  /** How long a suspected leader has to show that a quorum confirms it. */
  checkTimeoutMs: 300,
  /** The first campaign of the n-th voter waits n times this, so that two rarely collide. */
  staggerMs: 100,
  /** The last commit of a burst is told this much later, so that the next append can carry it. */
  commitNoticeMs: 20,
  /** A read round starts at once when none is under way, else this long after the last one. */
  readSpacingMs: 5,
  /** A suspicion that nobody renews is given up after this. */
  suspicionTtlMs: 10_000,
  /** A follower that is silent for this long no longer keeps the leader awake. */
  repairAfterMs: 10_000,
  /** Attempts (at doubling intervals) of a member with an uncommitted tail to have it resolved. */
  lagAttemptsMax: 6,
  inflightMessagesMax: 4,
  inflightBytesMax: 4 * 1024 * 1024,
  appendBytesMax: 1024 * 1024,
  appendEntriesMax: 256,
  uncommittedBytesMax: 8 * 1024 * 1024,
  committedBytesMax: 4 * 1024 * 1024,
  committedEntriesMax: 256,
  pendingReadsMax: 10_000,
  /** A follower's read that the leader has not answered by then is dropped, and it is suspected. */
  readTimeoutMs: 1_000,
  /** Requests of one follower that are under way together; the leader remembers twice as many. */
  readRequestsMax: 4,
  /** An open snapshot of which no chunk was acknowledged for so long is dropped. */
  snapshotIdleMs: 300_000,
  /** Entries that a learner may lack and still become a voter. */
  promotionLagMax: 1_000,
  /** Voters and learners together. */
  membersMax: 16,
  /** Quiet before a leader offers its place to a preferred voter. */
  offerAfterMs: 500,
};

export interface Follower {
  readonly type: 'follower';
}

/** Both kinds of candidate: `votes` of this round, and when the round has failed. */
export interface Candidate {
  readonly type: 'preCandidate' | 'candidate';
  readonly votes: Map<MemberId, boolean>;
  /** Where the logs of those end that have voted for this member. */
  readonly ends: Map<MemberId, { readonly index: LogIndex; readonly term: Term }>;
  readonly deadline: Millis;
}

export interface Leader {
  readonly type: 'leader';
  /** Reads wait until the commit index reaches this: everything that an earlier leader, or an
   * earlier life of this one, may have committed (thesis 6.4; design.md section 6). */
  readonly barrier: LogIndex;
  /** Its own entries, until a quorum has answered this life; null: it has (consensus-rules.md 13). */
  withheld: Entry[] | null;
  /** The other members. */
  readonly progress: Map<MemberId, Progress>;
  /** A leader that resumed its term stays silent until somebody needs it. */
  awake: boolean;
  readPosition: ReadPosition;
  /** Whether any message has carried readPosition: then the next read needs a new one. */
  positionSent: boolean;
  /** Reads in order of position, waiting for confirmation and for the barrier. */
  pendingReads: PendingRead[];
  uncommittedBytes: number;
  /** When work that needs a quorum began, or last moved on; null when there is none. */
  quorumSince: Millis | null;
  /** When to tell the followers the final commit of a burst; null: nothing to tell. */
  noticeAt: Millis | null;
  transfer: Transfer | null;
  /** When leadership is offered to a preferred voter, if nothing happens until then. */
  offerAt: Millis | null;
}

/** Leadership on its way to another voter; no proposals are taken meanwhile (thesis 3.10). */
export interface Transfer {
  readonly to: MemberId;
  /** Given up then: this leader goes on. */
  readonly deadline: Millis;
  sent: boolean;
}

export type Role = Follower | Candidate | Leader;

export interface PendingRead {
  readonly position: ReadPosition;
  /** Commit index when the read came; null until the barrier was reached. */
  index: LogIndex | null;
  /** The member whose own request confirms this read (and no other); null for a local read. */
  readonly requester: { readonly id: MemberId; readonly boot: Boot } | null;
  readonly id: number;
}

/** Somebody needs the leader and could not reach it (design.md section 6). */
export interface Suspicion {
  /** Given up then, unless it is renewed. */
  until: Millis;
  /** The readRequest under way that tests the leader. */
  check: {
    readonly id: number;
    readonly leader: MemberId;
    deadline: Millis;
    repeated: boolean;
  } | null;
  /** The last check that got no answer in time. */
  lateCheck: { readonly id: number; readonly leader: MemberId } | null;
  campaignAt: Millis | null;
  /** Later campaigns are spread at random, the first by rank. */
  campaigns: number;
  /** Other leaders that refusals have named and that were checked: bounded. */
  hintsFollowed: number;
  /** A candidate counts on this member's vote, and has the shorter log. */
  isAskedAsVoter: boolean;
}

/** Linearizable reads at a member that does not lead (design.md section 3). */
export interface RemoteReads {
  /** Waiting for the next request. */
  queue: number[];
  /** Each stands for the reads that came before it was sent, and for no other. */
  requests: RemoteRead[];
  lastSentAt: Millis;
}

export interface RemoteRead {
  readonly id: number;
  readonly reads: readonly number[];
  readonly leader: MemberId;
  readonly sentAt: Millis;
  repeated: boolean;
}

export interface State {
  readonly self: MemberId;
  readonly boot: Boot;
  readonly settings: Settings;
  /** Uniform in [0, 1), seeded by the host. */
  readonly random: () => number;
  readonly log: RaftLog;
  now: Millis;

  term: Term;
  vote: MemberId | null;
  /** Who leads this term, for ever true once known; `leader` is whom this life follows now. */
  termLeader: MemberId | null;
  termLeaderBoot: Boot;
  leader: MemberId | null;
  hardStateChanged: boolean;

  role: Role;
  commit: LogIndex;
  /** Handed out for applying up to here. */
  handedOut: LogIndex;
  applied: LogIndex;

  configurations: { index: LogIndex; configuration: Configuration }[];
  /** False once this member cannot apply: then it must not lead (consensus-rules.md 8). */
  canLead: boolean;
  /** Highest boot seen of each sender in this life. */
  readonly boots: Map<MemberId, Boot>;

  /** Last message of the leader of this term; -Infinity: none in this life. */
  leaderContact: Millis;
  suspicion: Suspicion | null;
  readonly remoteReads: RemoteReads;
  /** Ids of read requests, checks included; they begin anew with each boot (rule 10). */
  nextRequestId: number;
  /** Who should lead, best first; those not named come after, in the configuration's order. */
  preferred: readonly MemberId[];
  /** Those that leadership was offered to, once each in a life: members whose orders differ would
   * pass it around for ever. */
  readonly offered: Set<MemberId>;
  /** The snapshot that is open for followers, and when something of it was last acknowledged. */
  snapshot: SnapshotMeta | null;
  snapshotTouchedAt: Millis;
  receiving: { readonly id: string; readonly cursor: string } | null;
  /** This storage has gone back in time: this life may say nothing any more. */
  lost: boolean;
  /** It led, and some member lacked something then: that nobody else knows, but who leads next finds out. */
  leftWork: boolean;
  /** While last > commit at a follower, or work was left: when to look for a leader, and how often it was. */
  lagAt: Millis | null;
  lagAttempts: number;

  // Collected for the next take().
  messages: Message[];
  reads: { id: number; index: LogIndex }[];
  droppedReads: number[];
  chunks: ReceivedChunk[];
  wantsSnapshot: boolean;
  closesSnapshot: boolean;
  abandonsReception: boolean;
  /** Committed and without this member; null: nothing says so. What names it again behind that may still come. */
  removal: Removal | null;
}

/** What is committed up to `index`, an entry of at least that term, is without this member. */
export interface Removal {
  readonly index: LogIndex;
  readonly indexTerm: Term;
}

export interface CoreConfig {
  readonly self: MemberId;
  readonly bootState: BootState;
  readonly log: LogReader;
  readonly settings?: Partial<Settings>;
}

export function newState(config: CoreConfig, boot: Boot, random: () => number, now: Millis): State {
  const { bootState } = config;
  invariant(bootState.configurations.length > 0, 'boot: a configuration is known');
  return {
    self: config.self,
    boot,
    settings: { ...defaultSettings, ...config.settings },
    random,
    log: new RaftLog(bootState, config.log),
    now,
    ...bootState.hardState,
    leader: null,
    hardStateChanged: false,
    role: { type: 'follower' },
    commit: bootState.applied,
    handedOut: bootState.applied,
    applied: bootState.applied,
    configurations: [...bootState.configurations],
    canLead: bootState.canApply,
    boots: new Map(),
    leaderContact: Number.NEGATIVE_INFINITY,
    suspicion: null,
    remoteReads: { queue: [], requests: [], lastSentAt: Number.NEGATIVE_INFINITY },
    nextRequestId: 1,
    preferred: [],
    offered: new Set(),
    snapshot: bootState.snapshot,
    snapshotTouchedAt: now,
    receiving: bootState.receiving,
    lost: false,
    leftWork: false,
    lagAt: null,
    lagAttempts: 0,
    messages: [],
    reads: [],
    droppedReads: [],
    chunks: [],
    wantsSnapshot: false,
    closesSnapshot: false,
    abandonsReception: false,
    removal: null,
  };
}

/** The newest configuration in the log counts from when it is appended (thesis 4.1). */
export function configurationOf(state: State): Configuration {
  const newest = state.configurations.at(-1);
  invariant(newest !== undefined, 'a configuration is known');
  return newest.configuration;
}

/**
 * A voter; also one whose removal is in its log and not known to be committed, and one that
 * somebody takes for a voter although it does not know it. It may hold what nobody else does, and
 * without its candidacy the others could be stuck (thesis 4.2.2). Leading, it hands over.
 */
export function mayCampaign({ canLead, configurations, suspicion, self }: State): boolean {
  if (!canLead) return false;
  if (suspicion?.isAskedAsVoter) return true;
  return configurations.some(({ configuration }) => isVoter(configuration, self));
}

export function send(state: State, to: MemberId, body: Body): void {
  if (to === state.self) return;
  state.messages.push({ from: state.self, to, boot: state.boot, term: state.term, ...body });
}

export function hardStateOf(state: State): HardState {
  const { term, vote, termLeader, termLeaderBoot } = state;
  return { term, vote, termLeader, termLeaderBoot };
}

export function randomElectionTimeout(state: State): number {
  return Math.floor(state.settings.electionTimeoutMs * (1 + state.random()));
}

/** A leader's silence is not its death: it is trusted for one election timeout after contact. */
export function trustsLeader(state: State): boolean {
  return (
    state.leader !== null && state.now - state.leaderContact < state.settings.electionTimeoutMs
  );
}

export function setCommit(state: State, index: LogIndex): boolean {
  if (index <= state.commit) return false;
  invariant(index <= state.log.lastIndex, 'commit is within the log');
  state.commit = index;
  forgetOldConfigurations(state);
  return true;
}

/**
 * Only the newest committed configuration and what may still be rolled back is kept. Passing one
 * that no longer names this member, although the one before it did, means that it is removed: a
 * new member that reads an old log meets configurations without itself, but none with it before.
 */
function forgetOldConfigurations(state: State): void {
  const { configurations, commit, self } = state;
  for (let next = configurations[1]; next && next.index <= commit; next = configurations[1]) {
    const before = configurations.shift();
    if (before && isMember(before.configuration, self) && !isMember(next.configuration, self))
      noteRemoval(state, { index: next.index, indexTerm: 0 });
  }
}

export function noteRemoval(state: State, removal: Removal): void {
  if (removal.index >= (state.removal?.index ?? 0)) state.removal = removal;
}

/**
 * One that is named again further on has acknowledged that perhaps, and stays. So this is asked at the end of a
 * turn: one message may tell of the removal, and the next one bring what this turn acknowledges as a member.
 */
export function hasBeenRemoved(state: State): boolean {
  return state.removal !== null && !isNamedAfter(state, state.removal);
}

/**
 * The log names this member behind its removal. Not by an entry of an older term than the committed one
 * before it: that one no leader has any more. What is compacted away was committed, whatever its term.
 */
function isNamedAfter({ configurations, self, log }: State, removal: Removal): boolean {
  return configurations.some(
    (one) =>
      one.index > removal.index &&
      (log.term(one.index) ?? Number.POSITIVE_INFINITY) >= removal.indexTerm &&
      isMember(one.configuration, self),
  );
}

/** The newest configuration is simple and committed: nothing is under way. */
export function isSettled(state: State): boolean {
  const newest = state.configurations.at(-1);
  return newest?.configuration.outgoing.length === 0 && newest.index <= state.commit;
}

/** Place of a voter among those that should lead: the preferred first, then by configuration. */
export function rankOf(state: State, id: MemberId): number {
  const { voters } = configurationOf(state);
  const preferred = state.preferred.filter((name) => voters.includes(name));
  const at = preferred.indexOf(id);
  if (at !== -1) return at;
  const others = voters.filter((name) => !preferred.includes(name));
  return preferred.length + Math.max(0, others.indexOf(id));
}
