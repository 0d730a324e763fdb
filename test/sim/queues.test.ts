/** What waits in a member: proposals, reads, messages to peers and rows to delete. */
import { describe, expect, it } from 'vitest';
import type { StateMachine } from '../../src/kv/state-machine.ts';
import { Compactor } from '../../src/node-do/compactor.ts';
import { newCounters } from '../../src/node-do/counters.ts';
import { memberId } from '../../src/node-do/identity.ts';
import { Peers } from '../../src/node-do/peers.ts';
import type { Platform } from '../../src/node-do/platform.ts';
import { type Proposal, Proposals } from '../../src/node-do/proposals.ts';
import { Reads } from '../../src/node-do/reads.ts';
import type { Message } from '../../src/raft/types.ts';

function proposal(bytes = 1): Proposal & { outcomes: unknown[] } {
  const outcomes: unknown[] = [];
  const settle = (outcome: unknown) => outcomes.push(outcome);
  return { command: new Uint8Array(bytes), queuedAt: 0, proposed: false, settle, outcomes };
}

describe('proposals', () => {
  it('wait in a queue that is bounded in number and bytes', () => {
    const many = new Proposals();
    for (let n = 0; n < 4_096; n += 1) expect(many.enqueue(proposal())).toBe(true);
    expect(many.enqueue(proposal())).toBe(false);
    const large = new Proposals();
    for (let n = 0; n < 16; n += 1) expect(large.enqueue(proposal(1024 * 1024))).toBe(true);
    expect(large.enqueue(proposal())).toBe(false);
  });

  it('that the core did not take wait at the front, and count against the bound', () => {
    const proposals = new Proposals();
    const [first, second] = [proposal(400_000), proposal(400_000)];
    for (const one of [first, second]) proposals.enqueue(one);
    const batch = proposals.takeBatch();
    expect(batch).toEqual([first]);
    proposals.putBack(batch, 1);
    expect(proposals.takeBatch()).toEqual([first]);
  });

  it('that the core had no room for are not offered again before something is committed', () => {
    const proposals = new Proposals();
    const one = proposal();
    proposals.enqueue(one);
    proposals.putBack(proposals.takeBatch(), 2);
    const longAfter = one.queuedAt + 60_000;
    expect(proposals.leavesAt(2, longAfter)).toBe(null);
    expect(proposals.leavesAt(1, longAfter)).not.toBe(null);
  });

  it('of one entry get the results of that entry, each its own', () => {
    const proposals = new Proposals();
    const batch = [proposal(), proposal()];
    proposals.track(3, 1, batch, 0);
    proposals.settle(3, 1, ['first', 'second'], 1);
    expect(batch.map(({ outcomes }) => outcomes)).toEqual(
      [0, 1].map((at) => [{ type: 'applied', at, results: ['first', 'second'] }]),
    );
  });

  it('that a snapshot has skipped are unknown, those behind it wait on', () => {
    const proposals = new Proposals();
    const [skipped, behind] = [proposal(), proposal()];
    proposals.track(3, 1, [skipped], 0);
    proposals.track(4, 1, [behind], 0);
    proposals.abandon(3);
    expect([skipped.outcomes, behind.outcomes]).toEqual([[{ type: 'unknown' }], []]);
  });

  it('that never reached the core were not proposed', () => {
    const proposals = new Proposals();
    const one = proposal();
    proposals.enqueue(one);
    proposals.failQueue();
    expect(one.outcomes).toEqual([{ type: 'notProposed' }]);
  });
});

describe('reads', () => {
  function asked() {
    const reads = new Reads();
    const outcomes: string[] = [];
    const enqueue = () =>
      reads.enqueue({ queuedAt: 0, settle: (outcome) => outcomes.push(outcome) });
    enqueue();
    return { reads, outcomes, enqueue };
  }

  it('that are confirmed wait until their index is applied', () => {
    const { reads, outcomes } = asked();
    reads.confirm(reads.takeBatch(0, 0), 5, 1);
    reads.settleUpTo(4);
    expect(outcomes).toEqual([]);
    reads.settleUpTo(5);
    expect(outcomes).toEqual(['ready']);
  });

  it('that are confirmed, and that nobody waits for any more, are not kept', () => {
    const reads = new Reads();
    const waiting = () => (reads as unknown as { confirmed: unknown[] }).confirmed.length;
    for (let n = 0; n < 100; n += 1) {
      const read = { queuedAt: n, settle: () => {} };
      reads.enqueue(read);
      reads.confirm(reads.takeBatch(n, n), 5, n);
      // Its index does not come here, and its client has a deadline.
      reads.settleUpTo(4);
      expect(waiting()).toBe(1);
      reads.withdraw(read);
      reads.settleUpTo(4);
      expect(waiting()).toBe(0);
    }
  });

  it('are answered once, whatever becomes of them', () => {
    const { reads, outcomes, enqueue } = asked();
    reads.drop(reads.takeBatch(0, 0));
    enqueue();
    reads.failQueue();
    enqueue();
    reads.confirm(reads.takeBatch(0, 0), 5, 1);
    enqueue();
    reads.abandon();
    expect(outcomes).toEqual(Array(4).fill('notLeader'));
  });
});

describe('calls to peers', () => {
  /** Peers at places 2 to 9, whose calls the test ends by hand; those from `learnersFrom` on vote not. */
  function calling(learnersFrom = 10) {
    const calls: { place: number; count: number; end: (isAnswered: boolean) => void }[] = [];
    const silent: number[] = [];
    const platform = {
      now: () => 0,
      call: (place: number, _: string, body: Uint8Array) =>
        new Promise<Uint8Array>((resolve, reject) => {
          const end = (isAnswered: boolean) =>
            isAnswered ? resolve(body) : reject(new Error('silence'));
          calls.push({ place, count: body.length, end });
        }),
    } as unknown as Platform;
    const peers = new Peers(platform, newCounters(), {
      encode: (_, messages) => new Uint8Array(messages.length),
      onAnswer: () => {},
      onSilence: (peer) => silent.push(Number(peer[0])),
      group: () => ({
        others: 4,
        otherVoters: Math.min(4, learnersFrom - 2),
        answersNeeded: 2,
        isVoter: (id) => Number(id[0]) < learnersFrom,
      }),
    });
    const send = (...places: number[]) =>
      peers.send(places.map((place) => ({ to: memberId(place, 'x') }) as Message));
    return { calls, silent, send };
  }

  it('are six at a time at most, however many peers there are', async () => {
    const { calls, send } = calling();
    send(2, 3, 4, 5, 6, 7, 8, 9);
    expect(calls.map(({ place }) => place)).toEqual([2, 3, 4, 5, 6, 7]);
    calls[0]?.end(true);
    await new Promise(setImmediate);
    expect(calls.at(-1)?.place).toBe(8);
    expect(calls.length).toBe(7);
  });

  it('that end make room for what has waited, which leaves together', async () => {
    const { calls, send } = calling();
    for (let n = 0; n < 5; n += 1) send(2);
    calls[0]?.end(true);
    await new Promise(setImmediate);
    expect(calls.map(({ count }) => count)).toEqual([1, 1, 3]);
  });

  it('that fail are told, and one at a time tries on', async () => {
    const { calls, silent, send } = calling();
    send(2);
    calls[0]?.end(false);
    await new Promise(setImmediate);
    expect(silent).toEqual([2]);
    send(2);
    send(2);
    expect(calls.length).toBe(2);
  });

  it('that did not answer are called three at a time, each in its turn', async () => {
    const { calls, send } = calling();
    const end = async (from: number) => {
      for (const call of calls.slice(from)) call.end(false);
      await new Promise(setImmediate);
    };
    send(2, 3, 4, 5, 6, 7);
    await end(0);
    send(2, 3, 4, 5, 6, 7);
    expect(calls.slice(6).map(({ place }) => place)).toEqual([2, 3, 4]);
    send(2, 3, 4, 5, 6, 7);
    await end(6);
    expect(calls.slice(9).map(({ place }) => place)).toEqual([5, 6, 7]);
    // Whoever answers has a call all the same.
    send(8);
    expect(calls.at(-1)?.place).toBe(8);
  });

  it('that are learners leave calls to the voters', () => {
    const { calls, send } = calling(4);
    send(4, 5, 6, 7, 8, 9);
    expect(calls.length).toBe(4);
    send(2, 3);
    expect(calls.slice(4).map(({ place }) => place)).toEqual([2, 3]);
  });

  it('that are learners and did not answer leave a call to those that do', async () => {
    const { calls, send } = calling(6);
    send(6, 7, 8);
    for (const call of calls) call.end(false);
    await new Promise(setImmediate);
    send(6, 7, 8);
    expect(calls.slice(3).map(({ place }) => place)).toEqual([6, 7]);
    send(9);
    expect(calls.at(-1)?.place).toBe(9);
  });
});

describe('rows to delete', () => {
  it('are left alone once the member has ended, in the middle of it too', async () => {
    let steps = 0;
    const machine = {
      compactionPending: () => steps < 5,
      clearPending: () => false,
      compactStep: () => {
        steps += 1;
      },
      saveProgress: () => {},
    } as unknown as StateMachine;
    const platform = {
      yieldTurn: () => Promise.resolve(),
      transaction: (work: () => void) => work(),
    } as unknown as Platform;
    new Compactor(platform, machine, newCounters()).start(
      () => steps < 2,
      () => {},
    );
    await new Promise(setImmediate);
    expect(steps).toBe(2);
  });

  it('are the last work of a member, which is told when they are gone: it may need its alarm now', async () => {
    let left = 3;
    const machine = {
      compactionPending: () => left > 0,
      clearPending: () => false,
      compactStep: () => {
        left -= 1;
      },
      saveProgress: () => {},
    } as unknown as StateMachine;
    const platform = {
      yieldTurn: () => Promise.resolve(),
      transaction: (work: () => void) => work(),
    } as unknown as Platform;
    const compactor = new Compactor(platform, machine, newCounters());
    const told: boolean[] = [];
    compactor.start(
      () => true,
      () => told.push(compactor.isRunning),
    );
    await new Promise(setImmediate);
    expect(told).toEqual([false]);
  });
});
