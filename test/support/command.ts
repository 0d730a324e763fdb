/** A long run as a command: prints each violation and a line of counts, and ends with 1 when there is a violation. */
import { type Server, withServer } from './server.ts';

interface Report {
  readonly violations: readonly string[];
}

/** `url`: of a server that is running already; undefined: one is started, and its process is known. */
export async function runCommand(
  url: string | undefined,
  run: (server: Pick<Server, 'url'> & Partial<Pick<Server, 'pid'>>) => Promise<Report>,
): Promise<never> {
  const startedMs = performance.now();
  const { violations, ...counts } =
    url === undefined ? await withServer({ members: 3, chaos: true }, run) : await run({ url });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  for (const violation of violations) console.log(`VIOLATION ${violation}`);
  console.log(JSON.stringify({ seconds, violations: violations.length, ...counts }));
  process.exit(violations.length === 0 ? 0 : 1);
}
