/**
 * Starts the contender "etcd": three etcd processes on loopback with fresh data directories, driven
 * through the JSON gateway of the leader. Settings are etcd's defaults, but for the log level.
 */
import { join } from 'node:path';
import { Child, freePorts, versionOf } from './children.ts';
import { type Contender, ContenderMissing, type Service } from './contender.ts';

const memberCount = 3;
const startTimeoutMs = 30_000;

export async function startEtcd(directory: string): Promise<Service> {
  const version = versionOf('etcd');
  if (version === null) throw new ContenderMissing('etcd is not on PATH');
  const ports = await freePorts(2 * memberCount);
  const members = Array.from({ length: memberCount }, (_, n) => ({
    name: `m${n + 1}`,
    client: `http://127.0.0.1:${ports[2 * n]}`,
    peer: `http://127.0.0.1:${ports[2 * n + 1]}`,
  }));
  const cluster = members.map(({ name, peer }) => `${name}=${peer}`).join(',');
  const children = members.map(({ name, client, peer }) => {
    const args = {
      name,
      'data-dir': join(directory, name),
      'listen-client-urls': client,
      'advertise-client-urls': client,
      'listen-peer-urls': peer,
      'initial-advertise-peer-urls': peer,
      'initial-cluster': cluster,
      'initial-cluster-state': 'new',
      'initial-cluster-token': `bench-${process.pid}`,
      logger: 'zap',
      'log-level': 'error',
    };
    return new Child(
      `etcd ${name}`,
      'etcd',
      Object.entries(args).map(([option, value]) => `--${option}=${value}`),
      // Debian's etcd starts on architectures etcd itself does not support only when told to.
      process.arch === 'x64' ? {} : { ETCD_UNSUPPORTED_ARCH: process.arch },
    );
  });
  const [first] = children;
  const url = await (first as Child).until('leader', startTimeoutMs, () => {
    return findLeader(members.map(({ client }) => client));
  });
  return {
    name: 'etcd',
    description: `${version.split('\n')[0]}, three processes, JSON gateway of the leader`,
    url,
    pids: children.map(({ pid }) => pid),
    preloadBatch: 100,
    stop: async () => {
      await Promise.all(children.map((child) => child.stop()));
    },
  };
}

/** The contender "etcd-grpc": the same processes, by the gRPC that the leader speaks at the same port. */
export function etcdGrpc({ description, url, pids }: Contender): Contender {
  return {
    name: 'etcd-grpc',
    description: description.replace('JSON gateway', 'own gRPC'),
    url,
    pids,
    // Its processes are the other contender's.
    stop: async () => {},
  };
}

/** The client URL of the leader, once every member is healthy. */
async function findLeader(urls: readonly string[]): Promise<string | null> {
  let leaderUrl: string | null = null;
  for (const url of urls) {
    const health = await fetch(`${url}/health`).catch(() => null);
    if (!health?.ok || !(await health.text()).includes('true')) return null;
    const reply = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' });
    const status = (await reply.json()) as { header?: { member_id: string }; leader?: string };
    if (status.leader !== undefined && status.leader === status.header?.member_id) leaderUrl = url;
  }
  return leaderUrl;
}
