/** Members that apply the same entries hold the same rows, whatever else happens to each of them. */
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandSchema } from '../../src/api/gen/command_pb.js';
import { CompactionRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { currentRulesVersion, decodeBatch, encodeBatch } from '../../src/kv/batch.ts';
import { StateMachine } from '../../src/kv/state-machine.ts';
import { NodeSql } from '../support/node-sql.ts';
import { anyDelete, anyPut, anyTxn } from './generate.ts';
import { bytes, Machine, set } from './support.ts';

const anyCommand = fc
  .oneof(
    { weight: 4, arbitrary: anyPut.map((value) => ({ case: 'put' as const, value })) },
    { weight: 2, arbitrary: anyDelete.map((value) => ({ case: 'deleteRange' as const, value })) },
    { weight: 3, arbitrary: anyTxn(2).map((value) => ({ case: 'txn' as const, value })) },
    {
      weight: 1,
      arbitrary: fc.bigInt({ min: -1n, max: 30n }).map((revision) => ({
        case: 'compact' as const,
        value: create(CompactionRequestSchema, { revision }),
      })),
    },
  )
  .map((op) => toBinary(CommandSchema, create(CommandSchema, { op })));

const anyEntry = fc.oneof(
  { weight: 6, arbitrary: fc.array(anyCommand, { maxLength: 5 }).map(encodeBatch) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array(0)) },
);

/** What happens to a member after an entry. */
const anyEvent = fc.constantFrom('turn ends', 'same turn', 'turn fails', 'reopened', 'purges');

interface Member {
  readonly sql: NodeSql;
  machine: StateMachine;
}

function member(): Member {
  const sql = new NodeSql();
  StateMachine.create(sql);
  return { sql, machine: StateMachine.open(sql) };
}

/** Applies the entries in turns that end as the events say; a failed turn is made again. */
function live(at: Member, entries: readonly Uint8Array[], events: readonly string[]): void {
  const { sql } = at;
  const failed = new Set<number>();
  let next = 0;
  let turnBegan = 0;
  sql.database.exec('BEGIN');
  while (next < entries.length) {
    const data = entries[next] as Uint8Array;
    at.machine.apply(next + 1, data);
    const event = events[next % events.length];
    next += 1;
    if (event === 'same turn') continue;
    if (event === 'turn fails' && !failed.has(next)) {
      failed.add(next);
      sql.database.exec('ROLLBACK');
      next = turnBegan;
    } else {
      if (event === 'purges') at.machine.compactStep(5);
      at.machine.saveProgress();
      sql.database.exec('COMMIT');
      turnBegan = next;
    }
    if (event !== 'turn ends') at.machine = StateMachine.open(sql);
    sql.database.exec('BEGIN');
  }
  at.machine.saveProgress();
  sql.database.exec('COMMIT');
}

function dump({ sql }: Member): unknown {
  return ['kv_index', 'kv_data', 'kv_meta'].map((table) => sql.all(`SELECT * FROM ${table}`));
}

test('the same entries make the same rows, in turns and lives of any length', () => {
  fc.assert(
    fc.property(
      fc.array(anyEntry, { minLength: 1, maxLength: 20 }),
      fc.array(anyEvent, { minLength: 1, maxLength: 20 }),
      (entries, events) => {
        const [calm, stormy] = [member(), member()];
        live(calm, entries, ['turn ends']);
        live(stormy, entries, events);
        // Physical compaction is each member's own affair; once done, nothing tells them apart.
        for (const each of [calm, stormy]) {
          while (each.machine.compactionPending()) each.machine.compactStep(7);
          each.machine.saveProgress();
        }
        expect(dump(stormy)).toEqual(dump(calm));
      },
    ),
    { numRuns: 300 },
  );
}, 60_000);

test('the results are the same on a member that was reopened before each entry', () => {
  fc.assert(
    fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 12 }), (entries) => {
      const [a, b] = [member(), member()];
      entries.forEach((data, at) => {
        b.machine = StateMachine.open(b.sql);
        expect(b.machine.apply(at + 1, data)).toEqual(a.machine.apply(at + 1, data));
        b.machine.saveProgress();
      });
    }),
    { numRuns: 100 },
  );
});

describe('an entry', () => {
  test('without data moves the applied index only', () => {
    const { machine, sql } = member();
    expect(machine.apply(1, new Uint8Array(0))).toEqual({ ok: true, results: [] });
    expect([machine.appliedIndex, machine.revision]).toEqual([1, 1]);
    machine.saveProgress();
    expect(StateMachine.open(sql).appliedIndex).toBe(1);
  });

  test('of rules to come is not applied, and the same entry can be applied by newer code', () => {
    const { machine } = member();
    const newer = encodeBatch([set('a')]);
    newer[1] = currentRulesVersion + 1;
    const unknown = { ok: false, unknownVersion: currentRulesVersion + 1 };
    expect(machine.apply(1, newer)).toEqual(unknown);
    expect([machine.appliedIndex, machine.revision]).toEqual([0, 1]);
  });

  test('that is no batch at all stops the member rather than being skipped', () => {
    const garbage = new Uint8Array([0xff, 0xff]);
    expect(member().machine.apply(1, garbage)).toEqual({ ok: false, unknownVersion: 0 });
  });

  test('that does not follow the last one is a bug of the host', () => {
    const { machine } = member();
    expect(() => machine.apply(2, new Uint8Array(0))).toThrow();
    machine.apply(1, new Uint8Array(0));
    expect(() => machine.apply(1, new Uint8Array(0))).toThrow();
  });

  test('is encoded by hand as protobuf would', () => {
    for (const size of [0, 1, 127, 128, 16_383, 16_384, 300_000]) {
      const commands = [new Uint8Array(size).fill(size % 251), bytes('x')];
      const decoded = decodeBatch(encodeBatch(commands));
      expect(decoded.rulesVersion).toBe(currentRulesVersion);
      expect(decoded.commands).toEqual(commands);
    }
  });
});

describe('storage', () => {
  test('is not there before it is created, and asking writes nothing', () => {
    const sql = new NodeSql();
    expect(StateMachine.exists(sql)).toBe(false);
    StateMachine.create(sql);
    const written = sql.counters.rowsWritten;
    expect(StateMachine.exists(sql)).toBe(true);
    StateMachine.open(sql).saveProgress();
    expect(sql.counters.rowsWritten).toBe(written);
  });

  test('of a newer schema is refused by name', () => {
    const { sql } = member();
    sql.run('UPDATE kv_meta SET schema = 5');
    expect(() => StateMachine.open(sql)).toThrow(/schema 5.*knows 4/);
  });

  test('holds leases as text and opens with all that was saved', () => {
    const machine = new Machine();
    machine.apply(set('a'), set('a'));
    machine.reopen();
    expect([machine.machine.appliedIndex, machine.machine.revision]).toEqual([1, 3]);
    expect(machine.machine.compactRevision).toBe(-1);
  });
});
