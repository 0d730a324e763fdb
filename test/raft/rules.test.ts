/**
 * The rules of consensus-rules.md that the core keeps, each by the schedule that breaks a group
 * without it. `npm run mutants` takes every rule out and requires that its test here, or in
 * test/sim/rules.test.ts, fails.
 */
import { describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import type { MemberId, Message } from '../../src/raft/types.ts';
import { Group, groupLedBy, members, withOldBackup } from './support/group.ts';
import { append, entries, readRequest } from './support/messages.ts';

const { electionTimeoutMs } = defaultSettings;

function leaderOf(group: Group, names: string): string | null {
  return [...names].find((name) => group.core(name).role === 'leader') ?? null;
}

describe('rule 3: a tombstone is written only when the removal is known to be committed', () => {
  it('a member that is being removed helps until then, for the others may need it', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABD');
    group.settle(({ type }) => type === 'append');
    // A commits the joint configuration; the one without C reaches C and nobody else.
    group.loses = ({ from, to }) => from === 'A' && to !== 'C';
    group.settle();
    expect(group.core('C').configuration).toMatchObject({ voters: members('ABD'), outgoing: [] });
    group.isolate('A');
    // B and D are in the joint configuration: their quorum of the old half needs C.
    group.suspect('B');
    expect(group.pass(20_000, () => leaderOf(group, 'BD') !== null)).toBe(true);
    group.pass(20_000);
    expect(group.core('B').configuration).toMatchObject({ voters: members('ABD'), outgoing: [] });
    expect(group.storage('C').fate).toBe('removed');
  });
});

describe('rule 4: unknown senders are answered on their merits', () => {
  it('a new member is elected by one that has never heard of it', () => {
    const group = groupLedBy('A');
    group.isolate('B');
    group.join('D');
    expect(group.change('A', 'ABC', 'D').ok).toBe(true);
    group.pass(20_000);
    expect(group.change('A', 'ABD').ok).toBe(true);
    group.pass(20_000);
    expect(group.core('B').configuration).toMatchObject({ voters: members('ABC'), learners: [] });
    group.heal();
    group.isolate('A');
    group.suspect('D');
    expect(group.pass(20_000, () => group.core('D').role === 'leader')).toBe(true);
  });
});

describe('rule 5: switching to a snapshot is decided in its own turn', () => {
  const snapshot = {
    ...{ id: 's1', index: 5, term: 2 },
    configuration: { voters: members('ABC'), outgoing: [], learners: [] },
  };
  function chunk(term: number, cursor: string, next: string | null): Message {
    const [from, to] = members('BA') as [MemberId, MemberId];
    const facts = { readPosition: 0, barrier: 0, knownBoot: 0, knownMatch: 0 };
    const content = { data: new Uint8Array(), next };
    return {
      type: 'snapshot',
      from,
      to,
      boot: 9,
      term,
      snapshot,
      cursor,
      chunk: content,
      ...facts,
    };
  }
  /** A new leader appends up to 7 while the snapshot is under way. */
  function overtaken(commit: number): Group {
    const group = new Group();
    const sent = { entries: entries(1, 2, 2, 2, 2, 2, 3, 3), commit };
    group.step(append({ from: 'B', to: 'A', term: 3, boot: 9 }, sent));
    expect(group.sent.at(-1)).toMatchObject({ type: 'appendReply', ok: true, index: 7 });
    return group;
  }

  it('the last chunk of a snapshot that appends have overtaken resets nothing', () => {
    const group = new Group();
    group.step(chunk(2, '', '1'));
    const sent = { entries: entries(1, 2, 2, 2, 2, 2, 3, 3), commit: 3 };
    group.step(append({ from: 'B', to: 'A', term: 3, boot: 9 }, sent));
    group.step(chunk(3, '1', null));
    expect(group.core('A').lastIndex).toBe(7);
  });

  it('entries that were acknowledged meanwhile stay, though they are not committed', () => {
    const group = overtaken(3);
    group.step(chunk(3, '', null));
    expect(group.core('A').lastIndex).toBe(7);
  });

  it('what is committed stays, also where the log is compacted beyond the snapshot', () => {
    const group = overtaken(7);
    expect(group.compact('A', 7)).toBe(true);
    group.step(chunk(3, '', null));
    expect(group.core('A')).toMatchObject({ lastIndex: 7, commitIndex: 7 });
  });
});

describe('rule 8: a member that cannot apply does not lead', () => {
  it('it does not resume its term', () => {
    const group = groupLedBy('A');
    const storage = group.storage('A');
    const life = (canApply: boolean) => {
      const bootState = { ...storage.bootState(), canApply };
      return new RaftCore({ self: 'A' as MemberId, bootState, log: storage }, 9, () => 0, 0);
    };
    expect([life(true).role, life(false).role]).toEqual(['leader', 'follower']);
  });

  it('it does not campaign, neither by itself nor because the leader asks for it', () => {
    const group = groupLedBy('A');
    group.standDown('B');
    group.suspect('B');
    const [from, to] = members('AB') as [MemberId, MemberId];
    group.step({ type: 'timeoutNow', from, to, term: 1, boot: group.life('A').boot });
    group.isolate('A');
    group.pass(60_000);
    expect(
      group.sent.filter((message) => message.from === 'B').map(({ type }) => type),
    ).not.toContain('preVote');
    expect(group.core('B')).toMatchObject({ role: 'follower' });
    expect(group.storage('B').hardState.vote).not.toBe('B');
  });

  it('it hands over if it leads, so that nobody has to suspect it first', () => {
    const group = groupLedBy('A');
    group.standDown('A');
    expect(group.pass(electionTimeoutMs / 2, () => leaderOf(group, 'BC') !== null)).toBe(true);
  });

  it('it is neither handed the lead nor promoted', () => {
    const group = groupLedBy('A', { learners: 'D' });
    for (const name of 'BD') group.standDown(name);
    group.propose('A');
    group.pass(10_000);
    expect(group.transfer('A', 'B')).toBe('cannotApply');
    expect(group.change('A', 'ABCD')).toEqual({ ok: false, reason: 'cannotApply' });
  });
});

describe('rule 9: only replies to the leader’s own messages are contact', () => {
  it('a leader that nobody hears steps down, though members ask it for reads', () => {
    const group = groupLedBy('A');
    for (const to of ['B', 'C']) group.cutLink('A', to);
    group.propose('A');
    for (let ms = 0; ms < electionTimeoutMs; ms += 50) {
      expect(group.core('A').role).toBe('leader');
      const route = { from: ms % 100 === 0 ? 'B' : 'C', to: 'A', term: 1 };
      group.step(readRequest(route, { id: ms, lastIndex: 1, lastTerm: 1 }));
      group.pass(50);
    }
    expect(group.core('A').role).toBe('follower');
  });
});

describe('rule 10: a read reply answers the request that it echoes', () => {
  it('a delayed reply to an earlier life gives no old index to a new read', () => {
    const group = groupLedBy('A');
    group.read('B');
    group.settle(({ type }) => type === 'readRequest');
    const late = group.withhold(({ type }) => type === 'readReply');
    expect(late.length).toBe(1);
    group.propose('A', 'newer than the reply');
    group.settle();
    group.restart('B');
    group.read('B');
    // The request of the new life has the same id, and is still under way.
    group.withhold();
    group.step(...late);
    expect(group.granted).toEqual([]);
  });

  it('nor does a reply to an earlier question of this life confirm the leader', () => {
    const group = groupLedBy('A');
    group.suspect('B');
    group.settle(({ type }) => type === 'readRequest');
    const late = group.withhold();
    group.unreachable('B', 'A');
    group.withhold();
    group.step(...late);
    expect(group.core('B').isSuspecting).toBe(true);
  });

  it.each([
    ['the leader rests', 60_000, true],
    ['the leader waits for a retransmission', 3_000, false],
  ])('a sender that lacks the entry gets the appends at once, though %s', (_, ms, isAtRest) => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'missed');
    group.pass(ms);
    expect(group.isAtRest).toBe(isAtRest);
    group.heal();
    group.step(readRequest({ from: 'C', to: 'A', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    group.settle();
    expect(group.logOf('C')).toBe(group.logOf('A'));
  });
});

describe('rule 11: leaving a joint configuration is a condition, not an event', () => {
  /** A leads {A,B,D}+{A,B,C}, which a quorum of both halves holds. */
  function joint(): Group {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABD');
    group.settle(({ type }) => type === 'append');
    group.withhold();
    return group;
  }
  const simple = { voters: members('ABD'), outgoing: [], learners: [] };

  it('a leader that was evicted after it applied the joint entry goes on, and does not rest before', () => {
    const group = joint();
    group.storage('A').applied = group.storage('A').lastIndex;
    group.restart('A');
    // At once: not because the others ask for the end of their logs one day.
    group.pass(electionTimeoutMs / 2);
    expect(group.core('A').configuration).toEqual(simple);
  });

  it('so does the next leader', () => {
    const group = joint();
    group.isolate('A');
    group.suspect('B');
    group.pass(10_000, () => leaderOf(group, 'BD') !== null);
    group.pass(10_000);
    expect(group.core('B').configuration).toEqual(simple);
  });
});

describe('rule 12: a suspicion is not lost', () => {
  it('by a newer term that comes without its leader: the candidate campaigns again', () => {
    // A has been to term 7 alone and has a short log; C has the long one, and comes with term 5.
    const group = new Group({
      start: { C: { terms: [1, 1, 1], term: 5 }, A: { terms: [1], term: 7 } },
    });
    group.isolate('B');
    group.suspect('C');
    group.pass(1_000, () => group.core('C').term === 7);
    expect(group.core('C').isSuspecting).toBe(true);
    expect(group.pass(5_000, () => group.core('C').role === 'leader')).toBe(true);
  });

  it('by a round that was refused', () => {
    const group = new Group({
      start: { A: { terms: [1] }, B: { terms: [1, 1] }, C: { terms: [1, 1] } },
    });
    group.suspect('A');
    group.settle(({ from, to }) => from === 'A' || to === 'A');
    expect(group.core('A')).toMatchObject({ role: 'follower', isSuspecting: true });
  });

  it.each([
    ['a learner', 'D'],
    ['a non-member', 'E'],
  ])('%s passes it on', (_, name) => {
    const group = groupLedBy('A', { learners: 'D' });
    group.join('E');
    group.storage('E').isAdopted = true;
    group.isolate('A');
    group.suspect(name);
    expect(group.pass(10_000, () => leaderOf(group, 'BC') !== null)).toBe(true);
  });
});

describe('rule 13: a leader that went back in time stops', () => {
  /** A has lost entry 2 of its term, and begins a life that is newer than all before. */
  function backInTime(): Group {
    const group = groupLedBy('A');
    const backup = group.storage('A').copy();
    group.propose('A', 'lost');
    group.pass(1_000);
    const { boot } = group.storage('A');
    group.storage('A').restore(backup);
    group.storage('A').boot = boot + 1;
    group.restart('A');
    return group;
  }

  it('at the first answer, before it has written another entry under the lost index', () => {
    const group = backInTime();
    group.turn(group.life('A'), (core) => {
      for (let at = 0; at < 3; at += 1) core.propose(new Uint8Array(1), group.now);
    });
    expect(group.logOf('A')).toBe('1:');
    group.settle();
    expect(group.storage('A').fate).toBe('lost');
    expect(group.logOf('B')).toBe('1: 1:lost');
  });

  it('adds nothing to its log, in an office that is over, until a quorum has answered', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    const backup = group.storage('A').copy();
    group.isolate('E');
    group.propose('A', 'committed');
    group.pass(1_000);
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000);
    expect(group.core('B').role).toBe('leader');
    const { boot } = group.storage('A');
    group.storage('A').restore(backup);
    group.storage('A').boot = boot + 1;
    group.restart('A');
    // E has heard neither of the entry nor of the newer term: alone it proves nothing.
    group.heal();
    group.isolate('A', 'E');
    group.propose('A', 'in its place');
    group.change('A', 'ABCD');
    group.settle();
    expect([group.logOf('A'), group.logOf('E')]).toEqual(['1:', '1:']);
    group.heal();
    group.pass(5_000);
    expect(group.logOf('A')).toBe(group.logOf('B'));
    expect(group.logOf('A')).toContain('1:committed');
  });

  it('when a member outside that quorum holds what it forgot, however much it has written since', () => {
    const group = groupLedBy('A');
    group.propose('A', 'lost');
    group.pass(1_000);
    const { boot } = group.storage('A');
    const sent = { prevIndex: 1, prevTerm: 1, entries: entries(2, 1, 1), barrier: 1 };
    group.storage('A').wentBack = true;
    group.step(append({ from: 'A', to: 'C', term: 1, boot: boot + 1 }, sent));
    expect(group.logOf('C')).toBe('1: 1:lost');
    const [reply] = group.withhold();
    expect(reply).toMatchObject({ from: 'C', ok: false, leaderLostEntries: true });
  });

  /** A leads term 3 after its storage went back: B has forgotten its lives and brought it up to date; C has not. */
  function ledByLostMember(): Group {
    const { group, backup } = withOldBackup();
    group.transfer('A', 'B');
    group.pass(5_000);
    group.isolate('A');
    group.storage('A').restore(backup);
    group.restart('A', 'B');
    group.heal();
    group.isolate('C');
    group.propose('B', 'missed by C');
    group.pass(5_000);
    group.transfer('B', 'A');
    group.pass(5_000);
    expect(group.storage('A').fate).toBe(null);
    expect(group.core('A')).toMatchObject({ role: 'leader', term: 3 });
    expect(group.core('C').term).toBe(2);
    group.heal();
    group.propose('A', 'news');
    return group;
  }

  it('when somebody has heard of a later life of it, in a term that this one does not know', () => {
    const group = ledByLostMember();
    group.pass(60_000);
    expect(group.storage('A').fate).toBe('lost');
  });

  it('also when it hears so after it has been deposed', () => {
    const group = ledByLostMember();
    const isAnswer = ({ from, to, type }: Message) =>
      from === 'C' && to === 'A' && type === 'appendReply';
    group.pass(60_000, () => group.pool.some(isAnswer));
    const [answer] = group.withhold(isAnswer);
    expect(answer).toMatchObject({ term: 2, leaderLostEntries: true });
    group.step(append({ from: 'B', to: 'A', term: 4, boot: group.storage('B').boot }));
    expect(group.core('A')).toMatchObject({ role: 'follower', term: 4 });
    if (answer) group.step(answer);
    expect(group.storage('A').fate).toBe('lost');
  });

  it('when a reply shows an entry of its own term beyond its last', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle(({ type }) => type === 'append');
    const [reply] = group.withhold();
    group.storage('A').wentBack = true;
    if (reply?.type === 'appendReply') group.step({ ...reply, lastIndex: 5 });
    expect(group.storage('A').fate).toBe('lost');
  });

  it('when a request shows one', () => {
    const group = groupLedBy('A');
    group.storage('A').wentBack = true;
    group.step(readRequest({ from: 'B', to: 'A', term: 1 }, { lastIndex: 5, lastTerm: 1 }));
    expect(group.storage('A').fate).toBe('lost');
  });

  it('which is not heard with a boot below one that was seen, in the next life of its followers too', () => {
    const { group, backup } = withOldBackup();
    group.restart('B', 'C');
    group.storage('A').restore(backup);
    group.restart('A');
    group.sent = [];
    group.read('A');
    group.settle();
    expect(group.sent.filter((one) => one.type === 'appendReply' && one.ok)).toEqual([]);
    expect(group.storage('A').fate).toBe('lost');
  });
});
