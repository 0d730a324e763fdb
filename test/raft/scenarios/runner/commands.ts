/**
 * What a scenario can say of a group that lives: one entry of the table for each command.
 */
import { members } from '../../support/group.ts';
import { fraction, letters, match, natural, none, pairs, UsageError, word } from './arguments.ts';
import {
  crash,
  deliver,
  expectSome,
  member,
  only,
  picked,
  selection,
  textOf,
  type World,
} from './delivery.ts';
import { showHead } from './print.ts';
import type { Described } from './setup.ts';

type Command = (world: World, words: readonly string[]) => void;

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
