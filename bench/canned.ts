/**
 * Starts the contender "canned": a gRPC server that does nothing but answer. How fast it seems is how
 * fast the load generator for gRPC is at least; a contender that comes near is measured too slow.
 */
import { join } from 'node:path';
import { Child } from './children.ts';
import type { Contender } from './contender.ts';

const startTimeoutMs = 10_000;

export async function startCanned(): Promise<Contender> {
  const script = join(import.meta.dirname, 'canned-server.ts');
  const args = ['--disable-warning=ExperimentalWarning', script];
  const child = new Child('canned', process.execPath, args);
  const url = await child.until('URL', startTimeoutMs, () => {
    return /http:\/\/\S+/.exec(child.output)?.[0] ?? null;
  });
  return {
    name: 'canned',
    description: 'answers made beforehand, by node:http2: what the load generator can do',
    url,
    pids: [child.pid],
    stop: () => child.stop(),
  };
}
