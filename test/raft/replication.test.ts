/**
 * The leader's side of replication: what it sends, what it takes for lost, when it steps down.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { groupLedBy } from './support/group.ts';

const { electionTimeoutMs } = defaultSettings;

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
