/**
 * A leader that was evicted leads its term again (design.md section 6), and a leader that has gone
 * back in time does not (consensus-rules.md 13).
 */
import { describe, expect, it } from 'vitest';
import { Group, groupLedBy, withOldBackup } from './support/group.ts';
import { preVote, readRequest, vote } from './support/messages.ts';
import type { Start } from './support/storage.ts';

describe('resuming a term', () => {
  const ledTerm: Start = { terms: [1, 2], term: 2, vote: 'A', termLeader: 'A' };
  it.each<[string, Start, string]>([
    ['all hold', ledTerm, 'leader'],
    ['the mark names another', { ...ledTerm, termLeader: 'B' }, 'follower'],
    ['there is no mark', { terms: [1, 2], term: 2, vote: 'A' }, 'follower'],
    ['the vote is for another', { ...ledTerm, vote: 'B' }, 'follower'],
    ['the term has moved on', { ...ledTerm, term: 3 }, 'follower'],
    ['the log has lost its last term', { ...ledTerm, terms: [1] }, 'follower'],
  ])('needs mark, vote and log: %s', (_, start, role) => {
    expect(new Group({ start: { A: start } }).core('A').role).toBe(role);
  });

  it('needs the newest configuration to have this member as a voter', () => {
    const group = new Group({ voters: 'BCD', learners: 'A', start: { A: ledTerm } });
    expect(group.core('A').role).toBe('follower');
  });

  it('is silent until somebody needs the leader', () => {
    const group = groupLedBy('A');
    group.restart('A');
    group.pass(60_000);
    expect(group.core('A').role).toBe('leader');
    expect(group.sent).toEqual([]);
  });

  it('sends an uncommitted tail at once, not when its time is over', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.withhold();
    group.restart('A');
    group.pass(1_000);
    expect(group.core('A').role).toBe('leader');
    expect(group.core('A').term).toBe(1);
    expect(group.core('B').commitIndex).toBe(2);
  });

  it('grants no read before everything that the old life may have committed is', () => {
    const group = groupLedBy('A');
    group.propose('A', 'acknowledged');
    group.propose('A', 'not yet');
    // Both are committed for the world: a quorum holds them. The new life knows nothing of it.
    group.settle();
    group.storage('A').applied = 1;
    group.restart('A');
    group.read('A');
    expect(group.core('A').commitIndex).toBe(1);
    group.settle(({ from, to }) => from === 'B' || to === 'B');
    expect(group.granted).toMatchObject([{ index: 3 }]);
  });

  it('makes the followers ignore what the old life still sends', () => {
    const group = groupLedBy('A');
    group.read('A');
    const [old] = group.withhold();
    group.restart('A');
    group.read('A');
    group.settle();
    group.sent = [];
    if (old) group.step(old);
    // The answer is for whoever is that life still: nobody.
    expect(group.sent).toMatchObject([{ ok: false, toBoot: old?.boot, readPosition: 0 }]);
    group.settle();
    expect(group.storage('A').fate).toBe(null);
    expect(group.core('A').role).toBe('leader');
  });

  it('leaves nothing to the old life: it can persist nothing, and answers to it stay its own', () => {
    const group = groupLedBy('A');
    group.propose('A', 'by the old life');
    group.settle(({ type }) => type === 'append');
    const old = group.supersede('A');
    group.read('A');
    // The acknowledgements go to the old life, which commits in memory and ends at the storage.
    group.settle(({ type }) => type === 'appendReply');
    expect(old.ended).toBe(true);
    group.pass(1_000);
    expect(group.granted).toMatchObject([{ index: 2 }]);
  });

  it('lets a read that began before the old life was superseded end, and no later one', () => {
    const group = groupLedBy('A');
    group.read('A');
    const old = group.supersede('A');
    group.settle();
    expect(group.granted).toMatchObject([{ by: 'A', id: 1 }]);
    expect(old.ended).toBe(false);
  });

  it('lasts through many evictions without an election', () => {
    const group = groupLedBy('A');
    for (let time = 0; time < 10; time += 1) {
      group.propose('A');
      group.pass(1_000);
      group.restart('A', 'B', 'C');
    }
    group.read('A');
    group.settle();
    expect(group.core('A').term).toBe(1);
    expect(group.granted).toMatchObject([{ index: 11 }]);
  });
});

describe('a life that was followed by another', () => {
  it.each([
    ['its vote request', vote({ from: 'B', to: 'A', term: 1, boot: 1 })],
    ['its pre-vote', preVote({ from: 'B', to: 'A', term: 0, boot: 1 })],
    ['its check of the leader', readRequest({ from: 'B', to: 'A', term: 0, boot: 1 })],
  ])('is not heard any more: %s', (_, message) => {
    const group = new Group();
    group.step({ ...message, boot: 2 });
    expect(group.sent.length).toBe(1);
    group.step(message);
    expect(group.sent.length).toBe(1);
  });
});

describe('a leader that went back in time', () => {
  it('stops at the first answer, and writes no second entry under an index', () => {
    const group = groupLedBy('A');
    const backup = group.storage('A').copy();
    group.propose('A', 'lost by the restored storage');
    group.pass(1_000);
    const boot = group.storage('A').boot;
    group.storage('A').restore(backup);
    // Even with a higher boot than all before: the log is what was lost.
    group.storage('A').boot = boot + 1;
    group.restart('A');
    group.read('A');
    group.settle();
    expect(group.storage('A').fate).toBe('lost');
    expect(group.logOf('B')).toBe('1: 1:lost by the restored storage');
  });

  it('stops also where it has written as much again before anybody answered', () => {
    const group = groupLedBy('A');
    const backup = group.storage('A').copy();
    group.propose('A', 'lost');
    group.pass(1_000);
    const { boot } = group.storage('A');
    group.storage('A').restore(backup);
    group.storage('A').boot = boot + 1;
    group.restart('A');
    group.isChecked = false;
    // Its log is longer than the followers' by now, so the last index alone shows nothing.
    group.turn(group.life('A'), (core) => {
      for (let at = 0; at < 3; at += 1) core.propose(new Uint8Array(1), group.now);
    });
    group.settle();
    expect(group.storage('A').fate).toBe('lost');
    expect(group.logOf('B')).toBe('1: 1:lost');
  });

  it('is not heard with a boot that is lower than one seen before, and told so', () => {
    const { group, backup } = withOldBackup();
    group.restart('B', 'C');
    group.storage('A').restore(backup);
    group.restart('A');
    group.sent = [];
    group.read('A');
    group.settle();
    expect(group.sent.filter((one) => one.type === 'appendReply' && one.ok)).toEqual([]);
    expect(group.storage('A').fate).toBe('lost');
  });
});
