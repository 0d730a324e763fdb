/** What a user may do: etcd's rules for each operation, and the holes that it once had. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { Permission_Type as Type } from '../../../src/api/gen/auth_pb.js';
import { CommandSchema, OnceSchema } from '../../../src/api/gen/command_pb.js';
import {
  RangeRequestSchema,
  TxnRequestSchema,
  WatchCreateRequestSchema,
} from '../../../src/api/gen/rpc_pb.js';
import { needsOfLeases, needsOfRead, needsOfTxn } from '../../../src/kv/auth/needs.ts';
import { bytes, compact, del, expire, grant, Machine, put, revoke, set, txn } from '../support.ts';
import {
  addUser,
  allow,
  as,
  changePassword,
  deleteUser,
  disable,
  enable,
  enabled,
  secret,
  tokenFor,
  wrapped,
} from './support.ts';

const { READ, WRITE, READWRITE } = Type;

type TxnInit = MessageInitShape<typeof TxnRequestSchema>;
type Op = NonNullable<NonNullable<TxnInit['success']>[number]>;

const putOp = (key: string, more = {}): Op => ({
  request: { case: 'requestPut', value: { key: bytes(key), ...more } },
});
const rangeOp = (key: string, end = ''): Op => ({
  request: { case: 'requestRange', value: { key: bytes(key), rangeEnd: bytes(end) } },
});
const deleteOp = (key: string, more = {}): Op => ({
  request: { case: 'requestDeleteRange', value: { key: bytes(key), ...more } },
});
const txnOp = (value: TxnInit): Op => ({ request: { case: 'requestTxn', value } });
const once = (command: Uint8Array): Uint8Array => {
  const value = create(OnceSchema, {
    keyHash: new Uint8Array(16),
    requestHash: new Uint8Array(16),
    command: fromBinary(CommandSchema, command),
  });
  return toBinary(CommandSchema, create(CommandSchema, { op: { case: 'once', value } }));
};

/** `u` may read r, write w, both b; of the ranges [m, n) read and write, [n, p) read. */
function guarded(): Machine {
  const machine = new Machine();
  enabled(machine, 'u');
  for (const one of [
    allow('u', READ, 'r'),
    allow('u', WRITE, 'w'),
    allow('u', READWRITE, 'b'),
    allow('u', READWRITE, 'm', 'n'),
    allow('u', READ, 'n', 'p'),
  ])
    machine.apply(as(machine, 'root', one));
  return machine;
}

const denied = 'PermissionDenied';

describe('a command of a user', () => {
  test.each<[string, Uint8Array, string]>([
    ['a put', set('w'), 'ok'],
    ['a put of what it may only read', set('r'), denied],
    ['a put that shows what was there, unread', put({ key: bytes('w'), prevKv: true }), denied],
    ['a put that shows what was there', put({ key: bytes('b'), prevKv: true }), 'ok'],
    ['a delete', del({ key: bytes('w') }), 'ok'],
    ['a delete that shows what was there', del({ key: bytes('w'), prevKv: true }), denied],
    ['a delete of a range', del({ key: bytes('m'), rangeEnd: bytes('n') }), 'ok'],
    ['a delete of a wider range', del({ key: bytes('m'), rangeEnd: bytes('o') }), denied],
    ['a delete to the end', del({ key: bytes('m'), rangeEnd: bytes('\0') }), denied],
    ['a transaction', txn({ success: [putOp('w'), rangeOp('r')] }), 'ok'],
    ['one that compares', txn({ compare: [{ key: bytes('w') }] }), denied],
    ['one whose other branch reads', txn({ failure: [rangeOp('w')] }), denied],
    ['one whose other branch writes', txn({ failure: [putOp('r')] }), denied],
    ['one that writes deep inside', txn({ failure: [txnOp({ failure: [putOp('r')] })] }), denied],
    [
      'one that compares inside',
      txn({ success: [txnOp({ compare: [{ key: bytes('w') }] })] }),
      denied,
    ],
    [
      'one that shows inside',
      txn({ success: [txnOp({ success: [putOp('w', { prevKv: true })] })] }),
      denied,
    ],
    ['one that deletes and shows', txn({ success: [deleteOp('w', { prevKv: true })] }), denied],
    ['one that takes effect once', once(set('w')), 'ok'],
    ['one that takes effect once, of others', once(set('r')), denied],
    ['a lease', grant(7n), 'ok'],
    ['a compaction', compact(1), denied],
    ['a change of users', addUser('v'), denied],
  ])('%s', (_, command, answer) => {
    const machine = guarded();
    expect(machine.error(as(machine, 'u', command))).toBe(answer);
    if (answer === denied) {
      expect(machine.machine.revision).toBe(1);
      expect(machine.error(as(machine, 'root', command))).not.toBe(denied);
    }
  });

  test('of a lease counts for all keys that are attached to it', () => {
    const machine = guarded();
    const attach = (key: string, lease: bigint): Uint8Array => put({ key: bytes(key), lease });
    for (const one of [grant(7n), grant(8n), attach('r', 8n)])
      machine.apply(as(machine, 'root', one));
    expect(machine.error(as(machine, 'u', attach('w', 7n)))).toBe('ok');
    expect(machine.error(as(machine, 'u', attach('b', 8n)))).toBe(denied);
    const within = txn({ success: [putOp('b', { lease: 8n })] });
    expect(machine.error(as(machine, 'u', within))).toBe(denied);
    expect(machine.error(as(machine, 'u', revoke(8n)))).toBe(denied);
    expect(machine.error(as(machine, 'u', revoke(7n)))).toBe('ok');
  });

  test('looks at the keys of a lease only as far as an entry may', () => {
    const machine = new Machine({ visits: 3 });
    enabled(machine, 'u');
    machine.apply(as(machine, 'root', allow('u', WRITE, '\0', '\0')));
    machine.apply(as(machine, 'root', grant(7n)));
    for (const key of ['a', 'b', 'c', 'd'])
      machine.apply(as(machine, 'root', put({ key: bytes(key), lease: 7n })));
    expect(machine.error(as(machine, 'u', put({ key: bytes('e'), lease: 7n })))).toBe(
      'TooManyVisits',
    );
  });

  test('of an old token is refused at its place in the log', () => {
    const machine = guarded();
    const late = as(machine, 'u', set('w'));
    machine.apply(as(machine, 'root', changePassword('u', 'other')));
    expect(machine.error(late)).toBe('InvalidAuthToken');
    const later = as(machine, 'u', set('w'));
    machine.apply(as(machine, 'root', deleteUser('u')));
    expect(machine.error(later)).toBe('InvalidAuthToken');
    machine.apply(as(machine, 'root', addUser('u')));
    expect(machine.error(later)).toBe('InvalidAuthToken');
  });

  test('of a user for whom the operator answers is that user’s, whatever its password is', () => {
    const machine = guarded();
    expect(machine.error(wrapped({ user: 'u' }, set('w')))).toBe('ok');
    expect(machine.error(wrapped({ user: 'u' }, set('r')))).toBe(denied);
    expect(machine.error(wrapped({ user: 'root' }, compact(1)))).toBe('ok');
    machine.apply(as(machine, 'root', changePassword('u', 'other')));
    expect(machine.error(wrapped({ user: 'u' }, set('w')))).toBe('ok');
    machine.apply(as(machine, 'root', deleteUser('u')));
    expect(machine.error(wrapped({ user: 'u' }, set('w')))).toBe(denied);
  });

  test('of a token that is none, forged or of an earlier secret is refused', () => {
    const machine = guarded();
    const good = tokenFor(machine, 'u');
    const [claims, mac] = good.split('.') as [string, string];
    const [ofRoot] = tokenFor(machine, 'root').split('.') as [string, string];
    const forged = ['', '.', 'x', claims, `${claims}.`, `${ofRoot}.${mac}`, `${good}x`, ` ${good}`];
    for (const token of [...forged, `${'a'.repeat(2_048)}.${mac}`, `Bearer ${good}`])
      expect(machine.error(wrapped({ token }, set('w')))).toBe('InvalidAuthToken');
    expect(machine.error(wrapped({ token: good }, set('w')))).toBe('ok');
    machine.apply(as(machine, 'root', disable));
    const { op } = fromBinary(CommandSchema, enable);
    if (op.case !== 'auth' || op.value.change.case !== 'enable') throw new Error('not that');
    op.value.change.value.tokenSecret = secret.toReversed().fill(1, 0, 1);
    machine.apply(toBinary(CommandSchema, create(CommandSchema, { op })));
    expect(machine.error(wrapped({ token: good }, set('w')))).toBe('InvalidAuthToken');
    expect(machine.error(as(machine, 'u', set('w')))).toBe('ok');
  });

  test('is refused without a user, but the end of a lease is nobody’s', () => {
    const machine = guarded();
    machine.apply(as(machine, 'root', grant(7n)));
    expect(machine.error(set('w'))).toBe('UserEmpty');
    expect(machine.apply(set('w'), set('b')).map((one) => one.ok)).toEqual([false, false]);
    expect(machine.error(expire(7n, machine.machine.lease(7n)?.grant ?? 0))).toBe('ok');
    expect(machine.machine.lease(7n)).toBeNull();
  });

  test('of the operator is done, and so is any while auth is disabled', () => {
    const machine = guarded();
    expect(machine.error(wrapped({ operator: true }, compact(1)))).toBe('ok');
    const open = new Machine();
    expect(open.error(wrapped({ token: 'nobody' }, set('k')))).toBe('ok');
  });

  test('is not one of somebody else within', () => {
    const machine = guarded();
    const within = as(machine, 'root', set('r'));
    expect(machine.error(as(machine, 'u', within))).toBe(denied);
    expect(machine.error(wrapped({ operator: true }, within))).toBe('NotCapable');
  });
});

describe('a read', () => {
  const caller = (machine: Machine, name: string) =>
    ({ kind: 'user', name, version: machine.machine.auth.user(name)?.version ?? 0n }) as const;
  const ask = (machine: Machine, key: string, rangeEnd: string): string | null => {
    const range = create(RangeRequestSchema, { key: bytes(key), rangeEnd: bytes(rangeEnd) });
    return machine.machine.permit(caller(machine, 'u'), needsOfRead(range));
  };

  test.each([
    ['r', '', null],
    ['r\0', '', denied],
    ['w', '', denied],
    ['m', 'p', null],
    ['m1', 'o', null],
    ['m', 'p\0', denied],
    ['l', 'n', denied],
    ['r', '\0', denied],
    // An empty interval, where it begins.
    ['n', 'm', null],
    ['z', 'y', denied],
  ])('of [%s, %s) gives %s', (key, end, answer) => {
    expect(ask(guarded(), key, end)).toBe(answer);
  });

  test('from a key on needs all that follows, as a watch does', () => {
    const machine = guarded();
    const watch = create(WatchCreateRequestSchema, { key: bytes('r'), rangeEnd: bytes('\0') });
    expect(machine.machine.permit(caller(machine, 'u'), needsOfRead(watch))).toBe(denied);
    machine.apply(as(machine, 'root', allow('u', READ, 'q', '\0')));
    expect(machine.machine.permit(caller(machine, 'u'), needsOfRead(watch))).toBeNull();
  });

  test('of a transaction, and of the keys of a lease, needs each', () => {
    const machine = guarded();
    const { machine: state } = machine;
    const both = create(TxnRequestSchema, { success: [rangeOp('r')], failure: [rangeOp('w')] });
    expect(state.permit(caller(machine, 'u'), needsOfTxn(both))).toBe(denied);
    machine.apply(as(machine, 'root', grant(7n)));
    machine.apply(as(machine, 'root', put({ key: bytes('w'), lease: 7n })));
    expect(state.permit(caller(machine, 'u'), needsOfLeases('read', [7n]))).toBe(denied);
    expect(state.permit(caller(machine, 'root'), needsOfLeases('read', [7n]))).toBeNull();
    expect(state.permit(null, [])).toBe('UserEmpty');
    expect(state.permit(caller(machine, 'u'), [])).toBeNull();
  });
});
