/**
 * What is committed, and when (thesis 3.6): quorum, own term, order, bounds.
 */
import { describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import type { MemberId } from '../../src/raft/types.ts';
import { Group, groupLedBy } from './support/group.ts';
import { append } from './support/messages.ts';

describe('an entry', () => {
  it.each([
    ['A', '', true],
    ['ABC', '', false],
    ['ABC', 'B', true],
    ['ABC', 'C', true],
    ['ABCD', 'B', false],
    ['ABCD', 'BC', true],
    ['ABCDE', 'B', false],
    ['ABCDE', 'BC', true],
    ['ABCDE', 'DE', true],
    ['ABCDE', 'BCDE', true],
  ])('among %s is committed with the acknowledgement of [%s]: %s', (voters, acks, committed) => {
    const group = groupLedBy('A', { voters });
    group.propose('A');
    group.settle(({ from, to }) => acks.includes(from) || acks.includes(to));
    expect(group.core('A').commitIndex).toBe(committed ? 2 : 1);
    expect(group.storage('A').applied).toBe(committed ? 2 : 1);
  });

  it('is not committed by a learner', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'DE' });
    group.isolate('B', 'C');
    group.propose('A');
    group.settle();
    expect(group.core('D').lastIndex).toBe(2);
    expect(group.core('A').commitIndex).toBe(1);
  });

  it('is committed with all before it, in order, older terms included', () => {
    const terms = [1, 1, 2];
    const group = groupLedBy('A', { start: { A: { terms }, B: { terms }, C: { terms: [1] } } });
    expect(group.storage('A').applied).toBe(4);
    expect(group.logOf('C')).toBe('1:1 1:2 2:3 3:');
  });

  it('of an older term is not committed by counting copies (figure 8)', () => {
    // A led term 2 and wrote entry 2 to itself only; E led term 3; A leads again and copies it.
    const group = new Group({
      voters: 'ABCDE',
      settings: { appendEntriesMax: 1 },
      start: {
        A: { terms: [1, 2], term: 3 },
        B: { terms: [1], term: 3 },
        C: { terms: [1], term: 3 },
        D: { terms: [1], term: 3 },
        E: { terms: [1, 3], term: 3 },
      },
    });
    group.isolate('D', 'E');
    group.suspect('A');
    // The entry of A's own term gets nowhere, the old one reaches a majority.
    group.settle((message) => message.type !== 'append' || group.logOf(message.to) === '1:1');
    expect(group.core('A').role).toBe('leader');
    for (const id of ['A', 'B', 'C']) expect(group.storage(id).term(2)).toBe(2);
    expect(group.core('A').commitIndex).toBe(0);
    group.settle(({ to, from }) => to !== 'C' && from !== 'C');
    expect(group.core('A').commitIndex).toBe(0);
    group.settle();
    expect(group.core('A').commitIndex).toBe(3);
  });

  it('is acknowledged by the leader itself only with the turn that persists it', () => {
    const group = groupLedBy('A', { voters: 'A' });
    group.crashDuring('A', (core) => core.propose(new Uint8Array(1), group.now));
    expect(group.storage('A').applied).toBe(1);
    expect(group.core('A').lastIndex).toBe(1);
  });

  it('counts only for the life that sent it: an answer to an older one commits nothing', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A');
    group.settle(({ type }) => type === 'append');
    const [acknowledgement] = group.withhold();
    group.restart('A');
    if (acknowledgement) group.step(acknowledgement);
    expect(group.core('A').commitIndex).toBe(1);
    group.read('A');
    group.settle();
    expect(group.core('A').commitIndex).toBe(2);
  });

  it('is written with a live majority and not with a minority', () => {
    for (const [down, committed] of [
      ['E', true],
      ['DE', true],
      ['CDE', false],
      ['BCDE', false],
    ] as const) {
      const group = groupLedBy('A', { voters: 'ABCDE' });
      group.isolate(...down);
      for (const one of down) group.isolate(one);
      group.propose('A');
      group.pass(100);
      expect(group.core('A').commitIndex === 2, down).toBe(committed);
    }
  });
});

describe('what is handed out for applying', () => {
  it('comes in bounded portions without gap or repetition, also after a restart', () => {
    const terms = Array.from({ length: 10 }, () => 1);
    const settings = { committedEntriesMax: 3 };
    const start = { terms, term: 1, vote: 'A', termLeader: 'A' };
    const group = new Group({ voters: 'A', settings, start: { A: start } });
    group.tick('A');
    expect(group.storage('A').applied).toBe(3);
    group.restart('A');
    group.tick('A');
    expect(group.storage('A').applied).toBe(6);
    group.pass(100);
    expect(group.storage('A').applied).toBe(10);
    expect(group.isAtRest).toBe(true);
  });

  it('is bounded in bytes, and at least one entry', () => {
    const settings = { committedBytesMax: 10 };
    const group = groupLedBy('A', { voters: 'A', settings });
    group.turn(group.life('A'), (core) => {
      for (const size of [4, 4, 4, 100, 1]) core.propose(new Uint8Array(size), group.now);
    });
    const applied = [group.storage('A').applied];
    for (let at = 0; at < 3; at += 1) {
      group.tick('A');
      applied.push(group.storage('A').applied);
    }
    expect(applied).toEqual([3, 4, 5, 6]);
  });
});

describe('what take() gives', () => {
  it('is given once', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.read('A');
    const { core } = group.life('A');
    expect(core.nextDeadline()).not.toBe(group.now);
    for (const effect of Object.values(core.take()))
      expect(Array.isArray(effect) ? effect.length : (effect ?? false)).toBeFalsy();
  });

  it('is applied in order, and nothing that was not given', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    const { core } = group.life('A');
    expect(core.appliedIndex).toBe(2);
    expect(() => core.applied(1)).toThrow('applied in order');
    expect(() => core.applied(3)).toThrow('applied in order');
  });

  it('has no gap where storage answers with more than it was asked for', () => {
    const group = new Group({ start: { A: { terms: [1, 1, 1, 1, 1, 1] } } });
    const storage = group.storage('A');
    // A row more than the limits allow, as a storage with limits of its own may give.
    storage.entries = (from, to) => storage.log.slice(from - 1, Math.min(to, from + 2));
    const settings = { committedEntriesMax: 1, committedBytesMax: 1 };
    const core = new RaftCore(
      { self: 'A' as MemberId, bootState: storage.bootState(), log: storage, settings },
      2,
      () => 0,
      0,
    );
    core.step(append({ from: 'B', to: 'A', term: 1 }, { prevIndex: 6, prevTerm: 1, commit: 5 }), 0);
    const portions = [];
    for (let time = 0; time < 4; time += 1)
      portions.push(core.take().committed.map(({ index }) => index));
    expect(portions).toEqual([[1, 2, 3], [4, 5], [], []]);
    expect(core.commitIndex).toBe(5);
  });
});

describe('the limit of uncommitted bytes', () => {
  it('refuses what goes beyond it, until something is committed', () => {
    const group = groupLedBy('A', { settings: { uncommittedBytesMax: 10 } });
    expect(group.propose('A', '12345678').ok).toBe(true);
    expect(group.propose('A', '123')).toEqual({ ok: false, reason: 'tooMuchUncommitted' });
    expect(group.propose('A', '12').ok).toBe(true);
    group.settle();
    expect(group.propose('A', '1234567890').ok).toBe(true);
  });

  it('lets one large entry pass an empty tail, and empty ones always', () => {
    const group = groupLedBy('A', { settings: { uncommittedBytesMax: 10 } });
    expect(group.propose('A', 'much longer than the limit').ok).toBe(true);
    expect(group.propose('A', '').ok).toBe(true);
    expect(group.propose('A', '1').ok).toBe(false);
  });

  it('is no business of a member that does not lead', () => {
    const group = groupLedBy('A');
    expect(group.propose('B')).toEqual({ ok: false, reason: 'notLeader' });
  });
});
