/** Short ways to write changes of auth and commands of users. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { type Permission, Permission_Type as Type } from '../../../src/api/gen/auth_pb.js';
import { type AsSchema, AuthChangeSchema, CommandSchema } from '../../../src/api/gen/command_pb.js';
import { signToken } from '../../../src/kv/auth/tokens.ts';
import { bytes, type Machine } from '../support.ts';

type Change = NonNullable<MessageInitShape<typeof AuthChangeSchema>['change']>;

export const secret = new Uint8Array(32).fill(7);
export const hashed = 'a hash';

function encoded(op: NonNullable<MessageInitShape<typeof CommandSchema>['op']>): Uint8Array {
  return toBinary(CommandSchema, create(CommandSchema, { op }));
}

export function change(init: Change): Uint8Array {
  return encoded({ case: 'auth', value: create(AuthChangeSchema, { change: init }) });
}

export const enable = change({ case: 'enable', value: { tokenSecret: secret } });
export const disable = change({ case: 'disable', value: {} });
export const addUser = (name: string, hashedPassword = hashed): Uint8Array =>
  change({ case: 'userAdd', value: { name, hashedPassword } });
export const deleteUser = (name: string): Uint8Array =>
  change({ case: 'userDelete', value: { name } });
export const changePassword = (name: string, hashedPassword: string): Uint8Array =>
  change({ case: 'userChangePassword', value: { name, hashedPassword } });
export const giveRole = (user: string, role: string): Uint8Array =>
  change({ case: 'userGrantRole', value: { user, role } });
export const takeRole = (name: string, role: string): Uint8Array =>
  change({ case: 'userRevokeRole', value: { name, role } });
export const addRole = (name: string): Uint8Array => change({ case: 'roleAdd', value: { name } });
export const deleteRole = (role: string): Uint8Array =>
  change({ case: 'roleDelete', value: { role } });
export const allow = (name: string, permType: Type, key: string, end = ''): Uint8Array =>
  change({
    case: 'roleGrantPermission',
    value: { name, perm: { permType, key: bytes(key), rangeEnd: bytes(end) } },
  });
export const forbid = (role: string, key: string, end = ''): Uint8Array =>
  change({ case: 'roleRevokePermission', value: { role, key: bytes(key), rangeEnd: bytes(end) } });

/** `READ key end` of each permission of a role. */
export function permissionsOf(machine: Machine, role: string): string[] {
  const shown = ({ permType, key, rangeEnd }: Permission): string =>
    [Type[permType], ...[key, rangeEnd].map((part) => new TextDecoder().decode(part))]
      .join(' ')
      .trimEnd();
  return (machine.machine.auth.role(role)?.permissions ?? []).map(shown);
}

/** The command as this user asks for it, with a token that is good now. */
export function as(machine: Machine, user: string, command: Uint8Array): Uint8Array {
  return wrapped({ token: tokenFor(machine, user) }, command);
}

export function tokenFor({ machine: { auth } }: Machine, user: string): string {
  const version = auth.user(user)?.version ?? 0n;
  return signToken(auth.secret ?? secret, { user, version, expires: 0n });
}

export function wrapped(
  by: Omit<MessageInitShape<typeof AsSchema>, 'command' | '$typeName'>,
  command: Uint8Array,
): Uint8Array {
  return encoded({ case: 'as', value: { ...by, command: fromBinary(CommandSchema, command) } });
}

/** Auth is enabled, and each of `roles` belongs to the user of its name. */
export function enabled(machine: Machine, ...roles: readonly string[]): Machine {
  for (const name of ['root', ...roles])
    for (const one of [addUser(name), addRole(name), giveRole(name, name)]) machine.apply(one);
  machine.apply(enable);
  return machine;
}
