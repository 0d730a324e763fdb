/**
 * How a scenario shows messages, entries, turns and members: one line each, what is not set left
 * out, so that a new field changes only the output in which it says something.
 */
import type { Configuration } from '../../../../src/raft/configuration.ts';
import type { Progress } from '../../../../src/raft/progress.ts';
import type {
  Effects,
  Entry,
  MemberId,
  Message,
  SnapshotMeta,
} from '../../../../src/raft/types.ts';
import { stateOf } from '../../support/checks.ts';
import type { Life } from '../../support/group.ts';
import type { Storage } from '../../support/storage.ts';

/** What the reader of a scenario was last told about a member. */
export interface View {
  readonly role: string;
  readonly leader: MemberId | null;
  readonly commit: number;
  readonly isSuspecting: boolean;
  readonly deadline: number | null;
}

export function viewOf({ core, ended }: Life): View {
  return {
    role: core.role,
    leader: core.leader,
    commit: core.commitIndex,
    isSuspecting: core.isSuspecting,
    deadline: ended ? null : core.nextDeadline(),
  };
}

// Messages.

type Fields = Readonly<Record<string, unknown>>;

/** The fields that a message of this type shows in its own way: the text, and which they were. */
const shapes: Readonly<Record<string, (fields: Fields) => readonly [string, readonly string[]]>> = {
  preVote: ({ lastIndex, lastTerm }) => [`last ${lastIndex}/${lastTerm}`, lastFields],
  vote: ({ lastIndex, lastTerm }) => [`last ${lastIndex}/${lastTerm}`, lastFields],
  preVoteReply: voteReply,
  voteReply,
  append: ({ prevIndex, prevTerm, entries }) => {
    const shown = showEntries(entries as readonly Entry[]);
    return [`prev ${prevIndex}/${prevTerm} [${shown}]`, ['prevIndex', 'prevTerm', 'entries']];
  },
  appendReply: ({ ok, index, hintIndex, hintTerm, lastIndex, lastTerm }) => [
    ok
      ? `ok ${index}, last ${lastIndex}/${lastTerm}`
      : [
          `refused ${index}`,
          ...(hintIndex === 0 && hintTerm === 0 ? [] : [`hint ${hintIndex}/${hintTerm}`]),
          `last ${lastIndex}/${lastTerm}`,
        ].join(', '),
    ['ok', 'index', 'hintIndex', 'hintTerm', ...lastFields],
  ],
  snapshot: ({ snapshot, cursor }) => [
    `${showSnapshot(snapshot as SnapshotMeta)} chunk '${cursor}'`,
    ['snapshot', 'cursor', 'chunk'],
  ],
  snapshotReply: ({ id, cursor }) => [`${id} wants chunk '${cursor}'`, ['id', 'cursor']],
  readRequest: ({ id, lastIndex, lastTerm }) => [
    `${id}, last ${lastIndex}/${lastTerm}`,
    ['id', ...lastFields],
  ],
  readReply: ({ id, refused, index, indexTerm }) => [
    refused ? `${id} refused` : `${id} at ${index}/${indexTerm}`,
    ['id', 'refused', 'index', 'indexTerm'],
  ],
};
const lastFields = ['lastIndex', 'lastTerm'];

function voteReply({ granted, requestTerm }: Fields): readonly [string, readonly string[]] {
  return [`${granted ? 'granted' : 'refused'} for t${requestTerm}`, ['granted', 'requestTerm']];
}

/** True when the scenario began with this life of the member: only later ones are shown. */
export type IsFirstLife = (id: MemberId, boot: number) => boolean;

/** Everything of a message but its way: 'append t1, prev 1/1 [2/1 x], commit 1'. */
function showBody(message: Message, isFirstLife: IsFirstLife): string {
  const { from, to, type, term, ...rest } = message;
  const lives: Readonly<Record<string, MemberId>> = { boot: from, toBoot: to, knownBoot: to };
  const fields: Fields = rest;
  const [own, shown] = shapes[type]?.(fields) ?? ['', []];
  const others = Object.entries(fields)
    .filter(([name, value]) => {
      const id = lives[name];
      const isNews = id === undefined || !isFirstLife(id, Number(value));
      return isNews && isSet(name, value) && !shown.includes(name);
    })
    .map(([name, value]) => (value === true ? name : `${name} ${showValue(value)}`));
  return [`${type} t${term}`, own, ...others].filter((part) => part !== '').join(', ');
}

function isSet(name: string, value: unknown): boolean {
  // Most can: only that one cannot is worth telling.
  if (name === 'canApply') return value === false;
  return value !== 0 && value !== false && value !== null && value !== undefined;
}

/** 's1 at 5/1 (voters ABC)'. */
function showSnapshot({ id, index, term, configuration }: SnapshotMeta): string {
  return `${id} at ${index}/${term} (${showConfiguration(configuration)})`;
}

function showValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return `${value}`;
  return 'voters' in value ? showConfiguration(value as Configuration) : JSON.stringify(value);
}

/** Enough to tell which message under way is meant: 'A>B append 1/1+2'. */
export function showHead(message: Message): string {
  const way = `${message.from}>${message.to} ${message.type}`;
  switch (message.type) {
    case 'append':
      return `${way} ${message.prevIndex}/${message.prevTerm}+${message.entries.length}`;
    case 'appendReply':
      return `${way} ${message.ok ? 'ok' : 'refused'} ${message.index}`;
    case 'snapshot':
      return `${way} ${message.snapshot.id} '${message.cursor}'`;
    case 'snapshotReply':
      return `${way} ${message.id} '${message.cursor}'`;
    case 'readRequest':
    case 'readReply':
      return `${way} ${message.id}`;
    case 'preVoteReply':
    case 'voteReply':
      return `${way} ${message.granted ? 'granted' : 'refused'}`;
    default:
      return `${way} t${message.term}`;
  }
}

/** Equal messages to several members are one line: 'A>BC append ...'. */
function showMessages(messages: readonly Message[], { fate, isFirstLife }: TurnContext): string[] {
  const receivers = new Map<string, string>();
  for (const message of messages) {
    const text = `${showBody(message, isFirstLife)}${fate(message)}`;
    receivers.set(text, `${receivers.get(text) ?? ''}${message.to}`);
  }
  return [...receivers].map(([text, to]) => `  ${messages[0]?.from}>${to} ${text}`);
}

// Entries.

/** An entry whose text is its index was there from the start: '3/2'. Runs of them: '3/2..9/2'. */
export function showEntries(entries: readonly Entry[]): string {
  const parts: string[] = [];
  for (let at = 0; at < entries.length; ) {
    let end = at;
    while (isPlain(entries[at]) && isPlain(entries[end + 1]) && isSameTerm(entries, at, end + 1))
      end += 1;
    const [first, last] = [entries[at], entries[end]];
    if (first && last && end > at + 1)
      parts.push(`${first.index}/${first.term}..${last.index}/${last.term}`);
    else for (const entry of entries.slice(at, end + 1)) parts.push(showEntry(entry));
    at = end + 1;
  }
  return parts.join(', ');
}

function isSameTerm(entries: readonly Entry[], one: number, other: number): boolean {
  return entries[one]?.term === entries[other]?.term;
}

function isPlain(entry: Entry | undefined): boolean {
  return entry?.payload.type === 'data' && showPayload(entry) === '';
}

function showEntry(entry: Entry): string {
  return `${entry.index}/${entry.term}${showPayload(entry)}`;
}

function showPayload({ index, payload }: Entry): string {
  switch (payload.type) {
    case 'noop':
      return ' (noop)';
    case 'configuration':
      return ` (${showConfiguration(payload.configuration)})`;
    case 'data': {
      const text = new TextDecoder().decode(payload.data);
      return text === `${index}` ? '' : ` ${text}`;
    }
  }
}

/** Halves of a joint one with a slash: 'voters ABD/ABC learners E'. */
export function showConfiguration({ voters, outgoing, learners }: Configuration): string {
  const halves = outgoing.length > 0 ? `${voters.join('')}/${outgoing.join('')}` : voters.join('');
  return learners.length > 0
    ? `voters ${halves} learners ${learners.join('')}`
    : `voters ${halves}`;
}

// Turns and members.

export interface TurnContext {
  readonly before: View;
  readonly after: View;
  readonly now: number;
  readonly isFirstLife: IsFirstLife;
  /** What becomes of a message when it is sent: ' (lost)' or nothing. */
  readonly fate: (message: Message) => string;
}

/** What a turn changed, in the order in which the host carries it out, and what it sends. */
export function showTurn({ id }: Life, effects: Effects, context: TurnContext): string[] {
  const { before, after, now } = context;
  const facts = [
    ...roleFacts(before, after),
    ...storageFacts(effects),
    ...(after.commit > before.commit ? [`commits ${after.commit}`] : []),
    ...(effects.committed.length > 0 ? [`applies ${span(effects.committed)}`] : []),
    ...effects.reads.map((read) => `grants read ${read.id} at ${read.index}`),
    ...effects.droppedReads.map((read) => `drops read ${read}`),
    ...(effects.openSnapshot ? ['opens a snapshot'] : []),
    ...(effects.closeSnapshot ? ['closes its snapshot'] : []),
    ...(effects.removed ? ['is removed'] : []),
    ...deadlineFacts(before, after, now),
  ];
  const line = facts.length > 0 ? [`${id} ${facts.join(', ')}`] : [];
  return [...line, ...showMessages(effects.messages, context)];
}

export function roleFacts(before: View, after: View): string[] {
  const facts: string[] = [];
  if (after.role !== before.role) facts.push(`becomes ${after.role}`);
  else if (after.leader !== before.leader && after.role === 'follower')
    facts.push(after.leader === null ? 'knows no leader' : `follows ${after.leader}`);
  if (after.isSuspecting !== before.isSuspecting)
    facts.push(after.isSuspecting ? 'suspects' : 'suspects no more');
  return facts;
}

function storageFacts({ hardState, chunks, truncateFrom, append }: Effects): string[] {
  const facts: string[] = [];
  if (hardState) {
    const { term, vote, termLeader, termLeaderBoot } = hardState;
    const mark = termLeader === null ? '' : ` leader ${termLeader}/${termLeaderBoot}`;
    facts.push(`saves t${term}${vote === null ? '' : ` vote ${vote}`}${mark}`);
  }
  for (const { id, next, install } of chunks) {
    facts.push(`stores a chunk of ${id}${next === null ? '' : ` up to '${next}'`}`);
    if (install) facts.push(`switches to ${showSnapshot(install)}`);
  }
  if (truncateFrom !== null) facts.push(`cuts from ${truncateFrom}`);
  if (append.length > 0) facts.push(`appends [${showEntries(append)}]`);
  return facts;
}

export function deadlineFacts(before: View, after: View, now: number): string[] {
  if (after.deadline === before.deadline) return [];
  return [after.deadline === null ? 'rests' : `wakes in ${after.deadline - now}`];
}

function span(entries: readonly Entry[]): string {
  const [first, last] = [entries[0]?.index, entries.at(-1)?.index];
  return first === last ? `${first}` : `${first}..${last}`;
}

export interface StatusContext {
  readonly isFirstLife: IsFirstLife;
  readonly founding: Configuration;
}

/** A member as a line, its log as the terms of its entries; a leader with its followers under it. */
export function showMember(
  { id, core, boot }: Life,
  storage: Storage,
  { isFirstLife, founding }: StatusContext,
): string[] {
  const { role } = stateOf(core);
  const { index, term } = storage.start;
  const terms = storage.log.map((entry) => entry.term).join(' ');
  const configuration = showConfiguration(core.configuration);
  const parts = [
    storage.fate ?? `${core.role} t${core.term}`,
    ...(core.leader !== null && core.leader !== id ? [`of ${core.leader}`] : []),
    `log ${index > 0 ? `after ${index}/${term} ` : ''}[${terms}] commit ${core.commitIndex}`,
    ...(configuration === showConfiguration(founding) ? [] : [configuration]),
    ...(isFirstLife(id, boot) ? [] : [`life ${boot}`]),
  ];
  const followers =
    role.type === 'leader' ? [...role.progress].map(([peer, one]) => showProgress(peer, one)) : [];
  return [`${id} ${parts.join(', ')}`, ...followers];
}

function showProgress(peer: MemberId, progress: Progress): string {
  const { state, match, next, inflight, onRepairList, leaving } = progress;
  const window = inflight.length > 0 ? ` under way ${inflight.length}` : '';
  const fate = `${leaving ? ' leaving' : ''}${onRepairList ? ' given up' : ''}`;
  return `  ${peer} ${state} match ${match} next ${next}${window}${fate}`;
}
