/**
 * The follower's side of replication (thesis 3.5): matching, conflicts, commit.
 */
import { describe, expect, it } from 'vitest';
import { Group } from './support/group.ts';
import { append, entries } from './support/messages.ts';

function follower(terms: readonly number[], applied = 0): Group {
  return new Group({ start: { A: { terms, applied } } });
}

function termsOf(group: Group): number[] {
  return group.storage('A').log.map(({ term }) => term);
}

describe('an append', () => {
  it.each([
    ['at the beginning', 0, 0, true],
    ['in the middle', 1, 1, true],
    ['at the end', 2, 2, true],
    ['with another term there', 2, 1, false],
    ['beyond the end', 3, 2, false],
    ['far beyond the end', 9, 2, false],
  ])('is accepted exactly if the entry before it matches: %s', (_, prevIndex, prevTerm, ok) => {
    const group = follower([1, 2]);
    group.step(append({ from: 'B', to: 'A', term: 2 }, { prevIndex, prevTerm }));
    expect(group.sent).toMatchObject([{ type: 'appendReply', ok, index: prevIndex }]);
    expect(termsOf(group)).toEqual([1, 2]);
  });

  it.each([
    ['nothing new', [1, 2], 0, [1, 2], [1, 2]],
    ['a part of what is there', [1, 2, 2], 0, [1, 2], [1, 2, 2]],
    ['nothing at all, in the middle', [1, 2, 2], 1, [], [1, 2, 2]],
    ['a conflict at the end', [1, 1], 1, [2], [1, 2]],
    ['a conflict in the middle', [1, 1, 1], 1, [2], [1, 2]],
    ['a match, then a conflict', [1, 1, 1], 0, [1, 2, 3], [1, 2, 3]],
    ['what is there and more', [1, 1], 0, [1, 1, 2], [1, 1, 2]],
    ['more', [1, 1], 2, [3], [1, 1, 3]],
  ])('removes only what conflicts: %s', (_, before, prevIndex, terms, after) => {
    const group = follower(before);
    const prevTerm = before[prevIndex - 1] ?? 0;
    const fields = { prevIndex, prevTerm, entries: entries(prevIndex + 1, ...terms) };
    group.step(append({ from: 'B', to: 'A', term: 3 }, fields));
    expect(termsOf(group)).toEqual(after);
    expect(group.core('A').lastIndex).toBe(after.length);
    expect(group.sent).toMatchObject([{ ok: true, index: prevIndex + terms.length }]);
  });

  it('that is late and short never shortens the log, nor what was acknowledged', () => {
    const group = follower([]);
    const route = { from: 'B', to: 'A', term: 1 };
    group.step(append(route, { entries: entries(1, 1, 1, 1) }));
    group.step(append(route, { entries: entries(1, 1) }));
    group.step(append(route, { prevIndex: 1, prevTerm: 1 }));
    expect(termsOf(group)).toEqual([1, 1, 1]);
  });

  it('of another term rewrites the log twice in one turn, and exactly the result is persisted', () => {
    const group = follower([1, 1, 1]);
    group.turn(group.life('A'), (core) => {
      const fields = { prevIndex: 1, prevTerm: 1, entries: entries(2, 2, 2, 2) };
      core.step(append({ from: 'B', to: 'A', term: 2 }, fields), group.now);
      const next = { prevIndex: 2, prevTerm: 2, entries: entries(3, 3) };
      core.step(append({ from: 'C', to: 'A', term: 3 }, next), group.now);
    });
    expect(termsOf(group)).toEqual([1, 2, 3]);
    expect(group.core('A').lastIndex).toBe(3);
  });

  it.each([
    ['that the message covers', 2, 2, 2],
    ['beyond the message: not more than it covers', 3, 3, 2],
    ['behind it', 1, 1, 1],
    ['none', 0, 0, 0],
  ])('moves the commit index to the leader’s: %s', (_, commit, _leader, expected) => {
    // Entry 3 is the tail of another leader: it is in the log, but not in this message.
    const group = follower([1, 1, 1]);
    const fields = { prevIndex: 1, prevTerm: 1, entries: entries(2, 1), commit };
    group.step(append({ from: 'B', to: 'A', term: 2 }, fields));
    expect(group.core('A').commitIndex).toBe(expected);
    expect(group.storage('A').applied).toBe(expected);
  });

  it('never moves the commit index back', () => {
    const group = follower([1, 1, 1], 2);
    group.step(append({ from: 'B', to: 'A', term: 1 }, { prevIndex: 1, prevTerm: 1, commit: 1 }));
    expect(group.core('A').commitIndex).toBe(2);
  });

  it('that conflicts with a committed entry ends this life', () => {
    const group = follower([1, 1], 2);
    const fields = { prevIndex: 0, entries: entries(1, 2, 2) };
    group.step(append({ from: 'B', to: 'A', term: 2 }, fields));
    // Known to be committed here, so it is the sender that cannot be right; nothing is replaced.
    expect(termsOf(group)).toEqual([1, 1]);
  });

  it.each([
    ['a gap after prev', 0, [...entries(2, 1)]],
    ['a gap inside', 0, [...entries(1, 1), ...entries(3, 1)]],
    ['falling terms', 0, entries(1, 2, 1)],
    ['a term beyond the message', 0, entries(1, 9)],
  ])('with entries that cannot be ends this life: %s', (_, prevIndex, sent) => {
    const group = follower([]);
    const message = append({ from: 'B', to: 'A', term: 3 }, { prevIndex, entries: sent });
    expect(() => group.step(message)).toThrow('append:');
  });

  it('of a second leader in one term ends this life', () => {
    const group = follower([]);
    group.step(append({ from: 'B', to: 'A', term: 1 }));
    expect(() => group.step(append({ from: 'C', to: 'A', term: 1 }))).toThrow('one leader a term');
    const leader = new Group({ voters: 'A' });
    leader.suspect('A');
    expect(() => leader.step(append({ from: 'B', to: 'A', term: 1 }))).toThrow('one leader a term');
  });

  it('is answered with all of the hint that backtracking needs: one refusal for a foreign term', () => {
    const group = follower([1, 1, 2, 2, 2, 2]);
    const fields = { prevIndex: 6, prevTerm: 1 };
    group.step(append({ from: 'B', to: 'A', term: 3 }, fields));
    expect(group.sent).toMatchObject([{ ok: false, index: 6, hintIndex: 2, hintTerm: 1 }]);
  });
});

describe('an older life of the leader', () => {
  it('is not heard once a newer one was, nor after a restart of the follower', () => {
    const group = follower([]);
    group.step(append({ from: 'B', to: 'A', term: 1, boot: 2 }, { entries: entries(1, 1) }));
    group.sent = [];
    const old = append({ from: 'B', to: 'A', term: 1, boot: 1 }, { entries: entries(1, 1) });
    group.step(old);
    group.restart('A');
    group.step(old);
    expect(group.storage('A').hardState).toMatchObject({ termLeader: 'B', termLeaderBoot: 2 });
    // If somebody is that life still, it learns that it has been there before.
    const told = { ok: false, toBoot: 1, readPosition: 0, leaderLostEntries: true };
    expect(group.sent).toMatchObject([told, told]);
  });
});
