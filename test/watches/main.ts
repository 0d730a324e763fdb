/**
 * `npm run watches`: many watchers of every kind, writers, and members that are aborted and evicted at
 * random: no watcher may miss a revision, hear one twice, in pieces or out of order, and no progress may
 * be ahead of the events.
 *
 *   --seed 1            of the faults
 *   --fault-ms 600      between two faults; 0: none
 *   --url URL           a server that is running already, with CHAOS=true
 *
 *   --events 1000000    to be told to all watchers together
 *   --watchers 100      over HTTP, WebSockets and server-sent events
 *
 * With --bridge they are watches of one gRPC connection, as etcd's clients hold it, and the bridge is restarted once in
 * the middle:
 *
 *   --watches 1000
 *   --streams 1         that carry them
 *   --puts-a-second 100
 *   --minutes 10
 *   --restart SIGTERM   how the bridge is ended; or SIGKILL
 *
 * Ends with 1 when there is a violation.
 */
import { parseArgs } from 'node:util';
import { runCommand } from '../support/command.ts';
import { runBridgeWatches } from '../support/watches/bridge/run.ts';
import { runWatches } from '../support/watches/run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    'fault-ms': { type: 'string', default: '600' },
    url: { type: 'string' },
    events: { type: 'string', default: '1000000' },
    watchers: { type: 'string', default: '100' },
    bridge: { type: 'boolean', default: false },
    watches: { type: 'string', default: '1000' },
    streams: { type: 'string', default: '1' },
    'puts-a-second': { type: 'string', default: '100' },
    minutes: { type: 'string', default: '10' },
    restart: { type: 'string', default: 'SIGTERM' },
  },
});

const common = {
  seed: Number(values.seed),
  faultEveryMs: Number(values['fault-ms']),
  log: (text: string) => console.error(text),
};
const putsPerSecond = Number(values['puts-a-second']);

await runCommand(values.url, ({ url, pid }) =>
  values.bridge
    ? runBridgeWatches({
        ...common,
        url,
        workerdPid: pid ?? null,
        watches: Number(values.watches),
        streams: Number(values.streams),
        puts: Math.round(Number(values.minutes) * 60 * putsPerSecond),
        putsPerSecond,
        restart: values.restart === 'SIGKILL' ? 'SIGKILL' : 'SIGTERM',
      })
    : runWatches({
        ...common,
        url,
        events: Number(values.events),
        watchers: Number(values.watchers),
      }),
);
