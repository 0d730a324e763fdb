/** Watches while auth is enabled: looked at when they are created, and whenever users or roles change. */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { Permission_Type as Type } from '../../../src/api/gen/auth_pb.js';
import { type AuthCaller, AuthCallerSchema } from '../../../src/api/gen/member_pb.js';
import {
  addUser,
  allow,
  as,
  changePassword,
  deleteUser,
  disable,
  enabled,
  forbid,
  giveRole,
  takeRole,
} from '../../kv/auth/support.ts';
import { Machine, set } from '../../kv/support.ts';
import { HubOn, heard } from './hub-client.ts';

function guarded(): HubOn {
  const machine = new Machine();
  enabled(machine, 'u');
  machine.apply(as(machine, 'root', allow('u', Type.READ, 'a', 'c')));
  return new HubOn(machine);
}

function callerOf({ machine }: HubOn, name: string): AuthCaller {
  const version = machine.machine.auth.user(name)?.version ?? 0n;
  return create(AuthCallerSchema, { caller: { case: 'user', value: { name, version } } });
}

const operator = create(AuthCallerSchema, { caller: { case: 'operator', value: true } });

describe('a watch', () => {
  it.each([
    ['a', '', 'created 0 at 1'],
    ['a', 'c', 'created 0 at 1'],
    ['a', 'd', 'canceled 0 PermissionDenied'],
    // etcd looks at the key alone there.
    ['a', '\0', 'canceled 0 PermissionDenied'],
    ['', '\0', 'canceled 0 PermissionDenied'],
    ['z', '', 'canceled 0 PermissionDenied'],
  ])('of %j to %j: %s', (key, end, answer) => {
    const at = guarded();
    const socket = at.open();
    at.watch(socket, 0, key, { end, caller: callerOf(at, 'u') });
    expect(heard(socket)).toEqual(['hello', answer]);
    expect(at.hub.sizes.watches).toBe(answer.startsWith('created') ? 1 : 0);
  });

  it('needs somebody, with a password that is still the same', () => {
    const at = guarded();
    const socket = at.open();
    at.watch(socket, 0, 'a');
    const old = callerOf(at, 'u');
    at.apply(as(at.machine, 'root', changePassword('u', 'x')));
    at.watch(socket, 1, 'a', { caller: old });
    for (const [slot, caller] of [callerOf(at, 'root'), operator].entries())
      at.watch(socket, slot + 2, '', { end: '\0', caller });
    expect(heard(socket)).toEqual([
      'hello',
      'canceled 0 UserEmpty',
      'canceled 1 InvalidAuthToken',
      'created 2 at 1',
      'created 3 at 1',
    ]);
  });

  it.each<[string, (at: HubOn) => Uint8Array, string | null]>([
    ['its permission is taken away', () => forbid('u', 'a', 'c'), 'PermissionDenied'],
    ['its role is taken away', () => takeRole('u', 'u'), 'PermissionDenied'],
    ['its user is deleted', () => deleteUser('u'), 'InvalidAuthToken'],
    ['its password changes', () => changePassword('u', 'x'), 'InvalidAuthToken'],
    ['somebody else gets a role', () => giveRole('root', 'u'), null],
    ['auth is disabled', () => disable, null],
  ])('ends, or does not, when %s', (_, change, error) => {
    const at = guarded();
    const socket = at.open();
    at.watch(socket, 0, 'a', { end: 'b', caller: callerOf(at, 'u') });
    socket.take();
    // In one turn with a write that it is not to see.
    const { machine } = at;
    at.apply(as(machine, 'root', change(at)), as(machine, 'root', set('a', 'x')));
    expect(heard(socket)).toEqual([error ? `canceled 0 ${error}` : 'live 0: +a=x@2']);
    expect(at.hub.sizes.watches).toBe(error ? 0 : 1);
  });

  it('without a caller ends when auth is enabled', () => {
    const machine = new Machine();
    const at = new HubOn(machine);
    const socket = at.open();
    at.watch(socket, 0, 'a');
    socket.take();
    enabled(machine);
    at.hub.advance();
    expect(heard(socket)).toEqual(['canceled 0 UserEmpty']);
  });

  it('that outlived the life in which its permission went ends with the next one', () => {
    const at = guarded();
    const socket = at.open();
    at.watch(socket, 0, 'a', { caller: callerOf(at, 'u') });
    at.watch(socket, 1, 'a', { caller: callerOf(at, 'root') });
    socket.take();
    at.machine.apply(as(at.machine, 'root', deleteUser('u')));
    at.machine.apply(as(at.machine, 'root', addUser('u')));
    at.hibernate();
    expect(heard(socket)).toEqual(['canceled 0 InvalidAuthToken']);
    at.hibernate();
    expect(heard(socket)).toEqual([]);
    at.apply(as(at.machine, 'root', set('a', 'x')));
    expect(heard(socket)).toEqual(['live 1: +a=x@2']);
  });
});
