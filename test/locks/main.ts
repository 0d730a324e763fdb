/**
 * `npm run locks`: many clients of every kind contend for one lock, with leases that end, while members are
 * aborted and evicted at random; what the lock protects must never go back, and nobody may hold it besides.
 *
 *   --clients 50
 *   --seconds 60
 *   --seed 1          of clients and faults
 *   --fault-ms 600    between two faults; 0: none
 *   --url URL         a server that is running already, with CHAOS=true and nothing written
 *
 * Ends with 1 when there is a violation.
 */
import { parseArgs } from 'node:util';
import { runCommand } from '../support/command.ts';
import { runLocks } from '../support/locks/run.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    'fault-ms': { type: 'string', default: '600' },
    url: { type: 'string' },
  },
});

await runCommand(values.url, ({ url }) =>
  runLocks({
    url,
    clients: Number(values.clients),
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    faultEveryMs: Number(values['fault-ms']),
    log: (text) => console.error(text),
  }),
);
