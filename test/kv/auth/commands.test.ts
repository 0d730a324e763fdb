/** Changes of users and roles: etcd's answers, refusals and count of revisions (server/auth/store.go). */
import { describe, expect, test } from 'vitest';
import { Permission_Type as Type } from '../../../src/api/gen/auth_pb.js';
import { authRulesVersion, encodeBatch } from '../../../src/kv/batch.ts';
import { Machine, set } from '../support.ts';
import {
  addRole,
  addUser,
  allow,
  as,
  change,
  changePassword,
  deleteRole,
  deleteUser,
  disable,
  enable,
  enabled,
  forbid,
  giveRole,
  hashed,
  permissionsOf,
  takeRole,
  wrapped,
} from './support.ts';

const { READ, WRITE, READWRITE } = Type;

const revisionOf = ({ machine }: Machine): number => machine.auth.revision;
const rolesOf = ({ machine }: Machine, user: string): string[] | undefined =>
  machine.auth.user(user)?.roles;

/** The errors of these commands one after the other, and what they have added to the auth revision. */
function answers(machine: Machine, ...commands: Uint8Array[]): [string, number][] {
  return commands.map((command) => {
    const before = revisionOf(machine);
    return [machine.error(command), revisionOf(machine) - before];
  });
}

describe('users', () => {
  test('are added once, by a name, with a hash or without a password', () => {
    const machine = new Machine();
    const options = { noPassword: true };
    const none = change({ case: 'userAdd', value: { name: 'c', hashedPassword: 'x', options } });
    expect(answers(machine, addUser(''), addUser('b'), addUser('b'), none)).toEqual([
      ['UserEmpty', 0],
      ['ok', 1],
      ['UserAlreadyExist', 0],
      ['ok', 1],
    ]);
    const { auth } = machine.machine;
    expect([auth.user('b')?.password, auth.user('c')?.password]).toEqual([hashed, '']);
  });

  test('have a version that rises with their password, and with a second life', () => {
    const machine = new Machine();
    machine.apply(addUser('b'));
    expect(machine.machine.auth.user('b')).toMatchObject({ password: hashed, version: 2n });
    machine.apply(changePassword('b', 'other'));
    expect(machine.machine.auth.user('b')).toMatchObject({ password: 'other', version: 3n });
    machine.apply(deleteUser('b'));
    machine.apply(addUser('b'));
    expect(machine.machine.auth.user('b')?.version).toBe(5n);
    machine.apply(giveRole('b', 'root'));
    expect(machine.machine.auth.user('b')?.version).toBe(5n);
  });

  test('without a password get none by a change of it', () => {
    const machine = new Machine();
    machine.apply(change({ case: 'userAdd', value: { name: 'c', options: { noPassword: true } } }));
    machine.apply(changePassword('c', 'x'));
    expect(machine.machine.auth.user('c')?.password).toBe('');
  });

  test('that are not there are told to be missing', () => {
    const machine = new Machine();
    machine.apply(addRole('r'));
    const all = [deleteUser('x'), changePassword('x', ''), giveRole('x', 'r'), takeRole('x', 'r')];
    expect(answers(machine, ...all)).toEqual(all.map(() => ['UserNotFound', 0]));
  });

  test('are named in the order of their bytes', () => {
    const machine = new Machine();
    for (const name of ['b', '\u{1F600}', '\uFB00', 'a']) machine.apply(addUser(name));
    expect(machine.machine.auth.names(1)).toEqual(['a', 'b', '\uFB00', '\u{1F600}']);
  });
});

describe('roles', () => {
  test('are added once, by a name', () => {
    const machine = new Machine();
    expect(answers(machine, addRole(''), addRole('r'), addRole('r'))).toEqual([
      ['RoleEmpty', 0],
      ['ok', 1],
      ['RoleAlreadyExist', 0],
    ]);
  });

  test('are given and taken; root may be given before it exists, and giving twice counts once', () => {
    const machine = new Machine();
    for (const one of [addUser('u'), addRole('r'), addRole('q')]) machine.apply(one);
    const given = ['r', 'q', 'root', 'r', 'x'].map((role) => giveRole('u', role));
    expect(answers(machine, ...given)).toEqual([
      ['ok', 1],
      ['ok', 1],
      ['ok', 1],
      ['ok', 0],
      ['RoleNotFound', 0],
    ]);
    expect(rolesOf(machine, 'u')).toEqual(['q', 'r', 'root']);
    expect(answers(machine, takeRole('u', 'q'), takeRole('u', 'q'))).toEqual([
      ['ok', 1],
      ['RoleNotGranted', 0],
    ]);
    expect(rolesOf(machine, 'u')).toEqual(['r', 'root']);
  });

  test('leave their users when they go', () => {
    const machine = new Machine();
    for (const one of [addUser('u'), addUser('v'), addRole('r'), addRole('q')]) machine.apply(one);
    for (const one of [giveRole('u', 'r'), giveRole('u', 'q'), giveRole('v', 'r')])
      machine.apply(one);
    expect(answers(machine, deleteRole('r'), deleteRole('r'))).toEqual([
      ['ok', 1],
      ['RoleNotFound', 0],
    ]);
    expect([rolesOf(machine, 'u'), rolesOf(machine, 'v')]).toEqual([['q'], []]);
  });
});

describe('permissions', () => {
  test('of one range replace each other, and stand in the order of their keys', () => {
    const machine = new Machine();
    machine.apply(addRole('r'));
    const all = [allow('r', READ, 'b'), allow('r', WRITE, 'a', 'c'), allow('r', READWRITE, 'b')];
    expect(answers(machine, ...all)).toEqual(all.map(() => ['ok', 1]));
    machine.apply(allow('r', READ, 'b', 'z'));
    expect(permissionsOf(machine, 'r')).toEqual(['WRITE a c', 'READWRITE b', 'READ b z']);
    expect(answers(machine, forbid('r', 'b'), forbid('r', 'b'), forbid('r', 'a'))).toEqual([
      ['ok', 1],
      ['PermissionNotGranted', 0],
      ['PermissionNotGranted', 0],
    ]);
    expect(permissionsOf(machine, 'r')).toEqual(['WRITE a c', 'READ b z']);
  });

  test.each([
    ['without any', undefined, 'PermissionNotGiven'],
    ['of no key', ['', ''], 'InvalidAuthMgmt'],
    ['of no key up to the end', ['', '\0'], 'InvalidAuthMgmt'],
    ['of an inverted range', ['b', 'a'], 'InvalidAuthMgmt'],
    ['of an empty range', ['b', 'b'], 'InvalidAuthMgmt'],
    ['of all keys', ['\0', '\0'], 'ok'],
    ['from a key on', ['b', '\0'], 'ok'],
  ] as const)('%s: %s gives %s', (_, range, answer) => {
    const machine = new Machine();
    machine.apply(addRole('r'));
    const none = change({ case: 'roleGrantPermission', value: { name: 'r' } });
    expect(machine.error(range ? allow('r', READ, range[0], range[1]) : none)).toBe(answer);
  });

  test('of a role that is not there are refused', () => {
    const machine = new Machine();
    expect([machine.error(allow('x', READ, 'a')), machine.error(forbid('x', 'a'))]).toEqual([
      'RoleNotFound',
      'RoleNotFound',
    ]);
  });
});

describe('enabling', () => {
  test('needs a root user with the root role, and happens once', () => {
    const machine = new Machine();
    expect(revisionOf(machine)).toBe(1);
    expect(answers(machine, disable, enable)).toEqual([
      ['ok', 0],
      ['RootUserNotExist', 0],
    ]);
    machine.apply(addUser('root'));
    expect(machine.error(enable)).toBe('RootRoleNotExist');
    machine.apply(giveRole('root', 'root'));
    // As in etcd, which counts disabling only.
    expect(answers(machine, enable, as(machine, 'root', enable))).toEqual([
      ['ok', 0],
      ['ok', 0],
    ]);
    expect(machine.machine.auth.enabled).toBe(true);
    expect(answers(machine, as(machine, 'root', disable), disable)).toEqual([
      ['ok', 1],
      ['ok', 0],
    ]);
    expect([machine.machine.auth.enabled, machine.machine.auth.secret]).toEqual([false, null]);
  });

  test('keeps root and its role from being deleted or parted', () => {
    const machine = enabled(new Machine());
    const all = [deleteUser('root'), deleteRole('root'), takeRole('root', 'root')];
    const asRoot = all.map((one) => as(machine, 'root', one));
    expect(answers(machine, ...asRoot)).toEqual(all.map(() => ['InvalidAuthMgmt', 0]));
    machine.apply(as(machine, 'root', disable));
    expect(answers(machine, ...all.reverse())).toEqual(all.map(() => ['ok', 1]));
  });

  test('outlives the life of the state machine', () => {
    const machine = enabled(new Machine(), 'r');
    const before = machine.machine.auth.revision;
    machine.reopen();
    expect([machine.machine.auth.enabled, machine.machine.auth.revision]).toEqual([true, before]);
    expect(machine.error(set('k'))).toBe('UserEmpty');
  });

  test('makes no revision of keys', () => {
    expect(enabled(new Machine(), 'r').machine.revision).toBe(1);
  });
});

test('entries of older rules know nothing of auth', () => {
  const machine = new Machine();
  const results = machine.applyEntry(encodeBatch([addUser('u'), as(machine, 'u', set('k'))], 2));
  expect(results).toEqual([0, 1].map(() => ({ ok: false, error: 'NotCapable' })));
  expect(machine.machine.auth.names(1)).toEqual([]);
});

test('entries of older rules know of nobody for whom the operator answers', () => {
  const machine = enabled(new Machine(), 'u');
  const command = wrapped({ user: 'root' }, set('k'));
  const results = machine.applyEntry(encodeBatch([command], authRulesVersion));
  expect(results).toEqual([{ ok: false, error: 'NotCapable' }]);
  expect(machine.error(command)).toBe('ok');
});
