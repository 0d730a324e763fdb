/**
 * A small run of `npm run locks`: clients of every kind contend for one lock while members are aborted and
 * evicted; what it protects never goes back, and nobody holds it besides.
 *
 *   LOCK_SECONDS  10
 *   LOCK_CLIENTS  15
 *   LOCK_SEED     1    of clients and faults
 */
import { expect, it } from 'vitest';
import { runLocks } from '../support/locks/run.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const seconds = numberFromEnvironment('LOCK_SECONDS', 10);
const clients = numberFromEnvironment('LOCK_CLIENTS', 15);
const seed = numberFromEnvironment('LOCK_SEED', 1);
const timeoutMs = seconds * 1_000 + 200_000;

it(
  `a lock has one holder, and what it fences never goes back, while members die (LOCK_SEED=${seed})`,
  async () => {
    await withServer({ members: 3, chaos: true }, async ({ url }) => {
      const log = (text: string) => console.log(text);
      const report = await runLocks({ url, clients, seconds, seed, faultEveryMs: 600, log });
      console.log(JSON.stringify(report));
      expect(report.violations).toEqual([]);
      // Or it has not shown anything.
      for (const kind of ['service', 'own', 'rest']) expect(report.held[kind]).toBeGreaterThan(0);
      expect(report.refused).toBeGreaterThan(0);
      expect(report.written).toBeGreaterThan(0);
    });
  },
  timeoutMs,
);
