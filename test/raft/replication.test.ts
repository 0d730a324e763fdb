/**
 * The leader's side of replication: what it sends, what it takes for lost, when it steps down.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { Group, groupLedBy } from './support/group.ts';

const { electionTimeoutMs, retransmitMs } = defaultSettings;

describe('lost messages', () => {
  it('a lost probe never makes the leader send what the follower holds already', () => {
    const group = groupLedBy('A');
    for (let at = 0; at < 20; at += 1) group.propose('A');
    group.pass(1_000);
    group.restart('A', 'B', 'C');
    group.sent = [];
    group.propose('A', 'after waking');
    group.withhold();
    // The host says that B cannot be reached; of C it hears nothing at all.
    group.unreachable('A', 'B');
    group.pass(1_000);
    const entries = group.sent.flatMap((message) =>
      message.type === 'append' ? message.entries : [],
    );
    expect(Math.min(...entries.map(({ index }) => index))).toBe(22);
    expect(group.logOf('C')).toBe(group.logOf('A'));
  });
});

describe('the repair list', () => {
  it('a follower that was tried a moment ago is tried again after it, not forgotten', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'missed');
    group.pass(60_000);
    group.propose('A', 'missed again');
    group.pass(100);
    // C comes back; the next write comes too soon after the last attempt.
    group.heal();
    group.propose('A', 'last');
    group.pass(10_000);
    expect(group.logOf('C')).toBe(group.logOf('A'));
    expect(group.isAtRest).toBe(true);
  });
});

describe('stepping down', () => {
  it('a leader that has rested since a read has the whole election timeout for its next write', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.read('A');
    group.settle();
    group.pass(10_000, () => group.isAtRest);
    group.now += 60_000;
    group.propose('A');
    group.withhold();
    expect(group.core('A').nextDeadline()).toBeGreaterThan(group.now);
    group.tick('A');
    expect(group.core('A').role).toBe('leader');
  });

  it('a leader without a quorum for its append steps down after an election timeout', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    group.propose('A');
    group.pass(electionTimeoutMs - 1);
    expect(group.core('A').role).toBe('leader');
    group.pass(1);
    expect(group.core('A').role).toBe('follower');
    expect(group.core('A').term).toBe(1);
  });
});

describe('the window', () => {
  const settings = { inflightMessagesMax: 3, appendEntriesMax: 2 };
  const appendsTo = (group: Group, to: string) =>
    group.sent.filter((message) => message.type === 'append' && message.to === to);

  it('bounds the appends under way, and each acknowledgement makes room for one', () => {
    const group = groupLedBy('A', { settings });
    for (let at = 0; at < 6; at += 1) group.propose('A');
    expect(appendsTo(group, 'B').length).toBe(3);
    const [first] = group.withhold(({ to }) => to === 'B');
    if (first) group.step(first);
    group.settle(({ to, from }) => to === 'A' && from === 'B');
    // What waited goes together, as far as one append may carry it.
    expect(appendsTo(group, 'B').at(-1)).toMatchObject({ prevIndex: 4 });
    expect(appendsTo(group, 'B').length).toBe(4);
  });

  it('bounds their bytes too', () => {
    const group = groupLedBy('A', { settings: { inflightBytesMax: 10 } });
    for (let at = 0; at < 5; at += 1) group.propose('A', 'seven77');
    expect(appendsTo(group, 'B').length).toBe(2);
  });

  it('that is lost as a whole is sent again after one retransmission time', () => {
    const group = groupLedBy('A', { settings });
    for (let at = 0; at < 6; at += 1) group.propose('A');
    group.withhold();
    group.pass(retransmitMs);
    group.pass(10);
    expect(group.logOf('B')).toBe(group.logOf('A'));
    expect(group.core('A').commitIndex).toBe(7);
  });

  it('is one append to a follower that is being probed', () => {
    const group = new Group();
    group.isolate('B');
    group.suspect('A');
    group.settle(({ type }) => type !== 'append');
    group.heal();
    for (let at = 0; at < 3; at += 1) group.propose('A');
    // Of the other one its vote has told where the logs meet: it is not probed.
    expect(appendsTo(group, 'C').length).toBe(4);
    expect(appendsTo(group, 'B').length).toBe(1);
    group.pass(1_000);
    expect(group.logOf('B')).toBe(group.logOf('A'));
  });

  it('is probed anew by a new life of the follower, which lost what was under way', () => {
    const group = groupLedBy('A');
    group.suspect('B');
    group.settle();
    group.propose('A');
    group.withhold(({ to }) => to === 'B');
    group.restart('B');
    group.suspect('B');
    group.settle();
    expect(group.logOf('B')).toBe(group.logOf('A'));
  });
});

describe('probing', () => {
  function probing(): Group {
    // A leader that resumes its term knows of nobody where the logs meet.
    const group = groupLedBy('A');
    group.restart('A');
    group.propose('A');
    group.sent = [];
    return group;
  }

  it('repeats its one append once the reply is late, and sends nothing else until then', () => {
    const group = probing();
    const [probe] = group.withhold(({ to }) => to === 'B');
    group.propose('A');
    group.pass(retransmitMs - 1);
    const toB = () => group.sent.filter(({ to, type }) => to === 'B' && type === 'append');
    expect(toB()).toEqual([]);
    group.loses = ({ to }) => to === 'B';
    group.pass(1);
    expect(toB()).toMatchObject([{ prevIndex: probe?.type === 'append' ? probe.prevIndex : -1 }]);
  });

  it('of one follower ends with its acknowledgement, that of another does not', () => {
    const group = probing();
    group.settle(({ from, to }) => from === 'B' || to === 'B');
    group.withhold();
    group.sent = [];
    for (let at = 0; at < 2; at += 1) group.propose('A');
    expect(group.sent.map(({ to, type }) => `${type} ${to}`)).toEqual(['append B', 'append B']);
  });
});

describe('an append without entries', () => {
  it('goes to every follower for a read, and stands where their logs meet', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.isolate('C');
    group.propose('A');
    group.settle();
    group.sent = [];
    group.read('A');
    expect(group.sent.map(({ to }) => to)).toEqual(['B', 'C', 'D']);
    // C has not acknowledged entry 2: the commit index is told, and what it means is up to C.
    expect(group.sent).toMatchObject([
      { entries: [], prevIndex: 2, commit: 2 },
      { entries: [], prevIndex: 1, commit: 2 },
      { entries: [], prevIndex: 2, commit: 2 },
    ]);
    const [, toC] = group.sent;
    if (toC) group.step(toC);
    expect(group.core('C').commitIndex).toBe(1);
  });
});

describe('an append', () => {
  it('goes to all others at once, with the entry before it and the commit index', () => {
    const group = groupLedBy('A', { voters: 'ABCD', learners: 'E' });
    group.propose('A');
    expect(group.sent.map(({ to }) => to)).toEqual(['B', 'C', 'D', 'E']);
    for (const message of group.sent)
      expect(message).toMatchObject({ prevIndex: 1, prevTerm: 1, commit: 1 });
  });

  it('carries the commit of the one before, so that a stream needs no notices', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.propose('A');
    expect(group.sent.at(-1)).toMatchObject({ type: 'append', commit: 2 });
    group.settle();
    expect(group.core('B').commitIndex).toBe(2);
  });

  it.each(['lost', 'repeated', 'reversed'])('may be %s: the logs become equal', (fate) => {
    const group = groupLedBy('A');
    for (let at = 0; at < 3; at += 1) group.propose('A');
    const toB = group.withhold(({ to }) => to === 'B');
    if (fate === 'repeated') for (const message of [...toB, ...toB]) group.step(message);
    if (fate === 'reversed') for (const message of toB.reverse()) group.step(message);
    group.pass(3_000);
    expect(group.logOf('B')).toBe(group.logOf('A'));
    expect(group.core('B').commitIndex).toBe(4);
    expect(group.isAtRest).toBe(true);
  });

  it('of the last commit may be lost: the notice is repeated', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.loses = ({ type, to }) => type === 'append' && to === 'B';
    group.pass(defaultSettings.commitNoticeMs);
    expect(group.core('B').commitIndex).toBe(1);
    group.loses = () => false;
    group.pass(retransmitMs);
    expect(group.core('B').commitIndex).toBe(2);
  });
});

describe('a log that differs', () => {
  const leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  it.each([
    ['a: one missing', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b: many missing', [1, 1, 1, 4]],
    ['c: one too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d: a later term too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e: an uncommitted end', [1, 1, 1, 4, 4, 4, 4]],
    ['f: whole terms of its own', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
    ['nothing', []],
  ])('becomes the leader’s (figure 7, %s)', (_, terms) => {
    const group = new Group({
      start: {
        A: { terms: leader, term: 8 },
        B: { terms, term: 8 },
        C: { terms: [1, 1, 1, 4], term: 8 },
      },
    });
    group.suspect('A');
    group.pass(3_000);
    expect(group.core('A').role).toBe('leader');
    expect(group.logOf('B')).toBe(group.logOf('A'));
    // At most one refusal for each term in which they differ (fast backtracking).
    const refusals = group.sent.filter(
      (message) => message.type === 'appendReply' && message.from === 'B' && !message.ok,
    );
    expect(refusals.length).toBeLessThanOrEqual(3);
  });

  it.each([
    // From etcd's table: leader, follower, refusals.
    ['1,3,3,3,5,5,5,5,5', '1,1,1,1,2,2', 1],
    ['1,3,3,3,5,5,5,5,5', '1,1,1,1,2,2,2,2', 1],
    ['1,1,1,1,1,1', '1,1,1,2,2,2', 1],
    ['2,2,2,4,4', '2,2,2,3,3,3,3', 1],
    ['1,1,1,3,3,3', '1,1,1,2,2,2', 1],
    ['1,4,4,4,4', '1,2,2,3,3', 1],
  ])('of the leader [%s] and the follower [%s] takes %i refusal', (leads, follows, expected) => {
    const terms = (text: string) => text.split(',').map(Number);
    const start = { A: { terms: terms(leads), term: 9 }, B: { terms: terms(follows), term: 9 } };
    const group = new Group({ start: { ...start, C: { terms: [], term: 9 } } });
    group.suspect('A');
    group.settle();
    const refusals = group.sent.filter(
      (message) => message.type === 'appendReply' && message.from === 'B' && !message.ok,
    );
    expect(refusals.length).toBe(expected);
    expect(group.logOf('B')).toBe(group.logOf('A'));
  });
});
