/**
 * `npm run watches`: many watchers of every kind, writers, and members that are aborted and evicted at
 * random: no watcher may miss a revision, hear one twice, in pieces or out of order, and no progress may
 * be ahead of the events.
 *
 *   --events 1000000    to be told to all watchers together
 *   --watchers 100
 *   --seed 1            of the faults
 *   --fault-ms 600      between two faults; 0: none
 *   --url URL           a server that is running already, with CHAOS=true
 *
 * Ends with 1 when there is a violation.
 */
import { parseArgs } from 'node:util';
import { withServer } from '../support/server.ts';
import { runWatches } from '../support/watches/run.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    watchers: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    'fault-ms': { type: 'string', default: '600' },
    url: { type: 'string' },
  },
});

async function main(url: string): Promise<boolean> {
  const startedMs = performance.now();
  const { violations, ...counts } = await runWatches({
    url,
    events: Number(values.events),
    watchers: Number(values.watchers),
    seed: Number(values.seed),
    faultEveryMs: Number(values['fault-ms']),
    log: (text) => console.error(text),
  });
  const seconds = Math.round((performance.now() - startedMs) / 1_000);
  for (const violation of violations) console.log(`VIOLATION ${violation}`);
  console.log(JSON.stringify({ seconds, violations: violations.length, ...counts }));
  return violations.length === 0;
}

const isRight =
  values.url === undefined
    ? await withServer({ members: 3, chaos: true }, ({ url }) => main(url))
    : await main(values.url);
process.exit(isRight ? 0 : 1);
