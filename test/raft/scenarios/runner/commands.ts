/**
 * What a scenario can say: one entry of the table for each command.
 *
 * Setup commands describe the group before it exists; the first other command brings it to life.
 */
import type { RaftCore } from '../../../../src/raft/core.ts';
import { defaultSettings, type Settings } from '../../../../src/raft/state.ts';
import type { MemberId } from '../../../../src/raft/types.ts';
import { type GroupOptions, members } from '../../support/group.ts';
import type { Start, Storage } from '../../support/storage.ts';
import {
  fraction,
  letters,
  type Match,
  match,
  natural,
  none,
  pairs,
  UsageError,
  word,
} from './arguments.ts';
import { showHead } from './print.ts';
import type { RecordedGroup } from './recorded.ts';

export interface Setup {
  options: GroupOptions;
  readonly start: Record<string, Start>;
  readonly settings: Partial<Record<keyof Settings, number>>;
}

export interface World {
  readonly group: RecordedGroup;
  /** Storages as `backup` found them. */
  readonly backups: Map<string, Storage>;
}

type SetupCommand = (setup: Setup, words: readonly string[]) => void;
type Command = (world: World, words: readonly string[]) => void;

interface Described<Run> {
  readonly usage: string;
  readonly about: string;
  readonly run: Run;
}

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

export const commands: Readonly<Record<string, Described<Command>>> = {
  // Inputs of members.
  suspect: {
    usage: 'suspect A',
    about: 'a client of A needs the leader and could not reach it',
    run: ({ group }, words) => group.suspect(only(group, words)),
  },
  propose: {
    usage: 'propose A some text',
    about: 'a write at A',
    run: ({ group }, words) => {
      const id = member(group, words);
      const result = group.propose(id, textOf(words.slice(1)));
      if (!result.ok) group.record(`${id} refuses: ${result.reason}`);
    },
  },
  read: {
    usage: 'read A',
    about: 'a linearizable read at A; reads are numbered from 1',
    run: ({ group }, words) => {
      const id = only(group, words);
      if (group.read(id) === null) group.record(`${id} refuses the read`);
    },
  },
  unreachable: {
    usage: 'unreachable A B',
    about: 'A is told that it could not deliver to B',
    run: ({ group }, words) => {
      none(words, 2);
      group.unreachable(member(group, words), member(group, words, 1));
    },
  },
  change: {
    usage: 'change A voters=ABD [learners=E]',
    about: 'at A: these are to be the members',
    run: ({ group }, words) => {
      const id = member(group, words);
      const given = pairs(words.slice(1), ['voters', 'learners']);
      const wanted = (kind: string) => letters(given.get(kind) ?? '');
      const result = group.change(id, wanted('voters'), wanted('learners'));
      if (!result.ok) group.record(`${id} refuses: ${result.reason}`);
    },
  },
  transfer: {
    usage: 'transfer A B',
    about: 'A hands leadership to B; to A itself: it keeps it after all',
    run: ({ group }, words) => {
      none(words, 2);
      const id = member(group, words);
      const result = group.transfer(id, member(group, words, 1));
      if (result !== 'ok') group.record(`${id} refuses: ${result}`);
    },
  },
  prefer: {
    usage: 'prefer BCA',
    about: 'all members are told who should lead, best first',
    run: ({ group }, words) => {
      none(words, 1);
      const order = members(letters(word(words, 0, 'the order')));
      for (const id of group.ids) group.core(id).preferLeaders(order);
    },
  },
  compact: {
    usage: 'compact A 10',
    about: 'A’s log forgets what is up to there, as far as nobody needs it',
    run: ({ group }, words) => {
      none(words, 2);
      const id = member(group, words);
      const isShorter = group.compact(id, natural(word(words, 1, 'the index')));
      const { index, term } = group.storage(id).start;
      group.record(isShorter ? `${id}’s log begins after ${index}/${term}` : `${id} keeps its log`);
    },
  },
  repair: {
    usage: 'repair A',
    about: 'A’s repair alarm: who was given up is tried again',
    run: ({ group }, words) => group.repair(only(group, words)),
  },
  standDown: {
    usage: 'standDown A',
    about: 'A cannot apply what is committed',
    run: ({ group }, words) => {
      const id = only(group, words);
      group.standDown(id);
      group.recordChange(id);
    },
  },
  tick: {
    usage: 'tick A',
    about: 'A’s timer fires now, due or not',
    run: ({ group }, words) => group.tick(only(group, words)),
  },

  // Messages under way.
  deliver: {
    usage: 'deliver [all | each | together] [A>B] [append]',
    about:
      'the oldest message that matches; all: with those that they bring forth; each: those under way now; together: the same in one turn',
    run: deliver,
  },
  drop: {
    usage: 'drop [all] [A>B] [append]',
    about: 'loses the oldest message that matches, or all',
    run: ({ group }, words) => {
      for (const message of picked(group, words)) group.record(`lost: ${showHead(message)}`);
    },
  },
  duplicate: {
    usage: 'duplicate [all] [A>B] [append]',
    about: 'sends a copy after it; the message itself stays where it is',
    run: ({ group }, words) => {
      const { all, which } = selection(words);
      const found = group.pool.filter(which.matches).slice(0, all ? undefined : 1);
      expectSome(group, which, found.length);
      group.pool.push(...found.map((message) => ({ ...message })));
      for (const message of found) group.record(`twice: ${showHead(message)}`);
    },
  },
  hold: {
    usage: 'hold [all] [A>B] [append]',
    about: 'puts it aside, to be late',
    run: ({ group }, words) => {
      const messages = picked(group, words);
      group.hold(messages);
      for (const message of messages) group.record(`held: ${showHead(message)}`);
    },
  },
  release: {
    usage: 'release [A>B] [append]',
    about: 'what was held and matches is under way again',
    run: ({ group }, words) => {
      const which = match(words);
      const messages = group.release(which.matches);
      if (messages.length === 0) throw new UsageError(`nothing held matches '${which.text}'`);
      for (const message of messages) group.record(`under way again: ${showHead(message)}`);
    },
  },
  isolate: {
    usage: 'isolate AB',
    about: 'these reach each other and nobody else; what is under way between is lost',
    run: ({ group }, words) => {
      none(words, 1);
      const names = letters(word(words, 0, 'the members'));
      for (const name of names) group.life(name);
      group.isolate(...names);
    },
  },
  cut: {
    usage: 'cut A>B',
    about: 'this way only',
    run: ({ group }, words) => {
      none(words, 1);
      const ends = /^([A-Z])>([A-Z])$/.exec(word(words, 0, 'the link'));
      if (!ends) throw new UsageError(`'${words[0]}' is not a link like A>B`);
      group.cutLink(ends[1] ?? '', ends[2] ?? '');
    },
  },
  lose: {
    usage: 'lose [A>B] [append]',
    about: 'from now on what matches is lost when it is sent',
    run: ({ group }, words) => {
      group.loses = match(words).matches;
    },
  },
  heal: {
    usage: 'heal',
    about: 'ends isolate, cut and lose',
    run: ({ group }, words) => {
      none(words, 0);
      group.heal();
      group.loses = () => false;
    },
  },

  // Time.
  pass: {
    usage: 'pass 500',
    about: 'milliseconds, in which timers fire and messages arrive',
    run: ({ group }, words) => {
      none(words, 1);
      group.pass(natural(word(words, 0, 'milliseconds')));
    },
  },
  wait: {
    usage: 'wait 500',
    about: 'milliseconds, in which timers fire and no message arrives',
    run: ({ group }, words) => {
      none(words, 1);
      group.wait(natural(word(words, 0, 'milliseconds')));
    },
  },
  rest: {
    usage: 'rest',
    about: 'as much time as it takes until nobody waits for anything',
    run: ({ group }, words) => {
      none(words, 0);
      const since = group.now;
      group.rest();
      group.record(`all rest after ${group.now - since}`);
    },
  },
  dice: {
    usage: 'dice A 0.9',
    about: 'A’s random waits last this much beyond the shortest (0) towards the double (1)',
    run: ({ group }, words) => {
      none(words, 2);
      group.dice.faces.set(member(group, words), fraction(word(words, 1, 'a number below 1')));
    },
  },

  // Lives and storage.
  join: {
    usage: 'join D',
    about: 'a fresh place that knows the founding members and nothing else',
    run: ({ group }, words) => {
      none(words, 1);
      const name = letters(word(words, 0, 'its name'));
      if (name.length !== 1 || group.ids.some((id) => id === name))
        throw new UsageError(`'${name}' is not one new member`);
      group.join(name);
    },
  },
  restart: {
    usage: 'restart AB',
    about: 'memory is lost, storage stays',
    run: ({ group }, words) => {
      none(words, 1);
      const names = letters(word(words, 0, 'the members'));
      for (const name of names) group.life(name);
      group.restart(...names);
    },
  },
  crash: {
    usage: 'crash A during propose x | read | suspect | tick | deliver [A>B] [append]',
    about: 'A ends in the middle of that turn: nothing of it was saved or sent',
    run: crash,
  },
  supersede: {
    usage: 'supersede A',
    about: 'a new life begins while the old one still runs and cannot save any more',
    run: ({ group }, words) => {
      group.supersede(only(group, words));
    },
  },
  backup: {
    usage: 'backup A',
    about: 'copies A’s storage',
    run: ({ group, backups }, words) => {
      const id = only(group, words);
      backups.set(id, group.storage(id).copy());
    },
  },
  restore: {
    usage: 'restore A',
    about: 'A’s storage goes back in time, all but the count of its lives; A restarts',
    run: ({ group, backups }, words) => {
      const id = only(group, words);
      const backup = backups.get(id);
      if (!backup) throw new UsageError(`there is no backup of ${id}`);
      const { boot } = group.storage(id);
      group.storage(id).restore(backup);
      group.storage(id).boot = boot;
      // What follows is what the invariants forbid: the scenario shows who notices.
      group.isChecked = false;
      group.restart(id);
    },
  },

  // Looking, and not looking.
  status: {
    usage: 'status [AB]',
    about: 'role, term, log (terms of its entries) and commit of members; a leader’s followers',
    run: ({ group }, words) => {
      none(words, 1);
      for (const id of letters(words[0] ?? group.ids.join(''))) group.recordStatus(id);
    },
  },
  lead: {
    usage: 'lead A',
    about: 'A is elected, the group comes to rest, and a second passes; only the result is shown',
    run: ({ group }, words) => {
      const id = only(group, words);
      group.lead(id);
      group.takeLines();
      group.recordStatus(id);
    },
  },
  elect: {
    usage: 'elect A',
    about: 'A is elected; its first appends stay under way; only the result is shown',
    run: ({ group }, words) => {
      const id = only(group, words);
      group.elect(id);
      group.takeLines();
      group.recordStatus(id);
    },
  },
};

/** The text of an entry: all that follows. */
function textOf(words: readonly string[]): string {
  if (words.length === 0) throw new UsageError('the text is missing');
  return words.join(' ');
}

function member(group: RecordedGroup, words: readonly string[], at = 0): MemberId {
  const name = word(words, at, 'the member');
  const id = group.ids.find((known) => known === name);
  if (!id) throw new UsageError(`there is no member '${name}'`);
  return id;
}

function only(group: RecordedGroup, words: readonly string[]): MemberId {
  none(words, 1);
  return member(group, words);
}

function selection(words: readonly string[]): { all: boolean; which: Match } {
  const all = words[0] === 'all';
  return { all, which: match(all ? words.slice(1) : words) };
}

function picked(group: RecordedGroup, words: readonly string[]) {
  const { all, which } = selection(words);
  const messages = group.pick(which.matches, all);
  expectSome(group, which, messages.length);
  return messages;
}

/** A command without effect is a mistake of the script, or a change that its story has to tell. */
function expectSome(group: RecordedGroup, { text }: Match, count: number): void {
  if (count > 0) return;
  const pool = group.pool.map(showHead).join(', ') || 'nothing';
  throw new UsageError(`no message under way matches '${text}'; there is ${pool}`);
}

function deliver({ group }: World, words: readonly string[]): void {
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

function crash({ group }: World, words: readonly string[]): void {
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
