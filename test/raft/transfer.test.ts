/**
 * Handing leadership on (thesis 3.10, docs/decisions/membership.md).
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import type { MemberId, Message } from '../../src/raft/types.ts';
import { Group, groupLedBy } from './support/group.ts';
import { vote } from './support/messages.ts';
import { groupWith } from './support/roles.ts';

const { electionTimeoutMs } = defaultSettings;

function leaders(group: Group): string {
  return group.ids.filter((id) => group.core(id).role === 'leader').join('');
}

function timeoutNow(to: string, term: number, from = 'A'): Message {
  const route = { from: from as MemberId, to: to as MemberId };
  return { ...route, boot: 9, term, type: 'timeoutNow' };
}

/** A leader that has written, so that it knows of everybody that it can lead. */
function atWork(voters = 'ABC', learners = ''): Group {
  const group = groupLedBy('A', { voters, learners });
  group.propose('A', 'before');
  group.pass(1_000);
  group.sent = [];
  return group;
}

describe('a transfer', () => {
  it('to a complete voter is one election, without a pre-vote, and may go back', () => {
    const group = atWork();
    expect(group.transfer('A', 'B')).toBe('ok');
    group.settle();
    expect([leaders(group), group.core('B').term]).toEqual(['B', 2]);
    expect(group.sent.some(({ type }) => type === 'preVote')).toBe(false);
    group.pass(1_000);
    expect(group.transfer('B', 'A')).toBe('ok');
    group.settle();
    expect([leaders(group), group.core('A').term]).toEqual(['A', 3]);
    group.propose('A', 'after');
    group.pass(1_000);
    for (const id of group.ids) expect(group.logOf(id)).toBe('1: 1:before 2: 3: 3:after');
    expect(group.isAtRest).toBe(true);
  });

  it('is not stopped by voters that have just heard of the old leader (canonical/raft 203)', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.propose('A');
    group.settle();
    group.transfer('A', 'B');
    group.settle();
    expect(leaders(group)).toBe('B');
  });

  it.each([
    ['B', 'C', 'notLeader'],
    ['A', 'D', 'notVoter'],
    ['A', 'X', 'notVoter'],
  ])('at %s to %s is refused: %s', (at, to, reason) => {
    const group = atWork('ABC', 'D');
    expect(group.transfer(at, to)).toBe(reason);
    group.settle();
    expect(leaders(group)).toBe('A');
    expect(group.sent).toEqual([]);
  });

  it('to one that cannot apply is refused', () => {
    const group = atWork();
    group.standDown('B');
    group.propose('A');
    group.settle();
    expect(group.transfer('A', 'B')).toBe('cannotApply');
  });

  it('to one that lags waits until it holds everything', () => {
    const group = groupLedBy('A');
    group.isolate('B');
    group.propose('A', 'missed');
    group.pass(60_000);
    group.heal();
    group.sent = [];
    group.transfer('A', 'B');
    expect(group.sent.some(({ type }) => type === 'timeoutNow')).toBe(false);
    group.settle();
    expect(leaders(group)).toBe('B');
    expect(group.logOf('B')).toBe('1: 1:missed 2:');
  });

  it('takes no proposal meanwhile, and any after it', () => {
    const group = atWork();
    group.isolate('B');
    group.transfer('A', 'B');
    expect(group.propose('A')).toEqual({ ok: false, reason: 'transferring' });
    expect(group.core('A').isTransferring).toBe(true);
    group.pass(electionTimeoutMs);
    expect(group.core('A').isTransferring).toBe(false);
    expect(group.propose('A').ok).toBe(true);
  });

  it('is given up after an election timeout, and the leader goes on', () => {
    const group = atWork();
    group.loses = ({ type }) => type === 'timeoutNow';
    group.transfer('A', 'B');
    group.pass(electionTimeoutMs - 1);
    expect(group.core('A').isTransferring).toBe(true);
    group.pass(1);
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 1, isTransferring: false });
    group.pass(10_000);
    expect(leaders(group)).toBe('A');
    expect(group.isAtRest).toBe(true);
  });

  it('to the leader itself changes nothing', () => {
    const group = atWork();
    expect(group.transfer('A', 'A')).toBe('ok');
    expect(group.core('A')).toMatchObject({ role: 'leader', isTransferring: false });
    expect(group.sent).toEqual([]);
  });

  it('to the leader itself ends one under way', () => {
    const group = atWork();
    group.isolate('B');
    group.transfer('A', 'B');
    group.transfer('A', 'A');
    expect(group.propose('A').ok).toBe(true);
  });

  it('to another takes the place of the first, with a time of its own', () => {
    const group = atWork();
    group.isolate('B');
    group.transfer('A', 'B');
    group.pass(electionTimeoutMs - 1);
    expect(group.transfer('A', 'C')).toBe('ok');
    group.pass(1);
    expect(group.core('A').isTransferring || leaders(group) === 'C').toBe(true);
    group.pass(1_000);
    expect(leaders(group)).toBe('C');
  });

  it('to the same again does not begin anew', () => {
    const group = atWork();
    group.isolate('B');
    group.transfer('A', 'B');
    group.pass(electionTimeoutMs - 1);
    group.transfer('A', 'B');
    group.pass(1);
    expect(group.core('A').isTransferring).toBe(false);
  });

  it('ends with a newer term that the leader learns of', () => {
    const group = atWork();
    group.isolate('B');
    group.transfer('A', 'B');
    const asked = { lastIndex: 9, lastTerm: 6, transfer: true };
    group.step(vote({ from: 'C', to: 'A', term: 7, boot: 9 }, asked));
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 7, isTransferring: false });
    expect(group.storage('A').hardState.vote).toBe('C');
  });

  it('and a change of members do not go together', () => {
    const group = atWork('ABC', 'D');
    group.isolate('B');
    group.transfer('A', 'B');
    expect(group.change('A', 'AC', 'B')).toEqual({ ok: false, reason: 'transferUnderWay' });
    group.transfer('A', 'A');
    expect(group.change('A', 'AC', 'B').ok).toBe(true);
    expect(group.transfer('A', 'B')).toBe('notVoter');
  });

  it('whose target loses its election leaves a group that can elect', () => {
    const group = atWork();
    group.transfer('A', 'B');
    group.settle(({ type }) => type === 'timeoutNow' || type === 'vote');
    group.withhold();
    group.isolate('B');
    group.suspect('C');
    expect(group.pass(10_000, () => /[AC]/.test(leaders(group)))).toBe(true);
    group.heal();
    group.propose(leaders(group)[0] ?? '');
    group.pass(10_000);
    expect(leaders(group)).toMatch(/^[AC]$/);
    for (const id of group.ids) expect(group.logOf(id)).toBe(group.logOf('A'));
  });
});

describe('who is told to campaign', () => {
  it('does not if it is no voter', () => {
    const group = atWork('ABC', 'D');
    group.step(timeoutNow('D', 1));
    expect(group.core('D')).toMatchObject({ role: 'follower', term: 1 });
    const removed = new Group();
    const configuration = { voters: ['B', 'C'] as MemberId[], outgoing: [], learners: [] };
    removed.storage('A').configurations = [{ index: 0, configuration }];
    removed.restart('A');
    removed.step(timeoutNow('A', 1, 'B'));
    expect(removed.core('A').role).toBe('follower');
    expect(removed.sent).toEqual([]);
  });

  it('does not if it cannot apply', () => {
    const group = atWork();
    group.standDown('B');
    group.step(timeoutNow('B', 1));
    expect(group.core('B')).toMatchObject({ role: 'follower', term: 1 });
  });

  it('does so for the leader of its term only', () => {
    const group = atWork();
    group.step(timeoutNow('B', 1, 'C'));
    group.step(timeoutNow('B', 0));
    expect(group.core('B')).toMatchObject({ role: 'follower', term: 1 });
    group.step(timeoutNow('B', 1));
    expect(group.core('B')).toMatchObject({ role: 'candidate', term: 2 });
  });

  it('waits for its votes as long as any candidate, and gives up then', () => {
    const group = atWork();
    group.step(timeoutNow('B', 1));
    group.withhold();
    const deadline = group.core('B').nextDeadline() ?? 0;
    expect(deadline).toBeGreaterThanOrEqual(group.now + electionTimeoutMs);
    expect(deadline).toBeLessThan(group.now + 2 * electionTimeoutMs);
    group.now = deadline;
    group.tick('B');
    expect(group.core('B').role).toBe('follower');
    expect(group.isAtRest).toBe(true);
  });
});

describe('a vote that the leader asked for', () => {
  const asked = { lastIndex: 1, lastTerm: 1, transfer: true };

  it('is given by the leader too, which follows then', () => {
    const group = groupWith('leader');
    group.step(vote({ from: 'B', to: 'A', term: 2, boot: 9 }, asked));
    expect(group.sent).toMatchObject([{ type: 'voteReply', granted: true, requestTerm: 2 }]);
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 2 });
  });

  it('goes only to a log that is enough, as any other', () => {
    const group = atWork();
    group.step(vote({ from: 'B', to: 'C', term: 2, boot: 9 }, asked));
    expect(group.sent).toMatchObject([{ type: 'voteReply', granted: false, requestTerm: 2 }]);
  });
});

describe('who is preferred', () => {
  it('is handed the lead by a leader about to rest, once', () => {
    const group = groupLedBy('A', { voters: 'ABC' });
    for (const id of group.ids) group.core(id).preferLeaders(['C', 'A', 'B'] as MemberId[]);
    group.propose('A');
    group.pass(10_000);
    expect(leaders(group)).toBe('C');
    group.propose('C');
    group.pass(10_000);
    expect([leaders(group), group.core('C').term]).toEqual(['C', 2]);
    expect(group.isAtRest).toBe(true);
  });

  it('is offered it once a term, though it does not take it', () => {
    const group = groupLedBy('A');
    for (const id of group.ids) group.core(id).preferLeaders(['C', 'A', 'B'] as MemberId[]);
    group.loses = ({ type }) => type === 'timeoutNow';
    for (let time = 0; time < 5; time += 1) {
      group.propose('A');
      group.pass(10_000);
    }
    expect(group.sent.filter(({ type }) => type === 'timeoutNow').length).toBe(1);
    expect(leaders(group)).toBe('A');
  });

  it('campaigns first', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('A');
    for (const id of group.ids) group.core(id).preferLeaders(['E', 'D'] as MemberId[]);
    for (const id of 'BCDE') group.suspect(id);
    expect(group.pass(5_000, () => leaders(group) !== 'A')).toBe(true);
    expect(leaders(group)).toBe('AE');
  });
});
