/**
 * Every RPC of etcd v3, and where the service offers it. The bridge knows no messages: they go through as
 * bytes (docs/decisions/bridge.md), but for those of keep-alives, of which several share a request.
 */

/** How its messages travel. */
export type Shape = 'unary' | 'keepAlive' | 'watch' | 'serverStream';

export interface Rpc {
  /** `/{package}.{service}/{method}`. */
  readonly name: string;
  /** Below /v3/. */
  readonly path: string;
  readonly shape: Shape;
}

const services: Readonly<Record<string, Readonly<Record<string, string | [string, Shape]>>>> = {
  'etcdserverpb.KV': {
    Range: 'kv/range',
    Put: 'kv/put',
    DeleteRange: 'kv/deleterange',
    Txn: 'kv/txn',
    Compact: 'kv/compaction',
  },
  'etcdserverpb.Watch': { Watch: ['watch', 'watch'] },
  'etcdserverpb.Lease': {
    LeaseGrant: 'lease/grant',
    LeaseRevoke: 'lease/revoke',
    LeaseKeepAlive: ['lease/keepalive', 'keepAlive'],
    LeaseTimeToLive: 'lease/timetolive',
    LeaseLeases: 'lease/leases',
  },
  'etcdserverpb.Cluster': {
    MemberAdd: 'cluster/member/add',
    MemberRemove: 'cluster/member/remove',
    MemberUpdate: 'cluster/member/update',
    MemberList: 'cluster/member/list',
    MemberPromote: 'cluster/member/promote',
  },
  'etcdserverpb.Maintenance': {
    Alarm: 'maintenance/alarm',
    Status: 'maintenance/status',
    Defragment: 'maintenance/defragment',
    Hash: 'maintenance/hash',
    HashKV: 'maintenance/hashkv',
    Snapshot: ['maintenance/snapshot', 'serverStream'],
    MoveLeader: 'maintenance/transfer-leadership',
    Downgrade: 'maintenance/downgrade',
  },
  'etcdserverpb.Auth': {
    AuthEnable: 'auth/enable',
    AuthDisable: 'auth/disable',
    AuthStatus: 'auth/status',
    Authenticate: 'auth/authenticate',
    UserAdd: 'auth/user/add',
    UserGet: 'auth/user/get',
    UserList: 'auth/user/list',
    UserDelete: 'auth/user/delete',
    UserChangePassword: 'auth/user/changepw',
    UserGrantRole: 'auth/user/grant',
    UserRevokeRole: 'auth/user/revoke',
    RoleAdd: 'auth/role/add',
    RoleGet: 'auth/role/get',
    RoleList: 'auth/role/list',
    RoleDelete: 'auth/role/delete',
    RoleGrantPermission: 'auth/role/grant',
    RoleRevokePermission: 'auth/role/revoke',
  },
  'v3lockpb.Lock': { Lock: 'lock/lock', Unlock: 'lock/unlock' },
  'v3electionpb.Election': {
    Campaign: 'election/campaign',
    Proclaim: 'election/proclaim',
    Leader: 'election/leader',
    Observe: ['election/observe', 'serverStream'],
    Resign: 'election/resign',
  },
};

export const rpcs: readonly Rpc[] = Object.entries(services).flatMap(([service, methods]) =>
  Object.entries(methods).map(([method, at]): Rpc => {
    const [path, shape] = typeof at === 'string' ? [at, 'unary' as const] : at;
    return { name: `/${service}/${method}`, path, shape };
  }),
);
