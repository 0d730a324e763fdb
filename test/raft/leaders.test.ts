/**
 * Who comes to lead, and how long (thesis 3.4, 3.6, 6.2): whole elections among several members.
 */
import { describe, expect, it } from 'vitest';
import type { RaftCore } from '../../src/raft/core.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import { Chaos } from './support/chaos.ts';
import { Group, groupLedBy } from './support/group.ts';

const { electionTimeoutMs } = defaultSettings;

/** Changes of role that no single input makes in a group of several voters. */
const neverSeen = [
  'follower leader',
  'preCandidate leader',
  'leader preCandidate',
  'leader candidate',
];

/** Who decides alone is elected in the turn in which it campaigns. */
function isAlone({ configuration: { voters, outgoing } }: RaftCore): boolean {
  return new Set([...voters, ...outgoing]).size === 1;
}

describe('an election', () => {
  it.each([
    ['ABC', '', 'leader'],
    ['ABC', 'C', 'leader'],
    ['ABC', 'BC', 'preCandidate'],
    ['ABCD', 'BC', 'preCandidate'],
    ['ABCDE', 'DE', 'leader'],
    ['ABCDE', 'CDE', 'preCandidate'],
  ])('among %s without [%s] makes A a %s, and only a win makes a term', (voters, dead, role) => {
    const group = new Group({ voters });
    for (const name of dead) group.isolate(name);
    group.suspect('A');
    group.settle();
    expect(group.core('A')).toMatchObject({ role, term: role === 'leader' ? 1 : 0 });
  });

  it.each([
    ['a longer log', 'leader', { B: { terms: [1, 1] }, C: { terms: [1] } }],
    ['two longer logs', 'follower', { B: { terms: [1, 1] }, C: { terms: [1, 1] } }],
    ['two logs of a later term', 'follower', { B: { terms: [2] }, C: { terms: [2] } }],
    ['a log of a later term, and none', 'leader', { B: { terms: [] }, C: { terms: [2] } }],
  ])('among others with %s makes A a %s', (_, role, others) => {
    const group = new Group({ start: { A: { terms: [1], term: 2 }, ...others } });
    group.suspect('A');
    group.settle();
    expect(group.core('A').role).toBe(role);
  });

  it('may be won by each member in turn, always in a later term', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    let { term } = group.core('A');
    for (const next of 'BCDEABCDE') {
      const isNext = () => group.core(next).role === 'leader';
      group.isolate(...group.ids.filter((id) => group.core(id).role === 'leader'));
      group.suspect(next);
      expect(group.pass(5_000, isNext), `${next} leads`).toBe(true);
      expect(group.core(next).term).toBeGreaterThan(term);
      term = group.core(next).term;
      group.heal();
      group.propose(next, next);
      group.pass(20_000);
      for (const id of group.ids) expect(group.core(id)).toMatchObject({ leader: next, term });
    }
  });

  it('overwrites what a minority wrote in a newer term', () => {
    // C led term 2 and wrote to itself only; D and E had voted for it.
    const group = new Group({
      voters: 'ABCDE',
      start: {
        A: { terms: [1] },
        B: { terms: [1] },
        C: { terms: [2], vote: 'C' },
        D: { term: 2, vote: 'C' },
        E: { term: 2, vote: 'C' },
      },
    });
    group.isolate('C');
    group.suspect('A');
    group.settle();
    // The refusal of D and E shows A the newer term.
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 2 });
    group.pass(5_000, () => group.core('A').role === 'leader');
    group.heal();
    group.pass(5_000);
    expect(group.core('A').term).toBe(3);
    for (const id of group.ids) expect(group.logOf(id)).toBe('1:1 3:');
  });

  it('between two whose logs differ leaves one log, that of the winner', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    group.propose('A', 'lost');
    group.suspect('B');
    group.pass(5_000, () => group.core('B').role === 'leader');
    group.propose('B', 'kept');
    group.pass(5_000);
    group.heal();
    group.suspect('A');
    group.suspect('C');
    group.pass(20_000);
    for (const id of group.ids) expect(group.logOf(id)).toBe('1: 2: 2:kept');
    expect(group.core('A')).toMatchObject({ leader: 'B', term: 2 });
  });
});

describe('a leader', () => {
  it('stays in office for as long as a quorum answers, however slowly the rest does', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('D');
    group.isolate('E');
    for (let time = 0; time < 20; time += 1) {
      group.propose('A');
      group.pass(electionTimeoutMs);
    }
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1, commitIndex: 21 });
  });

  it('that is cut off with a follower leaves office without a new term, and finds the next', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('A', 'B');
    group.propose('A');
    group.pass(electionTimeoutMs);
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 1, leader: null });
    group.suspect('C');
    group.pass(5_000, () => group.core('C').role === 'leader');
    group.heal();
    group.propose('C', 'next');
    group.pass(5_000);
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 2, leader: 'C' });
  });
});

describe('a role', () => {
  it('is never passed over: nobody leads without an election, no leader campaigns', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 60; seed += 1) {
      const chaos = new Chaos(seed);
      const { group } = chaos;
      const turn = group.turn.bind(group);
      group.turn = (life, input) => {
        const { core } = life;
        // One turn may hold several messages; only what a single input does is a transition.
        const note = (from: string) => isAlone(core) || seen.add(`${from} ${core.role}`);
        const step = core.step.bind(core);
        core.step = (message, now) => {
          const from = core.role;
          step(message, now);
          note(from);
        };
        const before = core.role;
        turn(life, input);
        core.step = step;
        if (core.role !== before) note(before);
      };
      chaos.disturb(200);
    }
    for (const change of neverSeen) expect(seen).not.toContain(change);
    expect(seen).toContain('candidate leader');
    expect(seen).toContain('leader follower');
  });
});
