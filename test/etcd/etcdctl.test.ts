/**
 * etcdctl, the same commands against a real etcd and against Quorate through the bridge: what it prints and how it
 * ends has to be the same (docs/clients.md). Debian: etcd-server, etcd-client.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startBridge } from '../support/bridge.ts';
import { etcdVersion, withEtcd } from '../support/etcd.ts';
import { withServer } from '../support/server.ts';

const hasEtcdctl = spawnSync('etcdctl', ['version']).status === 0;
const isMissing = etcdVersion() === null || !hasEtcdctl;
if (isMissing) console.log('No etcd and etcdctl on the PATH (Debian: etcd-server, etcd-client).');

interface Group {
  readonly name: string;
  readonly commands: readonly string[];
}

function groups(): Group[] {
  const text = readFileSync('test/etcd/etcdctl/commands.txt', 'utf8');
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [name = '', ...lines] = part.split('\n');
      return { name, commands: lines.filter((line) => line !== '' && !line.startsWith('#')) };
    });
}

interface Said {
  readonly command: string;
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function run(command: string, endpoint: string): Promise<Said> {
  const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: endpoint };
  const child = spawn('sh', ['-c', command], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const text = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => {
    text.out += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    text.err += data;
  });
  return new Promise((resolve) => {
    child.on('close', (status) => {
      const { out, err } = text;
      resolve({ command, status, out: alike(out, endpoint), err: alike(err, endpoint) });
    });
  });
}

/** Without what differs between any two clusters: ids, terms, addresses, times, what is left of a lease. */
function alike(text: string, endpoint: string): string {
  return (
    text
      .replaceAll(endpoint, 'ENDPOINT')
      .replaceAll(/\b3\.[45]\.\d+\b/g, 'VERSION')
      .replaceAll(/endpoint:\/\/client-[0-9a-f-]+\//g, 'CLIENT/')
      .replaceAll(/"(cluster_id|member_id|raft_term|ID|lease|id)":\d+/g, '"$1":N')
      .replaceAll(/"(ClusterID|MemberID|RaftTerm|Lease)" : -?\d+/g, '"$1" : N')
      .replaceAll(/took = [\d.]+\w+/g, 'took = T')
      .replaceAll(/"ts":"[^"]+"/g, '"ts":T')
      .replaceAll(/"(ttl)":\d+/g, '"$1":N')
      .replaceAll(/\b[0-9a-f]{14,16}\b/g, 'HEX')
      // Printed in 16 columns.
      .replaceAll(/ +HEX/g, ' HEX')
      .replaceAll(/remaining\(\d+s\)/g, 'remaining(N)')
  );
}

async function all(commands: readonly string[], endpoint: string): Promise<Said[]> {
  const said: Said[] = [];
  for (const command of commands) said.push(await run(command, endpoint));
  return said;
}

describe.skipIf(isMissing)('etcdctl says the same of', () => {
  it.each(groups())('$name', async ({ commands }) => {
    const theirs = await withEtcd((url) => all(commands, url.replace('http://', '')));
    const ours = await withServer({ members: 3 }, async ({ url }) => {
      const bridge = await startBridge(url);
      try {
        return await all(commands, bridge.address);
      } finally {
        await bridge.stop();
      }
    });
    expect(ours).toEqual(theirs);
  });
});
