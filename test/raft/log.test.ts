/**
 * The log: what it holds in memory and what it reads back from storage.
 */
import { describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import type { Entry, MemberId } from '../../src/raft/types.ts';
import { members } from './support/group.ts';
import { Storage } from './support/storage.ts';

describe('the cache of the log', () => {
  it('is not trimmed by what this very turn has still to persist', () => {
    const storage = new Storage({ voters: members('AB'), outgoing: [], learners: [] });
    const core = new RaftCore(
      { self: 'A' as MemberId, bootState: storage.bootState(), log: storage },
      1,
      () => 0,
      0,
    );
    // More in one turn than the cache holds, all of it committed: it must come out for applying.
    const size = 1024 * 1024;
    const route = { from: 'B' as MemberId, to: 'A' as MemberId, boot: 1, term: 1 };
    for (let index = 1; index <= 6; index += 1) {
      const entry: Entry = {
        index,
        term: 1,
        payload: { type: 'data', data: new Uint8Array(size) },
      };
      core.step(
        {
          ...route,
          type: 'append',
          prevIndex: index - 1,
          prevTerm: index === 1 ? 0 : 1,
          entries: [entry],
          commit: index,
          readPosition: 0,
          barrier: 1,
        },
        0,
      );
    }
    const { append, committed } = core.take();
    expect(append.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(committed.map(({ index }) => index)).toEqual([1, 2, 3, 4]);
  });
});
