/**
 * A member that cannot apply does not lead (consensus-rules.md 8).
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { Group, groupLedBy } from './support/group.ts';

describe('a member that cannot apply', () => {
  it('leads no more, and drops the reads that it had not confirmed', () => {
    const group = groupLedBy('A');
    const read = group.read('A');
    group.standDown('A');
    expect(group.core('A').role).toBe('follower');
    // What it has to say was made after take(): the next turn is due at once.
    expect(group.core('A').nextDeadline()).toBe(group.now);
    group.tick('A');
    expect(group.dropped).toEqual([read]);
  });

  it('does not pass the check of a suspicion, so that another takes over', () => {
    const group = groupLedBy('A');
    group.standDown('A');
    group.tick('A');
    group.suspect('B');
    group.pass(5_000, () => group.core('B').role === 'leader');
    expect(group.core('B').role).toBe('leader');
    expect(group.propose('B').ok).toBe(true);
  });

  it('is believed when it says so: who has just heard from it does not ask again at once', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.standDown('A');
    group.tick('A');
    group.suspect('B');
    group.settle();
    expect(group.sent.filter(({ type }) => type === 'readRequest').length).toBe(1);
  });

  it('does not campaign, but votes', () => {
    const group = new Group();
    group.standDown('A');
    group.suspect('A');
    group.pass(60_000);
    expect(group.core('A').role).toBe('follower');
    expect(group.sent.filter(({ from, type }) => from === 'A' && type === 'preVote')).toEqual([]);
    group.suspect('B');
    group.isolate('C');
    group.pass(5_000, () => group.core('B').role === 'leader');
    expect(group.core('B').role).toBe('leader');
  });

  it('gives a candidacy up', () => {
    const group = new Group();
    group.suspect('A');
    expect(group.core('A').role).toBe('preCandidate');
    group.standDown('A');
    group.settle();
    group.pass(2 * defaultSettings.suspicionTtlMs);
    expect(group.core('A').role).toBe('follower');
  });
});
