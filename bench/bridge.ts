/**
 * Starts the contender "bridge": src/bridge/main.ts (`npm run bridge`) in a process of its own, before
 * the Quorate that is measured by JSON too. It keeps no keys.
 */
import { join } from 'node:path';
import { Child, repoRoot } from './children.ts';
import type { Contender } from './contender.ts';

const startTimeoutMs = 20_000;

export async function startBridge(quorate: Contender): Promise<Contender> {
  const script = join(repoRoot, 'src', 'bridge', 'main.ts');
  const child = new Child('bridge', process.execPath, [
    ...['--disable-warning=ExperimentalWarning', script],
    ...['--target', quorate.url, '--listen', '127.0.0.1:0'],
  ]);
  const url = await child.until('URL', startTimeoutMs, () => {
    return /http:\/\/[^\s"/]+/.exec(child.output)?.[0] ?? null;
  });
  return {
    name: 'bridge',
    description: 'native gRPC for quorate, one Node process, as `npm run bridge` runs it',
    url,
    pids: [...quorate.pids, child.pid],
    stop: () => child.stop(),
  };
}
