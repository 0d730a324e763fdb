/**
 * Changes of users, roles and of whether anybody looks at them: what etcd's auth store does
 * (server/auth/store.go), its refusals and their order included. Whether the caller may ask for them
 * is decided before (permit.ts).
 */
import { create } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../../api/errors.ts';
import type { Permission } from '../../api/gen/auth_pb.js';
import type { RoleRecord, UserRecord } from '../../api/gen/auth_records_pb.js';
import type { AuthChange } from '../../api/gen/command_pb.js';
import {
  type AuthEnableResponse,
  AuthEnableResponseSchema,
  type AuthRoleGrantPermissionRequest,
  type AuthRoleRevokePermissionRequest,
  type AuthUserAddRequest,
} from '../../api/gen/rpc_pb.js';
import { compareBytes } from '../bounds.ts';
import { kinds } from '../records.ts';
import { header } from '../reply.ts';
import { failure, type Outcome, type Store } from '../store.ts';
import type { Auth } from './auth.ts';
import { isGrantable } from './grants.ts';
import { rootRole } from './permit.ts';

export const rootUser = 'root';
/** Bytes of the secret. */
const secretBytes = 32;

/** Whether it counts as a revision. */
type Done = 'counted' | 'uncounted' | { readonly refused: EtcdErrorName };

/** All of etcd's answers to changes have a header and nothing else. `index`: of the log entry. */
export function applyAuthChange(
  { auth, progress }: Store,
  { change }: AuthChange,
  index: number,
): Outcome<AuthEnableResponse> {
  const done = changed(auth, change, index);
  if (typeof done === 'object') return failure(done.refused);
  if (done === 'counted') auth.raise();
  const response = create(AuthEnableResponseSchema, { header: header(progress.revision) });
  return { ok: true, response };
}

function changed(auth: Auth, change: AuthChange['change'], index: number): Done {
  switch (change.case) {
    case 'enable':
      return enable(auth, change.value.tokenSecret, index);
    case 'disable':
      return disable(auth, index);
    case 'userAdd':
      return addUser(auth, change.value, index);
    case 'userDelete':
      return deleteUser(auth, change.value.name, index);
    case 'userChangePassword': {
      const { name, hashedPassword } = change.value;
      return changePassword(auth, name, hashedPassword, index);
    }
    case 'userGrantRole':
      return grantRole(auth, change.value.user, change.value.role, index);
    case 'userRevokeRole':
      return revokeRole(auth, change.value.name, change.value.role, index);
    case 'roleAdd':
      return addRole(auth, change.value.name, index);
    case 'roleDelete':
      return deleteRole(auth, change.value.role, index);
    case 'roleGrantPermission':
      return grantPermission(auth, change.value, index);
    case 'roleRevokePermission':
      return revokePermission(auth, change.value, index);
    default:
      change satisfies { case: undefined };
      return refused('NotCapable');
  }
}

function enable(auth: Auth, secret: Uint8Array, index: number): Done {
  if (auth.enabled) return 'uncounted';
  if (secret.length !== secretBytes) return refused('NotCapable');
  const root = auth.user(rootUser);
  if (!root) return refused('RootUserNotExist');
  if (!root.roles.includes(rootRole)) return refused('RootRoleNotExist');
  auth.setEnabled(true, secret, index);
  // etcd counts disabling, and not this.
  return 'uncounted';
}

function disable(auth: Auth, index: number): Done {
  if (!auth.enabled) return 'uncounted';
  auth.setEnabled(false, null, index);
  return 'counted';
}

function addUser(auth: Auth, request: AuthUserAddRequest, index: number): Done {
  const { name, hashedPassword, options } = request;
  if (name === '') return refused('UserEmpty');
  if (auth.user(name)) return refused('UserAlreadyExist');
  const password = options?.noPassword ? '' : hashedPassword;
  auth.putUser(name, { password, roles: [], version: versionAfter(auth) }, index);
  return 'counted';
}

function deleteUser(auth: Auth, name: string, index: number): Done {
  if (auth.enabled && name === rootUser) return refused('InvalidAuthMgmt');
  if (!auth.user(name)) return refused('UserNotFound');
  auth.delete(kinds.user, name, index);
  return 'counted';
}

/** Of a user without a password none is kept, as in etcd, but its tokens are void. */
function changePassword(auth: Auth, name: string, hashed: string, index: number): Done {
  const user = auth.user(name);
  if (!user) return refused('UserNotFound');
  const password = user.password === '' ? '' : hashed;
  auth.putUser(name, { password, roles: user.roles, version: versionAfter(auth) }, index);
  return 'counted';
}

function grantRole(auth: Auth, name: string, role: string, index: number): Done {
  const user = auth.user(name);
  if (!user) return refused('UserNotFound');
  if (role !== rootRole && !auth.role(role)) return refused('RoleNotFound');
  if (user.roles.includes(role)) return 'uncounted';
  setRoles(auth, name, user, [...user.roles, role].sort(byBytes), index);
  return 'counted';
}

function revokeRole(auth: Auth, name: string, role: string, index: number): Done {
  if (auth.enabled && name === rootUser && role === rootRole) return refused('InvalidAuthMgmt');
  const user = auth.user(name);
  if (!user) return refused('UserNotFound');
  if (!user.roles.includes(role)) return refused('RoleNotGranted');
  setRoles(auth, name, user, without(user.roles, role), index);
  return 'counted';
}

function addRole(auth: Auth, name: string, index: number): Done {
  if (name === '') return refused('RoleEmpty');
  if (auth.role(name)) return refused('RoleAlreadyExist');
  auth.putRole(name, [], index);
  return 'counted';
}

function deleteRole(auth: Auth, role: string, index: number): Done {
  if (auth.enabled && role === rootRole) return refused('InvalidAuthMgmt');
  if (!auth.role(role)) return refused('RoleNotFound');
  auth.delete(kinds.role, role, index);
  for (const name of auth.names(kinds.user)) {
    const user = auth.user(name);
    if (user?.roles.includes(role)) setRoles(auth, name, user, without(user.roles, role), index);
  }
  return 'counted';
}

/** Of equal keys and ends the type is replaced. */
function grantPermission(
  auth: Auth,
  { name, perm }: AuthRoleGrantPermissionRequest,
  index: number,
): Done {
  if (!perm) return refused('PermissionNotGiven');
  if (!isGrantable(perm)) return refused('InvalidAuthMgmt');
  const role = auth.role(name);
  if (!role) return refused('RoleNotFound');
  const others = role.permissions.filter((one) => !isOf(one, perm));
  const permissions = [...others, perm].sort((a, b) => compareBytes(a.key, b.key));
  auth.putRole(name, permissions, index);
  return 'counted';
}

function revokePermission(
  auth: Auth,
  request: AuthRoleRevokePermissionRequest,
  index: number,
): Done {
  const role = auth.role(request.role);
  if (!role) return refused('RoleNotFound');
  const left = role.permissions.filter((one) => !isOf(one, request));
  if (left.length === role.permissions.length) return refused('PermissionNotGranted');
  auth.putRole(request.role, left, index);
  return 'counted';
}

function setRoles(
  auth: Auth,
  name: string,
  { password, version }: UserRecord,
  roles: string[],
  index: number,
): void {
  auth.putUser(name, { password, roles, version }, index);
}

/** The revision that this change makes. */
function versionAfter(auth: Auth): bigint {
  return BigInt(auth.revision + 1);
}

function isOf(
  one: RoleRecord['permissions'][number],
  { key, rangeEnd }: Pick<Permission, 'key' | 'rangeEnd'>,
): boolean {
  return compareBytes(one.key, key) === 0 && compareBytes(one.rangeEnd, rangeEnd) === 0;
}

function without(names: readonly string[], name: string): string[] {
  return names.filter((one) => one !== name);
}

const encoder = new TextEncoder();

function byBytes(a: string, b: string): number {
  return compareBytes(encoder.encode(a), encoder.encode(b));
}

function refused(error: EtcdErrorName): Done {
  return { refused: error };
}
