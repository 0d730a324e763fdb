/** Leases as etcd 3.5 has them, without a clock: what grant, revoke, expiry and attached keys do. */
import { describe, expect, test } from 'vitest';
import { Compare_CompareTarget as Target } from '../../src/api/gen/rpc_pb.js';
import { encodeBatch } from '../../src/kv/batch.ts';
import { bytes, del, expire, grant, Machine, put, revoke, set, text, txn } from './support.ts';

const attached = (key: string, lease: bigint, value = ''): Uint8Array =>
  put({ key: bytes(key), value: bytes(value), lease });
const putOp = (key: string, lease = 0n) => ({
  request: { case: 'requestPut' as const, value: { key: bytes(key), lease } },
});
const largest = 2n ** 63n - 1n;

/** Lease 7, granted by entry 1, with keys a, b and c. */
function withKeys(limits = {}): Machine {
  const machine = new Machine(limits);
  machine.apply(grant(7n));
  for (const key of ['c', 'a', 'b']) machine.apply(attached(key, 7n));
  return machine;
}
const rowsOfKeys = (machine: Machine): unknown =>
  machine.sql.first('SELECT count(*) FROM kv_lease_key')?.[0];

describe('a grant', () => {
  test.each([
    [-5n, 2n],
    [0n, 2n],
    [1n, 2n],
    [2n, 2n],
    [600n, 600n],
    [9_000_000_000n, 9_000_000_000n],
  ])('of %d seconds is one of %d', (asked, ttl) => {
    const machine = new Machine();
    expect(machine.ok('leaseGrant', grant(5n, asked))).toMatchObject({ ID: 5n, TTL: ttl });
    expect(machine.machine.lease(5n)).toEqual({ id: 5n, ttl: Number(ttl), grant: 1 });
  });

  test('of more than 9,000,000,000 seconds is refused, even where the lease exists', () => {
    const machine = new Machine();
    expect(machine.error(grant(5n, 9_000_000_001n))).toBe('LeaseTTLTooLarge');
    machine.apply(grant(5n));
    expect(machine.error(grant(5n, 9_000_000_001n))).toBe('LeaseTTLTooLarge');
    expect(machine.error(grant(5n))).toBe('LeaseExist');
  });

  test('makes no revision, and neither does the end of a lease without keys', () => {
    const machine = new Machine();
    machine.apply(set('k'));
    expect(machine.ok('leaseGrant', grant(5n)).header?.revision).toBe(2n);
    expect(machine.ok('leaseRevoke', revoke(5n)).header?.revision).toBe(2n);
    machine.apply(grant(5n));
    expect(machine.ok('leaseExpire', expire(5n, 4))).toEqual({ left: false });
    expect([machine.machine.revision, machine.machine.lease(5n)]).toEqual([2, null]);
  });

  test.each([1n, -9n, largest, 1n - 2n ** 63n])('of the id %d keeps every digit', (id) => {
    const machine = new Machine();
    machine.apply(grant(id));
    machine.apply(attached('k', id));
    machine.reopen();
    expect(machine.machine.lease(id)?.id).toBe(id);
    expect(machine.machine.lease(id - 1n)).toBeNull();
    expect(machine.range({ key: bytes('k') }).kvs[0]?.lease).toBe(id);
    const compare = { target: Target.LEASE, key: bytes('k') };
    const holds = (value: bigint, result: number): unknown =>
      machine.ok(
        'txn',
        txn({ compare: [{ ...compare, result, targetUnion: { case: 'lease', value } }] }),
      ).succeeded;
    expect([holds(id, 0), holds(id - 1n, 0), holds(id - 1n, 1)]).toEqual([true, false, true]);
    expect(machine.error(revoke(id))).toBe('ok');
    expect(machine.contents()).toEqual([]);
  });
});

describe('a revoke', () => {
  test('deletes the keys in one revision, in the order of their bytes', () => {
    const machine = withKeys();
    machine.apply(set('other'));
    expect(machine.ok('leaseRevoke', revoke(7n)).header?.revision).toBe(6n);
    expect(machine.contents()).toEqual(['other=']);
    const rows = machine.sql.all('SELECT sub, key, value FROM kv_data WHERE rev = 6 ORDER BY sub');
    expect(rows.map(([sub, key, value]) => [sub, text(key as Uint8Array), value])).toEqual([
      [0, 'a', null],
      [1, 'b', null],
      [2, 'c', null],
    ]);
    expect(rowsOfKeys(machine)).toBe(0);
  });

  test('of a lease that is not there is refused, and so is a put with it', () => {
    const machine = withKeys();
    machine.apply(revoke(7n));
    expect(machine.error(revoke(7n))).toBe('LeaseNotFound');
    expect(machine.error(revoke(0n))).toBe('LeaseNotFound');
    expect(machine.error(attached('d', 7n))).toBe('LeaseNotFound');
    expect(machine.error(grant(7n))).toBe('ok');
    expect(machine.leaseKeys(7n)).toEqual([]);
  });

  test('leaves alone what is attached no longer', () => {
    const machine = withKeys();
    machine.apply(grant(8n));
    machine.apply(attached('a', 8n), set('b'));
    machine.apply(del({ key: bytes('c') }));
    machine.apply(set('c'));
    machine.apply(revoke(7n));
    expect(machine.contents()).toEqual(['a=', 'b=', 'c=']);
  });
});

test('a lease of more keys than a page has all of them, and takes all of them along', () => {
  const machine = new Machine();
  machine.apply(grant(7n));
  const keys = Array.from({ length: 2500 }, (_, at) => `k${1000 + at}`);
  for (const key of keys) machine.apply(attached(key, 7n));
  expect(machine.leaseKeys(7n)).toEqual(keys);
  expect([...machine.machine.leaseKeys(7n)].length).toBe(2);
  machine.apply(revoke(7n));
  expect(machine.contents()).toEqual([]);
  expect(machine.machine.revision).toBe(2502);
});

describe('a key', () => {
  test('moves to the lease of its last put, stays with ignore_lease, and leaves with any other put', () => {
    const machine = withKeys();
    machine.apply(grant(8n));
    const keys = (): string[] => [7n, 8n].map((id) => machine.leaseKeys(id).join(''));
    machine.apply(attached('a', 8n));
    expect(keys()).toEqual(['bc', 'a']);
    machine.apply(put({ key: bytes('a'), value: bytes('2'), ignoreLease: true }));
    expect(keys()).toEqual(['bc', 'a']);
    machine.apply(set('b'));
    expect(keys()).toEqual(['c', 'a']);
    machine.apply(set('x'), set('c'), set('y'));
    expect(keys()).toEqual(['', 'a']);
    machine.apply(del({ key: bytes('a'), rangeEnd: bytes('z') }));
    expect(keys()).toEqual(['', '']);
  });

  test('leaves no row behind at the lease that it leaves, however it does', () => {
    const machine = withKeys();
    machine.apply(grant(8n));
    machine.apply(attached('a', 8n), set('x'), set('b'), del({ key: bytes('c') }));
    expect(rowsOfKeys(machine)).toBe(1);
  });

  test('may change its lease twice in one transaction', () => {
    const machine = withKeys();
    machine.apply(grant(8n));
    const deletes = {
      request: { case: 'requestDeleteRange' as const, value: { key: bytes('b') } },
    };
    machine.apply(txn({ success: [putOp('a', 8n), deletes, putOp('d', 7n)] }));
    expect([machine.leaseKeys(7n), machine.leaseKeys(8n)]).toEqual([['c', 'd'], ['a']]);
  });

  test('counts for a lease only if its newest version says so', () => {
    const machine = withKeys();
    machine.sql.run("INSERT INTO kv_lease_key VALUES ('7', ?)", bytes('other'));
    machine.apply(set('other'));
    expect(machine.leaseKeys(7n)).toEqual(['a', 'b', 'c']);
    machine.apply(revoke(7n));
    expect(machine.contents()).toEqual(['other=']);
    expect(rowsOfKeys(machine)).toBe(0);
  });
});

describe('a transaction', () => {
  test('with a lease that is not there writes nothing', () => {
    const machine = withKeys();
    const before = machine.hash();
    expect(machine.error(txn({ success: [putOp('a'), putOp('z', 9n)] }))).toBe('LeaseNotFound');
    expect([machine.hash(), machine.leaseKeys(7n)]).toEqual([before, ['a', 'b', 'c']]);
    // The branch that is not taken is not asked.
    expect(machine.error(txn({ success: [putOp('z')], failure: [putOp('z', 9n)] }))).toBe('ok');
  });

  test('that is taken back attaches again what it has detached', () => {
    const machine = withKeys({ replyBytes: 300 });
    machine.apply(grant(8n), set('large', 'x'.repeat(300)));
    const before = [machine.hash(), machine.leaseKeys(7n), machine.leaseKeys(8n)];
    const range = { request: { case: 'requestRange' as const, value: { key: bytes('large') } } };
    const deletes = {
      request: { case: 'requestDeleteRange' as const, value: { key: bytes('c') } },
    };
    const success = [putOp('a', 8n), putOp('b'), deletes, putOp('d', 7n), range];
    expect(machine.error(txn({ success }))).toBe('ReplyTooLarge');
    expect([machine.hash(), machine.leaseKeys(7n), machine.leaseKeys(8n)]).toEqual(before);
    machine.apply(revoke(7n));
    const keysOnly = { key: bytes('a'), rangeEnd: bytes('z'), keysOnly: true };
    expect(machine.range(keysOnly).kvs.map(({ key }) => text(key))).toEqual(['large']);
  });
});

describe('rule 6: an expiry', () => {
  test('ends the grant that it names and no later one', () => {
    const machine = withKeys();
    expect(machine.ok('leaseExpire', expire(7n, 2))).toEqual({ left: false });
    expect(machine.leaseKeys(7n)).toEqual(['a', 'b', 'c']);
    machine.apply(revoke(7n));
    machine.apply(grant(7n));
    machine.apply(attached('k', 7n));
    machine.apply(expire(7n, 1));
    expect(machine.contents()).toEqual(['k=']);
    machine.apply(expire(7n, 7));
    expect([machine.contents(), machine.machine.lease(7n)]).toEqual([[], null]);
    expect(machine.ok('leaseExpire', expire(7n, 7))).toEqual({ left: false });
  });
});

describe('a lease of more keys than an entry may change', () => {
  const ended = (machine: Machine): unknown[] => [
    machine.machine.lease(7n)?.ttl,
    machine.contents().join(' '),
    machine.leaseKeys(7n).join(''),
    machine.machine.revision,
  ];

  test('ends in steps, the first keys first, each step a revision', () => {
    const machine = withKeys({ changes: 2 });
    machine.apply(attached('d', 7n));
    expect(machine.ok('leaseExpire', expire(7n, 1))).toEqual({ left: true });
    expect(ended(machine)).toEqual([0, 'c= d=', 'cd', 6]);
    machine.reopen();
    expect(machine.ok('leaseExpire', expire(7n, 1))).toEqual({ left: false });
    expect(ended(machine)).toEqual([undefined, '', '', 7]);
  });

  test('exists for nobody from the first step on, but its id stays taken', () => {
    const machine = withKeys({ changes: 2 });
    machine.apply(revoke(7n));
    expect(ended(machine)).toEqual([0, 'c=', 'c', 5]);
    expect(machine.error(revoke(7n))).toBe('LeaseNotFound');
    expect(machine.error(attached('c', 7n))).toBe('LeaseNotFound');
    expect(machine.error(txn({ success: [putOp('z', 7n)] }))).toBe('LeaseNotFound');
    expect(machine.error(grant(7n))).toBe('LeaseExist');
    machine.apply(expire(7n, 1));
    expect(machine.error(grant(7n))).toBe('ok');
  });

  test('shares what an entry may change with the commands before it', () => {
    const machine = withKeys({ changes: 3 });
    machine.apply(grant(8n));
    machine.apply(set('x'), set('y'), expire(7n, 1), expire(8n, 5));
    expect(ended(machine)).toEqual([0, 'b= c= x= y=', 'bc', 7]);
    expect(machine.machine.lease(8n)).toBeNull();
    machine.apply(set('x'), set('x'), set('x'), expire(7n, 1));
    expect(ended(machine)).toEqual([0, 'b= c= x= y=', 'bc', 10]);
  });

  test('reads a page a step, and finds the next one by a seek', () => {
    const machine = new Machine({ changes: 100 });
    machine.apply(grant(7n));
    for (let at = 0; at < 3000; at += 1) machine.apply(attached(`k${1000 + at}`, 7n));
    for (let left = 3000; left > 0; left -= 100) {
      const { rowsRead } = machine.sql.counters;
      expect(machine.ok('leaseExpire', expire(7n, 1))).toEqual({ left: left > 100 });
      expect(machine.sql.counters.rowsRead - rowsRead).toBeLessThanOrEqual(1001);
    }
    expect(machine.contents()).toEqual([]);
  });
});

describe('the host is told', () => {
  test('what was granted and what has ended since it asked, and nothing twice', () => {
    const machine = withKeys();
    machine.apply(grant(8n, 90n));
    const eight = { id: 8n, ttl: 90, grant: 5 };
    const seven = { id: 7n, ttl: 60, grant: 1 };
    expect(machine.machine.takeLeaseChanges()).toEqual({
      reset: false,
      ended: [],
      granted: [seven, eight],
    });
    machine.apply(revoke(7n));
    machine.apply(grant(7n), revoke(7n), grant(7n, 30n), grant(9n), revoke(9n));
    const changes = machine.machine.takeLeaseChanges();
    expect(changes.granted).toEqual([{ id: 7n, ttl: 30, grant: 7 }]);
    expect(changes.ended.map(({ id }) => id)).toEqual([7n, 7n, 9n]);
    expect(machine.machine.takeLeaseChanges()).toEqual({ reset: false, ended: [], granted: [] });
  });

  test('of a lease that ends in steps at every step', () => {
    const machine = withKeys({ changes: 1 });
    machine.machine.takeLeaseChanges();
    const ending = { id: 7n, ttl: 0, grant: 1 };
    for (const command of [revoke(7n), expire(7n, 1)]) {
      machine.apply(command);
      expect(machine.machine.takeLeaseChanges().granted).toEqual([ending]);
    }
    machine.apply(expire(7n, 1));
    expect(machine.machine.takeLeaseChanges()).toMatchObject({ granted: [], ended: [ending] });
  });

  test('every lease once by pages, whatever its id', () => {
    const machine = new Machine();
    const ids = [1n, 2n, 10n, -9n, -10n, largest, 100n];
    machine.apply(...ids.map((id) => grant(id)));
    const found: bigint[] = [];
    for (let after: bigint | null = null; ; ) {
      const page = machine.machine.leasePage(after, 2);
      found.push(...page.map(({ id }) => id));
      const last = page[1];
      if (!last) break;
      after = last.id;
    }
    expect(found.toSorted()).toEqual(ids.toSorted());
  });
});

describe('entries of the rules before leases', () => {
  test('know none of their commands, and no lease exists', () => {
    const machine = new Machine();
    const commands = [grant(7n), revoke(7n), expire(7n, 1), attached('k', 7n), set('k')];
    const results = machine.applyEntry(encodeBatch(commands, 1));
    expect(results.map((result) => (result.ok ? 'ok' : result.error))).toEqual([
      ...['NotCapable', 'NotCapable', 'NotCapable', 'LeaseNotFound', 'ok'],
    ]);
    expect(machine.machine.leasePage(null, 1)).toEqual([]);
  });
});

describe('who has no lease', () => {
  const counted = (machine: Machine, ...commands: Uint8Array[]): number => {
    const { statements } = machine.sql.counters;
    machine.apply(...commands);
    machine.machine.compactionPending();
    machine.machine.takeLeaseChanges();
    return machine.sql.counters.statements - statements;
  };
  const run = Array.from({ length: 16 }, (_, at) => set(`k${at}`));

  test.each(['none', 'others'])('pays no statement for leases: %s', (others) => {
    const machine = others === 'none' ? new Machine() : withKeys();
    for (let round = 0; round < 2; round += 1) {
      // The newest version, a row of the index, one of the data, and the progress.
      expect(counted(machine, set('k'))).toBe(4);
      expect(counted(machine, put({ key: bytes('k'), ignoreLease: true }))).toBe(4);
      expect(counted(machine, ...run)).toBe(4);
    }
    // One finds the key, two write, one stores the progress.
    expect(counted(machine, del({ key: bytes('k') }))).toBe(4);
  });

  test('and an attached key costs one when it leaves, and one look at the lease when it is put', () => {
    const machine = withKeys();
    expect(counted(machine, attached('a', 7n))).toBe(5);
    expect(counted(machine, attached('new', 7n))).toBe(6);
    expect(counted(machine, set('a'))).toBe(5);
    expect(counted(machine, set('b'), set('c'))).toBe(5);
  });
});
