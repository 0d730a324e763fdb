/** Snapshots for clients beside the one for another member, and what a new group takes over of one. */
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SnapshotChunkSchema } from '../../src/api/gen/snapshot_pb.js';
import { currentRulesVersion } from '../../src/kv/batch.ts';
import { kinds } from '../../src/kv/records.ts';
import type { SnapshotSource } from '../../src/kv/snapshot.ts';
import { decodeChunk, encodeRecordChunk, installable } from '../../src/kv/snapshot-format.ts';
import { Model } from './model.ts';
import { anyLeaseStep, anyStepOrCompaction, runStep } from './steps.ts';
import { bytes, compact, del, grant, Machine, revoke, set } from './support.ts';

const chunkBytes = 600;
const encoder = new TextEncoder();

/** All chunks of one, into another machine. */
function restored(source: SnapshotSource, bump = 0): Machine {
  const to = new Machine();
  to.machine.beginReceive('r');
  let cursor: string | null = '';
  let number = 0;
  while (cursor !== null) {
    const chunk = source.read(source.open?.id ?? '', cursor, chunkBytes);
    if (!chunk) throw new Error('it is not open');
    const at = number === 0 ? '' : String(number);
    number += 1;
    expect(to.machine.receiveChunk('r', at, chunk.data, String(number))).toBe('received');
    cursor = chunk.next;
  }
  to.machine.completeReceive();
  to.machine.install(bump);
  return to;
}

function slot({ machine }: Machine, at: number): SnapshotSource {
  return machine.backups[at] as SnapshotSource;
}

function filled(): Machine {
  const machine = new Machine();
  for (let n = 0; n < 60; n += 1) machine.apply(set(`k${n % 20}`, `${n}`));
  machine.apply(grant(7n), grant(8n));
  return machine;
}

describe('snapshots that are open at one time', () => {
  test('each show the state as it was when that one was opened', () => {
    const from = filled();
    const hashes: string[] = [];
    const open = (begin: () => void) => {
      hashes.push(from.hash());
      begin();
    };
    open(() => slot(from, 0).begin('one'));
    from.apply(set('k1', 'between'), revoke(7n));
    open(() => from.machine.openSnapshot('member'));
    from.apply(del({ key: bytes('k2') }), revoke(8n), grant(9n));
    open(() => slot(from, 1).begin('two'));
    from.apply(set('k1', 'later'), revoke(9n), compact(from.machine.revision - 1));
    from.reopen();
    expect(restored(slot(from, 0)).hash()).toBe(hashes[0]);
    expect(restored(slot(from, 1)).hash()).toBe(hashes[2]);
    expect(from.machine.snapshot?.id).toBe('member');
  });

  test('all keep old versions and ended leases, until the last of them is closed', () => {
    const from = filled();
    slot(from, 0).begin('one');
    from.machine.openSnapshot('member');
    slot(from, 3).begin('two');
    from.apply(revoke(7n), compact(from.machine.revision));
    for (const close of [
      () => from.machine.closeSnapshot(),
      () => slot(from, 3).end(),
      () => slot(from, 0).end(),
    ]) {
      expect(from.machine.compactionPending()).toBe(false);
      expect(from.machine.compactStep(100)).toBe(0);
      close();
    }
    expect(from.machine.compactionPending()).toBe(true);
    expect(from.compactAll()).toBeGreaterThan(0);
    expect(from.sql.all('SELECT * FROM kv_lease WHERE gone IS NOT NULL')).toEqual([]);
  });

  test('end when another state is installed', () => {
    const from = filled();
    slot(from, 0).begin('one');
    const ahead = new Machine();
    for (let n = 0; n < 90; n += 1) ahead.apply(set('a', `${n}`));
    slot(ahead, 0).begin('ahead');
    from.machine.beginReceive('r');
    const chunk = slot(ahead, 0).read('ahead', '', 1_000_000);
    from.machine.receiveChunk('r', '', chunk?.data ?? new Uint8Array(), null);
    from.machine.install();
    expect(slot(from, 0).open).toBeNull();
    from.reopen();
    expect(slot(from, 0).open).toBeNull();
  });
});

const anyView = fc.record({ case: fc.constantFrom('open', 'close'), slot: fc.nat({ max: 3 }) });
const anyEvent = fc.oneof(
  { weight: 3, arbitrary: anyLeaseStep },
  { weight: 3, arbitrary: anyStepOrCompaction },
  { weight: 2, arbitrary: anyView },
  { weight: 1, arbitrary: fc.constant({ case: 'restart' as const }) },
);

/** What of the state was there when each was opened; looked at when it is closed. */
class Views {
  readonly from = new Machine();
  private readonly model = new Model();
  private readonly hashes = new Map<number, string>();

  take(event: typeof anyEvent extends fc.Arbitrary<infer T> ? T : never): void {
    if (event.case === 'restart') this.from.reopen();
    else if ('slot' in event)
      event.case === 'open' ? this.open(event.slot) : this.close(event.slot);
    else {
      const [real, expected] = runStep(event, this.from, this.model);
      expect(real).toBe(expected);
    }
  }

  private open(at: number): void {
    if (this.hashes.has(at) || this.from.machine.appliedIndex === 0) return;
    slot(this.from, at).begin(`view ${at}`);
    this.hashes.set(at, this.from.hash());
  }

  close(at: number): void {
    const hash = this.hashes.get(at);
    if (hash === undefined) return;
    expect(restored(slot(this.from, at)).hash()).toBe(hash);
    slot(this.from, at).end();
    this.hashes.delete(at);
  }
}

test('whatever happens while any of them are open, each is what it was opened of', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { minLength: 20, maxLength: 60 }), (events) => {
      const views = new Views();
      for (const event of events) views.take(event);
      for (const at of [0, 1, 2, 3]) views.close(at);
      views.from.compactAll();
      for (const table of ['kv_lease', 'kv_record'])
        expect(views.from.sql.all(`SELECT 1 FROM ${table} WHERE gone IS NOT NULL`)).toEqual([]);
    }),
    { numRuns: Number(process.env.KV_MODEL_RUNS ?? 60) },
  );
}, 60_000);

describe('a state that is installed with a bump', () => {
  test('has the keys as they were, at a revision above all that the old one may have reached', () => {
    const from = filled();
    slot(from, 0).begin('one');
    const to = restored(slot(from, 0), 1_000);
    const { revision } = from.machine;
    expect(to.machine.revision).toBe(revision + 1_000);
    expect(to.machine.compactRevision).toBe(revision + 1_000);
    expect(to.contents()).toEqual(from.contents());
    // Whoever asks for what the old group may have written since is told to begin anew.
    expect(to.rangeError({ key: bytes('k1'), revision: BigInt(revision + 1) })).toBe('Compacted');
    expect(to.machine.compactionPending()).toBe(true);
    to.compactAll();
    expect(to.contents()).toEqual(from.contents());
    to.apply(set('k1', 'on'));
    expect(to.machine.revision).toBe(revision + 1_001);
  });
});

describe('a chunk for another group', () => {
  const recordsOf = (data: Uint8Array | null) => decodeChunk(data ?? new Uint8Array())?.records;

  test('has lost the names of the members, and nothing else', () => {
    const rows = Object.values(kinds).map((kind) => ({
      ...{ kind, name: 'x', since: 1, data: encoder.encode('y') },
    }));
    const kept = recordsOf(installable(encodeRecordChunk(rows), currentRulesVersion));
    const others = rows.filter(({ kind }) => kind !== kinds.member);
    expect(kept?.map(({ kind }) => kind)).toEqual(others.map(({ kind }) => kind));
  });

  test('is the same bytes when there is nothing to leave out', () => {
    const from = filled();
    slot(from, 0).begin('one');
    const chunk = slot(from, 0).read('one', '', chunkBytes)?.data ?? new Uint8Array();
    expect(installable(chunk, currentRulesVersion)).toBe(chunk);
  });

  test.each([
    ['of newer rules', { rulesVersion: currentRulesVersion + 1 }],
    ['of a newer form', { format: 99 }],
    ['of a state that nothing was applied to', { appliedIndex: 0n }],
    ['of no revision', { revision: 0n }],
    ['of a revision that is no number', { revision: 2n ** 60n }],
    ['compacted beyond its revision', { compactRevision: 3n }],
  ])('is refused when it is %s', (_, wrong) => {
    const sound = {
      format: 1,
      rulesVersion: 1,
      appliedIndex: 2n,
      revision: 2n,
      compactRevision: -1n,
    };
    const encoded = (header: object) =>
      toBinary(SnapshotChunkSchema, create(SnapshotChunkSchema, { header }));
    expect(installable(encoded(sound), currentRulesVersion)).not.toBeNull();
    expect(installable(encoded({ ...sound, ...wrong }), currentRulesVersion)).toBeNull();
  });

  test('is refused when it is nothing of the kind', () => {
    expect(installable(encoder.encode('no chunk at all'), currentRulesVersion)).toBeNull();
  });
});
