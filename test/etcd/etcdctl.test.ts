/**
 * etcdctl, the same commands against a real etcd and against Quorate through the bridge: what it prints and how it
 * ends has to be the same (docs/clients.md). Debian: etcd-server, etcd-client.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startBridge } from '../support/bridge.ts';
import { type EtcdOptions, withEtcd } from '../support/etcd.ts';
import { withServer } from '../support/server.ts';
import { isEtcdctlMissing, run, type Said, tlsFiles } from './etcdctl/run.ts';

const isMissing = isEtcdctlMissing();
/** Some commands last until a signal, or a time that they are given. */
const groupMs = 600_000;

interface Group {
  readonly name: string;
  readonly commands: readonly string[];
}

function groups(file: string): Group[] {
  const text = readFileSync(`test/etcd/etcdctl/${file}`, 'utf8');
  return text
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const [name = '', ...lines] = part.split('\n');
      return { name, commands: lines.filter((line) => line !== '' && !line.startsWith('#')) };
    });
}

const hostOf = (url: string) => url.replace(/^https?:\/\//, '');

async function all(commands: readonly string[], endpoints: readonly string[]): Promise<Said[]> {
  const files = mkdtempSync(join(tmpdir(), 'quorate-etcdctl-'));
  const said: Said[] = [];
  try {
    for (const command of commands) said.push(await run(command, endpoints, files));
  } finally {
    rmSync(files, { recursive: true, force: true });
  }
  return said;
}

function etcdSays(commands: readonly string[], options: EtcdOptions): Promise<Said[]> {
  return withEtcd((_, { urls, tlsUrl }) => {
    const endpoints = tlsUrl === '' ? urls : [tlsUrl];
    return all(commands, endpoints.map(hostOf));
  }, options);
}

function quorateSays(commands: readonly string[], bridgeArgs: readonly string[]): Promise<Said[]> {
  return withServer({ members: 3 }, async ({ url }) => {
    const bridge = await startBridge(url, bridgeArgs);
    try {
      return await all(commands, [bridge.address]);
    } finally {
      await bridge.stop();
    }
  });
}

const tlsArgs = [
  ...['--cert', tlsFiles.cert, '--key', tlsFiles.key],
  ...['--trusted-ca', tlsFiles.authority, '--client-cert-auth'],
];

describe.skipIf(isMissing)('etcdctl says the same of', () => {
  it.each(groups('commands.txt'))(
    '$name',
    async ({ commands }) => {
      const theirs = await etcdSays(commands, {});
      expect(await quorateSays(commands, [])).toEqual(theirs);
    },
    groupMs,
  );

  it.each(groups('cluster.txt'))(
    'three members: $name',
    async ({ commands }) => {
      const theirs = await etcdSays(commands, { members: 3 });
      expect(await quorateSays(commands, [])).toEqual(theirs);
    },
    groupMs,
  );

  it.each(groups('tls.txt'))(
    '$name',
    async ({ commands }) => {
      const theirs = await etcdSays(commands, { tls: tlsFiles });
      expect(await quorateSays(commands, tlsArgs)).toEqual(theirs);
    },
    groupMs,
  );
});
