/**
 * Attempts to restore in any order with each other, with births, lives that end and places that are silent: the
 * tenant is founded once, and is all of one snapshot or none of it.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { RestoreReply_Outcome as Outcome } from '../../src/api/gen/backup_pb.js';
import { begin, chunk, commit, open, readAll, send, step } from './backup.ts';
import { Cluster } from './cluster.ts';
import { born, get, hashAt, put, putOp } from './support.ts';

const anyEvent = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({ case: fc.constant('next' as const), at: fc.nat({ max: 1 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ case: fc.constant('begin' as const), at: fc.nat({ max: 1 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ case: fc.constant('repeat' as const), at: fc.nat({ max: 1 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      case: fc.constant('silent' as const),
      at: fc.integer({ min: 2, max: 5 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ case: 'crash' as const, at: 0 }) },
  { weight: 1, arbitrary: fc.constant({ case: 'request' as const, at: 0 }) },
  { weight: 1, arbitrary: fc.constant({ case: 'minute' as const, at: 0 }) },
);

interface Snapshot {
  readonly name: string;
  readonly chunks: readonly Uint8Array[];
  readonly hash: string;
}

/** Two tenants with other keys each, of several chunks. */
async function snapshots(): Promise<Snapshot[]> {
  const value = 'x'.repeat(200_000);
  const found: Snapshot[] = [];
  for (const name of ['a', 'b']) {
    const from = await born({ size: 1 });
    for (let n = 0; n < 3; n += 1) await put(from, 1, `${name}${n}`, value);
    const chunks = await readAll(from, await open(from));
    found.push({ name, chunks, hash: hashAt(from, 1) });
  }
  return found;
}

class Attempts {
  readonly cluster = new Cluster({ size: 1 });
  private readonly of: readonly Snapshot[];
  /** The step of each that comes next; 0: it has to begin. */
  private readonly next = [0, 0];
  private readonly ids = ['', ''];
  private begun = 0;
  private silent = 0;
  /** Whose group it is; null: it was born empty. */
  private founder: (Snapshot & { readonly id: string }) | null | undefined;

  constructor(of: readonly Snapshot[]) {
    this.of = of;
    this.cluster.drop = ({ to, path }) => path === 'birth' && to === this.silent;
  }

  async take({ case: what, at }: { case: string; at: number }): Promise<void> {
    const { cluster } = this;
    const { silent } = this;
    if (what === 'crash') cluster.end(1, 'crash');
    else if (what === 'silent') this.silent = at;
    else if (what === 'minute') await cluster.world.pass(61_000);
    else if (what === 'request') await this.request();
    else await this.attempt(what, at);
    // For one event.
    if (silent !== 0) this.silent = 0;
    await this.check();
  }

  private async request(): Promise<void> {
    const { outcome } = await this.cluster.world.settle(this.cluster.ask(1, putOp('own', '1')));
    if (outcome.case === 'response' && this.founder === undefined) this.founder = null;
  }

  private async attempt(what: string, at: number): Promise<void> {
    const { chunks } = this.of[at] as Snapshot;
    const last = chunks.length + 1;
    if (what === 'begin') this.next[at] = 0;
    if (what === 'repeat') this.next[at] = Math.max(0, (this.next[at] ?? 0) - 1);
    const number = Math.min(this.next[at] ?? 0, last);
    const data = chunks[number - 1] ?? new Uint8Array();
    const one = number === 0 ? begin : number === last ? commit(last - 1) : chunk(number - 1, data);
    // Whoever begins anew is another attempt.
    if (number === 0) this.ids[at] = this.freshId();
    const id = this.ids[at] ?? '';
    const { outcome } = await step(this.cluster, id, one);
    // Silence is over some time; what is forgotten has to begin again.
    if (outcome === Outcome.DONE) this.next[at] = number + 1;
    else if (outcome === Outcome.FORGOTTEN) this.next[at] = 0;
    else expect([Outcome.BORN, Outcome.UNREACHABLE]).toContain(outcome);
    if (one.case !== 'commit' || outcome !== Outcome.DONE) return;
    this.founder ??= { ...(this.of[at] as Snapshot), id };
    expect(this.founder.id).toBe(id);
  }

  private freshId(): string {
    this.begun += 1;
    return this.begun.toString(16).padStart(16, '0');
  }

  private async check(): Promise<void> {
    const { cluster, founder } = this;
    expect(cluster.aborts).toEqual([]);
    const { born: isBorn, groupId, revision } = cluster.status(1);
    expect(isBorn).toBe(founder !== undefined);
    if (founder) {
      expect(groupId).toBe(founder.id);
      expect(await get(cluster, 1, `${founder.name}2`)).not.toBeNull();
      if (revision === 5) expect(hashAt(cluster, 1)).toBe(founder.hash);
    } else if (isBorn)
      for (const key of ['a0', 'b0']) expect(await get(cluster, 1, key)).toBeNull();
  }

  /** Whatever was left half-way is in nobody's way. */
  async finish(): Promise<void> {
    this.silent = 0;
    if (this.founder !== undefined) return;
    const of = this.of[0] as Snapshot;
    const { chunks } = of;
    const id = this.freshId();
    await send(this.cluster, id, chunks);
    expect((await step(this.cluster, id, commit(chunks.length))).outcome).toBe(Outcome.DONE);
    this.founder = { ...of, id };
    await this.check();
  }
}

test('a tenant is founded once, with all of one snapshot or none of any', async () => {
  const of = await snapshots();
  await fc.assert(
    fc.asyncProperty(fc.array(anyEvent, { minLength: 10, maxLength: 60 }), async (events) => {
      const attempts = new Attempts(of);
      for (const event of events) await attempts.take(event);
      await attempts.finish();
    }),
    { numRuns: Number(process.env.RESTORE_RUNS ?? 40) },
  );
}, 60_000);
