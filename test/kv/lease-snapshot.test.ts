/** A snapshot carries the leases as they were when it was opened, whatever becomes of them meanwhile. */
import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { SnapshotChunkSchema } from '../../src/api/gen/snapshot_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { recordsPerChunkMax } from '../../src/kv/snapshot.ts';
import { NodeSql } from '../support/node-sql.ts';
import { bytes, expire, grant, Machine, put, revoke, set } from './support.ts';
import { clearAll, Transfer } from './transfer.ts';

const attached = (key: string, lease: bigint): Uint8Array => put({ key: bytes(key), lease });
const goneRows = (machine: Machine): unknown =>
  machine.sql.first('SELECT count(*) FROM kv_lease WHERE gone IS NOT NULL')?.[0];

/** Leases 1 to 5; lease 3 has keys, lease 4 is ending. */
function sender(sql = new NodeSql()): Machine {
  const machine = new Machine({ changes: 2 }, sql);
  for (const id of [1n, 2n, 3n, 4n, 5n]) machine.apply(grant(id));
  for (const key of ['a', 'b']) machine.apply(attached(key, 3n));
  for (const key of ['p', 'q', 'r', 's', 't']) machine.apply(attached(key, 4n));
  machine.apply(attached('q', 3n));
  machine.apply(set('q'));
  machine.apply(revoke(4n));
  return machine;
}

describe('leases in a snapshot', () => {
  test('are there as they were when it was opened', () => {
    const from = sender();
    const to = new Machine({ changes: 2 });
    from.machine.openSnapshot('s');
    const before = { hash: from.hash(), leases: from.machine.leasePage(null, 9) };
    const transfer = new Transfer(from, to, 's', 1);
    const meanwhile = [
      revoke(1n),
      grant(1n),
      grant(6n),
      revoke(3n),
      expire(4n, 4),
      expire(4n, 4),
      grant(4n),
      revoke(5n),
      revoke(1n),
    ];
    transfer.run(() => {
      const command = meanwhile.shift();
      if (command) from.apply(command);
    });
    expect(meanwhile).toEqual([]);
    expect(to.machine.leasePage(null, 9)).toEqual(before.leases);
    expect(to.hash()).toBe(before.hash);
    expect([to.leaseKeys(3n), to.leaseKeys(4n)]).toEqual([
      ['a', 'b'],
      ['s', 't'],
    ]);
    // Exactly what is attached, not what once was.
    expect(to.sql.first('SELECT count(*) FROM kv_lease_key_1')).toEqual([4]);
    for (let at = to.machine.appliedIndex; at < from.entries.length; at += 1)
      expect(to.applyEntry(from.entries[at] as Uint8Array)).toEqual(from.results[at]);
    expect(to.hash()).toBe(from.hash());
  });

  test('need a row after their end only if the open snapshot sees them, and only while it is open', () => {
    const from = sender();
    from.apply(revoke(1n));
    expect(goneRows(from)).toBe(0);
    from.machine.openSnapshot('s');
    from.apply(revoke(2n));
    from.apply(grant(6n));
    from.apply(revoke(6n));
    expect([goneRows(from), from.machine.lease(2n)]).toEqual([1, null]);
    expect(from.machine.compactionPending()).toBe(false);
    from.reopen();
    from.apply(revoke(5n));
    from.machine.closeSnapshot();
    expect(goneRows(from)).toBe(2);
    for (const left of [1, 0]) {
      expect(from.machine.compactionPending()).toBe(true);
      // What is to go is known in a new life too.
      from.reopen();
      expect(from.machine.compactStep(1)).toBe(1);
      expect(goneRows(from)).toBe(left);
    }
    from.machine.compactStep(1);
    expect(from.machine.compactionPending()).toBe(false);
  });

  test('that have gone before it was opened are not seen by it, though their rows are still there', () => {
    const from = sender();
    from.machine.openSnapshot('s');
    from.apply(revoke(1n));
    from.machine.closeSnapshot();
    from.machine.openSnapshot('t');
    expect(goneRows(from)).toBe(1);
    const to = new Machine({ changes: 2 });
    new Transfer(from, to, 't').run();
    expect(to.machine.lease(1n)).toBeNull();
    expect(to.hash()).toBe(from.hash());
  });

  test('are told to the receiver as another state', () => {
    const from = sender();
    from.machine.openSnapshot('s');
    const to = new Machine();
    to.apply(grant(9n));
    new Transfer(from, to, 's').run();
    expect(to.machine.takeLeaseChanges()).toEqual({ reset: true, ended: [], granted: [] });
    to.apply(revoke(5n));
    expect(to.machine.takeLeaseChanges()).toMatchObject({ reset: false, ended: [{ id: 5n }] });
  });

  test('that is abandoned are cleared, and so are those of the state before', () => {
    const from = sender();
    from.machine.openSnapshot('s');
    const to = new Machine();
    to.apply(grant(9n));
    to.apply(attached('z', 9n));
    const transfer = new Transfer(from, to, 's', 1);
    // Up to a chunk of leases, whose cursor names one.
    do transfer.step();
    while (!/\d\//.test(to.machine.receiving?.cursor ?? ''));
    to.machine.abandonReceive();
    clearAll(to, 2);
    expect(to.sql.first('SELECT count(*) FROM kv_lease_1')).toEqual([0]);
    expect(to.sql.first('SELECT count(*) FROM kv_lease_key_1')).toEqual([0]);
    new Transfer(from, to, 's').run();
    clearAll(to, 2);
    expect(to.sql.first('SELECT count(*) FROM kv_lease')).toEqual([0]);
    expect(to.sql.first('SELECT count(*) FROM kv_lease_key')).toEqual([0]);
  });
});

describe('10,000 leases', () => {
  const total = 10_000;
  const from = new Machine();
  for (let at = 0; at < total; at += 500) {
    const ids = Array.from({ length: 500 }, (_, id) => BigInt(at + id + 1) * 2n ** 40n);
    from.apply(...ids.map((id) => grant(id)));
  }

  test('travel in chunks of bounded work, and opening copies none', () => {
    const { rowsWritten } = from.sql.counters;
    from.machine.openSnapshot('s');
    expect(from.sql.counters.rowsWritten - rowsWritten).toBe(1);
    const to = new Machine();
    const transfer = new Transfer(from, to, 's', 16 * 1024);
    let read = from.sql.counters.rowsRead;
    let written = to.sql.counters.rowsWritten;
    transfer.run(() => {
      expect(from.sql.counters.rowsRead - read).toBeLessThanOrEqual(recordsPerChunkMax + 1);
      expect(to.sql.counters.rowsWritten - written).toBeLessThanOrEqual(recordsPerChunkMax + 3);
      read = from.sql.counters.rowsRead;
      written = to.sql.counters.rowsWritten;
    });
    for (const { data } of transfer.chunks) expect(data.length).toBeLessThanOrEqual(16 * 1024);
    expect(transfer.chunks.length).toBeGreaterThan(total / 1000);
    expect(to.hash()).toBe(from.hash());
    from.machine.closeSnapshot();
  });

  test('that were granted after a snapshot was opened cost its chunks no more than others', () => {
    const machine = new Machine();
    machine.apply(set('k'));
    machine.machine.openSnapshot('s');
    for (const entry of from.entries) machine.applyEntry(entry);
    const to = new Machine();
    let read = machine.sql.counters.rowsRead;
    new Transfer(machine, to, 's').run(() => {
      expect(machine.sql.counters.rowsRead - read).toBeLessThanOrEqual(recordsPerChunkMax + 1);
      read = machine.sql.counters.rowsRead;
    });
    expect(to.machine.leasePage(null, 1)).toEqual([]);
  });

  test('are read and deleted by seeks', () => {
    const sql = new NodeSql();
    const plans = new Map<string, string>();
    const prepare = sql.database.prepare.bind(sql.database);
    sql.database.prepare = (query) => {
      // EXISTS reads a row of each table.
      if (/^\s*(SELECT(?! 1 WHERE EXISTS)|UPDATE|DELETE).*kv_lease/s.test(query)) {
        const explained = prepare(`EXPLAIN QUERY PLAN ${query}`).all() as { detail: string }[];
        plans.set(query, explained.map(({ detail }) => detail).join('; '));
      }
      return prepare(query);
    };
    const machine = sender(sql);
    machine.reopen();
    machine.machine.openSnapshot('s');
    machine.machine.readChunk('s', '/0', 1000);
    machine.machine.leasePage(1n, 10);
    machine.apply(revoke(3n));
    machine.apply(expire(4n, 4), grant(8n), revoke(8n), attached('z', 2n), set('z'), set('z'));
    machine.machine.closeSnapshot();
    machine.compactAll();
    expect(plans.size).toBeGreaterThanOrEqual(12);
    for (const [query, plan] of plans) {
      expect(`${query}: ${plan}`).not.toMatch(/SCAN \w+(?! USING INDEX kv_lease_gone)|B-TREE/);
    }
  });
});

describe('a state of the rules before leases', () => {
  const older = (machine: Machine): void => {
    machine.applyEntry(encodeBatch([set('k', 'v')], 1));
  };

  test('travels in the format of its time, so that members of that code can receive it', () => {
    const from = new Machine();
    older(from);
    from.machine.openSnapshot('s');
    const transfer = new Transfer(from, new Machine(), 's');
    transfer.run();
    const chunk = fromBinary(SnapshotChunkSchema, transfer.chunks[0]?.data ?? new Uint8Array());
    expect(chunk.header?.format).toBe(1);
    expect(transfer.to.contents()).toEqual(['k=v']);
    from.machine.closeSnapshot();
    from.applyEntry(encodeBatch([grant(7n)], 2));
    from.machine.openSnapshot('t');
    const data = from.machine.readChunk('t', '', 1000)?.data ?? new Uint8Array();
    expect(fromBinary(SnapshotChunkSchema, data).header?.format).toBe(2);
  });
});

describe('the logical hash', () => {
  test('covers each part of a lease that anybody can see', () => {
    const hashes = new Set<string>();
    const seven = new Machine();
    seven.apply(grant(7n));
    hashes.add(seven.hash());
    for (const statement of ['ttl = 61', 'granted = 2', "id = '8'", 'ended = 1', 'gone = 1']) {
      const machine = new Machine();
      machine.apply(grant(7n));
      machine.sql.run(`UPDATE kv_lease SET ${statement}`);
      hashes.add(machine.hash());
    }
    expect(hashes.size).toBe(6);
  });

  test('is of one state, even if a lease comes or goes between two of its pages', () => {
    const machine = new Machine({ pages: { rowsMax: 2, countRowsMax: 2, bytesMax: 1000 } });
    machine.apply(...[1n, 2n, 3n, 4n, 5n].map((id) => grant(id)), set('k'));
    const steps = machine.machine.logicalHash();
    expect(steps.next().done).toBe(false);
    machine.apply(revoke(1n), set('k', '2'));
    for (;;) {
      const step = steps.next();
      if (!step.done) continue;
      expect(step.value).toBe(machine.hash());
      return;
    }
  });
});
