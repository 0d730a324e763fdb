/**
 * Compaction: how far the log may be forgotten, and what log and progress are after it
 * (docs/decisions/snapshots.md).
 */
import { describe, expect, it } from 'vitest';
import { RaftLog } from '../../src/raft/log.ts';
import { acknowledge, becomeProbe, becomeSnapshot, newProgress } from '../../src/raft/progress.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import { Group, groupLedBy, members } from './support/group.ts';
import { entries } from './support/messages.ts';
import { Storage } from './support/storage.ts';

const { electionTimeoutMs, repairAfterMs, retransmitMs } = defaultSettings;

describe('compaction', () => {
  it('keeps what is not applied, and what a follower that answers lacks', () => {
    const group = groupLedBy('A');
    for (let at = 2; at <= 6; at += 1) group.propose('A');
    group.settle(({ from, to }) => from === 'B' || to === 'B');
    // C answers, and has acknowledged entry 1 only.
    expect(group.core('A').commitIndex).toBe(6);
    expect(group.compact('A', 99)).toBe(true);
    expect(group.core('A').firstIndex).toBe(2);
    group.settle();
    group.pass(1_000);
    expect(group.compact('A', 4)).toBe(true);
    expect(group.core('A').firstIndex).toBe(5);
    expect(group.compact('A', 4)).toBe(false);
    expect(group.compact('A', 99)).toBe(true);
    expect([group.core('A').firstIndex, group.core('A').lastIndex]).toEqual([7, 6]);
    // B has applied less than that.
    const follower = new Group({ start: { A: { terms: [1, 1, 1, 1], applied: 2 } } });
    expect(follower.compact('A', 4)).toBe(true);
    expect(follower.core('A').firstIndex).toBe(3);
  });

  it('does not wait for a follower that is silent', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A');
    group.pass(repairAfterMs * 2);
    expect(group.compact('A', 2)).toBe(true);
  });

  it('takes nothing from those that answer: no snapshot is needed', () => {
    const group = groupLedBy('A');
    for (let time = 0; time < 10; time += 1) {
      group.propose('A');
      group.pass(100);
      for (const id of group.ids) group.compact(id, 99);
    }
    expect(group.sent.some(({ type }) => type === 'snapshot')).toBe(false);
    expect(group.core('C').commitIndex).toBe(11);
  });

  it('leaves an election what it needs: the last term, and a log to compare', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.pass(1_000);
    for (const id of group.ids) group.compact(id, 99);
    group.isolate('A');
    group.suspect('B');
    expect(group.pass(5_000, () => group.core('B').role === 'leader')).toBe(true);
    group.heal();
    group.propose('B', 'next');
    group.pass(electionTimeoutMs);
    expect(group.core('A').commitIndex).toBe(4);
  });
});

describe('the log', () => {
  function compacted(): RaftLog {
    const storage = new Storage({ voters: members('A'), outgoing: [], learners: [] });
    storage.log = entries(1, 1, 1, 2, 2, 3);
    const log = new RaftLog(storage.bootState(), storage);
    log.compact(2);
    storage.compact({ index: 2, term: 1 });
    return log;
  }

  it('knows the terms from its start on after a compaction, and refuses what is before', () => {
    const log = compacted();
    expect([0, 1, 2, 3, 4, 5, 6].map((index) => log.term(index))).toEqual([
      ...[undefined, undefined, 1, 2, 2, 3, undefined],
    ]);
    expect(log.slice(3, 5, 1e9, 9).map(({ index }) => index)).toEqual([3, 4, 5]);
    expect(() => log.slice(2, 5, 1e9, 9)).toThrow('compacted away');
    expect(() => log.truncate(2)).toThrow('in range');
    expect(() => log.compact(6)).toThrow('compacts what it holds');
  });

  it('compacts in memory no more than is persisted', () => {
    const log = compacted();
    log.append(entries(6, 3, 3));
    expect(() => log.compact(6)).toThrow('compacts what it holds');
    log.takeUnstable();
    log.compact(6);
    expect([log.term(5), log.term(6), log.term(7)]).toEqual([undefined, 3, 3]);
  });

  it('begins anew with a snapshot: nothing of the old tail is persisted or known', () => {
    const log = compacted();
    log.truncate(5);
    log.append(entries(5, 4, 4));
    log.reset(20, 5);
    expect([log.lastIndex, log.lastTerm, log.truncatedFrom]).toEqual([20, 5, null]);
    expect(log.takeUnstable()).toEqual([]);
    expect([5, 19, 20, 21].map((index) => log.term(index))).toEqual([
      ...[undefined, undefined, 5, undefined],
    ]);
    expect(log.isUpToDate(19, 5)).toBe(false);
    log.append(entries(21, 5));
    expect(log.takeUnstable().map(({ index }) => index)).toEqual([21]);
  });

  it('has no hint below its start but that it lies there', () => {
    const log = compacted();
    expect(log.lastIndexAtOrBelowTerm(5, 1)).toEqual({ index: 2, term: 1 });
    expect(log.lastIndexAtOrBelowTerm(5, 0).index).toBeLessThan(2);
    expect(log.lastIndexAtOrBelowTerm(1, 9).index).toBe(1);
  });
});

describe('progress by snapshot', () => {
  function sending() {
    const progress = { ...newProgress(9, retransmitMs), match: 3 };
    becomeSnapshot(progress);
    return progress;
  }

  it('ends with an acknowledgement that reaches the start of the log, whatever was sent', () => {
    const progress = sending();
    acknowledge(progress, 5, 6);
    expect(progress).toMatchObject({ state: 'snapshot', match: 5 });
    acknowledge(progress, 6, 6);
    expect(progress).toMatchObject({ state: 'replicate', match: 6, next: 7, chunk: null });
  });

  it('given up goes on after what matches', () => {
    const progress = { ...sending(), chunk: { id: 's1', cursor: '2' }, probeSent: true };
    becomeProbe(progress);
    expect(progress).toMatchObject({ state: 'probe', match: 3, next: 4, chunk: null });
    expect(progress.probeSent).toBe(false);
  });
});
