/** A snapshot: fixed by one row, read in chunks, received beside the state, installed by one row. */
import { describe, expect, test, vi } from 'vitest';
import { bytes, compact, del, Machine, set, txn, zero } from './support.ts';
import { clearAll, Transfer } from './transfer.ts';

const chunkBytes = 600;

/** A member with a history: overwrites, deletes, a key written twice in a revision, a compaction. */
function sender(): Machine {
  const machine = new Machine();
  for (let round = 0; round < 10; round += 1) {
    machine.apply(...Array.from({ length: 12 }, (_, at) => set(`k${at}`, `${round}`)));
  }
  machine.apply(del({ key: bytes('k3') }), set('empty'), twice('k4'), compact(60));
  return machine;
}

/** Puts the key, deletes all from it on, and puts another, in one revision. */
function twice(key: string): Uint8Array {
  return txn({
    success: [
      { request: { case: 'requestPut', value: { key: bytes(key), value: bytes('gone') } } },
      { request: { case: 'requestDeleteRange', value: { key: bytes(key), rangeEnd: zero } } },
      { request: { case: 'requestPut', value: { key: bytes('after'), value: bytes('it') } } },
    ],
  });
}

/** Something of everything, different in each round. */
function churn(machine: Machine, round: number): void {
  machine.apply(set(`k${round % 12}`, `new ${round}`), set(`n${round}`), twice('k7'));
  machine.apply(del({ key: bytes('k1'), rangeEnd: bytes('k3') }));
  machine.apply(compact(machine.machine.revision - 2));
  machine.machine.compactStep(10);
  machine.machine.saveProgress();
}

/** With a snapshot open, whose hash and contents were these. */
function opened(id = 's') {
  const from = sender();
  const meta = from.machine.openSnapshot(id);
  return { from, meta, hash: from.hash(), contents: from.contents() };
}

describe('a snapshot', () => {
  test('costs one row to open and one to close, and is found by the next life', () => {
    const from = sender();
    const before = from.sql.counters.rowsWritten;
    const meta = from.machine.openSnapshot('s');
    expect(from.sql.counters.rowsWritten).toBe(before + 1);
    const { appliedIndex, revision } = from.machine;
    expect(meta).toEqual({ id: 's', appliedIndex, revision });
    from.apply(set('later'));
    from.reopen();
    expect(from.machine.snapshot).toEqual(meta);
    const written = from.sql.counters.rowsWritten;
    from.machine.closeSnapshot();
    expect(from.sql.counters.rowsWritten).toBe(written + 1);
    expect(from.machine.snapshot).toBeNull();
    from.reopen();
    expect(from.machine.snapshot).toBeNull();
    from.machine.closeSnapshot();
    expect(from.sql.counters.rowsWritten).toBe(written + 1);
  });

  test('is the only one that is open', () => {
    const { from } = opened();
    expect(() => from.machine.openSnapshot('t')).toThrow('s is still open');
  });

  test('has no chunk under another name, after its end, or at a cursor that is none', () => {
    const { from } = opened();
    expect(from.machine.readChunk('t', '', chunkBytes)).toBeNull();
    for (const cursor of ['x', '1', '1.', '-1.0', '1.0 ', '1e3.0']) {
      expect(from.machine.readChunk('s', cursor, chunkBytes)).toBeNull();
    }
    from.machine.closeSnapshot();
    expect(from.machine.readChunk('s', '', chunkBytes)).toBeNull();
  });

  test('arrives as it was fixed, while the sender writes, deletes and compacts', () => {
    const { from, meta, hash, contents } = opened();
    const to = new Machine();
    let rounds = 0;
    new Transfer(from, to, 's', chunkBytes).run(() => churn(from, rounds++));
    expect(rounds).toBeGreaterThan(5);
    expect(to.hash()).toBe(hash);
    expect(to.contents()).toEqual(contents);
    expect(to.machine).toMatchObject({
      appliedIndex: meta.appliedIndex,
      revision: meta.revision,
      compactRevision: 60,
    });
    expect(from.hash()).not.toBe(hash);
  });

  test('is followed by the entries after it, as at the sender', () => {
    const { from, meta } = opened();
    const to = new Machine();
    let rounds = 0;
    new Transfer(from, to, 's', chunkBytes).run(() => churn(from, rounds++));
    for (const entry of from.entries.slice(meta.appliedIndex)) to.applyEntry(entry);
    expect(to.hash()).toBe(from.hash());
    expect(to.machine.appliedIndex).toBe(from.machine.appliedIndex);
    from.machine.closeSnapshot();
    for (const machine of [from, to]) machine.compactAll();
    const rows = ({ sql }: Machine, set: string) =>
      sql.all(`SELECT rev, sub, key FROM kv_data${set} ORDER BY rev, sub`);
    expect(rows(to, '_1')).toEqual(rows(from, ''));
  });

  test('goes on with both sides in a new life after every chunk', () => {
    const { from, hash } = opened();
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', chunkBytes);
    transfer.run(() => {
      from.reopen();
      to.reopen();
      expect(to.machine.receiving?.id).toBe('s');
    });
    to.reopen();
    expect(to.hash()).toBe(hash);
    expect(transfer.chunks.length).toBeGreaterThan(5);
  });

  test('gives every chunk again, the same bytes, whatever has happened since', () => {
    const { from } = opened();
    const chunks = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const chunk = from.machine.readChunk('s', cursor, chunkBytes);
      chunks.push({ cursor, chunk });
      cursor = chunk?.next ?? null;
    }
    for (let round = 0; round < 20; round += 1) churn(from, round);
    from.reopen();
    for (const { cursor, chunk } of chunks.reverse()) {
      expect(from.machine.readChunk('s', cursor, chunkBytes)).toEqual(chunk);
    }
  });

  test('fixed in the middle of a physical compaction leaves the rest of it to both', () => {
    const from = sender();
    from.compactAll();
    from.apply(compact(from.machine.revision));
    from.machine.compactStep(40);
    from.machine.saveProgress();
    from.machine.openSnapshot('s');
    const to = new Machine();
    new Transfer(from, to, 's', chunkBytes).run();
    expect(to.hash()).toBe(from.hash());
    const progress = ({ sql }: Machine) =>
      sql.all(
        'SELECT rules, applied, revision, compacted, purged, scan_rev, scan_sub FROM kv_meta',
      );
    expect(progress(to)).toEqual(progress(from));
    expect(progress(to)[0]?.every((column) => (column as number) > 0)).toBe(true);
    from.machine.closeSnapshot();
    const rest = from.compactAll();
    expect(rest).toBeGreaterThan(0);
    expect(to.compactAll()).toBe(rest);
    expect(to.hash()).toBe(from.hash());
  });

  test('of an empty store is one chunk', () => {
    const from = new Machine();
    from.applyEntry(new Uint8Array(0));
    from.machine.openSnapshot('s');
    const to = new Machine();
    const transfer = new Transfer(from, to, 's');
    transfer.run();
    expect(transfer.chunks.length).toBe(1);
    expect([to.machine.appliedIndex, to.machine.revision]).toEqual([1, 1]);
    expect(to.hash()).toBe(from.hash());
    expect(to.machine.clearPending()).toBe(false);
  });

  test('has chunks of the bytes asked for at most, and not of much fewer', () => {
    const { from } = opened();
    const transfer = new Transfer(from, new Machine(), 's', chunkBytes);
    transfer.run();
    const sizes = transfer.chunks.map(({ data }) => data.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(chunkBytes);
    // The last versions, and after them the records, have what is left.
    expect(Math.min(...sizes.slice(0, -2))).toBeGreaterThan(chunkBytes / 10);
  });

  test('holds values larger than a chunk, one to each', () => {
    const from = new Machine();
    const large = 300 * 1024;
    for (let at = 0; at < 5; at += 1) from.apply(set(`k${at}`, `${at}`.repeat(large)));
    from.machine.openSnapshot('s');
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', 64 * 1024);
    transfer.run();
    expect(transfer.chunks.length).toBe(5);
    expect(to.hash()).toBe(from.hash());
    expect(to.contents()).toEqual(from.contents());
  });

  test('carries empty values and keys of any bytes', () => {
    const from = new Machine();
    from.apply(set('empty', ''), set('\0', 'zero'), set('\u{10ffff}', '\0'), set('gone'));
    from.apply(del({ key: bytes('gone') }));
    from.machine.openSnapshot('s');
    const to = new Machine();
    new Transfer(from, to, 's', 1).run();
    expect(to.hash()).toBe(from.hash());
    expect(to.contents()).toEqual(from.contents());
  });
});

describe('physical compaction', () => {
  test('waits while a snapshot is open, in the next life too, and goes on after it', () => {
    const { from, contents } = opened();
    expect(from.machine.compactionPending()).toBe(false);
    expect(from.machine.compactStep(1000)).toBe(0);
    from.apply(compact(from.machine.revision));
    expect(from.machine.compactRevision).toBe(from.machine.revision);
    from.reopen();
    expect(from.machine.compactStep(1000)).toBe(0);
    from.machine.closeSnapshot();
    expect(from.machine.compactionPending()).toBe(true);
    expect(from.compactAll()).toBeGreaterThan(0);
    expect(from.contents()).toEqual(contents);
  });
});

describe('a reception', () => {
  test('leaves the state beside it alone until it is installed', () => {
    const { from } = opened();
    const to = new Machine();
    for (const entry of from.entries.slice(0, 4)) to.applyEntry(entry);
    const state = () => [to.hash(), to.contents(), to.machine.appliedIndex];
    const before = state();
    const transfer = new Transfer(from, to, 's', chunkBytes);
    transfer.run(() => {
      expect(state()).toEqual(before);
      to.reopen();
    });
    expect(to.hash()).toBe(from.hash());
  });

  test('lets entries be applied meanwhile', () => {
    const { from, hash } = opened();
    const to = new Machine();
    let next = 0;
    new Transfer(from, to, 's', 6000).run(() => to.applyEntry(from.entries[next++] as Uint8Array));
    expect(next).toBeGreaterThan(0);
    expect(to.hash()).toBe(hash);
  });

  test('takes each chunk once, and only in its order', () => {
    const { from, hash } = opened();
    const to = new Machine();
    const { machine } = to;
    machine.beginReceive('s');
    let previous: [string, Uint8Array, string | null] | null = null;
    for (let cursor: string | null = ''; cursor !== null; ) {
      const chunk = from.machine.readChunk('s', cursor, chunkBytes);
      if (!chunk) throw new Error('no chunk');
      const { data, next } = chunk;
      expect(machine.receiveChunk('t', cursor, data, next)).toBe('notNext');
      if (next !== null) {
        const later = from.machine.readChunk('s', next, chunkBytes);
        expect(machine.receiveChunk('s', next, later?.data ?? data, null)).toBe('notNext');
      }
      expect(machine.receiveChunk('s', cursor, data, next)).toBe('received');
      const written = to.sql.counters.rowsWritten;
      expect(machine.receiveChunk('s', cursor, data, next)).toBe('notNext');
      if (previous) expect(machine.receiveChunk('s', ...previous)).toBe('notNext');
      expect(machine.beginReceive('s')).toBe(true);
      expect(to.sql.counters.rowsWritten).toBe(written);
      previous = [cursor, data, next];
      cursor = next;
    }
    machine.install();
    expect(to.hash()).toBe(hash);
  });

  test('refuses what it cannot read, and what comes without a beginning, with nothing written', () => {
    const { from } = opened();
    const to = new Machine();
    const first = from.machine.readChunk('s', '', chunkBytes);
    const second = from.machine.readChunk('s', first?.next ?? '', chunkBytes);
    if (!first || !second) throw new Error('no chunk');
    expect(to.machine.receiveChunk('s', '', first.data, first.next)).toBe('notNext');
    to.machine.beginReceive('s');
    const before = to.dump();
    const garbage = new Uint8Array([0xff, 0xff, 0xff]);
    expect(to.machine.receiveChunk('s', '', garbage, null)).toBe('unreadable');
    // A later chunk has no header, and only a first one may have it.
    expect(to.machine.receiveChunk('s', '', second.data, second.next)).toBe('unreadable');
    // The header comes first: tag, length, tag of format, format.
    const newer = first.data.slice();
    expect([...newer.slice(0, 1), ...newer.slice(2, 4)]).toEqual([0x0a, 0x08, 3]);
    newer[3] = 4;
    expect(to.machine.receiveChunk('s', '', newer, first.next)).toBe('unreadable');
    expect(to.dump()).toEqual(before);
    expect(to.machine.receiveChunk('s', '', first.data, first.next)).toBe('received');
    expect(to.machine.receiveChunk('s', first.next ?? '', first.data, null)).toBe('unreadable');
  });

  test('that is abandoned makes room for another, in bounded steps', () => {
    const { from } = opened();
    const to = new Machine();
    const first = new Transfer(from, to, 's', chunkBytes);
    for (let at = 0; at < 6; at += 1) first.step();
    from.machine.closeSnapshot();
    churn(from, 1);
    from.machine.openSnapshot('t');
    const kept = to.hash();
    expect([to.machine.clearPending(), to.machine.canReceive]).toEqual([false, false]);
    expect(to.machine.beginReceive('t')).toBe(false);
    expect(to.machine.receiving).toBeNull();
    to.reopen();
    let steps = 0;
    while (to.machine.clearPending()) {
      expect(to.machine.canReceive).toBe(false);
      expect(to.machine.beginReceive('t')).toBe(false);
      const before = to.sql.counters.rowsWritten;
      to.machine.clearStep(4);
      expect(to.sql.counters.rowsWritten - before).toBeLessThanOrEqual(4);
      to.reopen();
      steps += 1;
    }
    expect(steps).toBeGreaterThan(5);
    expect(to.hash()).toBe(kept);
    new Transfer(from, to, 't', chunkBytes).run();
    expect(to.hash()).toBe(from.hash());
  });

  test('can be given up before its first chunk, and then another begins at once', () => {
    const { from } = opened();
    const to = new Machine();
    expect(to.machine.beginReceive('r')).toBe(true);
    expect(to.machine.canReceive).toBe(false);
    to.machine.abandonReceive();
    expect([to.machine.clearPending(), to.machine.canReceive]).toEqual([false, true]);
    expect(to.machine.beginReceive('r')).toBe(true);
    new Transfer(from, to, 's').run();
    expect(to.hash()).toBe(from.hash());
  });

  test('whose transaction fails has happened not at all', () => {
    const { from, hash } = opened();
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', chunkBytes);
    let before = to.dump();
    for (let more = true; more; ) {
      expect(() =>
        to.sql.transaction(() => {
          to.machine.beginReceive('s');
          const cursor = to.machine.receiving?.cursor ?? '';
          const chunk = from.machine.readChunk('s', cursor, chunkBytes);
          to.machine.receiveChunk('s', cursor, chunk?.data ?? new Uint8Array(0), null);
          to.machine.install();
          throw new Error('disk');
        }),
      ).toThrow('disk');
      expect(to.dump()).toEqual(before);
      to.reopen();
      more = transfer.step();
      before = to.dump();
    }
    expect(to.hash()).toBe(hash);
  });

  test('binds what the platform takes: a hundred values at most, and no bigint', () => {
    const { from } = opened();
    const to = new Machine();
    const run = vi.spyOn(to.sql, 'run');
    new Transfer(from, to, 's').run();
    const bound = run.mock.calls.map(([, ...bindings]) => bindings);
    expect(Math.max(...bound.map(({ length }) => length))).toBe(96);
    expect(bound.flat().every((value) => typeof (value as unknown) !== 'bigint')).toBe(true);
  });
});

describe('installing', () => {
  test('is refused before the last chunk, without one, and when it would go back', () => {
    const { from } = opened();
    const to = new Machine();
    expect(() => to.machine.install()).toThrow('not complete');
    const transfer = new Transfer(from, to, 's', chunkBytes);
    transfer.step();
    expect(() => to.machine.install()).toThrow('not complete');
    for (const entry of from.entries) to.applyEntry(entry);
    expect(() => transfer.run()).toThrow('is applied');
  });

  test('writes one row of progress, and ends what the receiver had open', () => {
    const { from } = opened();
    const to = new Machine();
    to.apply(set('old'));
    to.machine.openSnapshot('own');
    const run = vi.spyOn(to.sql, 'run');
    new Transfer(from, to, 's').run();
    const updates = run.mock.calls.filter(([query]) => query.startsWith('UPDATE kv_meta'));
    expect(updates.length).toBe(1);
    expect(to.machine.snapshot).toBeNull();
    expect(to.machine.readChunk('own', '', chunkBytes)).toBeNull();
    const written = to.sql.counters.rowsWritten;
    to.machine.saveProgress();
    expect(to.sql.counters.rowsWritten).toBe(written);
    to.reopen();
    expect(to.hash()).toBe(from.hash());
    expect(to.machine.snapshot).toBeNull();
  });

  test('leaves the old rows to bounded steps, and then the sets serve in turn', () => {
    const from = sender();
    const to = new Machine();
    to.apply(set('old'), set('older'));
    for (const id of ['1', '2', '3']) {
      from.apply(set('round', id));
      from.machine.openSnapshot(id);
      new Transfer(from, to, id, chunkBytes).run();
      from.machine.closeSnapshot();
      expect(to.machine.clearPending()).toBe(true);
      expect(to.hash()).toBe(from.hash());
      clearAll(to);
      to.reopen();
      expect(to.machine.clearPending()).toBe(false);
      expect(to.hash()).toBe(from.hash());
      from.apply(set('after', id), twice('k5'), del({ key: bytes('round') }));
      to.applyEntry(from.entries.at(-1) as Uint8Array);
      expect(to.contents()).toEqual(from.contents());
    }
  });

  test('leaves a new member nothing to clear', () => {
    const { from } = opened();
    const to = new Machine();
    new Transfer(from, to, 's').run();
    expect([to.machine.clearPending(), to.machine.canReceive]).toEqual([false, true]);
  });

  test('turns a receiver into a sender', () => {
    const { from, hash } = opened();
    const [middle, last] = [new Machine(), new Machine()];
    new Transfer(from, middle, 's', chunkBytes).run();
    middle.machine.openSnapshot('m');
    new Transfer(middle, last, 'm', 1).run();
    expect(last.hash()).toBe(hash);
  });

  test('lets a read that is under way go on at its revision', () => {
    const from = sender();
    const pages = { rowsMax: 2, countRowsMax: 2, bytesMax: 64 };
    const to = new Machine({ pages });
    for (const entry of from.entries) to.applyEntry(entry);
    const expected = to.contents();
    const { revision } = to.machine;
    const read = to.machine.logicalHash();
    const hash = to.hash();
    read.next();
    from.apply(set('k9', 'new'), del({ key: bytes('k0') }));
    from.machine.openSnapshot('s');
    new Transfer(from, to, 's').run();
    clearAll(to);
    for (;;) {
      const page = read.next();
      if (!page.done) continue;
      expect(page.value).toBe(hash);
      break;
    }
    expect(to.contents(revision)).toEqual(expected);
  });
});

test('large values are cleared a few at a time', () => {
  const from = new Machine();
  const to = new Machine();
  for (let at = 0; at < 20; at += 1) to.apply(set(`k${at}`, 'x'.repeat(1 << 20)));
  for (let at = 0; at < 21; at += 1) from.apply(set('a'));
  from.machine.openSnapshot('s');
  new Transfer(from, to, 's').run();
  let steps = 0;
  for (; to.machine.clearPending(); steps += 1) {
    expect(to.machine.clearStep(1000)).toBeLessThanOrEqual(16);
  }
  expect(steps).toBe(3);
});
