/** Starts what was asked for: services with keys in them, what stands before them, each checked. */
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

type Log = (text: string) => void;

export async function startContenders(
  names: readonly ContenderName[],
  directory: string,
  log: Log,
): Promise<Contenders> {
  const started = new Map<ContenderName, Contender | null>();
  const service = async <T extends Service>(
    name: ContenderName,
    start: (directory: string) => Promise<T>,
  ): Promise<T | null> => {
    const before = started.get(name);
    if (before !== undefined) return before as T | null;
    const contender = await startService(name, start, join(directory, name), log);
    started.set(name, contender);
    return contender;
  };
  const quorate = () => service('quorate', startQuorate);
  const etcd = () => service('etcd', startEtcd);
  const front = async <T>(
    before: T | null,
    start: (before: T) => Contender | Promise<Contender>,
  ) => {
    if (before === null) return null;
    const contender = await start(before);
    await checkContender(contender);
    return contender;
  };
  const startOne = async (name: ContenderName): Promise<Contender | null> => {
    switch (name) {
      case 'quorate':
        return quorate();
      case 'plain':
        return service('plain', startPlain);
      case 'etcd':
        return etcd();
      case 'bridge':
        return front(await quorate(), startBridge);
      case 'etcd-grpc':
        return front(await etcd(), etcdGrpc);
      case 'canned':
        return startCanned();
      default:
        return name satisfies never;
    }
  };
  const measured: Contender[] = [];
  for (const name of names) {
    const contender = await startOne(name);
    started.set(name, contender);
    if (contender === null) continue;
    log(`${name}: ready at ${contender.url}`);
    console.log(`${name}: ${contender.description}`);
    measured.push(contender);
  }
  return {
    measured,
    quorate: names.includes('quorate') ? await quorate() : null,
    stop: async () => {
      await Promise.all([...started.values()].map((contender) => contender?.stop()));
    },
  };
}

async function startService<T extends Service>(
  name: ContenderName,
  start: (directory: string) => Promise<T>,
  directory: string,
  log: Log,
): Promise<T | null> {
  mkdirSync(directory, { recursive: true });
  try {
    const contender = await start(directory);
    await preload(contender);
    await checkContender(contender);
    return contender;
  } catch (error) {
    if (!(error instanceof ContenderMissing)) throw error;
    log(`${name}: left out: ${error.message}`);
    return null;
  }
}
