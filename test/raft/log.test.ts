/**
 * The log: what it holds in memory, what it reads back from storage, and what it hands out.
 */
import { describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import { noEffects } from '../../src/raft/effects.ts';
import { RaftLog } from '../../src/raft/log.ts';
import type { Effects, Entry, MemberId } from '../../src/raft/types.ts';
import { Random } from '../support/random.ts';
import { members } from './support/group.ts';
import { append, entries, entry } from './support/messages.ts';
import { Storage } from './support/storage.ts';

function storageWith(terms: readonly number[]): Storage {
  const storage = new Storage({ voters: members('AB'), outgoing: [], learners: [] });
  storage.log = entries(1, ...terms);
  return storage;
}

function logOver(storage: Storage): RaftLog {
  return new RaftLog(storage.bootState(), storage);
}

/** What a turn does with the log: takes out what is new, then persists it. */
function persist(log: RaftLog, storage: Storage): number[] {
  const effects: Effects = {
    ...noEffects(),
    truncateFrom: log.truncatedFrom,
    append: log.takeUnstable(),
  };
  log.truncatedFrom = null;
  storage.persist(effects);
  return effects.append.map(({ index }) => index);
}

describe('the log', () => {
  it('knows the terms from before its beginning to its end, and no others', () => {
    const log = logOver(storageWith([1, 1, 2]));
    expect([-1, 0, 1, 2, 3, 4].map((index) => log.term(index))).toEqual([
      undefined,
      0,
      1,
      1,
      2,
      undefined,
    ]);
  });

  it.each([
    [2, 2, true],
    [3, 2, true],
    [1, 2, false],
    [1, 3, true],
    [9, 1, false],
  ])('takes another that ends at index %i, term %i for up to date: %s', (index, term, expected) => {
    expect(logOver(storageWith([1, 2])).isUpToDate(index, term)).toBe(expected);
  });

  it('hands out each new entry for persisting once, and what replaces a truncated one again', () => {
    const storage = storageWith([1]);
    const log = logOver(storage);
    log.append(entries(2, 1, 1));
    expect(persist(log, storage)).toEqual([2, 3]);
    expect(persist(log, storage)).toEqual([]);
    log.truncate(3);
    log.append(entries(3, 2, 2));
    log.truncate(4);
    expect(persist(log, storage)).toEqual([3]);
    expect(storage.log.map(({ term }) => term)).toEqual([1, 1, 2]);
  });

  it('refuses gaps and falling terms', () => {
    const log = logOver(storageWith([2]));
    expect(() => log.append(entries(3, 2))).toThrow('contiguous');
    expect(() => log.append(entries(2, 1))).toThrow('terms do not decrease');
  });

  it.each([
    [9, 9, 6, 3],
    [6, 2, 4, 2],
    [5, 2, 4, 2],
    [3, 1, 2, 1],
    [6, 0, 0, 0],
  ])('may agree at or below %i with term %i at %i', (index, term, at, atTerm) => {
    const log = logOver(storageWith([1, 1, 2, 2, 3, 3]));
    expect(log.lastIndexAtOrBelowTerm(index, term)).toEqual({ index: at, term: atTerm });
  });

  it('is what a plain array is, through any appends, truncations, turns and restarts', () => {
    for (let seed = 1; seed <= 100; seed += 1) compareWithArray(new Random(seed));
  });

  it('read page by page is what one slice is, for all ranges and sizes of pages', () => {
    const storage = storageWith([1, 1, 2, 2, 2, 3, 3]);
    const log = logOver(storage);
    log.append(entries(8, 3, 4, 4));
    for (let from = 1; from <= 10; from += 1)
      for (let to = from; to <= 10; to += 1)
        for (let count = 1; count <= 11; count += 1) {
          const pages: Entry[] = [];
          // Turns out short where storage ends and memory begins.
          for (let page: Entry[] = [], at = from; at <= to; at += page.length) {
            page = log.slice(at, to, 1e9, count);
            if (page.length === 0) break;
            pages.push(...page);
          }
          expect(pages).toEqual([...storage.log, ...entries(8, 3, 4, 4)].slice(from - 1, to));
        }
  });

  it('cuts slices by number and bytes, with at least one entry, from memory and storage alike', () => {
    const storage = storageWith([]);
    const log = logOver(storage);
    log.append([entry(1, 1, 'aaaa'), entry(2, 1, 'bbbb'), entry(3, 1, 'cccc')]);
    persist(log, storage);
    for (const one of [log, logOver(storage)]) {
      const cut = (from: number, bytes: number, count: number) =>
        one.slice(from, 3, bytes, count).map(({ index }) => index);
      expect(cut(1, 100, 100)).toEqual([1, 2, 3]);
      expect(cut(1, 100, 2)).toEqual([1, 2]);
      expect(cut(1, 9, 100)).toEqual([1, 2]);
      expect(cut(2, 1, 100)).toEqual([2]);
      expect(cut(4, 100, 100)).toEqual([]);
    }
  });
});

function compareWithArray(random: Random): void {
  const storage = storageWith([]);
  let log = logOver(storage);
  let model: Entry[] = [];
  let term = 1;
  for (let step = 0; step < 40; step += 1) {
    const dice = random.integer(1, 10);
    if (dice <= 5) {
      const added = [entry(model.length + 1, term, `${step}`)];
      log.append(added);
      model = [...model, ...added];
    } else if (dice <= 6 && model.length > 0) {
      const from = random.integer(1, model.length);
      log.truncate(from);
      model = model.slice(0, from - 1);
      term += 1;
    } else if (dice <= 8) persist(log, storage);
    else {
      persist(log, storage);
      log = logOver(storage);
    }
    expect([log.lastIndex, log.lastTerm]).toEqual([model.length, model.at(-1)?.term ?? 0]);
    const at = random.integer(1, model.length + 1);
    expect(log.term(at)).toBe(model[at - 1]?.term);
    if (storage.log.length === model.length)
      expect(log.slice(at, model.length, 1e9, 3)[0]).toEqual(model[at - 1]);
  }
  persist(log, storage);
  expect(storage.log).toEqual(model);
}

describe('the cache of the log', () => {
  it('is bounded, and what has left it is read from storage', () => {
    const storage = storageWith([]);
    const log = logOver(storage);
    for (let index = 1; index <= 3_000; index += 1) {
      log.append([entry(index, 1)]);
      persist(log, storage);
    }
    storage.log = storage.log.slice(0, 10);
    expect(log.slice(1, 3_000, 1e9, 5).map(({ index }) => index)).toEqual([1, 2, 3, 4, 5]);
    expect(log.term(2_999)).toBe(1);
    expect(log.term(1_000)).toBe(undefined);
  });

  it('is not trimmed by what this very turn has still to persist', () => {
    const bootState = storageWith([]).bootState();
    const storage = storageWith([]);
    const self = 'A' as MemberId;
    const core = new RaftCore({ self, bootState, log: storage }, 1, () => 0, 0);
    // More in one turn than the cache holds, all of it committed: it must come out for applying.
    const data = new Uint8Array(1024 * 1024);
    for (let index = 1; index <= 6; index += 1) {
      const prev = { prevIndex: index - 1, prevTerm: Math.min(index - 1, 1) };
      const sent: Entry = { index, term: 1, payload: { type: 'data', data } };
      const route = { from: 'B', to: 'A', term: 1 };
      core.step(append(route, { ...prev, entries: [sent], commit: index }), 0);
    }
    const effects = core.take();
    expect(effects.append.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(effects.committed.map(({ index }) => index)).toEqual([1, 2, 3, 4]);
  });
});
