/**
 * Starts the contender "plain": bundles plain.worker.ts with esbuild and serves it with the same
 * workerd binary and the same settings as scripts/serving/workerd-config.ts gives Quorate.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { type Compatibility, readCompatibility } from '../scripts/serving/build-worker.ts';
import { Child, freePorts } from './children.ts';
import type { Service } from './contender.ts';
import { workerdPath } from './workerd.ts';

const startTimeoutMs = 20_000;

export async function startPlain(directory: string): Promise<Service> {
  const data = join(directory, 'data');
  mkdirSync(data, { recursive: true });
  await build({
    entryPoints: [join(import.meta.dirname, 'plain.worker.ts')],
    outfile: join(directory, 'worker.js'),
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    logLevel: 'error',
  });
  const [port] = await freePorts(1);
  const config = join(directory, 'config.capnp');
  writeFileSync(config, configText(port as number, data, await readCompatibility()));
  const child = new Child('plain Durable Object', workerdPath, ['serve', config]);
  const url = `http://127.0.0.1:${port}`;
  await child.until('answer', startTimeoutMs, async () => {
    const reply = await fetch(`${url}/health`).catch(() => null);
    return reply?.ok ? reply.text() : null;
  });
  return {
    name: 'plain',
    description: 'Hono router and one Durable Object, one SQLite statement per request',
    url,
    pids: [child.pid],
    preloadBatch: 1,
    stop: () => child.stop(),
  };
}

function configText(port: number, data: string, { date, flags }: Compatibility): string {
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "data", disk = (path = "${data}", writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "${date}",
  compatibilityFlags = [${flags.map((flag) => `"${flag}"`).join(', ')}],
  durableObjectNamespaces = [
    (className = "PlainStore", uniqueKey = "bench-plain", enableSql = true, preventEviction = true),
  ],
  durableObjectStorage = (localDisk = "data"),
  bindings = [(name = "PLAIN", durableObjectNamespace = "PlainStore")],
);
`;
}
