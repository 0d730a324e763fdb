/** Every RPC of etcd 3.5 by its path under /v3/, offered here or not: what gRPC calls it, and how it streams. */
export interface Rpc {
  readonly service: string;
  readonly method: string;
  readonly type: 'unary' | 'server_stream' | 'bidi_stream';
}

type Listed = readonly [path: string, method: string, type?: Rpc['type']];

const services: Readonly<Record<string, readonly Listed[]>> = {
  'etcdserverpb.KV': [
    ['kv/range', 'Range'],
    ['kv/put', 'Put'],
    ['kv/deleterange', 'DeleteRange'],
    ['kv/txn', 'Txn'],
    ['kv/compaction', 'Compact'],
  ],
  'etcdserverpb.Watch': [['watch', 'Watch', 'bidi_stream']],
  'etcdserverpb.Lease': [
    ['lease/grant', 'LeaseGrant'],
    ['lease/revoke', 'LeaseRevoke'],
    ['kv/lease/revoke', 'LeaseRevoke'],
    ['lease/keepalive', 'LeaseKeepAlive', 'bidi_stream'],
    ['lease/timetolive', 'LeaseTimeToLive'],
    ['kv/lease/timetolive', 'LeaseTimeToLive'],
    ['lease/leases', 'LeaseLeases'],
    ['kv/lease/leases', 'LeaseLeases'],
  ],
  'etcdserverpb.Cluster': [
    ['cluster/member/add', 'MemberAdd'],
    ['cluster/member/remove', 'MemberRemove'],
    ['cluster/member/update', 'MemberUpdate'],
    ['cluster/member/list', 'MemberList'],
    ['cluster/member/promote', 'MemberPromote'],
  ],
  'etcdserverpb.Maintenance': [
    ['maintenance/alarm', 'Alarm'],
    ['maintenance/status', 'Status'],
    ['maintenance/defragment', 'Defragment'],
    ['maintenance/hash', 'Hash'],
    ['maintenance/hashkv', 'HashKV'],
    ['maintenance/snapshot', 'Snapshot', 'server_stream'],
    ['maintenance/transfer-leadership', 'MoveLeader'],
    ['maintenance/downgrade', 'Downgrade'],
  ],
  'etcdserverpb.Auth': [
    ['auth/enable', 'AuthEnable'],
    ['auth/disable', 'AuthDisable'],
    ['auth/status', 'AuthStatus'],
    ['auth/authenticate', 'Authenticate'],
    ['auth/user/add', 'UserAdd'],
    ['auth/user/get', 'UserGet'],
    ['auth/user/list', 'UserList'],
    ['auth/user/delete', 'UserDelete'],
    ['auth/user/changepw', 'UserChangePassword'],
    ['auth/user/grant', 'UserGrantRole'],
    ['auth/user/revoke', 'UserRevokeRole'],
    ['auth/role/add', 'RoleAdd'],
    ['auth/role/get', 'RoleGet'],
    ['auth/role/list', 'RoleList'],
    ['auth/role/delete', 'RoleDelete'],
    ['auth/role/grant', 'RoleGrantPermission'],
    ['auth/role/revoke', 'RoleRevokePermission'],
  ],
  'v3lockpb.Lock': [
    ['lock/lock', 'Lock'],
    ['lock/unlock', 'Unlock'],
  ],
  'v3electionpb.Election': [
    ['election/campaign', 'Campaign'],
    ['election/proclaim', 'Proclaim'],
    ['election/leader', 'Leader'],
    ['election/observe', 'Observe', 'server_stream'],
    ['election/resign', 'Resign'],
  ],
};

export const rpcs: ReadonlyMap<string, Rpc> = new Map(
  Object.entries(services).flatMap(([service, listed]) =>
    listed.map(([path, method, type = 'unary']) => [path, { service, method, type }] as const),
  ),
);
