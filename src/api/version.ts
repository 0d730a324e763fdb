/** The version of etcd that /v3 matches; clients choose by it what they may use. */
export const etcdVersions = { etcdserver: '3.5.30', etcdcluster: '3.5.0' } as const;
