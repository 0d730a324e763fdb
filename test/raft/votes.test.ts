/**
 * Votes from every role, and the counts that make a leader (thesis 3.4).
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { members } from './support/group.ts';
import { append, preVote, vote, voteReply } from './support/messages.ts';
import { groupWith, roles } from './support/roles.ts';

const start = { A: { terms: [1, 1] }, B: { terms: [1, 1] }, C: { terms: [1, 1] } };
/** Of a later life than all before, so that it is heard. */
const fromB = { from: 'B', to: 'A', boot: 9 };
const enough = { lastIndex: 2, lastTerm: 1 };

describe('a vote of a newer term', () => {
  it.each(['follower', 'preCandidate', 'candidate'] as const)(
    'is given by a %s, which follows then, with its log as it was',
    (role) => {
      const group = groupWith(role, { start });
      group.step(vote({ ...fromB, term: 9 }, enough));
      expect(group.sent).toMatchObject([{ type: 'voteReply', granted: true, requestTerm: 9 }]);
      expect(group.core('A')).toMatchObject({ role: 'follower', term: 9, leader: null });
      expect(group.storage('A').hardState).toMatchObject({ term: 9, vote: 'B' });
      expect(group.logOf('A')).toBe('1:1 1:2');
    },
  );

  it('is refused by a leader, which goes on in its term', () => {
    const group = groupWith('leader', { start });
    group.now += 10 * defaultSettings.electionTimeoutMs;
    group.step(vote({ ...fromB, term: 9 }, { lastIndex: 9, lastTerm: 9 }));
    expect(group.sent).toMatchObject([{ type: 'voteReply', granted: false, term: 2 }]);
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 2 });
  });

  it('makes a candidate with a better log follow too, though it refuses', () => {
    const group = groupWith('candidate', { start });
    group.step(vote({ ...fromB, term: 9 }, { lastIndex: 1, lastTerm: 1 }));
    expect(group.sent).toMatchObject([{ type: 'voteReply', granted: false, requestTerm: 9 }]);
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 9 });
    expect(group.storage('A').hardState.vote).toBe(null);
  });
});

describe('a vote of the own term', () => {
  it.each(['candidate', 'leader'] as const)('is refused by a %s: it has its own', (role) => {
    const group = groupWith(role, { start });
    const { term } = group.core('A');
    group.step(vote({ ...fromB, term }, { lastIndex: 9, lastTerm: term }));
    expect(group.sent).toMatchObject([{ type: 'voteReply', granted: false }]);
    expect(group.core('A')).toMatchObject({ role, term });
  });

  it('does not change because an election was lost, or a leader of the term came forward', () => {
    const lost = groupWith('candidate');
    for (const from of ['B', 'C'])
      lost.step(voteReply({ from, to: 'A', term: 1 }, { granted: false }));
    const conceded = groupWith('candidate');
    conceded.step(append({ from: 'C', to: 'A', term: 1 }));
    for (const group of [lost, conceded]) {
      expect(group.core('A').role).toBe('follower');
      expect(group.storage('A').hardState).toMatchObject({ term: 1, vote: 'A' });
      group.sent = [];
      group.step(vote({ ...fromB, term: 1 }, { lastIndex: 9, lastTerm: 1 }));
      expect(group.sent).toMatchObject([{ granted: false }]);
    }
  });
});

describe('a pre-vote', () => {
  it('is refused by a leader, which keeps its term and shows itself to a newer one', () => {
    const group = groupWith('leader', { start });
    group.step(preVote({ ...fromB, term: 8 }, { lastIndex: 9, lastTerm: 8 }));
    expect(group.sent.map(({ type }) => type)).toEqual(['preVoteReply', 'append']);
    expect(group.sent[0]).toMatchObject({ granted: false, leader: 'A', term: 2 });
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 2 });
  });

  it.each(roles)('of a term that has begun already is refused by a %s', (role) => {
    const group = groupWith(role, { start });
    const { term } = group.core('A');
    group.step(preVote({ ...fromB, term: term - 1 }, { lastIndex: 9, lastTerm: term }));
    expect(group.sent).toMatchObject([{ type: 'preVoteReply', granted: false }]);
  });
});

describe('a candidate', () => {
  it('raises the term once a quorum of pre-votes is in, not before', () => {
    const group = groupWith('preCandidate', { voters: 'ABCDE' });
    const granted = { type: 'preVoteReply', requestTerm: 0 } as const;
    group.step(voteReply({ from: 'B', to: 'A', term: 0 }, granted));
    expect(group.core('A')).toMatchObject({ role: 'preCandidate', term: 0 });
    group.step(voteReply({ from: 'C', to: 'A', term: 0 }, granted));
    expect(group.core('A')).toMatchObject({ role: 'candidate', term: 1 });
  });

  it('votes for itself durably, then asks all other voters with its last index and term', () => {
    const group = groupWith('preCandidate', { start, voters: 'ABC', learners: 'D' });
    const granted = { type: 'preVoteReply', requestTerm: 1, toBoot: 2 } as const;
    group.step(voteReply({ from: 'B', to: 'A', term: 1 }, granted));
    expect(group.storage('A').hardState).toMatchObject({ term: 2, vote: 'A', termLeader: null });
    expect(group.sent).toMatchObject([
      { type: 'vote', to: 'B', term: 2, ...enough },
      { type: 'vote', to: 'C', term: 2, ...enough },
    ]);
  });

  it('without a result asks anew, in the same term until a quorum would vote again', () => {
    const group = groupWith('candidate');
    const { electionTimeoutMs } = defaultSettings;
    group.loses = ({ to }) => to === 'A';
    group.pass(2 * electionTimeoutMs, () => group.sent.length > 0);
    expect(group.core('A')).toMatchObject({ role: 'preCandidate', term: 1 });
    group.loses = () => false;
    group.pass(10 * electionTimeoutMs, () => group.core('A').role === 'leader');
    expect(group.core('A').term).toBe(2);
  });

  it('wins, loses or waits as a count of the votes says, among 1 to 5 voters', () => {
    let outcomes = 0;
    for (let size = 1; size <= 5; size += 1)
      for (let grants = 0; grants < size; grants += 1)
        for (let refusals = 0; grants + refusals < size; refusals += 1) {
          expect(roleAfter(size, grants, refusals), `${size}: +${grants} -${refusals}`).toBe(
            2 * (grants + 1) > size ? 'leader' : 2 * refusals >= size ? 'follower' : 'candidate',
          );
          outcomes += 1;
        }
    expect(outcomes).toBe(35);
  });
});

function roleAfter(size: number, grants: number, refusals: number): string {
  if (size === 1) return groupWith('leader', { voters: 'A' }).core('A').role;
  const group = groupWith('candidate', { voters: members('ABCDE').slice(0, size).join('') });
  const others = group.ids.slice(1);
  // Refusals first, so that a win cannot be decided before they have counted.
  for (const from of others.slice(0, refusals))
    group.step(voteReply({ from, to: 'A', term: 1 }, { granted: false }));
  for (const from of others.slice(refusals, refusals + grants))
    group.step(voteReply({ from, to: 'A', term: 1 }));
  return group.core('A').role;
}
