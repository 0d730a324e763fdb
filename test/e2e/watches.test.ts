/**
 * A small run of `npm run watches`: watchers of every kind see the whole history, each revision once and
 * whole, while members are aborted and evicted.
 *
 *   WATCH_EVENTS    30000   to be told to all watchers together
 *   WATCH_WATCHERS  30
 *   WATCH_SEED      1       of the faults
 */
import { expect, it } from 'vitest';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';
import { runWatches } from '../support/watches/run.ts';

const events = numberFromEnvironment('WATCH_EVENTS', 30_000);
const watchers = numberFromEnvironment('WATCH_WATCHERS', 30);
const seed = numberFromEnvironment('WATCH_SEED', 1);

it(`watchers miss nothing and hear nothing twice while members die (WATCH_SEED=${seed})`, async () => {
  await withServer({ members: 3, chaos: true }, async ({ url }) => {
    const log = (text: string) => console.log(text);
    const report = await runWatches({ url, watchers, events, seed, faultEveryMs: 600, log });
    console.log(JSON.stringify(report));
    expect(report.violations).toEqual([]);
    expect(report.events).toBeGreaterThanOrEqual(events);
    expect(report.progress).toBeGreaterThan(0);
  });
});
