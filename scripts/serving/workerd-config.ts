/**
 * The Cap'n Proto text that plain workerd is started with: one Worker, one namespace of objects on
 * the local disk, one HTTP socket.
 */
import type { Compatibility } from './build-worker.ts';

/** Quota and automatic compaction (src/node-do/settings.ts). */
export interface UpkeepVariables {
  readonly QUOTA_BYTES?: string;
  readonly AUTO_COMPACTION_MODE?: string;
  readonly AUTO_COMPACTION_RETENTION?: string;
}

export interface WorkerSettings {
  readonly host: string;
  /** 0: any free port; workerd reports the one it took. */
  readonly port: number;
  /** Absolute path of the directory with the databases of the objects. */
  readonly objectsDirectory: string;
  readonly members: number;
  /** Places that should lead, best first, separated by commas; empty: none. */
  readonly preferredLeaders: string;
  /** Origins whose pages may use /v1, separated by commas; empty: none. */
  readonly corsOrigins: string;
  /** What of these is absent has its default. */
  readonly upkeep?: UpkeepVariables;
  readonly openDefault: boolean;
  readonly openTenants: boolean;
  /** Fault injection routes, and the `workerd:unsafe` module they need. */
  readonly chaos: boolean;
  /** The secret travels by environment, so that it is never written to the config file. */
  readonly hasApiToken: boolean;
  /**
   * True: workerd evicts an object after some 10 s without a request, as the platform does, and
   * closing its database checkpoints the WAL: one file write per object of an idle tenant.
   * False: objects stay in memory, and an idle service writes to no file (docs/decisions/serve.md).
   */
  readonly evictIdle: boolean;
}

/** Changing it would orphan every database: part of the path of each. */
const objectsUniqueKey = 'quorate-raft-node';

/** `worker.js` must lie beside the file that this text is written to. */
export function workerdConfig(settings: WorkerSettings, compatibility: Compatibility): string {
  // `evict` of workerd:unsafe is refused for a namespace that prevents eviction.
  const preventEviction = !settings.evictIdle && !settings.chaos;
  const flags = settings.chaos ? [...compatibility.flags, 'unsafe_module'] : compatibility.flags;
  return `# Written by scripts/serve.ts at each start.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "quorate", worker = .quorate),
    (name = "objects", disk = (path = ${text(settings.objectsDirectory)}, writable = true)),
  ],
  sockets = [
    (name = "http", address = ${text(socketAddress(settings))}, http = (), service = "quorate"),
  ],
);

const quorate :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = ${text(compatibility.date)},
  compatibilityFlags = [${flags.map(text).join(', ')}],
  bindings = [
    (name = "RAFT_NODE", durableObjectNamespace = "RaftNode"),
${variableBindings(settings)}
  ],
  durableObjectNamespaces = [
    (className = "RaftNode", uniqueKey = ${text(objectsUniqueKey)}, enableSql = true, preventEviction = ${preventEviction}),
  ],
  durableObjectStorage = (localDisk = "objects"),
);
`;
}

function variableBindings(settings: WorkerSettings): string {
  const variables = {
    MEMBERS: String(settings.members),
    PREFERRED_LEADERS: settings.preferredLeaders,
    CORS_ORIGINS: settings.corsOrigins,
    ...settings.upkeep,
    OPEN_DEFAULT: String(settings.openDefault),
    OPEN_TENANTS: String(settings.openTenants),
    CHAOS: String(settings.chaos),
  };
  const lines = Object.entries(variables).map(
    ([name, value]) => `    (name = ${text(name)}, text = ${text(value)}),`,
  );
  if (settings.hasApiToken) lines.push('    (name = "API_TOKEN", fromEnvironment = "API_TOKEN"),');
  return lines.join('\n');
}

function socketAddress({ host, port }: WorkerSettings): string {
  return `${bracketed(host)}:${port}`;
}

/** An IPv6 address stands in brackets wherever a port follows. */
export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** A Cap'n Proto text literal: JSON's quoting, but it has no `\\u` for control characters. */
function text(value: string): string {
  if ([...value].some((character) => character < ' '))
    throw new Error('control character in a setting');
  return JSON.stringify(value);
}
