/**
 * Changes of the configuration (thesis 4.3, docs/decisions/membership.md): always by way of a joint
 * one, one at a time, and left by whoever leads.
 */
import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../src/raft/configuration.ts';
import type { MemberId, Message } from '../../src/raft/types.ts';
import { Random } from '../support/random.ts';
import { stateOf } from './support/checks.ts';
import { type Group, groupLedBy, members } from './support/group.ts';

function configuration(voters: string, outgoing = '', learners = ''): Configuration {
  return {
    voters: members(voters),
    outgoing: members(outgoing),
    learners: members(learners),
  };
}

/** The members that the leader keeps progress of, in alphabetical order. */
function followersOf(group: Group, leader: string): string {
  const { role } = stateOf(group.core(leader));
  return role.type === 'leader' ? [...role.progress.keys()].sort().join('') : '';
}

function isLed(group: Group, name: string): boolean {
  return group.core(name).role === 'leader';
}

describe('a change', () => {
  it('counts from its append, as a joint configuration, and is left once that is committed', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'DE' });
    expect(group.change('A', 'ADE')).toMatchObject({ ok: true, index: 2, term: 1 });
    expect(group.core('A').configuration).toEqual(configuration('ADE', 'ABC'));
    // With B a majority of the outgoing half, with D one of the incoming.
    group.settle(({ from, to }) => from === 'B' || to === 'B');
    expect(group.core('A').configuration.outgoing).toEqual(members('ABC'));
    group.settle(({ from, to }) => from === 'D' || to === 'D');
    expect(group.core('A').configuration).toEqual(configuration('ADE'));
    group.pass(1_000);
    for (const name of 'ADE') expect(group.core(name).configuration).toEqual(configuration('ADE'));
    expect(group.isAtRest).toBe(true);
  });

  it.each([
    ['a voter more', 'ABC', 'D', 'ABCD', ''],
    ['a voter less', 'ABC', '', 'AB', ''],
    ['another in place of one', 'ABC', 'D', 'ABD', ''],
    ['all but the leader', 'ABC', 'DE', 'ADE', ''],
    ['down to one', 'ABC', '', 'A', ''],
    ['from one to three', 'A', 'BC', 'ABC', ''],
    ['a learner more', 'ABC', '', 'ABC', 'D'],
    ['a learner less', 'ABC', 'D', 'ABC', ''],
    ['a voter made a learner', 'ABC', '', 'AB', 'C'],
    ['two that change places', 'ABC', 'D', 'ABD', 'C'],
  ])(
    'of any kind ends as it was asked for: %s',
    (_, voters, learners, nextVoters, nextLearners) => {
      const group = groupLedBy('A', { voters, learners });
      for (const id of nextLearners) if (!group.ids.includes(id as MemberId)) group.join(id);
      group.propose('A');
      group.pass(1_000);
      expect(group.change('A', nextVoters, nextLearners).ok).toBe(true);
      group.pass(30_000);
      const expected = configuration(nextVoters, '', nextLearners);
      for (const id of nextVoters + nextLearners)
        expect(group.core(id).configuration).toEqual(expected);
      expect(group.propose('A', 'works').ok).toBe(true);
      group.pass(1_000);
      for (const id of nextVoters + nextLearners) expect(group.logOf(id)).toBe(group.logOf('A'));
      expect(group.isAtRest).toBe(true);
    },
  );

  it.each([
    ['no voter', '', 'A', 'invalid'],
    ['a member twice', 'ABC', 'CD', 'invalid'],
    ['more members than there may be', 'ABC', 'DEFGHIJKLMNOPQ', 'invalid'],
    ['the same', 'ABC', 'D', 'noChange'],
    ['the same in another order', 'CAB', 'D', 'noChange'],
    ['a voter that was no learner', 'ABCX', 'D', 'notLearner'],
  ])('is refused with a reason: %s', (_, voters, learners, reason) => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    const before = group.logOf('A');
    expect(group.change('A', voters, learners)).toEqual({ ok: false, reason });
    expect(group.logOf('A')).toBe(before);
  });

  it('is refused by who does not lead', () => {
    const group = groupLedBy('A');
    expect(group.change('B', 'AB')).toEqual({ ok: false, reason: 'notLeader' });
  });

  it('is refused while another is under way, until that one is left and committed', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    const refused = { ok: false, reason: 'changeUnderWay' };
    group.change('A', 'ABCD');
    expect(group.change('A', 'AB')).toEqual(refused);
    // The joint configuration is committed and left, and the simple one is under way.
    group.settle(({ type, from }) => type === 'append' || from === 'B');
    group.settle(({ type, from }) => type === 'appendReply' && from !== 'B');
    expect(group.core('A').configuration).toEqual(configuration('ABCD'));
    expect(group.change('A', 'AB')).toEqual(refused);
    group.settle();
    expect(group.change('A', 'ABC').ok).toBe(true);
  });

  it('is refused by a resumed leader before a quorum has answered its life', () => {
    const group = groupLedBy('A');
    group.restart('A');
    expect(group.change('A', 'AB')).toEqual({ ok: false, reason: 'notReady' });
    group.read('A');
    group.settle();
    expect(group.change('A', 'AB').ok).toBe(true);
    group.pass(5_000);
    expect(group.core('A').configuration).toEqual(configuration('AB'));
  });

  it('is refused by a new leader before it has committed in its term, and while its tail holds one', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABCD');
    group.settle(({ type, to }) => type === 'append' && to === 'B');
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000, () => isLed(group, 'B'));
    expect(group.core('B').configuration.outgoing).toEqual(members('ABC'));
    expect(group.change('B', 'ABC')).toEqual({ ok: false, reason: 'notReady' });
    group.settle(({ type }) => type === 'append');
    expect(group.change('B', 'ABC')).toEqual({ ok: false, reason: 'notReady' });
    // Then the joint one is committed with the entry of its term, and B leaves it.
    group.pass(1_000);
    expect(group.core('B').configuration).toEqual(configuration('ABCD'));
    expect(group.change('B', 'BCD').ok).toBe(true);
  });

  it('that two leaders begin has no two majorities apart (Ongaro 2015)', () => {
    const group = groupLedBy('A', { voters: 'ABCD', learners: 'E' });
    // A adds E and reaches E only; B leads with C and D, and would remove A.
    group.isolate('A', 'E');
    group.change('A', 'ABCDE');
    group.settle();
    group.suspect('B');
    group.pass(5_000, () => isLed(group, 'B'));
    group.pass(300);
    expect(group.change('B', 'BCD').ok).toBe(true);
    group.pass(300);
    expect(group.core('B').configuration).toEqual(configuration('BCD', '', ''));
    expect(group.core('A').commitIndex).toBe(1);
    group.heal();
    group.propose('B');
    group.suspect('A');
    group.pass(30_000);
    expect(group.storage('A').fate).toBe('removed');
  });

  it('again after it was made is refused, and blocks no later one', () => {
    const group = groupLedBy('A');
    group.join('D');
    expect(group.change('A', 'ABC', 'D').ok).toBe(true);
    group.pass(1_000);
    expect(group.change('A', 'ABC', 'D')).toEqual({ ok: false, reason: 'noChange' });
    group.join('E');
    expect(group.change('A', 'ABC', 'DE').ok).toBe(true);
    group.pass(1_000);
    expect(group.core('C').configuration).toEqual(configuration('ABC', '', 'DE'));
  });
});

describe('a new learner', () => {
  it('gets the log, and changes neither voters nor quorum', () => {
    const group = groupLedBy('A');
    group.propose('A', 'before');
    group.join('D');
    expect(group.change('A', 'ABC', 'D').ok).toBe(true);
    expect(group.core('A').configuration).toEqual(configuration('ABC', 'ABC', 'D'));
    group.isolate('D');
    group.pass(300);
    expect(group.core('A').configuration).toEqual(configuration('ABC', '', 'D'));
    expect(group.core('A').commitIndex).toBe(group.core('A').lastIndex);
    group.heal();
    group.pass(5_000);
    expect(group.logOf('D')).toBe(group.logOf('A'));
    group.restart(...group.ids);
    for (const id of group.ids)
      expect(group.core(id).configuration).toEqual(configuration('ABC', '', 'D'));
  });

  it('becomes a voter only with the log, and only if it can apply', () => {
    const group = groupLedBy('A', { settings: { promotionLagMax: 2 } });
    group.join('D');
    group.loses = ({ to }) => to === 'D';
    group.change('A', 'ABC', 'D');
    group.pass(100);
    expect(group.change('A', 'ABCD')).toEqual({ ok: false, reason: 'learnerBehind' });
    group.loses = () => false;
    group.pass(5_000);
    for (let at = 0; at < 3; at += 1) group.propose('A');
    // It has the log, but for more than a few entries that are on their way.
    expect(group.change('A', 'ABCD')).toEqual({ ok: false, reason: 'learnerBehind' });
    group.settle();
    group.standDown('D');
    group.propose('A');
    group.settle();
    expect(group.change('A', 'ABCD')).toEqual({ ok: false, reason: 'cannotApply' });
    group.restart('D');
    group.propose('A');
    group.pass(5_000);
    expect(group.change('A', 'ABCD').ok).toBe(true);
  });
});

describe('a new voter', () => {
  it('that is silent does not make the leader step down', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.isolate('D');
    group.change('A', 'ABCD');
    for (let time = 0; time < 20; time += 1) {
      group.pass(100);
      group.propose('A');
    }
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
    expect(group.core('A').configuration).toEqual(configuration('ABCD'));
  });

  it('counts: with it four need three', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABCD');
    group.pass(1_000);
    group.isolate('C');
    group.isolate('D');
    const { commitIndex } = group.core('A');
    group.propose('A');
    group.settle();
    expect(group.core('A').commitIndex).toBe(commitIndex);
  });
});

describe('a removal', () => {
  it('that makes the quorum smaller commits what waited for the larger one', () => {
    const group = groupLedBy('A', { voters: 'AB' });
    group.change('A', 'A');
    const [joint] = group.withhold();
    group.propose('A', 'waits');
    group.withhold();
    if (joint) group.step(joint);
    // B holds the joint configuration and not what came after it.
    group.settle(({ to }) => to === 'A');
    expect(group.core('A').configuration).toEqual(configuration('A'));
    expect(group.core('A').commitIndex).toBe(group.core('A').lastIndex);
    expect(group.logOf('A')).toContain('1:waits');
  });

  it.each([
    ['AB', 'B'],
    ['ABC', 'BC'],
    ['ABCDE', 'BCDE'],
  ])('of the leader itself, from %s, is committed by it, then another leads', (voters, rest) => {
    const group = groupLedBy('A', { voters });
    group.propose('A');
    group.pass(1_000);
    expect(group.change('A', rest).ok).toBe(true);
    const isDone = () => [...rest].some((name) => isLed(group, name));
    expect(group.pass(5_000, isDone)).toBe(true);
    // Nobody had to suspect anything, and A knows what became of it.
    expect(group.sent.some(({ type }) => type === 'preVote')).toBe(false);
    group.pass(30_000);
    expect(group.storage('A').fate).toBe('removed');
    const leader = [...rest].find((name) => isLed(group, name)) ?? '';
    expect(group.core(leader).configuration).toEqual(configuration(rest));
    expect(group.propose(leader, 'works').ok).toBe(true);
    group.pass(1_000);
    for (const name of rest) expect(group.logOf(name)).toContain('works');
    expect(group.isAtRest).toBe(true);
  });

  it('of the leader counts without its own vote: the others have to hold it', () => {
    const group = groupLedBy('A');
    group.change('A', 'BC');
    // The outgoing half has a majority with A and B, the incoming one needs B and C.
    group.settle(({ from, to }) => from === 'B' || to === 'B');
    expect(group.core('A').configuration.outgoing).toEqual(members('ABC'));
    group.settle();
    group.pass(5_000);
    expect(group.core('B').configuration).toEqual(configuration('BC'));
  });

  it('is known to the removed before it is forgotten, and leaves a tombstone', () => {
    const group = groupLedBy('A');
    group.change('A', 'AB');
    group.pass(10_000);
    expect(group.storage('C').fate).toBe('removed');
    // It was told, and did not have to ask.
    expect(group.sent.some(({ type }) => type === 'readRequest')).toBe(false);
    expect(followersOf(group, 'A')).toBe('B');
    expect(group.isAtRest).toBe(true);
  });

  it('removes nobody who acknowledges in the same turn that it is named again', () => {
    const group = groupLedBy('A');
    // What A and B go through without C reaches it at once, as an envelope that was long on its way.
    const late: Message[] = [];
    group.settle();
    const keepFromC = () => late.push(...group.withhold(({ to }) => to === 'C'));
    group.change('A', 'AB');
    group.settle(({ to }) => to !== 'C');
    keepFromC();
    // This one tells that the removal is committed, and nothing of what follows.
    group.propose('A', 'between');
    group.settle(({ to }) => to !== 'C');
    keepFromC();
    group.change('A', 'AB', 'C');
    group.settle(({ to }) => to !== 'C');
    keepFromC();
    expect(group.core('A').configuration).toEqual(configuration('AB', '', 'C'));
    group.step(...late);
    expect(group.core('C').commitIndex).toBeGreaterThanOrEqual(3);
    expect(group.core('C').configuration.learners).toEqual(['C']);
    expect(group.storage('C').fate).toBe(null);
  });

  it('that its subject missed is told when it asks', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.change('A', 'AB');
    group.pass(60_000);
    expect(followersOf(group, 'A')).toBe('B');
    group.heal();
    group.suspect('C');
    group.pass(10_000);
    expect(group.storage('C').fate).toBe('removed');
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
  });
});

describe('leaving a joint configuration', () => {
  /** A leads {A,B,D}+{A,B,C}, which a quorum of both halves holds; nobody knows it is committed. */
  function joint(): Group {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABD');
    group.settle(({ type }) => type === 'append');
    group.withhold();
    return group;
  }

  it('is done by the leader in its next life (consensus-rules.md 11)', () => {
    const group = joint();
    group.restart('A');
    group.pass(5_000);
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
    expect(group.core('A').configuration).toEqual(configuration('ABD'));
    expect(group.isAtRest).toBe(true);
  });

  it('is done by a life that begins with it committed', () => {
    const group = joint();
    group.storage('A').applied = 2;
    group.restart('A');
    // At once: not because the others would ask for it one day.
    group.pass(100);
    expect(group.core('A').configuration).toEqual(configuration('ABD'));
  });

  it('is done by the next leader', () => {
    const group = joint();
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000, () => isLed(group, 'B'));
    group.pass(5_000);
    expect(group.core('B').configuration).toEqual(configuration('ABD'));
  });

  it('waits for an entry of the leader’s own term', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABD');
    group.settle(({ type }) => type === 'append');
    // B learns that the joint configuration is committed, and nothing of the one after it.
    group.loses = (message) => message.type === 'append' && message.entries.length > 0;
    group.settle();
    group.read('A');
    group.settle();
    expect(group.core('B')).toMatchObject({ commitIndex: 2, lastIndex: 2 });
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000, () => isLed(group, 'B'));
    expect(group.logOf('B').split(' ').at(-1)).toBe('2:');
    expect(group.core('B').configuration.outgoing).toEqual(members('ABC'));
  });
});

describe('a leader', () => {
  it('keeps progress of exactly the others, whatever changes come', () => {
    const random = new Random(1);
    const group = groupLedBy('A', { voters: 'ABC', learners: 'DEF' });
    group.propose('A');
    group.pass(1_000);
    for (let time = 0; time < 30; time += 1) {
      const { voters, learners } = group.core('A').configuration;
      const place = new Map<MemberId, string>();
      for (const id of [...voters, ...learners])
        place.set(id, id === 'A' || random.next() < 0.6 ? 'voter' : 'learner');
      const wanted = (kind: string) =>
        [...place].flatMap(([id, is]) => (is === kind ? [id] : [])).join('');
      group.change('A', wanted('voter'), wanted('learner'));
      group.pass(5_000);
      expect(group.core('A').configuration).toEqual(
        configuration(wanted('voter'), '', wanted('learner')),
      );
      expect(followersOf(group, 'A')).toBe('BCDEF');
    }
  });
});
