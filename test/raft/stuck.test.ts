/**
 * States from which only one member can help, although its own configuration gives it no vote
 * (thesis 4.2.2), and members that have to find out that they are out. Random runs found each.
 */
import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../src/raft/configuration.ts';
import type { Message } from '../../src/raft/types.ts';
import { Group, groupLedBy, members } from './support/group.ts';
import { append, entry } from './support/messages.ts';

function configured(index: number, term: number, configuration: Configuration) {
  return { index, term, payload: { type: 'configuration', configuration } } as const;
}

describe('a member without a vote', () => {
  it('that removed itself and alone holds that entry campaigns, finishes the change and goes', () => {
    const group = groupLedBy('A', { voters: 'AB' });
    group.change('A', 'B');
    group.settle(({ type }) => type === 'append');
    // B has the joint configuration. A hears that, leaves it, and is evicted: only A holds that.
    group.settle(({ type }) => type === 'appendReply');
    group.withhold();
    expect(group.core('A').configuration).toMatchObject({ voters: ['B'], outgoing: [] });
    expect(group.core('B').configuration.outgoing).toEqual(['A', 'B']);
    group.restart('A');
    group.suspect('B');
    expect(group.pass(10_000, () => group.core('B').role === 'leader')).toBe(true);
    group.pass(10_000);
    expect(group.storage('A').fate).toBe('removed');
    expect(group.core('B').configuration).toMatchObject({ voters: ['B'], outgoing: [] });
  });

  it('campaigns when a candidate with a shorter log counts on its vote, and hands over', () => {
    const group = new Group({ voters: 'ABC', learners: 'D' });
    const joint = { voters: members('ABCD'), outgoing: members('ABC'), learners: [] };
    // C alone holds a change that makes D a voter; D alone holds a later leader's entry.
    group.step(
      append({ from: 'A', to: 'C', term: 1 }, { entries: [entry(1, 1), configured(2, 1, joint)] }),
    );
    group.step(append({ from: 'B', to: 'D', term: 2 }, { entries: [entry(1, 2)] }));
    group.step(append({ from: 'B', to: 'C', term: 2 }, { prevIndex: 9, prevTerm: 2 }));
    group.isolate('A');
    group.pool = [];
    const leads = () => ['B', 'C'].some((id) => group.core(id).role === 'leader');
    for (let time = 0; time < 10 && !leads(); time += 1) {
      group.suspect('C');
      group.pass(2_000, leads);
    }
    expect(leads()).toBe(true);
    expect(group.logOf('B').startsWith('2:1')).toBe(true);
  });
});

describe('a leader whose quorum waits for a slow member', () => {
  it('hears of the quick one too, and is not deposed before the slow one has caught up', () => {
    const settings = { appendEntriesMax: 1, inflightMessagesMax: 1 };
    const group = groupLedBy('A', { voters: 'ABCDE', settings, latencyMs: 50 });
    group.isolate('C');
    for (let time = 0; time < 30; time += 1) group.propose('A');
    group.pass(60_000);
    group.heal();
    // From now on C, 3 seconds behind, is needed for every commit; B has nothing left to answer.
    group.isolate('D');
    group.isolate('E');
    const proposed = group.propose('A', 'at last');
    expect(group.pass(10_000, () => group.core('A').commitIndex >= 32)).toBe(true);
    expect(proposed).toMatchObject({ ok: true, index: 32, term: 1 });
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
  });
});

describe('a removed member that missed it', () => {
  /** C, which is back. */
  function missedByC(): Group {
    const group = groupLedBy('A');
    group.isolate('C');
    group.change('A', 'AB');
    group.pass(60_000);
    group.heal();
    return group;
  }

  /** `late`: what C is told of its removal, which is on its way. */
  function askedAndNotYetAnswered(): { readonly group: Group; readonly late: Message[] } {
    const group = missedByC();
    group.suspect('C');
    group.settle(({ type }) => type !== 'readReply');
    const late = group.withhold();
    expect(late).toMatchObject([{ type: 'readReply', removed: true }]);
    return { group, late };
  }

  it('learns it by asking the leader, who has it confirmed by a quorum', () => {
    const group = missedByC();
    group.suspect('C');
    group.pass(5_000);
    expect(group.storage('C').fate).toBe('removed');
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
  });

  it('is not told so by a leader that no quorum confirms', () => {
    const group = missedByC();
    group.isolate('B');
    group.suspect('C');
    group.pass(5_000);
    expect(group.storage('C').fate).toBe(null);
  });

  it('is not removed by a late answer when it has been named again since', () => {
    const { group, late } = askedAndNotYetAnswered();
    group.change('A', 'AB', 'C');
    group.pass(1_000);
    expect(group.core('C').configuration.learners).toEqual(['C']);
    group.step(...late);
    expect(group.storage('C').fate).toBe(null);
  });

  it('is not removed by a late answer when the entry that names it is compacted away', () => {
    const { group, late } = askedAndNotYetAnswered();
    group.change('A', 'AB', 'C');
    group.pass(1_000);
    group.propose('A', 'more');
    group.pass(1_000);
    expect(group.compact('C', group.storage('C').applied)).toBe(true);
    group.step(...late);
    expect(group.storage('C').fate).toBe(null);
  });

  it('is not removed in the turn in which it takes what names it again', () => {
    const { group, late } = askedAndNotYetAnswered();
    group.change('A', 'AB', 'C');
    const bringsAddition = (message: Message) =>
      message.to === 'C' &&
      message.type === 'append' &&
      message.entries.some(({ payload }) => payload.type === 'configuration');
    group.settle((message) => !bringsAddition(message));
    const news = group.withhold();
    expect(news).toHaveLength(1);
    group.step(...late, ...news);
    expect(group.core('C').configuration.learners).toEqual(['C']);
    expect(group.storage('C').fate).toBe(null);
  });

  it('finds the leader through the refusal of its votes, whoever refuses first', () => {
    const group = groupLedBy('A');
    group.change('A', 'AB');
    // C has the joint configuration and what follows, but not that it is committed.
    group.settle(({ to, type }) => to !== 'C' || type !== 'append');
    group.withhold();
    group.restart('C');
    group.storage('C').hardState = { ...group.storage('C').hardState, termLeader: null };
    group.restart('C');
    group.pass(60_000);
    group.suspect('C');
    group.pass(5_000);
    expect(group.storage('C').fate).toBe('removed');
    expect(group.core('A').term).toBe(1);
  });

  it('is one also where its own addition was rolled back and stands behind what is committed', () => {
    const group = groupLedBy('A');
    group.join('D');
    group.isolate('B', 'C');
    for (const text of ['one', 'two']) group.propose('A', text);
    group.change('A', 'ABC', 'D');
    group.pass(300);
    expect(group.core('D').configuration.learners).toEqual(['D']);
    // B leads term 2 without the addition, which A and D alone have.
    group.heal();
    group.isolate('A');
    group.isolate('D');
    group.suspect('B');
    expect(group.pass(5_000, () => group.core('B').role === 'leader')).toBe(true);
    group.pass(20_000);
    expect(group.core('B').commitIndex).toBeLessThan(4);
    group.heal();
    group.suspect('A');
    group.pass(20_000);
    group.suspect('D');
    expect(group.pass(60_000, () => group.storage('D').fate === 'removed')).toBe(true);
    group.pass(60_000);
    expect(group.isAtRest).toBe(true);
  });

  it('is told by who refuses its pre-vote where the leader is, whom it has never heard of', () => {
    const group = groupLedBy('B', { voters: 'ABD', learners: 'F' });
    group.isolate('A');
    for (const [voters, learners] of [
      ['BD', 'F'],
      ['DF', ''],
    ] as const) {
      group.change('B', voters, learners);
      group.pass(20_000);
    }
    group.suspect('D');
    group.pass(5_000);
    group.transfer('D', 'F');
    group.pass(60_000);
    expect(group.core('F').role).toBe('leader');
    group.heal();
    // Of those that A knows, B is gone, and D does not lead.
    group.suspect('A');
    group.pass(60_000);
    expect(group.storage('A').fate).toBe('removed');
    expect(group.core('F').role).toBe('leader');
  });
});
