/** Starts what was asked for: services with keys in them, what stands before them; each is checked. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { startBridge } from './bridge.ts';
import { startCanned } from './canned.ts';
import { type Contender, ContenderMissing, type ContenderName, type Service } from './contender.ts';
import { etcdGrpc, startEtcd } from './etcd.ts';
import { startPlain } from './plain.ts';
import { checkContender, preload } from './preload.ts';
import { type Quorate, startQuorate } from './quorate.ts';

export interface Contenders {
  /** In the order in which they were asked for; those that cannot run here are missing. */
  readonly measured: readonly Contender[];
  /** If it is among them. */
  readonly quorate: Quorate | null;
  stop(): Promise<void>;
}

interface Services {
  readonly quorate: Quorate | null;
  readonly plain: Service | null;
  readonly etcd: Service | null;
}

export async function startContenders(
  names: readonly ContenderName[],
  directory: string,
  log: (text: string) => void,
): Promise<Contenders> {
  const services = await startServices(names, directory, log);
  const measured: Contender[] = [];
  for (const name of names) {
    const contender = await contenderOf(name, services);
    if (contender === null) continue;
    log(`${name}: ready at ${contender.url}`);
    console.log(`${name}: ${contender.description}`);
    measured.push(contender);
  }
  return {
    measured,
    quorate: names.includes('quorate') ? services.quorate : null,
    stop: async () => {
      const all = new Set([...measured, ...Object.values(services)]);
      await Promise.all([...all].map((contender) => contender?.stop()));
    },
  };
}

/** Together, since most of that is waiting for one thread of each. */
async function startServices(
  names: readonly ContenderName[],
  directory: string,
  log: (text: string) => void,
): Promise<Services> {
  const startIfNeeded = async <T extends Service>(
    name: ContenderName,
    start: (directory: string) => Promise<T>,
    front?: ContenderName,
  ): Promise<T | null> => {
    if (!names.includes(name) && !(front && names.includes(front))) return null;
    try {
      return await startService(start, join(directory, name));
    } catch (error) {
      if (!(error instanceof ContenderMissing)) throw error;
      log(`${name}: left out: ${error.message}`);
      return null;
    }
  };
  const [quorate, plain, etcd] = await Promise.all([
    startIfNeeded('quorate', startQuorate, 'bridge'),
    startIfNeeded('plain', startPlain),
    startIfNeeded('etcd', startEtcd, 'etcd-grpc'),
  ]);
  return { quorate, plain, etcd };
}

async function startService<T extends Service>(
  start: (directory: string) => Promise<T>,
  directory: string,
): Promise<T> {
  mkdirSync(directory, { recursive: true });
  const service = await start(directory);
  await preload(service);
  await checkContender(service);
  return service;
}

/** Null: what it needs cannot run here. */
async function contenderOf(name: ContenderName, services: Services): Promise<Contender | null> {
  const { quorate, etcd } = services;
  switch (name) {
    case 'quorate':
    case 'plain':
    case 'etcd':
      return services[name];
    case 'bridge':
      return quorate && checked(await startBridge(quorate));
    case 'etcd-grpc':
      return etcd && checked(etcdGrpc(etcd));
    case 'canned':
      return startCanned();
    default:
      return name satisfies never;
  }
}

async function checked(contender: Contender): Promise<Contender> {
  await checkContender(contender);
  return contender;
}
