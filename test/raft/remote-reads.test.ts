/**
 * Linearizable reads at followers and learners (docs/decisions/membership.md): the leader's index,
 * confirmed by a quorum after the read began.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import type { Message } from '../../src/raft/types.ts';
import { stateOf } from './support/checks.ts';
import { Group, groupLedBy } from './support/group.ts';

const { checkTimeoutMs, readRequestsMax, readSpacingMs, readTimeoutMs } = defaultSettings;

const isRequest = ({ type }: Message) => type === 'readRequest';

function requests(group: Group): Message[] {
  return group.sent.filter(isRequest);
}

describe('a read at a follower', () => {
  it.each([
    ['ABC', 'B', '', true],
    ['ABCDE', 'B', '', false],
    ['ABCDE', 'B', 'C', true],
    ['ABCDE', 'E', 'B', true],
  ])('of %s at %s with the answers of [%s] is granted: %s', (...row) => {
    const [voters, at, answers, isGranted] = row;
    const group = groupLedBy('A', { voters });
    const read = group.read(at);
    const takesPart = (name: string) => name === at || answers.includes(name);
    group.settle(({ from, to }) => takesPart(from) || takesPart(to));
    expect(group.granted).toEqual(isGranted ? [{ by: at, id: read, index: 1 }] : []);
  });

  it('gets the commit index of its beginning, though its member does not know it', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'newer');
    group.pass(60_000);
    group.heal();
    expect(group.core('C').lastIndex).toBe(1);
    group.read('C');
    group.settle();
    expect(group.granted).toMatchObject([{ by: 'C', index: 2 }]);
    // What it waits for comes at once, though the leader had given it up (consensus-rules.md 10).
    group.pass(100);
    expect(group.storage('C').applied).toBe(2);
  });

  it('waits at a new leader for its first commit', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000, () => group.core('B').role === 'leader');
    group.settle(({ type, to }) => type === 'append' && to === 'C');
    group.withhold();
    group.read('C');
    group.settle(isRequest);
    expect(group.granted).toEqual([]);
    group.pass(1_000);
    expect(group.granted).toMatchObject([{ by: 'C', index: 2 }]);
  });

  it('is not granted by a leader that others have replaced', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    group.isolate('A', 'B');
    group.suspect('C');
    group.pass(5_000, () => group.core('C').role === 'leader');
    group.propose('C', 'newer');
    group.settle();
    const read = group.read('B');
    group.pass(5_000);
    expect(group.granted).toEqual([]);
    expect(group.dropped).toContain(read);
    group.heal();
    group.pass(10_000);
    group.read('B');
    group.pass(1_000);
    expect(group.granted).toMatchObject([{ by: 'B', index: 3 }]);
  });

  it('that asks a deposed leader is dropped, and the next asks the new one', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    // B has not heard of the new leader, A has.
    group.isolate('B');
    group.transfer('A', 'C');
    group.pass(1_000);
    group.propose('C', 'newer');
    group.pass(1_000);
    expect(group.core('C').role).toBe('leader');
    group.heal();
    const read = group.read('B');
    group.pass(100);
    expect(group.granted).toEqual([]);
    expect(group.dropped).toEqual([read]);
    group.suspect('B');
    group.pass(5_000);
    group.read('B');
    group.pass(1_000);
    expect(group.granted).toMatchObject([{ by: 'B' }]);
  });

  it('of a learner is granted as well, and its request confirms nothing', () => {
    const group = groupLedBy('A', { voters: 'ABC', learners: 'D' });
    const read = group.read('D');
    group.settle(({ from, to }) => from === 'D' || to === 'D');
    expect(group.granted).toEqual([]);
    group.settle();
    expect(group.granted).toEqual([{ by: 'D', id: read, index: 1 }]);
  });

  it('shares a request with all that wait with it, and no later one', () => {
    const group = groupLedBy('A');
    group.turn(group.life('B'), (core) => {
      for (const id of [101, 102, 103]) {
        group.checks.readBegins(`${id}`);
        core.readIndex(id, group.now);
      }
    });
    group.propose('A', 'between');
    group.settle(({ type }) => type !== 'readRequest');
    group.read('B');
    expect(requests(group).length).toBe(1);
    group.pass(readSpacingMs);
    expect(requests(group).length).toBe(2);
    group.pass(100);
    expect(group.granted.length).toBe(4);
  });

  it('has few requests under way, however many reads there are', () => {
    const group = groupLedBy('A');
    group.loses = ({ type }) => type === 'readReply';
    for (let time = 0; time < 20; time += 1) {
      group.read('B');
      group.pass(readSpacingMs);
    }
    expect(requests(group).length).toBe(readRequestsMax);
  });

  it('is not confirmed by a reply to an earlier life', () => {
    const group = groupLedBy('A');
    group.read('B');
    group.settle(isRequest);
    const late = group.withhold(({ type }) => type === 'readReply');
    group.propose('A', 'newer');
    group.settle();
    group.restart('B');
    group.suspect('B');
    group.settle();
    group.read('B');
    group.withhold();
    for (const message of late) group.step(message);
    expect(group.granted).toEqual([]);
  });

  it('is asked for once more when no answer comes, and answered twice it is granted once', () => {
    const group = groupLedBy('A');
    group.read('B');
    group.settle(isRequest);
    const [first] = group.withhold(({ type }) => type === 'readReply');
    group.pass(checkTimeoutMs);
    expect(requests(group).length).toBe(2);
    expect(group.granted.length).toBe(1);
    if (first) group.step(first);
    expect(group.granted.length).toBe(1);
  });

  it('that nobody answers is dropped, and the leader is suspected', () => {
    const group = groupLedBy('A');
    group.isolate('A');
    const read = group.read('B');
    group.pass(readTimeoutMs);
    expect(group.dropped).toEqual([read]);
    expect(group.pass(5_000, () => group.core('B').role === 'leader')).toBe(true);
  });

  it('is dropped at once where the leader cannot be reached', () => {
    const group = groupLedBy('A');
    const read = group.read('B');
    group.withhold();
    group.unreachable('B', 'A');
    expect(group.dropped).toEqual([read]);
    expect(group.core('B').isSuspecting).toBe(true);
  });

  it('is dropped with the term in which it was asked for', () => {
    const group = groupLedBy('A');
    const read = group.read('B');
    const late = group.withhold();
    group.transfer('A', 'C');
    group.settle();
    expect(group.dropped).toEqual([read]);
    for (const message of late) group.step(message);
    group.settle();
    expect(group.granted).toEqual([]);
  });

  it('is refused without a leader, while one is doubted, and beyond the bound', () => {
    expect(new Group().read('B')).toBe(null);
    const doubting = groupLedBy('A');
    doubting.suspect('B');
    expect(doubting.read('B')).toBe(null);
    const group = groupLedBy('A', { settings: { pendingReadsMax: 2 } });
    expect([group.read('B'), group.read('B'), group.read('B')]).toEqual([1, 2, null]);
    group.pass(100);
    expect(group.read('B')).toBe(4);
  });

  it('that is granted leaves nothing behind, and everybody rests', () => {
    const group = groupLedBy('A', { voters: 'ABCDE', learners: 'F' });
    for (const at of 'BCDEF') for (let time = 0; time < 5; time += 1) group.read(at);
    group.pass(10_000);
    expect(group.granted.length).toBe(25);
    for (const id of group.ids)
      expect(stateOf(group.core(id)).remoteReads).toMatchObject({ queue: [], requests: [] });
    expect(stateOf(group.core('A')).role).toMatchObject({ pendingReads: [] });
    expect(group.isAtRest).toBe(true);
  });
});
