/**
 * Whatever a sender does between the chunks, and in whatever lives and transactions they travel, the
 * receiver ends up as the model was when the snapshot was opened, and from there on goes the same way.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Model } from './model.ts';
import { anyLeaseStep, anyStepOrCompaction, expectEqualHistory, runStep } from './steps.ts';
import { Machine } from './support.ts';
import { clearAll, Transfer } from './transfer.ts';

const anyTransferEvent = fc.oneof(
  { weight: 4, arbitrary: fc.constant({ case: 'chunk' as const }) },
  { weight: 1, arbitrary: fc.constant({ case: 'abandon' as const }) },
  { weight: 1, arbitrary: fc.constant({ case: 'restart' as const }) },
);
const anyEvent = fc.oneof(anyStepOrCompaction, anyTransferEvent);
const anyLeaseEvent = fc.oneof({ weight: 2, arbitrary: anyLeaseStep }, anyTransferEvent);
type Event = typeof anyEvent extends fc.Arbitrary<infer T> ? T : never;

class Pair {
  readonly from: Machine;
  readonly to: Machine;
  readonly model: Model;
  private readonly maxBytes: number;
  private transfers = 0;
  private underWay: { transfer: Transfer; model: Model; hash: string } | null = null;

  constructor(maxBytes: number, limits: { readonly changes?: number } = {}) {
    this.from = new Machine(limits);
    this.to = new Machine(limits);
    this.model = new Model(limits.changes);
    this.maxBytes = maxBytes;
  }

  take(event: Event): void {
    switch (event.case) {
      case 'chunk':
        this.chunk();
        break;
      case 'abandon':
        this.abandon();
        break;
      case 'restart':
        this.to.reopen();
        break;
      default: {
        const [real, expected] = runStep(event, this.from, this.model);
        expect(real).toBe(expected);
      }
    }
  }

  /** Ends the snapshot that is under way and moves one more to its end. */
  finish(): void {
    while (this.underWay) this.chunk();
    this.from.applyEntry(new Uint8Array(0));
    do this.chunk();
    while (this.underWay);
  }

  private chunk(): void {
    this.underWay ??= this.open();
    if (!this.underWay) return;
    const { transfer, model, hash } = this.underWay;
    if (transfer.step()) return;
    this.underWay = null;
    this.from.machine.closeSnapshot();
    expect(this.to.hash()).toBe(hash);
    expectEqualHistory(this.to, model);
    clearAll(this.to, 2);
    this.catchUp();
  }

  private open() {
    const { from, to } = this;
    if (from.machine.appliedIndex <= to.machine.appliedIndex) return null;
    this.transfers += 1;
    const id = `s${this.transfers}`;
    from.machine.openSnapshot(id);
    const model = this.model.copy();
    return { transfer: new Transfer(from, to, id, this.maxBytes), model, hash: from.hash() };
  }

  private abandon(): void {
    if (!this.underWay) return;
    this.underWay = null;
    this.from.machine.closeSnapshot();
    this.to.machine.abandonReceive();
    clearAll(this.to, 2);
  }

  /** The receiver applies what its log has after the snapshot. */
  private catchUp(): void {
    const { from, to } = this;
    const begin = to.machine.appliedIndex;
    for (const [at, entry] of from.entries.slice(begin).entries())
      expect(to.applyEntry(entry)).toEqual(from.results[begin + at]);
    expect(to.hash()).toBe(from.hash());
    to.compactAll(3);
    expectEqualHistory(to, this.model);
  }
}

/** As many as a run of puts has, so that only deletes and leases are refused or cut. */
const changes = 4;

test('a lease that ends in steps ends in the same ones on the receiver, wherever the snapshot is', () => {
  fc.assert(
    fc.property(
      fc.array(anyLeaseEvent, { minLength: 30, maxLength: 80 }),
      fc.constantFrom(1, 300),
      (events, maxBytes) => {
        const pair = new Pair(maxBytes, { changes });
        for (const event of events) pair.take(event);
        pair.finish();
      },
    ),
    { numRuns: Number(process.env.KV_MODEL_RUNS ?? 60) },
  );
}, 60_000);

test('a receiver is at every moment what the sender was when it opened the snapshot', () => {
  fc.assert(
    fc.property(
      fc.array(anyEvent, { minLength: 15, maxLength: 50 }),
      fc.constantFrom(1, 300, 1000),
      (events, maxBytes) => {
        const pair = new Pair(maxBytes);
        for (const event of events) pair.take(event);
        pair.finish();
      },
    ),
    { numRuns: Number(process.env.KV_MODEL_RUNS ?? 60) },
  );
}, 60_000);
