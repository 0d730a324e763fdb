/**
 * `npm run serve`: the built Worker on plain workerd, in one process, data on the local disk.
 *
 *   PORT          2379         0: any free port
 *   HOST          127.0.0.1
 *   DATA_DIR      .quorate
 *   MEMBERS       3            members of a group that is created: 1, 3 or 5
 *   PREFERRED_LEADERS          places that should lead, best first: 2,1,3
 *   CORS_ORIGINS               origins whose pages may use /v1, separated by commas; *: all
 *   QUOTA_BYTES   2147483648   of each tenant's database; 4 GiB at most
 *   AUTO_COMPACTION_RETENTION  history that is kept, as etcd has it: 1h, or 1000; else only clients compact
 *   AUTO_COMPACTION_MODE       periodic (the default) or revision
 *   OPEN_TENANTS  true         any well-formed name under /t/ is a tenant (else none is)
 *   API_TOKEN                  the secret that clients send as a bearer token
 *   OPEN_DEFAULT  true, or false when API_TOKEN is set
 *   CHAOS         false        fault injection routes
 *   EVICT_IDLE    false        evict idle objects, as the platform does (docs/decisions/serve.md)
 *
 * Prints one line with the URL once it answers. Ends on SIGTERM and SIGINT with status 0, after
 * workerd has ended; with another status when it cannot start or workerd ends by itself.
 */
import { settingsFault } from '../src/node-do/settings.ts';
import { stopRequest } from './serving/stop-request.ts';
import type { UpkeepVariables } from './serving/workerd-config.ts';
import { type ServiceSettings, startService } from './serving/workerd-process.ts';

function settingsFromEnvironment(env: NodeJS.ProcessEnv): ServiceSettings {
  const apiToken = env.API_TOKEN || undefined;
  return {
    host: env.HOST || '127.0.0.1',
    port: integer('PORT', env.PORT, 2379, '0 to 65535', (port) => port >= 0 && port < 65_536),
    dataDirectory: env.DATA_DIR || '.quorate',
    members: integer('MEMBERS', env.MEMBERS, 3, '1, 3 or 5', (members) =>
      [1, 3, 5].includes(members),
    ),
    corsOrigins: env.CORS_ORIGINS ?? '',
    preferredLeaders: places('PREFERRED_LEADERS', env.PREFERRED_LEADERS ?? ''),
    upkeep: upkeep(env),
    openTenants: flag('OPEN_TENANTS', env.OPEN_TENANTS, true),
    openDefault: flag('OPEN_DEFAULT', env.OPEN_DEFAULT, apiToken === undefined),
    chaos: flag('CHAOS', env.CHAOS, false),
    evictIdle: flag('EVICT_IDLE', env.EVICT_IDLE, false),
    apiToken,
    log: 'inherit',
  };
}

function integer(
  name: string,
  value: string | undefined,
  fallback: number,
  allowed: string,
  accept: (value: number) => boolean,
): number {
  if (value === undefined || value === '') return fallback;
  const parsed = Number(value);
  if (!Number.isInteger(parsed) || !accept(parsed))
    throw new Error(`${name}=${value} is not allowed: it is ${allowed}`);
  return parsed;
}

function places(name: string, list: string): string {
  if (!/^([1-9][0-9]{0,2}(,[1-9][0-9]{0,2})*)?$/.test(list))
    throw new Error(`${name}=${list} is not allowed: it is a list of places, 2,1,3`);
  return list;
}

function upkeep(env: NodeJS.ProcessEnv): UpkeepVariables {
  const { QUOTA_BYTES = '', AUTO_COMPACTION_MODE = '', AUTO_COMPACTION_RETENTION = '' } = env;
  const variables = { QUOTA_BYTES, AUTO_COMPACTION_MODE, AUTO_COMPACTION_RETENTION };
  const fault = settingsFault(variables);
  if (fault) throw new Error(fault);
  return variables;
}

function flag(name: string, value: string | undefined, fallback: boolean): boolean {
  if (value === undefined || value === '') return fallback;
  if (value !== 'true' && value !== 'false') throw new Error(`${name}=${value}: true or false`);
  return value === 'true';
}

async function main(): Promise<number> {
  const stopRequested = stopRequest('serve');
  const service = await startService(settingsFromEnvironment(process.env));
  console.log(`Quorate is listening on ${service.url}`);
  const event = await Promise.race([stopRequested, service.ended]);
  if (event === undefined) {
    await service.stop();
    return 0;
  }
  console.error(`workerd ended (${event.signal ?? `exit code ${event.code}`})`);
  return 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
