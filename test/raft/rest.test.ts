/**
 * Rest (design.md section 6): what an idle group costs, and what waking it costs.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { type Group, groupLedBy } from './support/group.ts';

function count(group: Group, type: string): number {
  return group.sent.filter((message) => message.type === type).length;
}

describe('rest', () => {
  it('every member waits for nothing once a burst is acknowledged', () => {
    const group = groupLedBy('A', { voters: 'ABCDE' });
    for (let at = 0; at < 10; at += 1) group.propose('A', `${at}`);
    group.pass(defaultSettings.commitNoticeMs);
    expect(group.ids.map((id) => group.core(id).nextDeadline())).toEqual(group.ids.map(() => null));
    for (const id of group.ids) expect(group.core(id).commitIndex).toBe(11);
  });

  it('an idle group sends nothing, however long it is idle', () => {
    const group = groupLedBy('A');
    group.pass(24 * 3_600_000);
    expect(group.sent).toEqual([]);
    expect(group.isAtRest).toBe(true);
  });

  it('a write in a group of three is two appends, two replies and one notice to each', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.settle();
    expect([count(group, 'append'), count(group, 'appendReply')]).toEqual([2, 2]);
    group.pass(10_000);
    expect([count(group, 'append'), count(group, 'appendReply')]).toEqual([4, 4]);
  });

  it('a burst of writes tells the final commit once', () => {
    const group = groupLedBy('A');
    for (let at = 0; at < 5; at += 1) {
      group.propose('A');
      group.settle();
    }
    group.sent = [];
    group.pass(10_000);
    expect([count(group, 'append'), count(group, 'appendReply')]).toEqual([2, 2]);
  });

  it('a read at the leader of three is one round: two messages out, two back', () => {
    const group = groupLedBy('A');
    group.read('A');
    group.pass(10_000);
    expect(group.sent.length).toBe(4);
    expect(group.granted.length).toBe(1);
  });

  it('a read that an append carries costs nothing', () => {
    const group = groupLedBy('A');
    group.turn(group.life('A'), (core) => {
      group.checks.readBegins('1');
      core.readIndex(1, group.now);
      core.propose(new Uint8Array(1), group.now);
    });
    group.settle();
    expect(group.sent.length).toBe(4);
    expect(group.granted.length).toBe(1);
  });

  it('a group of one sends nothing and needs nobody', () => {
    const group = groupLedBy('A', { voters: 'A' });
    group.propose('A');
    group.read('A');
    group.pass(10_000);
    expect(group.sent).toEqual([]);
    expect(group.granted.length).toBe(1);
    expect(group.isAtRest).toBe(true);
  });

  it('a dead follower stops keeping the leader awake after repairAfterMs', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A');
    group.pass(defaultSettings.repairAfterMs / 2);
    expect(group.core('A').nextDeadline()).not.toBe(null);
    group.pass(defaultSettings.repairAfterMs);
    expect(group.core('A').nextDeadline()).toBe(null);
  });

  it('a follower on the repair list gets everything with the next write after it is back', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.propose('A', 'missed');
    group.pass(60_000);
    group.heal();
    group.propose('A', 'next');
    group.pass(1_000);
    expect(group.logOf('C')).toBe(group.logOf('A'));
    expect(group.isAtRest).toBe(true);
  });

  it('a dead follower costs a leader that only reads no retransmission without end', () => {
    const group = groupLedBy('A');
    group.isolate('C');
    group.read('A');
    group.pass(1_000);
    expect(group.granted.length).toBe(1);
    expect(group.core('A').nextDeadline()).toBe(null);
  });

  it('waking a cold group by a read at its old leader is one quorum round', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.pass(60_000);
    group.restart('A', 'B', 'C');
    group.sent = [];
    expect(group.isAtRest).toBe(true);
    group.read('A');
    group.settle();
    expect([count(group, 'append'), count(group, 'appendReply')]).toEqual([2, 2]);
    expect(group.granted.length).toBe(1);
    expect(group.core('A').term).toBe(1);
    group.pass(10_000);
    expect(group.sent.length).toBe(4);
    expect(group.isAtRest).toBe(true);
  });

  it('a follower that asks the leader of three completes the quorum: no round of its own', () => {
    const group = groupLedBy('A');
    group.suspect('B');
    group.pass(10_000);
    expect(group.sent.map(({ type }) => type)).toEqual(['readRequest', 'readReply']);
    expect(group.isAtRest).toBe(true);
  });
});
