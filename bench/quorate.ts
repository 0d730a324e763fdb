/**
 * Starts the contender "quorate" the way an operator does, with scripts/serve.ts (`npm run serve`):
 * the built Worker on plain workerd, a group of three for the default tenant, data on disk.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Child, freePorts, processTree, repoRoot } from './children.ts';
import { ContenderMissing, type Service } from './contender.ts';

const memberCount = 3;
const startTimeoutMs = 60_000;

export interface Quorate extends Service {
  /** Where its objects keep their files. */
  readonly dataDirectory: string;
}

export async function startQuorate(directory: string): Promise<Quorate> {
  const script = join(repoRoot, 'scripts', 'serve.ts');
  if (!existsSync(script)) throw new ContenderMissing('scripts/serve.ts is not there');
  const dataDirectory = join(directory, 'data');
  mkdirSync(dataDirectory, { recursive: true });
  const [port] = await freePorts(1);
  const child = new Child(
    'quorate',
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script],
    {
      PORT: String(port),
      HOST: '127.0.0.1',
      DATA_DIR: dataDirectory,
      MEMBERS: String(memberCount),
    },
  );
  const url = await child.until('URL', startTimeoutMs, () => {
    return /http:\/\/[^\s"/]+/.exec(child.output)?.[0] ?? null;
  });
  return {
    name: 'quorate',
    description: `a group of ${memberCount} in one workerd process, as \`npm run serve\` runs it`,
    url,
    // Not the script itself: it only waits.
    pids: processTree(child.pid).slice(1),
    preloadBatch: 100,
    dataDirectory,
    stop: () => child.stop(),
  };
}
