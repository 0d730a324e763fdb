/**
 * The words after a command: members, numbers, names with values, and which messages are meant.
 */
import type { Message } from '../../../../src/raft/types.ts';

/** A command that cannot be understood; the runner adds the file, the line and the usage. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const messageTypes: readonly Message['type'][] = [
  'preVote',
  'preVoteReply',
  'vote',
  'voteReply',
  'append',
  'appendReply',
  'readRequest',
  'readReply',
  'snapshot',
  'snapshotReply',
  'timeoutNow',
  'suspicion',
];

export function word(words: readonly string[], at: number, what: string): string {
  const found = words[at];
  if (found === undefined) throw new UsageError(`${what} is missing`);
  return found;
}

export function none(words: readonly string[], from: number): void {
  if (words.length > from) throw new UsageError(`nothing may follow: '${words[from]}'`);
}

export function natural(text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`'${text}' is not a number`);
  return Number(text);
}

/** At least 0, below 1. */
export function fraction(text: string): number {
  if (!/^0(\.\d+)?$/.test(text)) throw new UsageError(`'${text}' is not from 0 to below 1`);
  return Number(text);
}

/** One letter each: 'ABC'. */
export function letters(text: string): string {
  if (!/^[A-Z]*$/.test(text) || new Set(text).size !== text.length)
    throw new UsageError(`'${text}' is not a list of members like ABC`);
  return text;
}

/** 'term=8 vote=B', with these names only. */
export function pairs(words: readonly string[], names: readonly string[]): Map<string, string> {
  const result = new Map<string, string>();
  for (const text of words) {
    const [name = '', value, more] = text.split('=');
    if (!names.includes(name)) throw new UsageError(`'${name}' is none of ${names.join(', ')}`);
    if (value === undefined || more !== undefined || result.has(name))
      throw new UsageError(`'${text}' is not ${name}=value, once`);
    result.set(name, value);
  }
  return result;
}

export interface Match {
  readonly text: string;
  readonly matches: (message: Message) => boolean;
}

/** [way] [type]: 'A>B append', '>C', 'A<>BC', 'appendReply', or nothing for every message. */
export function match(words: readonly string[]): Match {
  const [first = '', ...others] = words;
  const way = /^([A-Z]*)(<?>)([A-Z]*)$/.exec(first);
  const [type, ...more] = way ? others : words;
  none(more, 0);
  if (type !== undefined && !messageTypes.some((known) => known === type))
    throw new UsageError(
      `'${type}' is neither a way like A>B nor one of ${messageTypes.join(' ')}`,
    );
  const [, from = '', arrow = '>', to = ''] = way ?? [];
  const goes = (one: string, other: string, message: Message) =>
    (one === '' || one.includes(message.from)) && (other === '' || other.includes(message.to));
  return {
    text: words.join(' '),
    matches: (message) =>
      (type === undefined || message.type === type) &&
      (goes(from, to, message) || (arrow === '<>' && goes(to, from, message))),
  };
}
