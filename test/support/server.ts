/**
 * Quorate as a black box: the built Worker on plain workerd, as `npm run serve` runs it, on a free
 * port and a data directory of its own.
 *
 * Whoever starts a server stops it; `withServer` does.
 */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { UpkeepVariables } from '../../scripts/serving/workerd-config.ts';
import { type Service, startService } from '../../scripts/serving/workerd-process.ts';

export interface ServerOptions {
  /** Default: any free one, kept over restarts. */
  readonly port?: number;
  /** Default: a fresh directory that is removed by `stop`. A directory that is given is kept. */
  readonly dataDir?: string;
  readonly members?: 1 | 3 | 5;
  readonly chaos?: boolean;
  /** What `npm run serve` would take from the environment: EVICT_IDLE, API_TOKEN and so on. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Server {
  readonly url: string;
  readonly dataDir: string;
  /** workerd's own process; another one after a restart. */
  readonly pid: number;
  /** What workerd has printed so far. */
  log(): string;
  stop(): Promise<void>;
  /** SIGKILL to workerd; the data stays for `restart`. */
  kill9(): Promise<void>;
  /** Starts again on the same port and data; stops what still runs first. */
  restart(): Promise<void>;
}

/** A server for as long as `use` runs. What it printed is shown when `use` throws. */
export async function withServer<Result>(
  options: ServerOptions,
  use: (server: Server) => Promise<Result>,
): Promise<Result> {
  const server = await startServer(options);
  try {
    return await use(server);
  } catch (error) {
    console.error(`The log of the server:\n${server.log().slice(-4_000)}`);
    throw error;
  } finally {
    await server.stop();
  }
}

function upkeepIn(env: Readonly<Record<string, string | undefined>>): UpkeepVariables {
  const { QUOTA_BYTES = '', AUTO_COMPACTION_MODE = '', AUTO_COMPACTION_RETENTION = '' } = env;
  return { QUOTA_BYTES, AUTO_COMPACTION_MODE, AUTO_COMPACTION_RETENTION };
}

export async function startServer(options: ServerOptions = {}): Promise<Server> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'quorate-'));
  const logFile = join(dataDir, 'workerd.log');
  const env = options.env ?? {};
  const launch = (port: number): Promise<Service> =>
    startService({
      host: '127.0.0.1',
      port,
      dataDirectory: dataDir,
      members: options.members ?? 3,
      preferredLeaders: '',
      corsOrigins: env.CORS_ORIGINS ?? '',
      upkeep: upkeepIn(env),
      chaos: options.chaos ?? false,
      openTenants: env.OPEN_TENANTS !== 'false',
      openDefault: env.OPEN_DEFAULT === undefined ? !env.API_TOKEN : env.OPEN_DEFAULT === 'true',
      evictIdle: env.EVICT_IDLE === 'true',
      apiToken: env.API_TOKEN,
      log: { file: logFile },
    });
  const log = () => readFileSync(logFile, 'utf8');
  let service: Service;
  try {
    service = await launch(options.port ?? 0);
  } catch (cause) {
    throw new Error(`the server did not start; its log:\n${log()}`, { cause });
  }
  const { port } = service;
  const stop = async () => {
    await service.stop();
    if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
  };
  return {
    url: service.url,
    dataDir,
    get pid() {
      return service.pid;
    },
    log,
    stop,
    kill9: () => service.kill9(),
    async restart() {
      await service.stop();
      service = await launch(port);
    },
  };
}
