/** A real etcd, where one is installed (Debian: etcd-server), fresh: of one member, unless more are asked for. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const startTimeoutMs = 20_000;

export interface EtcdOptions {
  readonly members?: 1 | 3;
  /** A second address of each member, over TLS, for who shows a certificate of `authority`. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly authority: string };
}

export interface Etcd {
  /** Of each member, without TLS. */
  readonly urls: readonly string[];
  /** Of the first member; empty without the option. */
  readonly tlsUrl: string;
}

/** For example "3.4.30"; null when there is no etcd on the PATH. */
export function etcdVersion(): string | null {
  const { stdout } = spawnSync('etcd', ['--version'], { encoding: 'utf8' });
  return /etcd Version: (\S+)/.exec(stdout ?? '')?.[1] ?? null;
}

/** An etcd for as long as `use` runs; `url` is its first member's. */
export async function withEtcd<Result>(
  use: (url: string, etcd: Etcd) => Promise<Result>,
  options: EtcdOptions = {},
): Promise<Result> {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-etcd-'));
  const members = await membersOf(options);
  const children = members.map(({ name, args }) =>
    spawn('etcd', ['--data-dir', join(directory, name), ...args], { stdio: 'ignore' }),
  );
  const ended = children.map((child) => once(child, 'exit'));
  const urls = members.map(({ url }) => url);
  try {
    for (const [at, child] of children.entries()) await untilHealthy(urls[at] as string, child);
    return await use(urls[0] as string, { urls, tlsUrl: members[0]?.tlsUrl ?? '' });
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await Promise.all(ended);
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Member {
  readonly name: string;
  readonly url: string;
  readonly tlsUrl: string;
  readonly args: readonly string[];
}

async function membersOf({ members = 1, tls }: EtcdOptions): Promise<Member[]> {
  const names = members === 1 ? ['default'] : ['etcd-1', 'etcd-2', 'etcd-3'];
  const peers: string[] = [];
  for (const _ of names) peers.push(`http://127.0.0.1:${await freePort()}`);
  const cluster = names.map((name, at) => `${name}=${peers[at]}`).join();
  const all: Member[] = [];
  for (const [at, name] of names.entries()) {
    const url = `http://127.0.0.1:${await freePort()}`;
    const tlsUrl = tls === undefined ? '' : `https://127.0.0.1:${await freePort()}`;
    const clients = tls === undefined ? url : `${url},${tlsUrl}`;
    const peer = peers[at] as string;
    const args = [
      ...['--name', name, '--log-level', 'error'],
      ...['--listen-client-urls', clients, '--advertise-client-urls', clients],
      ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer],
      ...['--initial-cluster', cluster],
    ];
    if (tls !== undefined) {
      args.push('--cert-file', tls.cert, '--key-file', tls.key);
      args.push('--trusted-ca-file', tls.authority, '--client-cert-auth');
    }
    all.push({ name, url, tlsUrl, args });
  }
  return all;
}

async function untilHealthy(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + startTimeoutMs;
  while (Date.now() < deadline && child.exitCode === null) {
    try {
      if ((await fetch(`${url}/health`)).ok) return;
    } catch {
      // Not yet.
    }
    await sleep(50);
  }
  throw new Error('etcd did not start');
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
