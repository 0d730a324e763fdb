/**
 * Linearizable reads (thesis 6.4, confirmed by position): what confirms them, and what never does.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import type { Message } from '../../src/raft/types.ts';
import { stateOf } from './support/checks.ts';
import { Group, groupLedBy } from './support/group.ts';
import { readRequest } from './support/messages.ts';

const isAppend = ({ type }: Message) => type === 'append';

describe('a read', () => {
  it.each([
    ['A', '', true],
    ['AB', '', false],
    ['AB', 'B', true],
    ['ABC', '', false],
    ['ABC', 'C', true],
    ['ABCD', 'B', false],
    ['ABCD', 'BC', true],
    ['ABCDE', 'B', false],
    ['ABCDE', 'BD', true],
  ])('among %s with the answers of [%s] is granted: %s', (voters, answers, isGranted) => {
    const group = groupLedBy('A', { voters });
    group.read('A');
    group.settle(({ from, to }) => answers.includes(from) || answers.includes(to));
    expect(group.granted.length).toBe(isGranted ? 1 : 0);
  });

  it('needs half of the voters beside the leader, in groups of 1 to 7', () => {
    for (let size = 1; size <= 7; size += 1)
      for (let answers = 0; answers < size; answers += 1) {
        const group = groupLedBy('A', { voters: 'ABCDEFG'.slice(0, size) });
        const answering = 'BCDEFG'.slice(0, answers);
        group.read('A');
        group.settle(({ from, to }) => answering.includes(from) || answering.includes(to));
        expect(group.granted.length, `${answers} of ${size}`).toBe(
          2 * (answers + 1) > size ? 1 : 0,
        );
      }
  });

  it('is not granted for a contact of a moment ago: there is no lease', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.isolate('A');
    group.read('A');
    group.settle();
    expect(group.granted).toEqual([]);
  });

  it('that is granted leaves nothing behind', () => {
    const group = groupLedBy('A');
    for (let time = 0; time < 10; time += 1) {
      group.read('A');
      group.settle();
      group.step(readRequest({ from: 'B', to: 'A', term: 1 }, { id: time, lastTerm: 1 }));
    }
    group.pass(100);
    expect(group.granted.length).toBe(10);
    expect(stateOf(group.core('A'))).toMatchObject({ role: { pendingReads: [] }, reads: [] });
  });

  it.each([
    // In the joint configuration {A,B,D}+{A,B,C} both halves need a majority.
    ['B', true],
    ['C', false],
    ['D', false],
    ['CD', true],
  ])('in a joint configuration with the answers of [%s] is granted: %s', (answers, isGranted) => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    group.change('A', 'ABD');
    group.read('A');
    group.settle(({ from, to }) => answers.includes(from) || answers.includes(to));
    expect(group.granted.length).toBe(isGranted ? 1 : 0);
  });

  it('is not confirmed by a learner, nor by its request', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'DE' });
    group.isolate('B', 'C');
    group.read('A');
    const route = { from: 'D', to: 'A', term: 1 };
    group.step(readRequest(route, { lastIndex: 1, lastTerm: 1 }));
    group.settle();
    expect(group.granted).toEqual([]);
    expect(group.sent.filter(({ type }) => type === 'readReply')).toEqual([]);
  });

  it('is granted at the commit index of its beginning, not an older one', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    group.read('A');
    group.settle();
    expect(group.granted).toMatchObject([{ index: 2 }]);
  });

  it('is never confirmed by a message that was sent before it began (etcd 20418)', () => {
    const group = groupLedBy('A');
    group.read('A');
    const round = group.withhold(isAppend);
    group.read('A');
    const [toB, toC] = round;
    if (!toB || !toC) throw new Error('a round goes to both');
    // Late, twice and in the wrong order: they confirm the first read and nothing else.
    for (const message of [toC, toB, toB, toC]) group.step(message);
    group.settle((message) => message.type === 'appendReply');
    expect(group.granted).toMatchObject([{ id: 1 }]);
    group.pass(100);
    expect(group.granted).toMatchObject([{ id: 1 }, { id: 2 }]);
  });

  it('is not confirmed by answers to an earlier life of the leader', () => {
    const group = groupLedBy('A');
    group.read('A');
    group.settle(isAppend);
    const answers = group.withhold();
    group.restart('A');
    group.read('A');
    group.withhold();
    for (const answer of answers) group.step(answer);
    expect(group.granted).toEqual([]);
  });

  it('of a new leader waits for its first commit, though a quorum has confirmed it', () => {
    const start = { B: { terms: [1] }, C: { terms: [1] }, A: { terms: [1, 1, 2] } };
    const group = new Group({ start, settings: { appendEntriesMax: 1 } });
    group.suspect('A');
    group.settle(({ type }) => type !== 'append');
    group.read('A');
    // The followers refuse the first append: that confirms the leader, and nothing of its log.
    const isFirst = (message: Message) => message.type === 'append' && message.prevIndex === 3;
    group.settle(isFirst);
    group.settle(({ type }) => type === 'appendReply');
    expect(group.granted).toEqual([]);
    group.settle();
    expect(group.granted).toMatchObject([{ index: 4 }]);
  });

  it('is dropped by a leader that steps down, and refused by who knows no other', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    const read = group.read('A');
    group.pass(defaultSettings.electionTimeoutMs);
    expect(group.dropped).toEqual([read]);
    expect(group.read('A')).toBe(null);
  });

  it('at a leader that others have replaced is never granted', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    group.suspect('B');
    group.pass(3_000, () => group.core('B').role === 'leader');
    group.propose('B', 'newer');
    group.settle();
    expect(group.core('A').role).toBe('leader');
    group.read('A');
    group.heal();
    group.pass(2_000);
    expect(group.granted).toEqual([]);
    expect(group.core('A').role).toBe('follower');
  });

  it('beyond the bound of waiting reads is refused', () => {
    const group = groupLedBy('A', { settings: { pendingReadsMax: 2 } });
    expect([group.read('A'), group.read('A'), group.read('A')]).toEqual([1, 2, null]);
    group.settle();
    group.pass(100);
    expect(group.read('A')).toBe(4);
  });

  it('shares its round with all that came before the round left', () => {
    const group = groupLedBy('A');
    group.turn(group.life('A'), (core) => {
      for (const id of [101, 102, 103]) {
        group.checks.readBegins(`${id}`);
        core.readIndex(id, group.now);
      }
    });
    group.settle();
    expect(group.granted.length).toBe(3);
    expect(group.sent.length).toBe(4);
    expect(stateOf(group.core('A')).role).toMatchObject({ pendingReads: [] });
  });
});

describe('a read request', () => {
  it('is answered with index and term of its entry, and echoes boot and id', () => {
    const group = groupLedBy('A');
    const route = { from: 'B', to: 'A', term: 1, boot: 7 };
    group.step(readRequest(route, { id: 42, lastIndex: 1, lastTerm: 1 }));
    expect(group.sent).toMatchObject([
      { type: 'readReply', to: 'B', id: 42, toBoot: 7, index: 1, indexTerm: 1, refused: false },
    ]);
  });

  it('confirms in a group of five only itself: one more answer is needed', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.step(readRequest({ from: 'B', to: 'A', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    const replies = () => group.sent.filter(({ type }) => type === 'readReply').length;
    expect(replies()).toBe(0);
    group.settle(({ from, to }) => from === 'C' || to === 'C');
    expect(replies()).toBe(1);
  });

  it('confirms no read but its own', () => {
    const group = groupLedBy('A');
    group.isolate('B', 'C');
    group.read('A');
    group.step(readRequest({ from: 'B', to: 'A', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    expect(group.granted).toEqual([]);
  });

  it('is never refused for want of room: a busy leader is not a dead one', () => {
    const group = groupLedBy('A', { voters: 'ABCDE', settings: { pendingReadsMax: 1 } });
    group.read('A');
    group.withhold();
    for (const from of ['B', 'C', 'D', 'E'])
      for (let id = 1; id <= 10; id += 1)
        group.step(readRequest({ from, to: 'A', term: 1 }, { id, lastIndex: 1, lastTerm: 1 }));
    group.pass(1_000);
    const replies = group.sent.filter((message) => message.type === 'readReply');
    // Of each member the newest few, and so the one that it still waits for.
    expect(replies.length).toBe(4 * 8);
    expect(replies.every((message) => message.type === 'readReply' && !message.refused)).toBe(true);
  });

  it('is refused by who does not lead', () => {
    const group = new Group();
    group.step(readRequest({ from: 'B', to: 'A', term: 0 }));
    expect(group.sent).toMatchObject([{ type: 'readReply', refused: true }]);
  });

  it('is refused when its leader steps down before it is confirmed', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.step(readRequest({ from: 'B', to: 'A', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    group.isolate('A');
    group.pass(defaultSettings.electionTimeoutMs);
    expect(group.sent.at(-1)).toMatchObject({ type: 'readReply', to: 'B', refused: true });
  });

  it('is not contact: reads keep no leader in office that cannot write (consensus-rules.md 9)', () => {
    const group = groupLedBy('A');
    // B and C reach A, A's own messages reach nobody.
    for (const to of ['B', 'C']) group.cutLink('A', to);
    group.propose('A');
    for (let ms = 0; ms < defaultSettings.electionTimeoutMs; ms += 50) {
      expect(group.core('A').role).toBe('leader');
      const route = { from: 'B', to: 'A', term: 1 };
      group.step(readRequest(route, { id: ms, lastIndex: 1, lastTerm: 1 }));
      group.pass(50);
    }
    expect(group.core('A').role).toBe('follower');
  });

  it('of who lacks entries brings them at once, at rest or not (consensus-rules.md 10)', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'missed');
    group.pass(60_000);
    expect(group.isAtRest).toBe(true);
    group.heal();
    group.step(readRequest({ from: 'C', to: 'A', term: 1 }, { lastIndex: 1, lastTerm: 1 }));
    group.settle();
    expect(group.logOf('C')).toBe(group.logOf('A'));
  });

  it('that shows an entry of this term that the leader lacks ends its life (rule 13)', () => {
    const group = groupLedBy('A');
    const message = readRequest({ from: 'B', to: 'A', term: 1 }, { lastIndex: 5, lastTerm: 1 });
    group.storage('A').wentBack = true;
    group.step(message);
    expect(group.storage('A').fate).toBe('lost');
  });
});

describe('a read reply', () => {
  it('raises the commit index only where the own entry has the term of the leader’s', () => {
    const group = groupLedBy('A');
    group.propose('A', 'unknown to be committed');
    group.settle();
    expect(group.core('B').commitIndex).toBe(1);
    group.suspect('B');
    group.settle();
    expect(group.core('B').commitIndex).toBe(2);
  });

  it('raises nothing where the own entry is another one', () => {
    const group = new Group({
      start: {
        A: { terms: [1, 2], term: 2 },
        B: { terms: [1, 1, 1, 1], term: 3, termLeader: 'A' },
        C: { terms: [1, 2], term: 2 },
      },
    });
    group.isolate('B');
    group.suspect('A');
    group.settle();
    expect([group.core('A').term, group.core('A').commitIndex]).toEqual([3, 3]);
    group.heal();
    group.loses = ({ type }) => type === 'append';
    group.suspect('B');
    group.settle();
    expect([group.core('B').leader, group.core('B').isSuspecting]).toEqual(['A', false]);
    expect(group.core('B').commitIndex).toBe(0);
  });

  it('for an earlier request of this life is ignored (consensus-rules.md 10)', () => {
    const group = groupLedBy('A');
    group.suspect('B');
    group.settle(({ type }) => type === 'readRequest');
    const late = group.withhold();
    // The answer to the first request is late; by now there is a second one.
    group.unreachable('B', 'A');
    group.withhold();
    for (const message of late) group.step(message);
    expect(group.core('B').isSuspecting).toBe(true);
  });

  it('for an earlier life is ignored (consensus-rules.md 10)', () => {
    const group = groupLedBy('A');
    group.suspect('B');
    group.settle(({ type }) => type === 'readRequest');
    const [late] = group.withhold();
    group.propose('A');
    group.settle();
    group.restart('B');
    group.suspect('B');
    group.withhold();
    // The new life has a request of the same id under way.
    if (late) group.step(late);
    expect(group.core('B').isSuspecting).toBe(true);
  });
});
