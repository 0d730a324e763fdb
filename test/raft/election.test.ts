/**
 * Elections (thesis 3.4, 4.2.3, 9.6): votes, pre-votes, terms.
 */
import { describe, expect, it } from 'vitest';
import { noEffects } from '../../src/raft/effects.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import { Group, groupLedBy } from './support/group.ts';
import { append, preVote, vote, voteReply } from './support/messages.ts';
import type { Start } from './support/storage.ts';

const { electionTimeoutMs } = defaultSettings;

/** A member that has just asked for votes in term 1; nobody has answered yet. */
function candidate(voters: string): Group {
  const group = new Group({ voters });
  group.suspect('A');
  if (voters !== 'A') {
    group.settle(({ type }) => type === 'preVote' || type === 'preVoteReply');
    expect(group.core('A').role).toBe('candidate');
    group.withhold();
  }
  return group;
}

/** A member that has just asked for pre-votes. */
function asking(): Group {
  const group = new Group();
  group.suspect('A');
  group.withhold();
  return group;
}

describe('a vote', () => {
  const requests: readonly [string, Start, { term: number; last: [number, number] }, boolean][] = [
    ['fresh voter, equal log', { terms: [1, 1], term: 1 }, { term: 2, last: [2, 1] }, true],
    ['longer log', { terms: [1, 1], term: 1 }, { term: 2, last: [3, 1] }, true],
    ['shorter log', { terms: [1, 1], term: 1 }, { term: 2, last: [1, 1] }, false],
    ['later term, shorter log', { terms: [1, 1], term: 2 }, { term: 3, last: [1, 2] }, true],
    ['older term, longer log', { terms: [1, 2], term: 2 }, { term: 3, last: [9, 1] }, false],
    ['own vote again', { terms: [], term: 2, vote: 'B' }, { term: 2, last: [0, 0] }, true],
    ['vote given to another', { terms: [], term: 2, vote: 'C' }, { term: 2, last: [0, 0] }, false],
    ['free vote of this term', { terms: [], term: 2 }, { term: 2, last: [0, 0] }, true],
    ['past term', { terms: [], term: 3 }, { term: 2, last: [9, 2] }, false],
    ['led term', { terms: [], term: 2, termLeader: 'C' }, { term: 2, last: [0, 0] }, false],
  ];
  it.each(requests)('is given to the first who asks with a log that is enough: %s', (...row) => {
    const [, start, { term, last }, granted] = row;
    const group = new Group({ start: { A: start } });
    const [lastIndex, lastTerm] = last;
    group.step(vote({ from: 'B', to: 'A', term }, { lastIndex, lastTerm }));
    expect(group.sent).toMatchObject([{ type: 'voteReply', to: 'B', granted, requestTerm: term }]);
    if (granted) expect(group.storage('A').hardState).toMatchObject({ term, vote: 'B' });
  });

  it('is not given again after a restart within the term', () => {
    const group = new Group();
    group.step(vote({ from: 'B', to: 'A', term: 1 }));
    group.restart('A');
    group.step(vote({ from: 'C', to: 'A', term: 1 }));
    expect(group.sent.map((message) => 'granted' in message && message.granted)).toEqual([
      true,
      false,
    ]);
  });

  it('is lost with the turn in which the voter crashed, and may go to another', () => {
    const group = new Group();
    group.crashDuring('A', (core) => core.step(vote({ from: 'B', to: 'A', term: 1 }), 0));
    expect(group.sent).toEqual([]);
    group.step(vote({ from: 'C', to: 'A', term: 1 }));
    expect(group.sent).toMatchObject([{ granted: true, to: 'C' }]);
  });

  it('is answered on its merits whoever asks (consensus-rules.md 4)', () => {
    const group = new Group();
    group.step(vote({ from: 'X', to: 'A', term: 1 }));
    expect(group.sent).toMatchObject([{ granted: true, to: 'X' }]);
  });

  it('is answered by a learner too: it may not know that it was promoted', () => {
    const group = new Group({ voters: 'ABC', learners: 'D' });
    group.step(vote({ from: 'A', to: 'D', term: 1 }));
    expect(group.sent).toMatchObject([{ granted: true, from: 'D' }]);
  });

  it('is refused by who hears its leader, without adopting the term', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.step(vote({ from: 'C', to: 'B', term: 9 }, { lastIndex: 9, lastTerm: 9 }));
    expect(group.sent.at(-1)).toMatchObject({ type: 'voteReply', granted: false, term: 1 });
    group.now += electionTimeoutMs;
    group.step(vote({ from: 'C', to: 'B', term: 9 }, { lastIndex: 9, lastTerm: 9 }));
    expect(group.sent.at(-1)).toMatchObject({ type: 'voteReply', granted: true, term: 9 });
  });
});

describe('an election', () => {
  const outcomes: readonly [string, number, number, string][] = [
    ['A', 0, 0, 'leader'],
    ['ABC', 0, 0, 'candidate'],
    ['ABC', 1, 0, 'leader'],
    ['ABC', 0, 1, 'candidate'],
    ['ABC', 0, 2, 'follower'],
    ['ABC', 1, 1, 'leader'],
    ['ABCD', 1, 0, 'candidate'],
    ['ABCD', 2, 0, 'leader'],
    ['ABCD', 1, 2, 'follower'],
    ['ABCDE', 1, 2, 'candidate'],
    ['ABCDE', 2, 0, 'leader'],
    ['ABCDE', 1, 3, 'follower'],
  ];
  it.each(outcomes)('among %s with %i grants and %i refusals ends as %s', (...row) => {
    const [voters, grants, refusals, role] = row;
    const group = candidate(voters);
    const others = group.ids.slice(1);
    for (const [at, from] of others.slice(0, grants + refusals).entries())
      group.step(voteReply({ from, to: 'A', term: 1 }, { granted: at < grants }));
    expect(group.core('A').role).toBe(role);
  });

  it('counts each voter once, and nobody who is none', () => {
    const group = candidate('ABCDE');
    for (const from of ['B', 'B', 'B', 'X', 'Y']) group.step(voteReply({ from, to: 'A', term: 1 }));
    expect(group.core('A').role).toBe('candidate');
  });

  it('counts no reply to another term, another life or a pre-vote', () => {
    const group = candidate('ABC');
    group.step(voteReply({ from: 'B', to: 'A', term: 1 }, { requestTerm: 0 }));
    group.step(voteReply({ from: 'B', to: 'A', term: 1 }, { toBoot: 0 }));
    group.step(voteReply({ from: 'B', to: 'A', term: 1 }, { type: 'preVoteReply' }));
    expect(group.core('A').role).toBe('candidate');
  });

  it('asks all other voters at once, with the last index and term', () => {
    const group = new Group({ voters: 'ABCDE', start: { A: { terms: [1, 1, 2] } } });
    group.suspect('A');
    expect(group.sent.map(({ to, type }) => `${type} ${to}`)).toEqual(
      ['B', 'C', 'D', 'E'].map((to) => `preVote ${to}`),
    );
    expect(group.sent).toMatchObject(group.sent.map(() => ({ lastIndex: 3, lastTerm: 2 })));
  });

  it('without a result is tried again in a later term, at a random time', () => {
    const times = new Set<number>();
    for (let seed = 1; seed <= 20; seed += 1) {
      const group = new Group({ seed, voters: 'ABC' });
      group.suspect('A');
      group.isolate('A');
      const asked = () => group.sent.filter(({ type }) => type === 'preVote').length;
      const began = group.now;
      group.pass(10_000, () => asked() === 4);
      times.add(group.now - began);
    }
    expect(times.size).toBeGreaterThan(10);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(electionTimeoutMs);
    expect(Math.max(...times)).toBeLessThan(2 * electionTimeoutMs);
  });

  it('in which the votes are split is followed by one that elects', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const group = new Group({ voters: 'ABCD', seed, latencyMs: 1 });
      // A and B become candidates of one term, with one vote each beside their own.
      group.suspect('A');
      group.suspect('B');
      group.pass(150, () => group.core('B').role === 'preCandidate');
      group.settle(({ type }) => type === 'preVote' || type === 'preVoteReply');
      const isSplit = ({ from, to }: { from: string; to: string }) =>
        ['AC', 'CA', 'BD', 'DB'].includes(from + to);
      group.settle(isSplit);
      group.withhold();
      const isDone = () => group.ids.some((id) => group.core(id).role === 'leader');
      expect(group.pass(6_000, isDone), `seed ${seed}`).toBe(true);
    }
  });

  it('is won by the longer log once a partition heals, without a term for the shorter', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'longer');
    group.pass(100);
    group.heal();
    group.isolate('A');
    group.suspect('C');
    expect(group.pass(5_000, () => group.core('B').role === 'leader')).toBe(true);
    group.pass(1_000);
    expect(group.core('C').term).toBe(2);
    expect(group.logOf('C')).toBe('1: 1:longer 2:');
  });

  it('of a candidate ends with the append of a leader of its term', () => {
    const group = candidate('ABC');
    group.step(append({ from: 'B', to: 'A', term: 1 }));
    expect([group.core('A').role, group.core('A').leader]).toEqual(['follower', 'B']);
  });
});

describe('a restart', () => {
  it('emits nothing: no hard state, no entry, nothing to apply but what was not applied', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.pass(1_000);
    for (const name of ['A', 'B']) {
      group.restart(name);
      expect(group.core(name).take()).toEqual(noEffects());
    }
  });

  it('begins as a follower that knows no leader, but where to ask first', () => {
    const group = groupLedBy('A');
    group.restart('B');
    const { role, leader, leaderHint } = group.core('B');
    expect([role, leader, leaderHint]).toEqual(['follower', null, 'A']);
  });
});

describe('a newer term', () => {
  const roles: readonly [string, () => Group][] = [
    ['follower', () => new Group()],
    ['preCandidate', () => asking()],
    ['candidate', () => candidate('ABC')],
    ['leader', () => groupLedBy('A')],
  ];
  it.each(roles)('in an append makes a %s follow its sender', (_, make) => {
    const group = make();
    const log = group.logOf('A');
    group.step(append({ from: 'B', to: 'A', term: 7 }));
    const { role, term, leader } = group.core('A');
    expect([role, term, leader]).toEqual(['follower', 7, 'B']);
    expect(group.logOf('A')).toBe(log);
  });

  it('in a reply makes a leader step down', () => {
    const group = groupLedBy('A');
    group.step(voteReply({ from: 'B', to: 'A', term: 7 }));
    expect([group.core('A').role, group.core('A').term]).toEqual(['follower', 7]);
  });

  it('is never adopted from a pre-vote', () => {
    const group = new Group();
    group.step(preVote({ from: 'B', to: 'A', term: 7 }));
    expect(group.core('A').term).toBe(0);
    expect(group.sent).toMatchObject([{ type: 'preVoteReply', granted: true }]);
  });

  it('makes a message of an older one void, but for the answer that shows it', () => {
    const group = groupLedBy('A');
    group.step(append({ from: 'B', to: 'A', term: 0 }, { commit: 9 }));
    expect(group.core('A').role).toBe('leader');
    expect(group.sent).toMatchObject([{ type: 'appendReply', ok: false, term: 1 }]);
  });
});

describe('a pre-vote', () => {
  it('changes nothing at the voter: no term, vote, role, deadline or trust', () => {
    const group = groupLedBy('A');
    group.now += electionTimeoutMs;
    const before = { ...group.storage('B').hardState };
    group.step(preVote({ from: 'C', to: 'B', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    expect(group.sent).toMatchObject([{ type: 'preVoteReply', granted: true }]);
    expect(group.storage('B').hardState).toEqual(before);
    expect(group.core('B').leader).toBe('A');
    expect(group.core('B').nextDeadline()).toBe(null);
  });

  it.each([
    ['follower', () => new Group()],
    ['candidate', () => candidate('ABC')],
    ['preCandidate', () => asking()],
  ])('is granted by a %s, which stays what it is', (role, make) => {
    const group = make();
    const { term } = group.core('A');
    group.sent = [];
    group.step(preVote({ from: 'B', to: 'A', term }));
    expect(group.sent).toMatchObject([{ type: 'preVoteReply', granted: true }]);
    expect([group.core('A').role, group.core('A').term]).toEqual([role, term]);
  });

  it('is granted to several who ask', () => {
    const group = new Group();
    for (const from of ['B', 'C']) group.step(preVote({ from, to: 'A', term: 0 }));
    expect(group.sent).toMatchObject([{ granted: true }, { granted: true }]);
  });

  it('that cannot win raises no term, however long it is tried', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    for (let time = 0; time < 20; time += 1) {
      group.suspect('C');
      group.pass(5_000);
    }
    expect(group.core('C').term).toBe(1);
    group.heal();
    group.propose('A');
    group.pass(2_000);
    expect(group.core('A').role).toBe('leader');
    expect(group.logOf('C')).toBe(group.logOf('A'));
  });
});
