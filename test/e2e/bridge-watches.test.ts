/**
 * A small run of `npm run watches -- --bridge`: the watches of one gRPC connection lose no event and repeat none while
 * it is written through, members are aborted and evicted, and the bridge is restarted.
 *
 *   BRIDGE_WATCHES  40
 *   BRIDGE_PUTS     160
 *   BRIDGE_SEED     1     of writers and faults
 */
import { expect, it } from 'vitest';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';
import { runBridgeWatches } from '../support/watches/bridge/run.ts';

const watches = numberFromEnvironment('BRIDGE_WATCHES', 40);
const puts = numberFromEnvironment('BRIDGE_PUTS', 160);
const seed = numberFromEnvironment('BRIDGE_SEED', 1);
/** A loaded machine takes many times as long as one at rest. */
const withinMs = 180_000;

it(
  `watches of one connection miss nothing and hear nothing twice (BRIDGE_SEED=${seed})`,
  async () => {
    await withServer({ members: 3, chaos: true }, async ({ url, pid }) => {
      const load = { watches, streams: 4, puts, putsPerSecond: 100, seed };
      const faults = { restart: 'SIGKILL', faultEveryMs: 800 } as const;
      const log = (text: string) => console.log(text);
      const report = await runBridgeWatches({ url, workerdPid: pid, ...load, ...faults, log });
      console.log(JSON.stringify(report));
      expect(report.violations).toEqual([]);
      expect(report.resumed).toBe(load.streams);
      expect(report.faults).toBeGreaterThan(0);
      expect(report.fragments).toBeGreaterThan(0);
    });
  },
  withinMs,
);
