/**
 * The RPCs of etcd's auth service that are one question to the group. Those about passwords are in
 * auth-service.ts.
 */
import { create } from '@bufbuild/protobuf';
import { type AuthChange, AuthChangeSchema } from '../../api/gen/command_pb.js';
import { type AuthQuery, AuthQuerySchema } from '../../api/gen/member_pb.js';
import {
  AuthDisableRequestSchema,
  AuthDisableResponseSchema,
  AuthEnableRequestSchema,
  AuthEnableResponseSchema,
  AuthRoleAddRequestSchema,
  AuthRoleAddResponseSchema,
  AuthRoleDeleteRequestSchema,
  AuthRoleDeleteResponseSchema,
  AuthRoleGetRequestSchema,
  AuthRoleGetResponseSchema,
  AuthRoleGrantPermissionRequestSchema,
  AuthRoleGrantPermissionResponseSchema,
  AuthRoleListRequestSchema,
  AuthRoleListResponseSchema,
  AuthRoleRevokePermissionRequestSchema,
  AuthRoleRevokePermissionResponseSchema,
  AuthStatusRequestSchema,
  AuthStatusResponseSchema,
  AuthUserDeleteRequestSchema,
  AuthUserDeleteResponseSchema,
  AuthUserGetRequestSchema,
  AuthUserGetResponseSchema,
  AuthUserGrantRoleRequestSchema,
  AuthUserGrantRoleResponseSchema,
  AuthUserListRequestSchema,
  AuthUserListResponseSchema,
  AuthUserRevokeRoleRequestSchema,
  AuthUserRevokeRoleResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { type Method, method, type Plan, planWrite } from './methods.ts';

const secretBytes = 32;

export const authMethods: readonly (readonly [path: string, Method])[] = [
  [
    'auth/enable',
    method(AuthEnableRequestSchema, AuthEnableResponseSchema, () => {
      const tokenSecret = crypto.getRandomValues(new Uint8Array(secretBytes));
      return planChange({ case: 'enable', value: { tokenSecret } as never });
    }),
  ],
  [
    'auth/disable',
    method(AuthDisableRequestSchema, AuthDisableResponseSchema, (value) =>
      planChange({ case: 'disable', value }),
    ),
  ],
  [
    'auth/status',
    method(AuthStatusRequestSchema, AuthStatusResponseSchema, (value) =>
      planQuery({ case: 'status', value }),
    ),
  ],
  [
    'auth/user/get',
    method(AuthUserGetRequestSchema, AuthUserGetResponseSchema, (value) =>
      planQuery({ case: 'userGet', value }),
    ),
  ],
  [
    'auth/user/list',
    method(AuthUserListRequestSchema, AuthUserListResponseSchema, (value) =>
      planQuery({ case: 'userList', value }),
    ),
  ],
  [
    'auth/user/delete',
    method(AuthUserDeleteRequestSchema, AuthUserDeleteResponseSchema, (value) =>
      planChange({ case: 'userDelete', value }),
    ),
  ],
  [
    'auth/user/grant',
    method(AuthUserGrantRoleRequestSchema, AuthUserGrantRoleResponseSchema, (value) =>
      planChange({ case: 'userGrantRole', value }),
    ),
  ],
  [
    'auth/user/revoke',
    method(AuthUserRevokeRoleRequestSchema, AuthUserRevokeRoleResponseSchema, (value) =>
      planChange({ case: 'userRevokeRole', value }),
    ),
  ],
  [
    'auth/role/add',
    method(AuthRoleAddRequestSchema, AuthRoleAddResponseSchema, (value) =>
      planChange({ case: 'roleAdd', value }),
    ),
  ],
  [
    'auth/role/get',
    method(AuthRoleGetRequestSchema, AuthRoleGetResponseSchema, (value) =>
      planQuery({ case: 'roleGet', value }),
    ),
  ],
  [
    'auth/role/list',
    method(AuthRoleListRequestSchema, AuthRoleListResponseSchema, (value) =>
      planQuery({ case: 'roleList', value }),
    ),
  ],
  [
    'auth/role/delete',
    method(AuthRoleDeleteRequestSchema, AuthRoleDeleteResponseSchema, (value) =>
      planChange({ case: 'roleDelete', value }),
    ),
  ],
  [
    'auth/role/grant',
    method(AuthRoleGrantPermissionRequestSchema, AuthRoleGrantPermissionResponseSchema, (value) =>
      planChange({ case: 'roleGrantPermission', value }),
    ),
  ],
  [
    'auth/role/revoke',
    method(AuthRoleRevokePermissionRequestSchema, AuthRoleRevokePermissionResponseSchema, (value) =>
      planChange({ case: 'roleRevokePermission', value }),
    ),
  ],
];

export function planChange(change: AuthChange['change']): Plan {
  const value = create(AuthChangeSchema, { change } as never);
  return planWrite({ case: 'auth', value }, () => null);
}

function planQuery(query: AuthQuery['query']): Plan {
  const value = create(AuthQuerySchema, { query } as never);
  return { kind: 'read', op: { case: 'authQuery', value } };
}
