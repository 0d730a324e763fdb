/**
 * Who counts: joint configurations, learners, and configurations in the log (thesis 4.1 to 4.3).
 */
import { describe, expect, it } from 'vitest';
import { allMembers, type Configuration } from '../../src/raft/configuration.ts';
import { Group, groupLedBy, members } from './support/group.ts';
import { append, entries } from './support/messages.ts';

describe('a joint configuration', () => {
  const joint = { voters: 'ABC', outgoing: 'CDE' };

  /** Just elected: with its first commit it leaves the joint configuration. */
  function jointGroupLedBy(name: string): Group {
    const group = new Group(joint);
    group.suspect(name);
    expect(group.pass(5_000, () => group.core(name).role === 'leader')).toBe(true);
    return group;
  }

  it('elects with a majority of both halves and not with one', () => {
    const group = new Group(joint);
    group.isolate('D', 'E');
    group.suspect('A');
    group.pass(5_000);
    expect(group.core('A').role).not.toBe('leader');
    group.heal();
    group.isolate('B', 'E');
    group.suspect('A');
    expect(group.pass(5_000, () => group.core('A').role === 'leader')).toBe(true);
  });

  it('commits with a majority of both halves and not with one', () => {
    const group = jointGroupLedBy('A');
    group.isolate('D', 'E');
    group.settle();
    expect(group.core('A').commitIndex).toBe(0);
    group.heal();
    group.pass(400);
    expect(group.core('A').commitIndex).toBe(2);
  });

  it('keeps its leader in office only with a majority of both halves', () => {
    const group = jointGroupLedBy('A');
    group.isolate('D', 'E');
    group.pass(1_000);
    expect(group.core('A').role).toBe('follower');
  });
});

describe('a member', () => {
  it.each([
    ['a voter', { voters: members('ABC'), outgoing: [], learners: [] }, true],
    ['the only voter', { voters: members('A'), outgoing: [], learners: [] }, true],
    ['in the incoming half only', { voters: members('ABC'), outgoing: members('BC') }, true],
    ['in the outgoing half only', { voters: members('BC'), outgoing: members('ABC') }, true],
    ['a learner', { voters: members('BC'), outgoing: [], learners: members('A') }, false],
    ['in no configuration', { voters: members('BC'), outgoing: [], learners: [] }, false],
  ])('campaigns exactly if it is a voter of one half: %s', (_, configuration, expected) => {
    const group = new Group();
    group.storage('A').configurations = [
      { index: 0, configuration: { learners: [], ...configuration } },
    ];
    group.restart('A');
    group.suspect('A');
    group.pass(5_000);
    const asked = group.sent.some(({ from, type }) => from === 'A' && type === 'preVote');
    expect(asked || group.core('A').role === 'leader').toBe(expected);
  });

  it('of no configuration follows the leader all the same', () => {
    const group = new Group();
    const configuration = { voters: members('BC'), outgoing: [], learners: [] };
    group.storage('A').configurations = [{ index: 0, configuration }];
    group.restart('A');
    group.step(append({ from: 'B', to: 'A', term: 1 }, { entries: entries(1, 1), commit: 1 }));
    expect(group.core('A')).toMatchObject({ role: 'follower', leader: 'B', commitIndex: 1 });
  });

  it('is listed once, in the order of the configuration, voters first', () => {
    const outgoing = members('CAE');
    expect(allMembers({ voters: members('BDC'), outgoing, learners: members('FE') })).toEqual([
      ...'BDCAEF',
    ]);
    expect(allMembers({ voters: [], outgoing: [], learners: [] })).toEqual([]);
  });
});

describe('a learner', () => {
  it('receives the log and the commit, and rests with the group', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.propose('A', 'all');
    group.pass(1_000);
    expect(group.logOf('D')).toBe(group.logOf('A'));
    expect(group.storage('D').applied).toBe(2);
    expect(group.isAtRest).toBe(true);
  });

  it('never campaigns, but passes its suspicion to those that can (consensus-rules.md 12)', () => {
    const group = new Group({ voters: 'ABC', learners: 'D' });
    group.suspect('D');
    group.pass(60_000);
    const kinds = group.sent.filter(({ from }) => from === 'D').map(({ type }) => type);
    expect(kinds).not.toContain('preVote');
    expect(kinds.slice(0, 3)).toEqual(['suspicion', 'suspicion', 'suspicion']);
    expect(group.ids.some((id) => group.core(id).role === 'leader')).toBe(true);
    expect(group.isAtRest).toBe(true);
  });

  it('may check the leader for somebody, without counting for it', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.isolate('B', 'C');
    group.suspect('D');
    group.settle();
    expect(group.core('D').isSuspecting).toBe(true);
    group.heal();
    expect(group.pass(5_000, () => !group.core('D').isSuspecting)).toBe(true);
  });
});

describe('a configuration in the log', () => {
  const next: Configuration = {
    voters: members('ABCDE'),
    outgoing: members('ABC'),
    learners: [],
  };
  const entry = {
    index: 1,
    term: 1,
    payload: { type: 'configuration', configuration: next },
  } as const;
  const route = { from: 'B', to: 'A', term: 1 };

  it('counts from the moment it is appended, also after a restart', () => {
    const group = new Group();
    group.step(append(route, { entries: [entry] }));
    expect(group.core('A').commitIndex).toBe(0);
    expect(group.core('A').configuration).toEqual(next);
    group.restart('A');
    expect(group.core('A').configuration).toEqual(next);
  });

  it('is rolled back with its entry, also after a restart', () => {
    const group = new Group();
    group.step(append(route, { entries: [entry] }));
    group.step(append({ from: 'C', to: 'A', term: 2 }, { entries: entries(1, 2) }));
    expect(group.core('A').configuration).toEqual(group.configuration);
    group.restart('A');
    expect(group.core('A').configuration).toEqual(group.configuration);
  });

  it('decides who is asked for votes, and how many are enough', () => {
    const group = new Group({ voters: 'ABC', learners: 'DE' });
    group.step(append(route, { entries: [entry] }));
    group.isolate('B');
    group.suspect('A');
    group.pass(5_000, () => group.core('A').role === 'candidate');
    const asked = group.sent.filter(({ type }) => type === 'preVote').map(({ to }) => to);
    expect(asked).toEqual(['B', 'C', 'D', 'E']);
    expect(group.pass(5_000, () => group.core('A').role === 'leader')).toBe(true);
    expect(group.core('A').configuration).toEqual(next);
  });
});
