import { describe, expect, test } from 'vitest';
import { bytes, compact, del, Machine, set, txn, zero } from './support.ts';

const indexRows = (machine: Machine) => machine.sql.all('SELECT key, rev FROM kv_index').length;
const dataRows = (machine: Machine) => machine.sql.all('SELECT rev FROM kv_data').length;

describe('the compact revision', () => {
  test.each<[string, number[], number, string]>([
    ['0 is accepted once', [], 0, 'ok'],
    ['0 again is compacted', [0], 0, 'Compacted'],
    ['a negative one is compacted', [], -1, 'Compacted'],
    ['the current one is accepted', [], 5, 'ok'],
    ['one to come is refused', [], 6, 'FutureRev'],
    ['the same again is compacted', [3], 3, 'Compacted'],
    ['a lower one is compacted', [3], 2, 'Compacted'],
    ['a higher one is accepted', [3], 4, 'ok'],
  ])('%s', (_, before, revision, expected) => {
    const machine = new Machine();
    machine.apply(set('a'), set('a'), set('a'), set('a'));
    machine.apply(...before.map(compact));
    expect(machine.error(compact(revision))).toBe(expected);
  });

  test('makes no revision, and its header tells the current one', () => {
    const machine = new Machine();
    machine.apply(set('a'), set('a'));
    expect(machine.ok('compact', compact(2)).header?.revision).toBe(3n);
    expect(machine.machine.revision).toBe(3);
  });

  test('is the lowest that can be read', () => {
    const machine = new Machine();
    machine.apply(set('a', '1'), set('a', '2'), set('a', '3'), compact(3));
    expect(machine.contents(3)).toEqual(['a=2']);
    expect(machine.rangeError({ key: bytes('a'), revision: 2n })).toBe('Compacted');
    expect(machine.rangeError({ key: bytes('none'), revision: 2n })).toBe('Compacted');
  });
});

describe('physical compaction', () => {
  test('leaves one version of each live key, and of dead ones none', () => {
    const machine = new Machine();
    for (let round = 0; round < 5; round += 1) {
      machine.apply(set('live', `${round}`), set('dead', `${round}`));
    }
    machine.apply(del({ key: bytes('dead') }), set('other'));
    machine.apply(compact(machine.machine.revision));
    machine.compactAll();
    expect([indexRows(machine), dataRows(machine)]).toEqual([2, 2]);
    expect(machine.contents()).toEqual(['live=4', 'other=']);
    expect(machine.range({ key: bytes('live') }).kvs[0]).toMatchObject({
      createRevision: 2n,
      version: 5n,
    });
  });

  test('keeps a delete that is exactly at the compact revision until the next compaction', () => {
    const machine = new Machine();
    machine.apply(set('a'), del({ key: bytes('a') }), set('b'), compact(3));
    machine.compactAll();
    expect(machine.sql.all('SELECT rev, value IS NULL FROM kv_data')).toEqual([
      [3, 1],
      [4, 0],
    ]);
    machine.apply(compact(4));
    machine.compactAll();
    expect(machine.sql.all('SELECT rev FROM kv_data')).toEqual([[4]]);
    expect(indexRows(machine)).toBe(1);
  });

  test('that is overtaken by the next compaction finds what it kept for being at the old one', () => {
    const machine = new Machine();
    const [a, b, c] = [bytes('a'), bytes('b'), bytes('c')];
    machine.apply(set('a'), set('b'), set('c'));
    const all = txn({
      success: [a, b, c].map((key) => ({
        request: { case: 'requestDeleteRange' as const, value: { key } },
      })),
    });
    machine.apply(all, set('d'), compact(5));
    // One row is looked at per step: a, b, c and two of the three deletes of revision 5.
    for (let step = 0; step < 5; step += 1) machine.machine.compactStep(2);
    expect(machine.machine.compactionPending()).toBe(true);
    machine.apply(compact(6));
    machine.compactAll(2);
    expect([indexRows(machine), dataRows(machine)]).toEqual([1, 1]);
  });

  test.each([
    ['put, then deleted', ['put', 'delete'], 0],
    ['deleted, then put', ['delete', 'put'], 1],
  ])('removes what the same revision replaced: %s', (_, order, left) => {
    const machine = new Machine();
    const key = bytes('a');
    // A delete to the end of the key space may stand beside a put, and so may nested siblings.
    const ops = {
      put: { request: { case: 'requestPut' as const, value: { key } } },
      delete: { request: { case: 'requestDeleteRange' as const, value: { key, rangeEnd: zero } } },
    };
    const success = order.map((name) => ops[name as keyof typeof ops]);
    machine.apply(set('a'), txn({ success }), compact(3));
    expect(dataRows(machine)).toBe(3);
    machine.compactAll();
    // Exactly at the compact revision the last write stays, whichever it is.
    expect(machine.sql.all('SELECT rev, sub FROM kv_data')).toEqual([[3, 1]]);
    machine.apply(set('b'), compact(4));
    machine.compactAll();
    expect(machine.sql.all('SELECT rev, sub FROM kv_data WHERE rev < 4').length).toBe(left);
    expect(machine.contents().length).toBe(left + 1);
  });

  test('takes no step larger than it was allowed, even for a key of many versions', () => {
    const machine = new Machine();
    for (let round = 0; round < 100; round += 1) machine.apply(set('a', `${round}`), set('b'));
    machine.apply(compact(machine.machine.revision));
    let deleted = 0;
    while (machine.machine.compactionPending()) {
      const step = machine.machine.compactStep(10);
      expect(step).toBeLessThanOrEqual(10);
      deleted += step;
      machine.machine.saveProgress();
      machine.reopen();
      expect(machine.contents()).toEqual(['a=99', 'b=']);
    }
    expect(deleted).toBe(2 * 2 * 99);
  });

  test('gets through a revision of many keys in steps and lives of a row each', () => {
    const machine = new Machine();
    const puts = Array.from({ length: 20 }, (_, at) => ({
      request: { case: 'requestPut' as const, value: { key: bytes(`k${at}`) } },
    }));
    machine.apply(txn({ success: puts }), set('k0'), compact(3));
    let steps = 0;
    for (; machine.machine.compactionPending() && steps < 100; steps += 1) {
      machine.machine.compactStep(1);
      machine.machine.saveProgress();
      machine.reopen();
    }
    expect(steps).toBe(22);
    expect(dataRows(machine)).toBe(20);
  });

  test('has nothing to do after compact 0 or once it has finished', () => {
    const machine = new Machine();
    expect(machine.machine.compactionPending()).toBe(false);
    machine.apply(set('a'), compact(0));
    expect(machine.machine.compactionPending()).toBe(false);
    machine.apply(compact(2));
    expect(machine.machine.compactionPending()).toBe(true);
    machine.compactAll();
    const written = machine.sql.counters.rowsWritten;
    expect(machine.machine.compactStep(10)).toBe(0);
    machine.machine.saveProgress();
    expect(machine.sql.counters.rowsWritten).toBe(written);
  });

  test('changes no answer at or above the compact revision, however far it has come', () => {
    const machine = new Machine();
    for (let round = 0; round < 30; round += 1) {
      machine.apply(set(`k${round % 7}`, `${round}`), del({ key: bytes(`k${(round * 3) % 7}`) }));
    }
    const from = 20;
    machine.apply(compact(from));
    const answers = () => {
      const seen = [];
      for (let revision = from; revision <= machine.machine.revision; revision += 1) {
        seen.push(machine.range({ key: zero, rangeEnd: zero, revision: BigInt(revision) }));
      }
      return seen;
    };
    const before = answers();
    while (machine.machine.compactionPending()) {
      machine.machine.compactStep(3);
      expect(answers()).toEqual(before);
    }
  });
});
