/** History that a deployment does not keep goes by itself, on the back of writes (docs/decisions/maintenance.md). */
import { describe, expect, it } from 'vitest';
import { AlarmType } from '../../src/api/gen/maintenance_pb.js';
import type { MemberRequest } from '../../src/api/gen/member_pb.js';
import type { AutoCompaction } from '../../src/node-do/settings.ts';
import { addRole, addUser, enable, giveRole } from '../kv/auth/support.ts';
import { raise } from '../kv/maintenance.ts';
import type { Cluster } from './cluster.ts';
import { born, get, persist, put, putOp, responseOf } from './support.ts';

const hourMs = 3_600_000;
const hourly: AutoCompaction = { mode: 'periodic', retentionMs: hourMs };
const kept: AutoCompaction = { mode: 'revision', revisions: 200 };

const withCompaction = (autoCompaction: AutoCompaction | null) =>
  born({ settings: { autoCompaction } });
const compacted = (cluster: Cluster, place = 1) => cluster.status(place).compactRevision;

async function puts(cluster: Cluster, count: number, value = 'v'): Promise<void> {
  for (let n = 0; n < count; n += 1) await put(cluster, 1, `k${n % 7}`, value);
}

/** A write each six minutes, the members asleep between. */
async function writeFor(cluster: Cluster, hours: number): Promise<void> {
  for (let n = 0; n < hours * 10; n += 1) {
    await persist(cluster, putOp('k', String(n)));
    await cluster.world.pass(30_000);
    cluster.evictResting();
    await cluster.world.pass(hourMs / 10 - 30_000);
  }
}

describe('by revisions', () => {
  it('leaves as many as are kept, and a few more', async () => {
    const cluster = await withCompaction(kept);
    await puts(cluster, 297);
    expect(compacted(cluster)).toBe(-1);
    for (let n = 0; n < 500; n += 1) {
      await put(cluster, 1, 'k', String(n));
      const { revision } = cluster.status(1);
      expect(revision - compacted(cluster)).toBeLessThanOrEqual(302);
      if (compacted(cluster) > 0) expect(revision - compacted(cluster)).toBeGreaterThanOrEqual(200);
    }
    expect(compacted(cluster)).toBeGreaterThan(400);
    await cluster.world.pass(5_000);
    expect([1, 2, 3].map((place) => compacted(cluster, place))).toEqual(
      Array.from({ length: 3 }, () => compacted(cluster)),
    );
  });

  it('makes room that is used again: overwritten keys take no more and no more', async () => {
    const cluster = await withCompaction(kept);
    const value = 'x'.repeat(1_024);
    await puts(cluster, 400, value);
    await cluster.world.pass(1_000);
    const bytes = () => cluster.sql(2).bytesInUse;
    const log = () => Number(cluster.sql(2).first('SELECT sum(length(data)) FROM raft_log')?.[0]);
    const before = bytes() - log();
    await puts(cluster, 1_000, value);
    await cluster.world.pass(1_000);
    expect(bytes() - log()).toBeLessThan(1.5 * before);
  });

  it('is the operator’s where users have to be known', async () => {
    const cluster = await withCompaction(kept);
    const command = (value: Uint8Array): MemberRequest['op'] => ({ case: 'command', value });
    for (const one of [addUser('root'), addRole('root'), giveRole('root', 'root'), enable])
      responseOf(await cluster.world.settle(cluster.ask(1, command(one))));
    for (let n = 0; n < 310; n += 1) {
      const asked = cluster.ask(1, putOp('k', String(n)), { operator: true });
      responseOf(await cluster.world.settle(asked));
    }
    expect(compacted(cluster)).toBeGreaterThan(50);
  });
});

describe('by time', () => {
  it('leaves what is younger, though each life is short and the leader changes', async () => {
    const cluster = await withCompaction(hourly);
    await writeFor(cluster, 3);
    const leader = cluster.leader() ?? 1;
    const { revision } = cluster.status(leader);
    // Ten writes an hour.
    expect(revision - compacted(cluster, leader)).toBeLessThanOrEqual(13);
    expect(revision - compacted(cluster, leader)).toBeGreaterThanOrEqual(9);
    cluster.end(leader);
    cluster.drop = ({ from, to }) => from === leader || (from > 0 && to === leader);
    await writeFor(cluster, 0.5);
    const other = [1, 2, 3].find((place) => place !== leader) ?? 2;
    expect(cluster.status(other).revision - compacted(cluster, other)).toBeLessThanOrEqual(14);
  });

  it('costs nothing at rest, and does then what was due with the next writes', async () => {
    const cluster = await withCompaction(hourly);
    await puts(cluster, 20);
    await cluster.world.pass(10_000);
    cluster.evictResting();
    cluster.traffic.length = 0;
    const rows = () => [1, 2, 3].map((place) => cluster.sql(place).counters.rowsWritten);
    const before = rows();
    await cluster.world.pass(48 * hourMs);
    expect([rows(), cluster.traffic.length]).toEqual([before, 0]);
    expect([1, 2, 3].some((place) => cluster.hasAlarm(place))).toBe(false);
    await puts(cluster, 2);
    expect(compacted(cluster)).toBeGreaterThan(0);
  });

  it('is not tried where it would be refused', async () => {
    const cluster = await withCompaction(hourly);
    await puts(cluster, 20);
    const command = raise(AlarmType.CORRUPT, 1n);
    responseOf(await cluster.world.settle(cluster.ask(1, { case: 'command', value: command })));
    await cluster.world.pass(3 * hourMs);
    const { lastIndex } = cluster.status(1);
    for (let n = 0; n < 30; n += 1) await cluster.world.settle(cluster.ask(1, putOp('k', 'v')));
    await cluster.world.pass(120_000);
    expect(cluster.status(1).lastIndex).toBe(lastIndex);
    expect(cluster.status(1).atRest).toBe(true);
  });

  it('writes few notes, and keeps few', async () => {
    const cluster = await withCompaction(hourly);
    for (let n = 0; n < 300; n += 1) {
      await put(cluster, 1, 'k', String(n));
      await cluster.world.pass(60_000);
    }
    const [count] = cluster.sql(1).first('SELECT count(*) FROM compaction_note') ?? [];
    expect(count).toBeLessThanOrEqual(12);
    const own = 300 / 6;
    const plain = await withCompaction(null);
    const rows = (one: Cluster) => one.sql(2).counters.rowsWritten;
    const [from, fromPlain] = [rows(cluster), rows(plain)];
    for (const one of [cluster, plain])
      for (let n = 0; n < 100; n += 1) await put(one, 1, 'k', String(n));
    expect(rows(cluster) - from).toBeLessThanOrEqual(rows(plain) - fromPlain + own);
  });

  it('takes no more than what was noted before, when the clock runs ahead and is set right', async () => {
    const cluster = await withCompaction(hourly);
    for (const place of [1, 2, 3]) cluster.skew(place, 1_000 * hourMs);
    await puts(cluster, 5);
    for (const place of [1, 2, 3]) cluster.skew(place, 0);
    await puts(cluster, 5);
    await cluster.world.pass(hourMs / 2);
    await puts(cluster, 5);
    expect(compacted(cluster)).toBeLessThanOrEqual(2);
    await writeFor(cluster, 1.5);
    expect(compacted(cluster, cluster.leader() ?? 1)).toBeGreaterThan(0);
    expect(await get(cluster, cluster.leader() ?? 1, 'k')).not.toBe(null);
  });
});

it('is off unless somebody asks for it', async () => {
  const cluster = await withCompaction(null);
  await puts(cluster, 500);
  expect(compacted(cluster)).toBe(-1);
  expect(cluster.sql(1).first("SELECT 1 FROM sqlite_master WHERE name = 'compaction_note'")).toBe(
    undefined,
  );
});
