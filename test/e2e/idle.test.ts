/**
 * Rest costs nothing: after a burst the service becomes quiet, and then does not do anything at all
 * until somebody asks: no message, no row, no file write, no processor time.
 *
 *   IDLE_SECONDS  20  how long to watch (a full run: 60)
 */
import { globSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { processStat } from '../../scripts/serving/processes.ts';
import type { MemberStatus } from '../../src/api/member.ts';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const idleSeconds = numberFromEnvironment('IDLE_SECONDS', 20);
const timeoutMs = 60_000 + idleSeconds * 1_000;
const quietWithinMs = 3_000;
/** Of 10 ms each: what the runtime itself spends on waking up now and then. */
const ticksAllowed = Math.max(3, Math.ceil(idleSeconds / 10));
const burstWrites = 200;
const tenants = ['default', ...Array.from({ length: 9 }, (_, index) => `tenant-${index}`)];

it(
  `an idle service does nothing for ${idleSeconds} s`,
  async () => {
    await withServer({ members: 3 }, async (server) => {
      for (const tenant of tenants) await burst(server.url, tenant);
      await sleep(quietWithinMs);

      const before = await statusOfAll(server.url);
      await sleep(100); // Let the answers of the status page itself be the last thing that happens.
      const filesBefore = databaseFiles(server.dataDir);
      const ticksBefore = cpuTicks(server.pid);
      expect(Object.keys(filesBefore).length).toBeGreaterThanOrEqual(tenants.length * 3);

      await sleep(idleSeconds * 1_000);

      const ticks = cpuTicks(server.pid) - ticksBefore;
      expect(databaseFiles(server.dataDir)).toEqual(filesBefore);
      expect(await statusOfAll(server.url)).toEqual(before);
      console.log(`${tenants.length} idle tenants, ${idleSeconds} s: ${ticks} ticks of 10 ms`);
      expect(ticks).toBeLessThanOrEqual(ticksAllowed);
      for (const members of before.values()) {
        for (const member of members) expect(member).toMatchObject({ atRest: true });
      }
    });
  },
  timeoutMs,
);

async function burst(url: string, tenant: string): Promise<void> {
  const gateway = new Gateway(url, tenant);
  const writes = Array.from({ length: burstWrites / tenants.length }, (_, index) =>
    gateway.put(`idle/${index}`, 'x'),
  );
  for (const outcome of await Promise.all(writes)) expect(outcome.acknowledged).toBe(true);
  await gateway.range({ key: 'idle/0' });
  gateway.close();
}

/** All that the members say of themselves, but for the question itself. */
async function statusOfAll(url: string): Promise<Map<string, Partial<MemberStatus>[]>> {
  const all = new Map<string, Partial<MemberStatus>[]>();
  for (const tenant of tenants) {
    const gateway = new Gateway(url, tenant);
    const { members } = await gateway.status();
    expect(members.length).toBe(3);
    gateway.close();
    all.set(tenant, members.map(withoutTheQuestion));
  }
  return all;
}

function withoutTheQuestion(member: MemberStatus): Partial<MemberStatus> {
  const { counters, ...rest } = member;
  return {
    ...rest,
    counters: { ...counters, requestsIn: { ...counters.requestsIn, status: 0 } },
  };
}

/** Size and time of the last write of every file of every database. */
function databaseFiles(dataDir: string): Record<string, string> {
  const directory = join(dataDir, 'objects');
  const files = globSync('**/*.sqlite*', { cwd: directory });
  return Object.fromEntries(
    files.sort().map((file) => {
      const { size, mtimeMs } = statSync(join(directory, file));
      return [file, `${size} bytes, written at ${mtimeMs}`];
    }),
  );
}

/** User and system time of the process (proc(5): fields 14 and 15; the list starts at the third). */
function cpuTicks(pid: number): number {
  const fields = processStat(pid);
  if (fields === null) throw new Error(`no process ${pid}`);
  return Number(fields[11]) + Number(fields[12]);
}
