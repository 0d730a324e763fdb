/**
 * A codec for each type that is part of the search, field by field.
 *
 * A field that the core gets and that has no line here fails to compile, and fails at run time. A
 * time says after how long in the past it makes no difference any more, and why.
 */
import type { Configuration } from '../../src/raft/configuration.ts';
import { RaftLog } from '../../src/raft/log.ts';
import type { Progress } from '../../src/raft/progress.ts';
import type {
  Leader,
  PendingRead,
  RemoteRead,
  RemoteReads,
  Role,
  Settings,
  State,
  Suspicion,
  Transfer,
} from '../../src/raft/state.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import type { Entry, FromLeader, LogReader, Message, Payload } from '../../src/raft/types.ts';
import {
  always,
  byMember,
  type Codec,
  count,
  flag,
  list,
  member,
  memberList,
  memberSet,
  nullable,
  oneOf,
  record,
  time,
  union,
} from './codec.ts';

/**
 * Small times in the order of the real ones, so that few differ. No stagger: the order of members
 * in a configuration must not matter (README.md, Symmetry).
 */
export const settings: Settings = {
  ...defaultSettings,
  commitNoticeMs: 1,
  readSpacingMs: 1,
  retransmitMs: 2,
  retransmitMaxMs: 2,
  checkTimeoutMs: 3,
  electionTimeoutMs: 4,
  readTimeoutMs: 6,
  repairAfterMs: 8,
  suspicionTtlMs: 12,
  staggerMs: 0,
  lagAttemptsMax: 1,
  inflightMessagesMax: 2,
};

/** Randomness only spreads waits, and each member's clock runs by itself here. */
export const random = () => 0;

const data: Codec<Uint8Array> = {
  write: (writer, value) => writer.put(value[0] ?? 0),
  read: (reader) => Uint8Array.of(reader.take()),
};

export const configuration = record<Configuration>({
  voters: memberList,
  outgoing: memberList,
  learners: memberList,
});

const payload = union<Payload>({
  noop: record({ type: oneOf('noop') }),
  data: record({ type: oneOf('data'), data }),
  configuration: record({ type: oneOf('configuration'), configuration }),
});

export const entry = record<Entry>({ index: count, term: count, payload });
const entries = list(entry) as Codec<readonly Entry[]>;

const route = { from: member, to: member, boot: count, term: count };
const fromLeader: { [Key in keyof FromLeader]: Codec<number> } = {
  readPosition: count,
  barrier: count,
  knownBoot: count,
  knownMatch: count,
};
const voteReply = {
  ...route,
  granted: flag,
  toBoot: count,
  requestTerm: count,
  leader: nullable(member),
  lastIndex: count,
  lastTerm: count,
};
/** Logs are never compacted here, so nothing asks for a snapshot. */
const noSnapshot: Codec<never> = {
  write: () => {
    throw new Error('no snapshots in the model');
  },
  read: () => {
    throw new Error('no snapshots in the model');
  },
};

export const message = union<Message>({
  preVote: record({ type: oneOf('preVote'), ...route, lastIndex: count, lastTerm: count }),
  vote: record({
    type: oneOf('vote'),
    ...route,
    lastIndex: count,
    lastTerm: count,
    transfer: flag,
  }),
  preVoteReply: record({ type: oneOf('preVoteReply'), ...voteReply }),
  voteReply: record({ type: oneOf('voteReply'), ...voteReply }),
  append: record({
    type: oneOf('append'),
    ...route,
    ...fromLeader,
    prevIndex: count,
    prevTerm: count,
    entries,
    commit: count,
  }),
  appendReply: record({
    type: oneOf('appendReply'),
    ...route,
    ok: flag,
    index: count,
    hintIndex: count,
    hintTerm: count,
    commit: count,
    toBoot: count,
    readPosition: count,
    lastIndex: count,
    lastTerm: count,
    leaderLostEntries: flag,
    canApply: flag,
  }),
  snapshot: noSnapshot,
  snapshotReply: noSnapshot,
  readRequest: record({
    type: oneOf('readRequest'),
    ...route,
    id: count,
    lastIndex: count,
    lastTerm: count,
  }),
  readReply: record({
    type: oneOf('readReply'),
    ...route,
    id: count,
    toBoot: count,
    index: count,
    indexTerm: count,
    refused: flag,
    removed: flag,
    leader: nullable(member),
  }),
  timeoutNow: record({ type: oneOf('timeoutNow'), ...route }),
  suspicion: record({ type: oneOf('suspicion'), ...route }),
});

const never = 100;
/** A deadline is never left behind: it fires before time goes on. */
const deadline = time(never);

const candidate = {
  votes: byMember(flag),
  ends: byMember(record({ index: count, term: count })),
  deadline,
};

const progress = record<Progress>({
  state: oneOf('probe', 'replicate'),
  match: count,
  next: count,
  inflight: list(record({ lastIndex: count, bytes: count })),
  inflightBytes: count,
  probeSent: flag,
  chunk: nothing(),
  sentPosition: count,
  // Only asks whether the spacing has passed.
  positionSentAt: time(settings.readSpacingMs),
  ackedPosition: count,
  sentCommit: count,
  ackedCommit: count,
  // CheckQuorum looks back for one election timeout; only compaction looks further.
  repliedAt: time(settings.electionTimeoutMs),
  hasReplied: flag,
  waitingSince: nullable(time(settings.repairAfterMs)),
  // The wait for a retransmission does not grow here, so the round trip makes no difference.
  timedAt: given<number | null>(null),
  roundTripMs: given<number>(0),
  retransmitMs: always(
    () => settings.retransmitMs,
    (value) => value === settings.retransmitMs,
  ),
  retransmitAt: nullable(deadline),
  neededSinceSent: flag,
  onRepairList: flag,
  canApply: oneOf<boolean | null>(null, true),
  leaving: flag,
});

const pendingRead = record<PendingRead>({
  position: count,
  index: nullable(count),
  requester: nullable(record({ id: member, boot: count })),
  id: count,
});

const leader = record<Leader>({
  type: oneOf('leader'),
  barrier: count,
  withheld: nullable(list(entry)),
  progress: byMember(progress),
  awake: flag,
  readPosition: count,
  positionSent: flag,
  pendingReads: list(pendingRead),
  uncommittedBytes: count,
  // Longer ago than an election timeout: the contact with a quorum decides alone.
  quorumSince: nullable(time(settings.electionTimeoutMs)),
  noticeAt: nullable(deadline),
  transfer: nullable(record<Transfer>({ to: member, deadline, sent: flag })),
  offerAt: nullable(deadline),
});

const role = union<Role>({
  follower: record({ type: oneOf('follower') }),
  preCandidate: record({ type: oneOf('preCandidate'), ...candidate }),
  candidate: record({ type: oneOf('candidate'), ...candidate }),
  leader,
});

const suspicion = record<Suspicion>({
  until: deadline,
  check: nullable(record({ id: count, leader: member, deadline, repeated: flag })),
  lateCheck: nullable(record({ id: count, leader: member })),
  campaignAt: nullable(deadline),
  campaigns: count,
  hintsFollowed: count,
  isAskedAsVoter: flag,
});

const remoteReads = record<RemoteReads>({
  queue: list(count),
  requests: list(
    record<RemoteRead>({
      id: count,
      reads: list(count) as Codec<readonly number[]>,
      leader: member,
      sentAt: time(never),
      repeated: flag,
    }),
  ),
  lastSentAt: time(settings.readSpacingMs),
});

/** A log that is read back is all in memory, and all durable: so it is after every take(). */
const wholeLog: LogReader = {
  term: () => {
    throw new Error('the log is in memory');
  },
  entries: () => {
    throw new Error('the log is in memory');
  },
};

export const log: Codec<RaftLog> = {
  write(writer, value) {
    if (value.start.index !== 0 || value.stable !== value.lastIndex) throw new Error('log');
    entries.write(writer, entriesOf(value));
  },
  read(reader) {
    const value = emptyLog();
    value.append(entries.read(reader));
    value.stable = value.lastIndex;
    return value;
  },
};

function emptyLog(): RaftLog {
  const start = { index: 0, term: 0 };
  const boot = {
    ...{ hardState: { term: 0, vote: null, termLeader: null, termLeaderBoot: 0 }, applied: 0 },
    ...{ logStart: start, last: start, configurations: [], snapshot: null, receiving: null },
    canApply: true,
  };
  return new RaftLog(boot, wholeLog);
}

/** All of them: what is not in memory any more comes from the rows, in a slice of its own. */
export function entriesOf(value: RaftLog): Entry[] {
  const all: Entry[] = [];
  const { lastIndex } = value;
  while (all.length < lastIndex)
    all.push(...value.slice(all.length + 1, lastIndex, Number.POSITIVE_INFINITY, lastIndex));
  return all;
}

function nothing(): Codec<null> {
  return always<null>(
    () => null,
    (value) => value === null,
  );
}

/** Output of a turn: gone after its take(). */
function none<Item>(): Codec<Item[]> {
  return always<Item[]>(
    () => [],
    (value) => value.length === 0,
  );
}

function notSet(): Codec<boolean> {
  return always(
    () => false,
    (value) => !value,
  );
}

/** Not part of what a state is; the same for all of them. */
function given<Value>(value: Value): Codec<Value> {
  return always(
    () => value,
    () => true,
  );
}

const stateFields: { readonly [Key in keyof State]-?: Codec<State[Key]> } = {
  self: member,
  boot: count,
  settings: given(settings),
  random: given(random),
  log,
  now: given<number>(0),
  term: count,
  vote: nullable(member),
  termLeader: nullable(member),
  termLeaderBoot: count,
  leader: nullable(member),
  hardStateChanged: notSet(),
  role,
  commit: count,
  handedOut: count,
  applied: count,
  configurations: list(record({ index: count, configuration })),
  canLead: flag,
  boots: byMember(count) as Codec<State['boots']>,
  // A leader is trusted for one election timeout; no check is older than that.
  leaderContact: time(settings.electionTimeoutMs),
  suspicion: nullable(suspicion),
  remoteReads,
  nextRequestId: count,
  preferred: always<State['preferred']>(
    () => [],
    (value) => value.length === 0,
  ),
  offered: memberSet,
  snapshot: nothing(),
  snapshotTouchedAt: given<number>(0),
  receiving: nothing(),
  lost: notSet(),
  leftWork: flag,
  lagAt: nullable(deadline),
  lagAttempts: count,
  messages: none(),
  reads: none(),
  droppedReads: none(),
  chunks: none(),
  wantsSnapshot: notSet(),
  closesSnapshot: notSet(),
  abandonsReception: notSet(),
  removal: nothing(),
};

export const state = record<State>(stateFields);
