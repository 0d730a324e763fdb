/** How many calls go to whom, of the six that the platform lets an object have under way. */
import { describe, expect, it } from 'vitest';
import { newCounters } from '../../src/node-do/counters.ts';
import { Peers } from '../../src/node-do/peers.ts';
import type { Platform } from '../../src/node-do/platform.ts';
import type { MemberId, Message } from '../../src/raft/types.ts';

interface Call {
  readonly place: number;
  readonly path: string;
  readonly answer: () => Promise<void>;
  readonly fail: () => Promise<void>;
}

const id = (place: number) => `${place}.0` as MemberId;
const body = new Uint8Array();

class Rig {
  readonly calls: Call[] = [];
  readonly others: readonly number[];
  readonly peers: Peers;
  now = 0;

  constructor(size: 3 | 5) {
    this.others = [2, 3, 4, 5].slice(0, size - 1);
    const platform = { now: () => this.now, call: this.call } as unknown as Platform;
    this.peers = new Peers(platform, newCounters(), {
      encode: () => body,
      onAnswer: () => {},
      onSilence: () => {},
      group: () => ({
        others: size - 1,
        otherVoters: size - 1,
        answersNeeded: (size - 1) / 2,
        isVoter: () => true,
      }),
    });
  }

  private readonly call = (place: number, path: string) =>
    new Promise<Uint8Array>((resolve, reject) => {
      const ends = (end: () => void) => async () => {
        this.calls.splice(this.calls.indexOf(call), 1);
        end();
        await new Promise((done) => setImmediate(done));
      };
      const answer = ends(() => resolve(body));
      const fail = ends(() => reject(new Error('timeout')));
      const call = { place, path, answer, fail };
      this.calls.push(call);
    });

  /** One message to each of the others: they answer after `times`, in this order. */
  async measure(times: readonly number[]): Promise<void> {
    this.sendAll();
    for (const [at, place] of this.others.entries()) {
      this.now += (times[at] ?? 0) - (times[at - 1] ?? 0);
      await this.calls.find((call) => call.place === place)?.answer();
    }
  }

  sendAll(): void {
    for (const place of this.others)
      this.peers.send([{ to: id(place), type: 'suspicion' } as Message]);
  }

  /** Calls under way to each of the others, when there is more than enough to say to all. */
  underWay(): number[] {
    for (let message = 0; message < 8; message += 1) this.sendAll();
    return this.others.map((place) => this.calls.filter((call) => call.place === place).length);
  }
}

describe('six calls at a time', () => {
  it('go to the nearest quorum, but for one to each of the others', async () => {
    const three = new Rig(3);
    await three.measure([70, 80]);
    expect(three.underWay()).toEqual([5, 1]);
    const five = new Rig(5);
    await five.measure([70, 80, 90, 100]);
    expect(five.underWay()).toEqual([2, 2, 1, 1]);
  });

  it('are two at most to a peer that is near', async () => {
    const rig = new Rig(3);
    await rig.measure([2, 80]);
    expect(rig.underWay()).toEqual([2, 1]);
  });

  it('are one to a peer that does not answer, and the next one takes its share', async () => {
    const rig = new Rig(3);
    await rig.measure([70, 80]);
    rig.sendAll();
    await rig.calls.find(({ place }) => place === 2)?.fail();
    expect(rig.underWay()).toEqual([1, 5]);
  });

  it('are one more to a far peer that waits for a read point', async () => {
    const rig = new Rig(5);
    await rig.measure([70, 80, 90, 100]);
    rig.sendAll();
    const toLast = () => rig.calls.filter(({ place }) => place === 5).length;
    rig.peers.send([{ to: id(5), type: 'suspicion' } as Message]);
    expect(toLast()).toBe(1);
    rig.peers.send([{ to: id(5), type: 'readReply' } as Message]);
    expect(toLast()).toBe(2);
  });

  it('leave one for each peer while two relays are under way, and no third relay', async () => {
    const rig = new Rig(5);
    await rig.measure([70, 80, 90, 100]);
    for (let relay = 0; relay < 2; relay += 1) {
      expect(rig.peers.mayRelay).toBe(true);
      void rig.peers.relay(2, body, 1_000);
    }
    expect(rig.peers.mayRelay).toBe(false);
    const raft = () => rig.calls.filter(({ path }) => path === 'peer').length;
    rig.underWay();
    expect(raft()).toBe(4);
    expect(new Set(rig.calls.map(({ place }) => place))).toEqual(new Set([2, 3, 4, 5]));
  });
});
