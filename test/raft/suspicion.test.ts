/**
 * Suspicion: the request is the failure detector (design.md section 6, consensus-rules.md 12).
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { Group, groupLedBy } from './support/group.ts';
import type { Start } from './support/storage.ts';

const { checkTimeoutMs, electionTimeoutMs, staggerMs, suspicionTtlMs } = defaultSettings;

function sentBy(group: Group, from: string): string[] {
  return group.sent.filter((message) => message.from === from).map(({ type }) => type);
}

/** Whether somebody leads whom this member names. */
function hasLeader(group: Group, name: string): boolean {
  const { leader, isSuspecting } = group.core(name);
  return leader !== null && !isSuspecting && group.core(leader).role === 'leader';
}

describe('a suspicion', () => {
  it('ends when a quorum confirms the leader, and costs no term', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.suspect('B');
    expect(group.core('B').isSuspecting).toBe(true);
    group.settle();
    expect(group.core('B').isSuspecting).toBe(false);
    expect([group.core('B').leader, group.core('B').term]).toEqual(['A', 1]);
    group.pass(1_000);
    expect(group.isAtRest).toBe(true);
  });

  it('does not end because the leader is heard of: a quorum has to confirm it', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('A', 'B');
    group.suspect('B');
    group.settle();
    // A's read round reaches B, and nobody else.
    expect(sentBy(group, 'A')).toContain('append');
    expect(group.core('B').isSuspecting).toBe(true);
  });

  it.each(['A', 'B', 'C'])('of a dead leader makes %s’s group elect another', (entry) => {
    const group = groupLedBy('A', { voters: 'ABC' });
    const dead = entry === 'A' ? 'B' : 'A';
    if (dead === 'B') {
      group.suspect('B');
      group.pass(3_000);
    }
    group.isolate(dead);
    group.suspect(entry);
    expect(group.pass(5_000, () => hasLeader(group, entry))).toBe(true);
    group.propose(group.core(entry).leader ?? '', 'works');
    group.pass(5_000);
    expect(group.logOf(entry)).toContain('works');
  });

  it('with an unknown leader campaigns at once, in the order of rank', () => {
    const group = new Group({ voters: 'ABCDE' });
    group.isolate('C', 'D', 'E');
    group.suspect('C');
    const began = group.now;
    group.pass(10_000, () => group.sent.length > 0);
    expect(group.now - began).toBe(2 * staggerMs);
    expect(sentBy(group, 'C')).toContain('preVote');
  });

  it('asks a leader that cannot be reached once more, then campaigns without waiting', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    group.suspect('B');
    group.unreachable('B', 'A');
    expect(sentBy(group, 'B')).toEqual(['readRequest', 'readRequest']);
    const began = group.now;
    group.unreachable('B', 'A');
    group.pass(5_000, () => sentBy(group, 'B').includes('preVote'));
    expect(group.now - began).toBe(staggerMs);
    expect(group.now - began).toBeLessThan(checkTimeoutMs);
  });

  it('that nobody renews is given up, and its member rests', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.suspect('C');
    group.pass(suspicionTtlMs - 1);
    expect(group.core('C').isSuspecting).toBe(true);
    group.pass(2 * electionTimeoutMs);
    expect(group.core('C').isSuspecting).toBe(false);
    expect(group.core('C').nextDeadline()).toBe(null);
  });

  it('at the leader itself is none', () => {
    const group = groupLedBy('A');
    group.suspect('A');
    expect(group.core('A').isSuspecting).toBe(false);
    expect(group.sent).toEqual([]);
  });

  it('of two members at once ends with one leader', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const group = groupLedBy('A', { voters: 'ABCDE', seed, latencyMs: 3 });
      group.isolate('A');
      group.suspect('B');
      group.suspect('C');
      group.suspect('E');
      const isDone = () => ['B', 'C', 'D', 'E'].every((name) => hasLeader(group, name));
      expect(group.pass(5_000, isDone), `seed ${seed}`).toBe(true);
      expect(group.core('B').term, `seed ${seed}: the first campaign wins`).toBe(2);
    }
  });
});

describe('a refused pre-vote passes the suspicion on', () => {
  const long: Start = { terms: [1, 1, 1], term: 1 };
  const short: Start = { terms: [1], term: 1 };

  it('to who has the longer log: it leads, though only the short one was asked', () => {
    const group = new Group({ start: { A: short, B: long, C: long } });
    group.isolate('C');
    group.suspect('A');
    expect(group.pass(5_000, () => hasLeader(group, 'A'))).toBe(true);
    expect(group.core('A').leader).toBe('B');
  });

  it('also where the short one has the newer term (consensus-rules.md 12)', () => {
    const group = new Group({ start: { A: { ...short, term: 7 }, B: { ...long, term: 5 } } });
    group.isolate('C');
    group.suspect('A');
    expect(group.pass(10_000, () => hasLeader(group, 'A'))).toBe(true);
    expect(group.core('A').leader).toBe('B');
    expect(group.core('B').term).toBeGreaterThan(7);
  });

  it('to who trusts the leader: it checks it, and finds it alive or campaigns', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.isolate('A');
    group.now += 1;
    group.suspect('B');
    // C has just heard of A and refuses; so it is C's turn to find out.
    group.pass(2 * checkTimeoutMs, () => sentBy(group, 'C').includes('readRequest'));
    expect(sentBy(group, 'C')).toContain('readRequest');
    expect(group.pass(5_000, () => hasLeader(group, 'B'))).toBe(true);
  });

  it('to who trusts the leader only until its own check has failed: nobody waits longer', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.isolate('A');
    group.now += 1;
    group.suspect('B');
    // Nothing runs at A: callers learn that at once, and ask twice.
    const findOut = (name: string) => {
      for (let call = 0; call < 2; call += 1) group.unreachable(name, 'A');
      group.settle();
    };
    findOut('B');
    group.pass(staggerMs);
    group.settle();
    expect(sentBy(group, 'C').at(-1)).toBe('readRequest');
    findOut('C');
    findOut('B');
    group.pass(staggerMs);
    group.settle();
    expect(group.core('B').role).toBe('leader');
  });

  it('and names the trusted leader, which the suspect checks next', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.cutLink('B', 'A');
    group.loses = ({ type, to }) => type === 'append' && to === 'B';
    group.now += 1;
    group.suspect('B');
    group.pass(10_000, () => group.sent.some(({ type }) => type === 'preVoteReply'));
    group.settle(({ type }) => type === 'preVoteReply');
    expect([group.core('B').leader, group.core('B').isSuspecting]).toEqual(['A', true]);
    expect(sentBy(group, 'B').at(-1)).toBe('readRequest');
  });
});

describe('a suspicion is not lost (consensus-rules.md 12)', () => {
  it('by learning a newer term without its leader', () => {
    // C has the long log; V refuses it for its newer term only.
    const start = { C: { terms: [1, 1, 1], term: 5 }, A: { terms: [1], term: 7 } };
    const group = new Group({ start });
    group.isolate('B');
    group.suspect('C');
    group.pass(1_000, () => group.core('C').term === 7);
    expect(group.core('C').isSuspecting).toBe(true);
    expect(group.pass(5_000, () => group.core('C').role === 'leader')).toBe(true);
  });

  it('by voting for a candidate that then dies', () => {
    const group = new Group();
    group.suspect('A');
    group.suspect('B');
    group.settle(({ type }) => type !== 'voteReply');
    expect(group.storage('B').hardState.vote).toBe('A');
    group.isolate('A');
    expect(group.pass(5_000, () => group.core('B').role === 'leader')).toBe(true);
  });

  it('by losing an election to a refusal', () => {
    // A has the shorter log, so both refuse; then both get a log as short, and A is asked no more.
    const start = { A: { terms: [1] }, B: { terms: [1, 1] }, C: { terms: [1, 1] } };
    const group = new Group({ start });
    group.suspect('A');
    group.settle(({ from, to }) => from === 'A' || to === 'A');
    expect([group.core('A').role, group.core('A').isSuspecting]).toEqual(['follower', true]);
    expect(group.core('A').nextDeadline()).toBeLessThan(group.now + 2 * electionTimeoutMs);
  });

  it('by an election that nobody answers', () => {
    const group = new Group({ voters: 'ABC' });
    group.isolate('A');
    group.suspect('A');
    group.pass(3_000);
    group.heal();
    expect(group.pass(5_000, () => group.core('A').role === 'leader')).toBe(true);
  });
});

describe('a leader that is deposed by a term without a leader', () => {
  /** C was to lead, and nobody has heard of its term: it lost its memory before it knew what became of that. */
  function withNewerTermAtC(): Group {
    const group = groupLedBy('A');
    group.transfer('A', 'C');
    group.settle(({ type }) => type === 'timeoutNow');
    group.withhold();
    group.restart('C');
    group.pass(electionTimeoutMs);
    expect([group.core('A').role, group.core('C').term]).toEqual(['leader', 2]);
    return group;
  }

  it('at work looks after the members that lack something: asked by nobody, all catch up', () => {
    const group = withNewerTermAtC();
    group.isolate('C');
    group.propose('A', 'acknowledged');
    group.pass(1_000);
    expect(group.core('B').commitIndex).toBe(2);
    group.heal();
    group.pass(60_000);
    expect(group.core('A').term).toBeGreaterThan(1);
    expect(group.logOf('C')).toBe(group.logOf('B'));
    expect(group.core('C').commitIndex).toBe(group.core('B').commitIndex);
    expect(group.isAtRest).toBe(true);
  });

  it('leaves it to who deposed it, if that wins', () => {
    const group = groupLedBy('A', { voters: 'ABCD' });
    group.isolate('D');
    group.propose('A', 'missed');
    group.pass(60_000);
    group.transfer('A', 'B');
    group.pass(1_000, () => group.core('B').role === 'leader');
    group.sent = [];
    group.heal();
    group.pass(60_000);
    expect(group.core('B')).toMatchObject({ role: 'leader', term: 2 });
    expect(group.logOf('D')).toBe(group.logOf('B'));
    expect(sentBy(group, 'A').filter((type) => !type.endsWith('Reply'))).toEqual([]);
    expect(group.core('A').needsRepair).toBe(false);
  });

  it('and owes nobody anything rests', () => {
    const group = withNewerTermAtC();
    group.sent = [];
    group.read('A');
    group.settle();
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 2, isSuspecting: false });
    expect(group.isAtRest).toBe(true);
  });
});

describe('an uncommitted tail', () => {
  it('is resolved by the member itself: it asks the leader', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    expect(group.core('B').commitIndex).toBe(1);
    group.loses = ({ type }) => type === 'append';
    expect(group.pass(5_000, () => group.core('B').commitIndex === 2)).toBe(true);
  });

  it('is resolved by an election when the leader is gone', () => {
    const group = groupLedBy('A');
    group.propose('A', 'tail');
    group.settle(({ type }) => type === 'append');
    group.withhold();
    group.isolate('A');
    expect(group.pass(5_000, () => group.storage('B').applied >= 2)).toBe(true);
    expect(group.logOf('C')).toContain('1:tail');
  });

  it('is resolved after a restart too', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.restart('A', 'B', 'C');
    expect(group.core('B').commitIndex).toBe(1);
    expect(group.pass(5_000, () => group.core('B').commitIndex === 2)).toBe(true);
  });

  it('that cannot be resolved is tried at growing intervals, and then left', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle(({ type }) => type === 'append');
    for (const name of 'ABC') group.isolate(name);
    group.pass(10 * 60_000);
    expect(group.core('B').lastIndex).toBeGreaterThan(group.core('B').commitIndex);
    expect(group.isAtRest).toBe(true);
    // Whoever asks begins anew.
    group.heal();
    group.suspect('B');
    expect(group.pass(10_000, () => group.core('B').commitIndex >= 2)).toBe(true);
  });
});

describe('a partial partition', () => {
  it('does not let a member that reaches only a follower depose a leader at work', () => {
    const group = groupLedBy('A');
    group.cutLink('C', 'A');
    group.cutLink('A', 'C');
    for (let time = 0; time < 50; time += 1) {
      group.propose('A');
      if (time % 5 === 0) group.suspect('C');
      group.pass(100);
    }
    expect([group.core('A').role, group.core('A').term]).toEqual(['leader', 1]);
  });

  it('is left by a leader at rest that gives way to a member of a newer term', () => {
    const group = groupLedBy('A');
    // C does not reach A, wins a pre-vote, and its votes are lost: it is in term 2, alone.
    group.cutLink('C', 'A');
    group.suspect('C');
    group.pass(10_000, () => group.core('C').role === 'candidate');
    group.isolate('C');
    group.pass(60_000);
    group.heal();
    // It cannot win without A, and A, which leads, would refuse it for ever.
    group.isolate('B');
    expect([group.core('A').role, group.core('C').term]).toEqual(['leader', 2]);
    group.suspect('C');
    expect(group.pass(5_000, () => hasLeader(group, 'C'))).toBe(true);
  });

  it('with a higher term on one side ends once it heals, with one deposition at most', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('D', 'E');
    group.suspect('E');
    group.pass(10_000);
    group.heal();
    group.propose('A');
    group.pass(10_000);
    expect(group.core('A').term).toBe(1);
    expect(group.logOf('E')).toBe(group.logOf('A'));
  });
});

describe('a leader further away than the patience of a check', () => {
  it('is not deposed: its late answer ends the suspicion before anybody campaigns', () => {
    const group = groupLedBy('A', { latencyMs: 160 });
    group.suspect('B');
    group.pass(20_000);
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1 });
    expect(group.core('B').isSuspecting).toBe(false);
  });
});
