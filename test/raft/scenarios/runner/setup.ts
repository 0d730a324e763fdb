/**
 * The commands that describe a group before it exists.
 */
import { defaultSettings, type Settings } from '../../../../src/raft/state.ts';
import type { GroupOptions } from '../../support/group.ts';
import type { Start } from '../../support/storage.ts';
import { letters, natural, none, pairs, UsageError, word } from './arguments.ts';

/** One command of a table; its usage stands in every complaint about its arguments. */
export interface Described<Run> {
  readonly usage: string;
  readonly about: string;
  readonly run: Run;
}

export interface Setup {
  options: GroupOptions;
  readonly start: Record<string, Start>;
  readonly settings: Partial<Record<keyof Settings, number>>;
}

type SetupCommand = (setup: Setup, words: readonly string[]) => void;

export const setupCommands: Readonly<Record<string, Described<SetupCommand>>> = {
  group: {
    usage: 'group voters=ABC [outgoing=ABD] [learners=D] [latency=1]',
    about: 'who is in it; latency is what a message takes in pass, in milliseconds',
    run: (setup, words) => {
      const given = pairs(words, ['voters', 'outgoing', 'learners', 'latency']);
      setup.options = {
        voters: letters(given.get('voters') ?? 'ABC'),
        outgoing: letters(given.get('outgoing') ?? ''),
        learners: letters(given.get('learners') ?? ''),
        latencyMs: natural(given.get('latency') ?? '0'),
      };
    },
  },
  set: {
    usage: 'set appendEntriesMax 1',
    about: 'one of the core’s settings, for all members',
    run: ({ settings }, words) => {
      const name = word(words, 0, 'the name of a setting');
      if (!isSetting(name)) throw new UsageError(`there is no setting '${name}'`);
      settings[name] = natural(word(words, 1, 'its value'));
      none(words, 2);
    },
  },
  log: {
    usage: 'log A 1 1 2',
    about: 'the log that a member starts with, as the terms of its entries from index 1 on',
    run: ({ start }, words) => {
      const id = letters(word(words, 0, 'the member'));
      start[id] = { ...start[id], terms: words.slice(1).map(natural) };
    },
  },
  storage: {
    usage: 'storage A [term=8] [vote=B] [leader=B] [boot=1] [applied=3]',
    about: 'what else it starts with; leader and boot are its mark of the term’s leader',
    run: ({ start }, words) => {
      const id = letters(word(words, 0, 'the member'));
      const names = ['term', 'vote', 'leader', 'boot', 'applied'];
      start[id] = { ...start[id], ...startOf(pairs(words.slice(1), names)) };
    },
  },
};

function isSetting(name: string): name is keyof Settings {
  return Object.hasOwn(defaultSettings, name);
}

function startOf(given: ReadonlyMap<string, string>): Start {
  const [term, vote, leader] = [given.get('term'), given.get('vote'), given.get('leader')];
  const [boot, applied] = [given.get('boot'), given.get('applied')];
  return {
    ...(term !== undefined && { term: natural(term) }),
    ...(vote !== undefined && { vote: letters(vote) }),
    ...(leader !== undefined && { termLeader: letters(leader) }),
    ...(boot !== undefined && { termLeaderBoot: natural(boot) }),
    ...(applied !== undefined && { applied: natural(applied) }),
  };
}
