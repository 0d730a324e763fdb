/**
 * What commands share: the members and messages they name, deliveries, and turns that crash.
 */
import type { RaftCore } from '../../../../src/raft/core.ts';
import type { MemberId } from '../../../../src/raft/types.ts';
import type { Storage } from '../../support/storage.ts';
import { type Match, match, none, UsageError, word } from './arguments.ts';
import { showHead } from './print.ts';
import type { RecordedGroup } from './recorded.ts';

export interface World {
  readonly group: RecordedGroup;
  /** Storages as `backup` found them. */
  readonly backups: Map<string, Storage>;
}

/** The text of an entry: all that follows. */
export function textOf(words: readonly string[]): string {
  if (words.length === 0) throw new UsageError('the text is missing');
  return words.join(' ');
}

export function member(group: RecordedGroup, words: readonly string[], at = 0): MemberId {
  const name = word(words, at, 'the member');
  const id = group.ids.find((known) => known === name);
  if (!id) throw new UsageError(`there is no member '${name}'`);
  return id;
}

export function only(group: RecordedGroup, words: readonly string[]): MemberId {
  none(words, 1);
  return member(group, words);
}

export function selection(words: readonly string[]): { all: boolean; which: Match } {
  const all = words[0] === 'all';
  return { all, which: match(all ? words.slice(1) : words) };
}

export function picked(group: RecordedGroup, words: readonly string[]) {
  const { all, which } = selection(words);
  const messages = group.pick(which.matches, all);
  expectSome(group, which, messages.length);
  return messages;
}

/** A command without effect is a mistake of the script, or a change that its story has to tell. */
export function expectSome(group: RecordedGroup, { text }: Match, count: number): void {
  if (count > 0) return;
  const pool = group.pool.map(showHead).join(', ') || 'nothing';
  throw new UsageError(`no message under way matches '${text}'; there is ${pool}`);
}

export function deliver({ group }: World, words: readonly string[]): void {
  const [how = ''] = words;
  const isHow = ['all', 'each', 'together'].includes(how);
  const which = match(isHow ? words.slice(1) : words);
  expectSome(group, which, group.pool.filter(which.matches).length);
  switch (how) {
    case 'all':
      group.settle(which.matches);
      return;
    case 'together':
      group.step(...group.pick(which.matches, true));
      return;
    default:
      for (const message of group.pick(which.matches, how === 'each')) group.step(message);
  }
}

export function crash({ group }: World, words: readonly string[]): void {
  const id = member(group, words);
  if (words[1] !== 'during') throw new UsageError(`'during' is missing`);
  group.crashDuring(id, turnOf(group, word(words, 2, 'the turn'), words.slice(3)));
}

function turnOf(
  group: RecordedGroup,
  kind: string,
  words: readonly string[],
): (core: RaftCore) => void {
  switch (kind) {
    case 'propose': {
      const data = new TextEncoder().encode(textOf(words));
      return (core) => core.propose(data, group.now);
    }
    case 'read':
      return (core) => core.readIndex(0, group.now);
    case 'suspect':
      return (core) => core.suspectLeader(core.term, group.now);
    case 'tick':
      return (core) => core.tick(group.now);
    case 'deliver': {
      const messages = picked(group, words);
      for (const message of messages) group.record(`-> ${showHead(message)}, and it crashes`);
      return (core) => {
        for (const message of messages) core.step(message, group.now);
      };
    }
    default:
      throw new UsageError(`'${kind}' is no turn`);
  }
}
