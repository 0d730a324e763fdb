/** Hashes that members compare: the same on all that hold the same, and only on them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { drain } from '../../src/kv/range.ts';
import { Model } from './model.ts';
import { anyStepOrCompaction, runStep } from './steps.ts';
import { bytes, compact, del, grant, Machine, put, set } from './support.ts';

function keys({ machine }: Machine, revision = 0): string {
  const outcome = drain(machine.keysHash(BigInt(revision)));
  return outcome.ok ? `${outcome.response.hash}` : outcome.error;
}

function reported({ machine }: Machine, revision = 0): number | string {
  const outcome = drain(machine.keysHash(BigInt(revision)));
  return outcome.ok ? outcome.response.compactRevision : outcome.error;
}

function history({ machine }: Machine, revision = machine.revision): string {
  const outcome = drain(machine.historyHash(revision));
  return outcome.ok ? outcome.response.digest : outcome.error;
}

/** Revisions 2 to 8: a twice, b made and deleted, c attached to a lease, d. */
function sample(rowsMax = 1_000): Machine {
  const pages = { rowsMax, countRowsMax: rowsMax, bytesMax: 1 << 20 };
  const machine = new Machine({ pages });
  machine.apply(set('a', '1'), set('b', '1'), set('a', '2'), del({ key: bytes('b') }));
  machine.apply(grant(7n), put({ key: bytes('c'), lease: 7n }), set('d', 'x'), set('d', 'y'));
  return machine;
}

describe('the hash of the keys', () => {
  test('does not depend on the size of its pages', () => {
    expect(new Set([1, 2, 3, 1_000].map((rows) => keys(sample(rows)))).size).toBe(1);
  });

  test.each([
    "UPDATE kv_data SET value = x'00' WHERE rev = 8",
    'UPDATE kv_data SET value = NULL WHERE rev = 8',
    'UPDATE kv_index SET created = 3 WHERE rev = 8',
    'UPDATE kv_index SET version = 9 WHERE rev = 8',
    "UPDATE kv_index SET lease = '9' WHERE rev = 6",
    'DELETE FROM kv_index WHERE rev = 8',
    'UPDATE kv_index SET version = 1 WHERE rev = 5',
  ])('changes with %s', (statement) => {
    const machine = sample();
    const before = keys(machine);
    machine.sql.run(statement);
    expect(keys(machine)).not.toBe(before);
  });

  test('of a revision stays what it was then, whatever comes later', () => {
    const machine = sample();
    const then = keys(machine);
    machine.apply(set('a', '9'), compact(5));
    expect(keys(machine, 8)).toBe(then);
    machine.compactAll();
    expect(keys(machine, 8)).toBe(then);
    machine.apply(compact(8));
    expect(keys(machine, 8)).toBe(then);
    machine.compactAll(4);
    expect(keys(machine, 8)).toBe(then);
    expect(keys(machine)).not.toBe(then);
  });

  test('of a compacted or future revision is none', () => {
    const machine = sample();
    machine.apply(compact(5));
    const { revision } = machine.machine;
    expect([4, 5, revision, revision + 1].map((rev) => reported(machine, rev))).toEqual([
      ...['Compacted', -1, 5, 'FutureRev'],
    ]);
  });

  test('ends when the revision is compacted between two pages', () => {
    const machine = sample(1);
    const pages = machine.machine.keysHash(5n);
    expect(pages.next().done).toBe(false);
    machine.apply(compact(6));
    expect(drain(pages)).toEqual({ ok: false, error: 'Compacted' });
  });

  test('is never 0, which JSON would leave out', () => {
    expect(Number(keys(new Machine()))).toBeGreaterThan(0);
  });

  test('names the compaction as etcd does', () => {
    const machine = sample();
    expect(reported(machine)).toBe(-1);
    machine.apply(compact(3));
    expect(reported(machine)).toBe(3);
    machine.apply(compact(5));
    machine.reopen();
    expect([reported(machine), reported(machine, 5), reported(machine, 6)]).toEqual([5, 3, 5]);
    const other = new Machine();
    other.apply(compact(0), set('a'), compact(2));
    expect([reported(other), reported(other, 2)]).toEqual([-1, 0]);
    for (let rev = 3; rev < 13; rev += 1) other.apply(set('a'), compact(rev));
    expect(reported(other)).toBe(12);
  });

  test('is equal on two members, of which one compacts in other steps and lives anew', () => {
    const steps = fc.array(anyStepOrCompaction, { minLength: 5, maxLength: 25 });
    fc.assert(
      fc.property(steps, fc.nat(), (taken, at) => {
        const machine = new Machine({ pages: { rowsMax: 2, countRowsMax: 4, bytesMax: 64 } });
        const model = new Model();
        for (const step of taken) runStep(step, machine, model);
        const other = new Machine();
        for (const entry of machine.entries) other.applyEntry(entry);
        other.compactAll(4);
        const { revision, compactRevision } = machine.machine;
        const least = Math.max(1, compactRevision);
        const asked = least + (at % (revision - least + 1));
        expect(keys(machine, asked)).toBe(keys(other, asked));
        expect(history(machine, asked)).toBe(history(other, asked));
      }),
      { numRuns: 150 },
    );
  });
});

describe('the hash of the history', () => {
  test.each([
    "UPDATE kv_data SET value = x'00' WHERE rev = 2",
    'DELETE FROM kv_index WHERE rev = 5',
    "UPDATE kv_index SET lease = '9' WHERE rev = 6",
  ])('changes with %s', (statement) => {
    const machine = sample();
    const before = history(machine);
    machine.sql.run(statement);
    expect(history(machine)).not.toBe(before);
  });

  test('begins again when a compaction comes between two pages', () => {
    const machine = sample(1);
    const pages = machine.machine.historyHash(7);
    pages.next();
    machine.apply(compact(6));
    machine.compactAll();
    const outcome = drain(pages);
    expect(outcome.ok && outcome.response).toEqual({
      digest: history(machine, 7),
      compactRevision: 6,
    });
  });

  test('leaves leases and later revisions out', () => {
    const machine = sample();
    const before = history(machine, 8);
    machine.apply(grant(9n), set('z'));
    expect(history(machine, 8)).toBe(before);
    expect(history(machine, 10)).toBe('FutureRev');
  });
});
