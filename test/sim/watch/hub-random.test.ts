/**
 * Any order of writes, compactions, pages, sleeps and crashes: each watch is told exactly the history
 * from its start, in order, each revision as a whole, and progress is never ahead of it.
 */
import { describe, expect, it } from 'vitest';
import { endOf, watchBounds } from '../../../src/kv/events.ts';
import { bytes, compact, del, Machine, set, text, txn } from '../../kv/support.ts';
import { Random } from '../../support/random.ts';
import { eventText, type FakeSocket, HubOn } from './hub-client.ts';

/** What the router knows of a watch: see src/router/watch/session.ts. */
interface Watcher {
  readonly key: string;
  readonly end: string;
  readonly from: number;
  readonly events: string[];
  held: string[];
  next: number;
  /** Created on this socket: what the hub says of all watches is said of this one too. */
  created: boolean;
  awaitsMore: boolean;
  compacted: boolean;
}

const keys = ['a', 'b', 'c', 'ca', 'd'];
const runs = Array.from({ length: 20 }, (_, index) => index + 1);

/** One revision, of more than one page if the value is large. */
const putAll = (value: string) =>
  txn({
    success: keys.map((key) => ({
      request: { case: 'requestPut', value: { key: bytes(key), value: bytes(value) } },
    })),
  });

class Run {
  readonly random: Random;
  readonly at = new HubOn(new Machine());
  readonly watchers: Watcher[] = [];
  readonly history: { rev: number; line: string; key: string }[] = [];
  socket: FakeSocket;

  constructor(seed: number) {
    this.random = new Random(seed);
    this.socket = this.at.open();
  }

  /** The member dies: another socket, with the same watches from where each of them stands. */
  reconnect(): void {
    this.read();
    this.socket.close(1012, 'aborted');
    this.at.hibernate();
    this.socket = this.at.open();
    for (const [slot, watcher] of this.watchers.entries()) {
      watcher.held = [];
      watcher.awaitsMore = false;
      watcher.created = false;
      if (!watcher.compacted) this.create(watcher, slot);
    }
  }

  create({ key, end, next }: Watcher, slot: number): void {
    this.at.watch(this.socket, slot, key, { end, from: BigInt(next) });
  }

  read(): void {
    for (const { tell, revision } of this.socket.take()) {
      const created = tell.case === 'created' && this.watchers[tell.value];
      if (created) created.created = true;
      if (tell.case === 'events') this.take(tell.value);
      if (tell.case === 'canceled') {
        const watcher = this.watchers[tell.value.slot];
        if (!watcher) throw new Error('no such watch');
        expect(watcher.next).toBeLessThan(Number(tell.value.compactRevision));
        watcher.compacted = true;
      }
      if (tell.case === 'progress')
        for (const watcher of this.watchers)
          if (watcher.created && !watcher.compacted)
            watcher.next = Math.max(watcher.next, Number(revision) + 1);
    }
  }

  private take({
    slot,
    events,
    through,
    more,
  }: {
    slot: number;
    events: Uint8Array[];
    through: bigint;
    more: boolean;
  }) {
    const watcher = this.watchers[slot];
    if (!watcher) throw new Error('no such watch');
    const all = [...watcher.held, ...events.map(eventText)];
    const revisionOf = (line: string) => Number(line.split('@')[1]);
    watcher.events.push(...all.filter((line) => revisionOf(line) <= Number(through)));
    watcher.held = all.filter((line) => revisionOf(line) > Number(through));
    for (const line of all) expect(revisionOf(line)).toBeGreaterThanOrEqual(watcher.next);
    watcher.next = Math.max(watcher.next, Number(through) + 1);
    watcher.awaitsMore ||= more;
  }

  write(): void {
    const { random, at } = this;
    const value = random.next() < 0.1 ? 'x'.repeat(120_000) : String(random.integer(0, 99));
    const key = random.pick(keys);
    const before = at.machine.machine.revision;
    const command = random.pick([
      ...Array.from({ length: 7 }, () => set(key, value)),
      del({ key: bytes(key), rangeEnd: bytes('d') }),
      putAll(value),
    ]);
    at.apply(...Array.from({ length: random.integer(1, 3) }, () => command));
    const { changes } = at.machine.machine.changes(endOf(before), at.machine.machine.revision, 1e9);
    for (const change of changes)
      this.history.push({
        rev: change.rev,
        key: text(change.key),
        line: eventText(at.machine.machine.event(change, false)),
      });
  }

  addWatch(): void {
    const { revision } = this.at.machine.machine;
    const key = this.random.pick(keys);
    const end = this.random.pick(['', 'z', '\0']);
    const from = this.random.integer(1, revision + 3);
    const flags = { created: false, awaitsMore: false, compacted: false };
    const slot = this.watchers.length;
    const watcher: Watcher = { key, end, from, events: [], held: [], next: from, ...flags };
    this.watchers.push(watcher);
    this.create(watcher, slot);
  }

  async step(): Promise<void> {
    const { random, at } = this;
    const dice = random.next();
    if (dice < 0.5) this.write();
    else if (dice < 0.6) this.addWatch();
    else if (dice < 0.7) await at.turn();
    else if (dice < 0.8) this.takeMore();
    else if (dice < 0.86) at.hibernate();
    else if (dice < 0.9) this.reconnect();
    else if (dice < 0.93) at.apply(compact(random.integer(1, at.machine.machine.revision)));
    else if (dice < 0.96) at.ask(this.socket, { case: 'progress', value: true });
    else this.read();
  }

  takeMore(): void {
    this.read();
    for (const [slot, watcher] of this.watchers.entries()) {
      if (!watcher.awaitsMore) continue;
      watcher.awaitsMore = false;
      this.at.ask(this.socket, { case: 'more', value: slot });
    }
  }

  judge(watcher: Watcher): void {
    const { start, end } = watchBounds(bytes(watcher.key), bytes(watcher.end));
    const right = this.history.filter(
      ({ rev, key }) =>
        rev >= watcher.from && key >= text(start) && (end === null || key < text(end)),
    );
    const told = watcher.compacted ? right.filter(({ rev }) => rev < watcher.next) : right;
    expect(watcher.events).toEqual(told.map(({ line }) => line));
  }
}

describe('a watch at a member', () => {
  it.each(runs)('misses nothing and is told nothing twice (seed %i)', async (seed) => {
    const run = new Run(seed);
    for (let step = 0; step < 250; step += 1) await run.step();
    for (let round = 0; round < 100; round += 1) {
      await run.at.settle();
      run.takeMore();
    }
    expect(run.socket.closed).toBeNull();
    for (const watcher of run.watchers) run.judge(watcher);
    expect(run.watchers.filter(({ events }) => events.length > 0).length).toBeGreaterThan(3);
  });
});
