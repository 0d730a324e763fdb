/** What a scan costs is bounded by what it answers, not by the history behind it. */
import { create } from '@bufbuild/protobuf';
import { beforeAll, describe, expect, test } from 'vitest';
import { RangeRequest_SortOrder as Order, RangeRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { boundsOf } from '../../src/kv/bounds.ts';
import { defaultPageLimits, Scan } from '../../src/kv/scan.ts';
import type { Row, Sql, SqlValue } from '../../src/kv/sql.ts';
import { SetSql } from '../../src/kv/table-sets.ts';
import { bytes, compact, del, Machine, type RangeInit, set, text, zero } from './support.ts';

/** Adds up the rows of kv_index that dense pages have looked at (their column `n`). */
class Watched implements Sql {
  rows = 0;
  statements = 0;
  private readonly sql: Sql;
  constructor(sql: Sql) {
    this.sql = sql;
  }
  run(query: string, ...bindings: SqlValue[]): void {
    this.sql.run(query, ...bindings);
  }
  all(query: string, ...bindings: SqlValue[]): Row[] {
    this.statements += 1;
    return this.sql.all(query, ...bindings);
  }
  first(query: string, ...bindings: SqlValue[]): Row | undefined {
    this.statements += 1;
    const row = this.sql.first(query, ...bindings);
    if (row?.length === 5 && typeof row[1] === 'number') this.rows += row[1];
    return row;
  }
  *iterate(query: string, ...bindings: SqlValue[]): Iterable<Row> {
    this.statements += 1;
    for (const row of this.sql.iterate(query, ...bindings)) {
      this.rows += row[6] as number;
      yield row;
    }
  }
}

describe('a key of 20,000 versions among others', () => {
  const machine = new Machine();
  const versions = 20_000;
  beforeAll(() => {
    machine.apply(set('a'), set('c'));
    for (let at = 0; at < versions; at += 1000) {
      machine.apply(...Array.from({ length: 1000 }, (_, index) => set('b', `${at + index}`)));
    }
    machine.apply(set('d'));
  });

  test.each([
    ['now', 0],
    ['in the middle', versions / 2],
    ['before it existed', 3],
  ])('is passed by a scan of the state %s', (_, at) => {
    const revision = at || machine.machine.revision;
    const watched = new Watched(machine.sql);
    const scan = new Scan(
      new SetSql(watched, 0),
      boundsOf(bytes('a'), bytes('z')),
      revision,
      defaultPageLimits,
    );
    const keys: string[] = [];
    while (!scan.done) keys.push(...scan.indexPage().map(({ key }) => text(key)));
    expect(keys.join('')).toBe(at === 0 ? 'abcd' : at === 3 ? 'ac' : 'abc');
    expect(watched.rows).toBeLessThan(200);
    expect(watched.statements).toBeLessThan(8);

    const counted = new Watched(machine.sql);
    const count = new Scan(
      new SetSql(counted, 0),
      boundsOf(bytes('a'), bytes('z')),
      revision,
      defaultPageLimits,
    );
    let total = 0;
    while (!count.done) total += count.countPage();
    expect(total).toBe(keys.length);
    expect(counted.rows).toBeLessThan(200);
  });

  test('is compacted in small steps', () => {
    machine.apply(compact(machine.machine.revision));
    expect(machine.compactAll(400)).toBe(2 * (versions - 1));
    expect(machine.contents()).toEqual(['a=', `b=${versions - 1}`, 'c=', 'd=']);
  });
});

test('200 keys of 100 versions each are passed without reading the versions', () => {
  const machine = new Machine();
  const names = Array.from({ length: 200 }, (_, at) => `k${1000 + at}`);
  for (let version = 0; version < 100; version += 1) {
    machine.apply(...names.map((name) => set(name)));
  }
  for (const revision of [machine.machine.revision, 200 + 1]) {
    for (const read of ['indexPage', 'countPage'] as const) {
      const watched = new Watched(machine.sql);
      const scan = new Scan(new SetSql(watched, 0), boundsOf(bytes('k'), bytes('l')), revision);
      let total = 0;
      while (!scan.done) {
        const page = scan[read]();
        total += typeof page === 'number' ? page : page.length;
      }
      expect(total).toBe(200);
      expect(watched.rows).toBeLessThan(1000);
      expect(watched.statements).toBeLessThan(20);
    }
  }
});

test('large values make small pages', () => {
  const machine = new Machine();
  const value = 'x'.repeat(100 * 1024);
  for (let at = 0; at < 30; at += 1) machine.apply(set(`k${100 + at}`, value));
  const pages = machine.machine.range(create(RangeRequestSchema, { key: zero, rangeEnd: zero }));
  let yields = 0;
  while (!pages.next().done) yields += 1;
  // Three values make more than 256 KiB.
  expect(yields).toBeGreaterThanOrEqual(9);
});

describe('30,000 keys', () => {
  const machine = new Machine();
  const total = 30_000;
  const name = (at: number): string => `k${1e6 + at}`;
  beforeAll(() => {
    for (let at = 0; at < total; at += 1000) {
      machine.apply(...Array.from({ length: 1000 }, (_, index) => set(name(at + index), 'v')));
    }
  });

  const run = (init: RangeInit) => {
    const pages = machine.machine.range(create(RangeRequestSchema, init));
    for (let yields = 0; ; yields += 1) {
      const step = pages.next();
      if (step.done && step.value.ok) return { yields, response: step.value.response };
      if (step.done) throw new Error(step.value.ok ? '' : step.value.error);
    }
  };
  const all = { key: zero, rangeEnd: zero };

  test('are counted in SQL, in a few pages', () => {
    const read = machine.sql.counters.rowsRead;
    const { yields, response } = run({ ...all, countOnly: true });
    expect(response.count).toBe(BigInt(total));
    expect(yields).toBeLessThan(12);
    expect(machine.sql.counters.rowsRead - read).toBeLessThan(12);
  });

  test('are read in pages that let others in', () => {
    const { yields, response } = run(all);
    expect(response.kvs.length).toBe(total);
    expect(yields).toBeGreaterThanOrEqual(total / 1000 - 1);
    expect(text(response.kvs[total - 1]?.key as Uint8Array)).toBe(name(total - 1));
  });

  test('are not read for the first few of them', () => {
    const read = machine.sql.counters.rowsRead;
    const { response } = run({ ...all, limit: 5n });
    expect([response.kvs.length, response.count, response.more]).toEqual([5, BigInt(total), true]);
    expect(machine.sql.counters.rowsRead - read).toBeLessThan(30);
  });

  test('give their last without being kept', () => {
    const { response } = run({ ...all, limit: 2n, sortOrder: Order.DESCEND });
    expect(response.kvs.map(({ key }) => text(key))).toEqual([name(total - 1), name(total - 2)]);
  });

  test('are deleted in one revision', () => {
    const { deleted, header } = machine.ok('deleteRange', del(all));
    expect([deleted, header?.revision]).toEqual([BigInt(total), BigInt(total + 2)]);
    expect(run({ ...all, countOnly: true }).response.count).toBe(0n);
    expect(run({ ...all, countOnly: true, revision: BigInt(total + 1) }).response.count).toBe(
      BigInt(total),
    );
  });
});
