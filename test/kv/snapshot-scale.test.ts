/** What a snapshot of many keys costs is paid in small pieces, on both sides. */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { recordsPerChunkMax } from '../../src/kv/snapshot.ts';
import { Machine, set } from './support.ts';
import { Transfer } from './transfer.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const total = 200_000;
/** More than so many small versions make: their number is the limit. */
const chunkBytes = 256 * 1024;

describe(`${total} keys`, () => {
  const from = new Machine();
  const to = new Machine();
  const name = (at: number): string => `key/${(at * 7919) % total}`;
  beforeAll(() => {
    for (let at = 0; at < total; at += 1000) {
      from.sql.transaction(() =>
        from.apply(...Array.from({ length: 1000 }, (_, index) => set(name(at + index), 'value'))),
      );
    }
    from.machine.openSnapshot('s');
  });

  test('travel in chunks of bounded bytes, rows and statements', () => {
    const transfer = new Transfer(from, to, 's', chunkBytes);
    let writtenMax = 0;
    let readMax = 0;
    for (let more = true; more; ) {
      const [read, written] = [from.sql.counters.rowsRead, to.sql.counters.rowsWritten];
      more = transfer.step();
      readMax = Math.max(readMax, from.sql.counters.rowsRead - read);
      writtenMax = Math.max(writtenMax, to.sql.counters.rowsWritten - written);
      // One at a time is in memory.
      const { data } = transfer.chunks.pop() as { data: Uint8Array };
      expect(data.length).toBeLessThanOrEqual(chunkBytes);
    }
    expect(readMax).toBeLessThanOrEqual(recordsPerChunkMax + 1);
    expect(writtenMax).toBeLessThanOrEqual(2 * recordsPerChunkMax + 3);
    expect(to.hash()).toBe(from.hash());
    // Two rows a version and one a chunk, as a put has.
    expect(to.sql.counters.rowsWritten).toBeLessThan(2.01 * total);
  });

  test.each(['', '1000.0', `${total}.0`])(
    'are found by a seek, not a walk, after "%s"',
    (cursor) => {
      const { rowsRead } = from.sql.counters;
      const chunk = from.machine.readChunk('s', cursor, 1);
      expect(chunk?.data.length).toBeLessThan(100);
      expect(from.sql.counters.rowsRead - rowsRead).toBeLessThanOrEqual(2);
    },
  );

  test('are read by a plan without a scan or a sort', () => {
    const texts: string[] = [];
    const { iterate } = from.sql;
    from.sql.iterate = (query, ...bindings) => {
      texts.push(query);
      return iterate.call(from.sql, query, ...bindings);
    };
    from.machine.readChunk('s', '1000.0', 1);
    from.sql.iterate = iterate;
    const plan = from.sql.all(`EXPLAIN QUERY PLAN ${texts[0]}`, 1, 0, total, 10);
    const steps = plan.map(([, , , step]) => step as string);
    expect(steps.length).toBe(4);
    expect(steps[0]).toMatch(/^SEARCH d USING PRIMARY KEY \(\(rev,sub\)>/);
    expect(steps[1]).toMatch(/^SEARCH i USING PRIMARY KEY \(key=\? AND rev=\?\)/);
    // Of a version with a lease only: whether another follows it.
    expect(steps[2]).toBe('CORRELATED SCALAR SUBQUERY 1');
    expect(steps[3]).toMatch(/^SEARCH n USING PRIMARY KEY \(key=\? AND rev>\? AND rev<\?\)/);
  });
});
