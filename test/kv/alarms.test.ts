/** What alarms are, and what they stand against: etcd 3.5's rules (semantics.md 42). */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { CommandSchema, OnceSchema } from '../../src/api/gen/command_pb.js';
import type { AlarmRequest_AlarmAction as Action } from '../../src/api/gen/maintenance_pb.js';
import { alarmsMax, bytesAdded } from '../../src/kv/alarms.ts';
import { encodeBatch } from '../../src/kv/batch.ts';
import { addUser, enable, enabled, as as userCommand } from './auth/support.ts';
import { alarm, alarmsOf, CORRUPT, clear, NONE, NOSPACE, raise } from './maintenance.ts';
import { bytes, compact, del, expire, grant, Machine, put, revoke, set, txn } from './support.ts';
import { Transfer } from './transfer.ts';

const putOp = { request: { case: 'requestPut' as const, value: { key: bytes('k') } } };
const rangeOp = { request: { case: 'requestRange' as const, value: { key: bytes('k') } } };
const deleteOp = { request: { case: 'requestDeleteRange' as const, value: { key: bytes('k') } } };
const nested = { request: { case: 'requestTxn' as const, value: { failure: [putOp] } } };

/** With keys to delete, two leases, and a history to compact. */
function machineWith(...commands: Uint8Array[]): Machine {
  const machine = new Machine();
  machine.apply(set('k', '1'), set('k', '2'), grant(7n), grant(8n));
  machine.apply(...commands);
  return machine;
}

describe('alarms', () => {
  test('are raised once, listed by type and member, and stay until they are cleared', () => {
    const machine = new Machine();
    const raised = machine.ok('alarm', raise(NOSPACE, 2n ** 64n - 1n));
    expect(raised.alarms).toMatchObject([{ memberID: 2n ** 64n - 1n, alarm: NOSPACE }]);
    machine.apply(raise(CORRUPT, 3n), raise(NOSPACE, 0n), raise(NOSPACE, 0n));
    expect(machine.ok('alarm', raise(NOSPACE, 0n)).alarms.length).toBe(1);
    const all = ['NOSPACE 0', 'NOSPACE 18446744073709551615', 'CORRUPT 3'];
    expect(alarmsOf(machine)).toEqual(all);
    machine.reopen();
    expect(alarmsOf(machine)).toEqual(all);
    expect(machine.ok('alarm', clear(NOSPACE, 0n)).alarms.length).toBe(1);
    expect(alarmsOf(machine)).toEqual(all.slice(1));
  });

  test('of which there is none are answered with none', () => {
    const machine = machineWith(raise(NOSPACE));
    for (const command of [
      clear(NOSPACE, 0n),
      clear(CORRUPT),
      clear(NONE),
      raise(NONE),
      raise(9 as typeof NONE),
      alarm({ action: 9 as Action, memberID: 1n, alarm: NOSPACE }),
    ])
      expect(machine.ok('alarm', command).alarms).toEqual([]);
    expect(alarmsOf(machine)).toEqual(['NOSPACE 1']);
  });

  test('change no revision', () => {
    const machine = machineWith();
    const { revision } = machine.machine;
    expect(machine.ok('alarm', raise(NOSPACE)).header?.revision).toBe(BigInt(revision));
    machine.apply(clear(NOSPACE));
    expect(machine.machine.revision).toBe(revision);
  });

  test('are bounded, whoever names what members', () => {
    const machine = new Machine();
    for (let id = 0; id < alarmsMax; id += 1) machine.apply(raise(NOSPACE, BigInt(id)));
    expect(machine.error(raise(NOSPACE, 1_000n))).toBe('TooManyRequests');
    expect(machine.error(raise(NOSPACE, 0n))).toBe('ok');
    machine.apply(clear(NOSPACE, 0n));
    expect(machine.error(raise(NOSPACE, 1_000n))).toBe('ok');
  });

  test('are in the hash, and in a snapshot', () => {
    const machine = machineWith();
    const before = machine.hash();
    machine.apply(raise(CORRUPT));
    expect(machine.hash()).not.toBe(before);
    machine.machine.openSnapshot('s');
    const other = new Machine();
    new Transfer(machine, other, 's').run();
    expect(alarmsOf(other)).toEqual(['CORRUPT 1']);
    expect(other.error(set('k'))).toBe('Corrupt');
  });

  test('are unknown to older rules, which refuse them', () => {
    const machine = new Machine();
    machine.applyEntry(encodeBatch([raise(NOSPACE)], 3));
    expect(machine.results.at(-1)).toEqual([{ ok: false, error: 'NotCapable' }]);
    expect(alarmsOf(machine)).toEqual([]);
  });
});

describe('NOSPACE', () => {
  test.each([
    ['a put', set('k'), 'NoSpace'],
    ['a lease', grant(9n), 'NoSpace'],
    ['a transaction that puts', txn({ success: [putOp] }), 'NoSpace'],
    ['one that puts in the branch not taken', txn({ failure: [putOp] }), 'NoSpace'],
    ['one that puts in a nested branch', txn({ success: [rangeOp, nested] }), 'NoSpace'],
    ['one that deletes', txn({ success: [deleteOp, rangeOp] }), 'ok'],
    ['a delete', del({ key: bytes('k') }), 'ok'],
    ['the end of a lease', revoke(7n), 'ok'],
    ['an expiry', expire(8n, 1), 'ok'],
    ['a compaction', compact(2), 'ok'],
    ['a user', addUser('u'), 'ok'],
  ])('and %s', (_, command, expected) => {
    expect(machineWith(raise(NOSPACE)).error(command)).toBe(expected);
    expect(machineWith(raise(NOSPACE), clear(NOSPACE)).error(command)).toBe('ok');
  });

  test('of one member is enough, and the last one that is cleared ends it', () => {
    const machine = machineWith(raise(NOSPACE, 1n), raise(NOSPACE, 2n), clear(NOSPACE, 1n));
    expect(machine.error(set('k'))).toBe('NoSpace');
    machine.apply(clear(NOSPACE, 2n));
    expect(machine.error(set('k'))).toBe('ok');
  });

  test('refuses what stands after it in its entry, and nothing before', () => {
    const machine = new Machine();
    const results = machine.apply(set('a'), set('b'), raise(NOSPACE), set('c'), set('d'));
    expect(results.map((one) => (one.ok ? 'ok' : one.error))).toEqual([
      ...['ok', 'ok', 'ok', 'NoSpace', 'NoSpace'],
    ]);
  });

  test('is told after whether the caller may at all', () => {
    const machine = enabled(new Machine(), 'u');
    machine.apply(userCommand(machine, 'root', raise(NOSPACE)));
    expect(machine.error(userCommand(machine, 'u', set('k')))).toBe('PermissionDenied');
    expect(machine.error(set('k'))).toBe('UserEmpty');
    expect(machine.error(userCommand(machine, 'root', set('k')))).toBe('NoSpace');
  });

  test('is raised and cleared by root alone while auth is enabled', () => {
    const machine = enabled(new Machine(), 'u');
    expect(machine.error(userCommand(machine, 'u', raise(NOSPACE)))).toBe('PermissionDenied');
    expect(machine.error(raise(NOSPACE))).toBe('UserEmpty');
    expect(machine.error(enable)).toBe('UserEmpty');
    expect(alarmsOf(machine)).toEqual([]);
  });
});

describe('CORRUPT', () => {
  test.each([
    ['a put', set('k'), 'Corrupt'],
    ['a lease', grant(9n), 'Corrupt'],
    ['the end of a lease', revoke(7n), 'Corrupt'],
    ['a transaction', txn({ success: [deleteOp] }), 'Corrupt'],
    ['a delete', del({ key: bytes('k') }), 'Corrupt'],
    ['a compaction', compact(2), 'Corrupt'],
    ['an expiry, which is nobody’s', expire(8n, 1), 'ok'],
    ['a user', addUser('u'), 'ok'],
    ['another alarm', raise(NOSPACE), 'ok'],
  ])('and %s', (_, command, expected) => {
    expect(machineWith(raise(CORRUPT)).error(command)).toBe(expected);
    expect(machineWith(raise(CORRUPT), clear(CORRUPT)).error(command)).toBe('ok');
  });

  test('stands when NOSPACE is cleared: etcd 3.5 forgets it then', () => {
    const machine = machineWith(raise(CORRUPT), raise(NOSPACE), clear(NOSPACE));
    expect(machine.error(set('k'))).toBe('Corrupt');
  });

  test('leaves reads alone', () => {
    expect(machineWith(raise(CORRUPT)).contents()).toEqual(['k=2']);
  });
});

function once(key: number, command: Uint8Array): Uint8Array {
  const [keyHash, requestHash] = [new Uint8Array(16).fill(key), new Uint8Array(16)];
  const within = fromBinary(CommandSchema, command);
  const value = create(OnceSchema, { keyHash, requestHash, timeMs: 1n, command: within });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'once', value } }));
}

describe('a command that takes effect once', () => {
  test('is refused for now, and takes effect when it is sent again later', () => {
    for (const [type, error] of [
      [NOSPACE, 'NoSpace'],
      [CORRUPT, 'Corrupt'],
    ] as const) {
      const machine = machineWith(raise(type));
      expect(machine.error(once(1, set('k', '3')))).toBe(error);
      machine.apply(clear(type));
      expect(machine.error(once(1, set('k', '3')))).toBe('ok');
      expect(machine.contents()).toEqual(['k=3']);
    }
  });

  test('that took effect before is answered as then', () => {
    const machine = machineWith();
    const first = machine.ok('put', once(1, set('k', '3')));
    machine.apply(raise(NOSPACE), raise(CORRUPT));
    expect(machine.ok('put', once(1, set('k', '3')))).toEqual(first);
  });
});

test('what a command can add is counted through its envelopes, and of the larger branch', () => {
  const added = (data: Uint8Array) => bytesAdded(fromBinary(CommandSchema, data));
  const one = added(put({ key: bytes('kk'), value: bytes('vvv') }));
  expect(one).toBe(256 + 5);
  const two = { request: { case: 'requestPut' as const, value: { key: bytes('kk') } } };
  expect(added(txn({ success: [putOp, two], failure: [two] }))).toBe(2 * 256 + 3);
  expect(added(txn({ failure: [nested] }))).toBe(257);
  expect(added(once(1, put({ key: bytes('kk'), value: bytes('vvv') })))).toBe(one);
  expect(added(grant(1n))).toBeGreaterThan(0);
  for (const command of [del({ key: bytes('k') }), revoke(1n), compact(1), raise(NOSPACE)])
    expect(added(command)).toBe(0);
});
