/**
 * The durable half of the log in SQL, compared with one in memory that is too simple to be wrong.
 */
import { describe, expect, it } from 'vitest';
import { initialize, LogStore } from '../../src/node-do/log-store.ts';
import { createSchema } from '../../src/node-do/schema.ts';
import { noEffects } from '../../src/raft/effects.ts';
import type { BootState, Effects, Entry, MemberId } from '../../src/raft/types.ts';
import { entries, entry } from '../raft/support/messages.ts';
import { Storage } from '../raft/support/storage.ts';
import { NodeSql } from '../support/node-sql.ts';
import { Random } from '../support/random.ts';

/** The host's form of a member's name: place and incarnation. */
function members(names: string): MemberId[] {
  return [...names].map((name) => `${name.charCodeAt(0)}.${name}` as MemberId);
}

const founding = { voters: members('ABC'), outgoing: [], learners: members('D') };

function newSql(): NodeSql {
  const sql = new NodeSql();
  createSchema(sql, 'incarnation');
  initialize(sql, founding);
  return sql;
}

function effects(fields: Partial<Effects>): Effects {
  return { ...noEffects(), ...fields };
}

/** Appends of all kinds of entries, sometimes in place of the last ones, and hard states. */
function randomEffects(random: Random, { start, lastIndex }: Storage, term: number): Effects {
  const truncates = lastIndex > start.index && random.next() < 0.3;
  const lowest = Math.max(start.index + 1, lastIndex - 3);
  const truncateFrom = truncates ? random.integer(lowest, lastIndex) : null;
  const append: Entry[] = [];
  let index = (truncateFrom ?? lastIndex + 1) - 1;
  for (let count = random.integer(0, 4); count > 0; count -= 1) {
    index += 1;
    const dice = random.integer(1, 10);
    const configuration = { ...founding, learners: members(random.pick(['', 'D', 'E'])) };
    if (dice <= 2) append.push({ index, term, payload: { type: 'noop' } });
    else if (dice <= 4)
      append.push({ index, term, payload: { type: 'configuration', configuration } });
    // Never empty: SQLite binds an empty blob as NULL, and no batch of commands is empty.
    else append.push(entry(index, term, 'x'.repeat(random.integer(1, 9))));
  }
  const vote = random.pick(['A', 'B', null]) as MemberId | null;
  const hardState = { term, vote, termLeader: vote, termLeaderBoot: term };
  return effects({ hardState: random.next() < 0.5 ? hardState : null, truncateFrom, append });
}

/** The beginning of the log goes, or all of it in favour of a snapshot. */
function randomCut(random: Random, sql: NodeSql, model: Storage): void {
  const dice = random.integer(1, 10);
  const { start, lastIndex } = model;
  if (dice <= 3 && lastIndex > start.index) {
    const index = random.integer(start.index + 1, lastIndex);
    const cut = { index, term: model.term(index) ?? 0 };
    new LogStore(sql).compact(cut);
    model.compact(cut);
  } else if (dice === 4) {
    const index = lastIndex + random.integer(-1, 5);
    const install = { id: `${index}`, index, term: 1, configuration: founding };
    if (index <= model.applied) return;
    new LogStore(sql).reset(install);
    const chunk = { id: install.id, first: true, data: new Uint8Array(), next: null, install };
    model.persist({ ...noEffects(), chunks: [chunk] });
    model.applied = 0;
  }
}

/** The model forgets no configuration; the rows keep that of the log's start, and later ones. */
function bootOf(model: Storage): BootState {
  const boot = model.bootState();
  const atStart = model.configurations.findLast(({ index }) => index <= model.start.index);
  const configurations = boot.configurations.filter(({ index }) => index >= (atStart?.index ?? 0));
  return { ...boot, configurations };
}

/** Without the classes that tell one byte array from another. */
function plain(value: unknown): string {
  return JSON.stringify(value, (_, part) => (part instanceof Uint8Array ? [...part] : part));
}

describe('the rows of the log', () => {
  it('are what a log in memory is, after any effects and at the beginning of any life', () => {
    const random = new Random(1);
    for (let run = 0; run < 20; run += 1) {
      const sql = newSql();
      const model = new Storage(founding);
      for (let term = 1; term <= 20; term += 1) {
        const turn = randomEffects(random, model, term);
        new LogStore(sql).persist(turn, 0);
        model.persist(turn);
        randomCut(random, sql, model);
        // What a member knows by other means is the state machine's.
        const others = { applied: 0, receiving: null, canApply: true };
        const reader = new LogStore(sql);
        expect({ ...reader.boot(), ...others }).toEqual(bootOf(model));
        const first = model.start.index + 1;
        for (let index = first; index <= model.lastIndex + 1; index += 1)
          expect(reader.term(index)).toBe(model.term(index));
        expect(reader.term(first - 1)).toBe(undefined);
        const from = random.integer(first, model.lastIndex + 1);
        const to = random.integer(from, model.lastIndex + 2);
        const count = random.integer(1, 5);
        const read = reader.entries(from, to, 1e9, count);
        expect(plain(read)).toBe(plain(model.entries(from, to, 1e9, count)));
      }
    }
  });

  it('tell the size of what is kept, whatever is cut off before and behind', () => {
    const store = new LogStore(newSql());
    store.persist(
      effects({ append: [entry(1, 1, 'a'), entry(2, 1, 'bb'), entry(3, 1, 'ccc')] }),
      0,
    );
    // Of the entries after the first that is kept.
    expect(store.bytesAfter(0)).toBe(5);
    store.compact({ index: 1, term: 1 });
    expect(store.bytesAfter(1)).toBe(3);
    store.persist(effects({ truncateFrom: 3, append: [entry(3, 2, 'dddd'), entry(4, 2, 'e')] }), 0);
    expect(store.bytesAfter(1)).toBe(5);
    store.compact({ index: 4, term: 2 });
    expect(store.bytesAfter(4)).toBe(0);
    store.persist(effects({ append: [entry(5, 2, 'f'), entry(6, 2, 'gg')] }), 0);
    expect(store.bytesAfter(4)).toBe(2);
  });

  it('hold the index, term and configuration of an open snapshot, for any life, until it is closed', () => {
    const sql = newSql();
    const store = new LogStore(sql);
    const next = { ...founding, learners: members('E') };
    const payload = { type: 'configuration', configuration: next } as const;
    store.persist(
      effects({ append: [entry(1, 1), { index: 2, term: 1, payload }, entry(3, 1)] }),
      0,
    );
    expect([1, 2, 3].map((index) => store.configurationAt(index))).toEqual([founding, next, next]);
    const snapshot = { id: 's1', index: 1, term: 1, configuration: store.configurationAt(1) };
    store.saveSnapshot(snapshot);
    expect(new LogStore(sql).boot().snapshot).toEqual(snapshot);
    store.saveSnapshot({ ...snapshot, id: 's2', index: 3 });
    expect(new LogStore(sql).boot().snapshot).toMatchObject({ id: 's2', index: 3 });
    store.forgetSnapshot();
    expect(new LogStore(sql).boot().snapshot).toBe(null);
  });

  it('are read in portions of at least one entry, bounded in number and bytes', () => {
    const sql = newSql();
    new LogStore(sql).persist(
      effects({ append: [entry(1, 1, 'aaaa'), entry(2, 1, 'bbbb'), entry(3, 1, 'c')] }),
      0,
    );
    const reader = new LogStore(sql);
    const read = (from: number, bytes: number, count: number) =>
      reader.entries(from, 3, bytes, count).map(({ index }) => index);
    expect(read(1, 100, 100)).toEqual([1, 2, 3]);
    expect(read(1, 100, 2)).toEqual([1, 2]);
    expect(read(1, 8, 100)).toEqual([1, 2]);
    expect(read(2, 0, 100)).toEqual([2]);
    expect(read(4, 100, 100)).toEqual([]);
  });

  it('refuse an index that is taken: nothing is overwritten without a truncation', () => {
    const sql = newSql();
    new LogStore(sql).persist(effects({ append: entries(1, 1, 1) }), 0);
    expect(() => new LogStore(sql).persist(effects({ append: entries(2, 2) }), 0)).toThrow(
      'UNIQUE',
    );
    expect(new LogStore(sql).term(2)).toBe(1);
  });
});
