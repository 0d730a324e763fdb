/** Snapshots that clients take: what they show, and when a member gives one up. */
import { describe, expect, it } from 'vitest';
import type { SnapshotSource } from '../../src/kv/snapshot.ts';
import { Backups, backupIdleMs } from '../../src/node-do/backups.ts';
import { newCounters } from '../../src/node-do/counters.ts';
import type { Platform } from '../../src/node-do/platform.ts';
import { Machine, set } from '../kv/support.ts';
import { close, commit, idIn, open, openOp, readAll, readPart, send, step } from './backup.ts';
import { Cluster } from './cluster.ts';
import { born, compactOp, hashAt, put } from './support.ts';

const value = 'x'.repeat(100_000);

async function filled(size: 1 | 3 = 3): Promise<Cluster> {
  const cluster = await born({ size });
  for (let n = 0; n < 12; n += 1) await put(cluster, 1, `k${n % 6}`, `${n} ${value}`);
  return cluster;
}

async function compacted(cluster: Cluster): Promise<void> {
  const revision = cluster.status(1).revision;
  await cluster.world.settle(cluster.ask(1, compactOp(revision, false)));
  await cluster.world.pass(500);
}

const rows = (cluster: Cluster) => cluster.sql(1).all('SELECT 1 FROM kv_data').length;

describe('a snapshot for a client', () => {
  it('shows what was there when it was opened, whatever is written, compacted, and whoever leads', async () => {
    const cluster = await filled();
    const hash = hashAt(cluster, 1);
    const id = await open(cluster);
    let round = 0;
    const chunks = await readAll(cluster, id, async () => {
      round += 1;
      await put(cluster, cluster.leader() ?? 1, `k${round % 6}`, `later ${round}`);
      if (round === 1) await compacted(cluster);
      if (round === 2) cluster.end(1, 'crash');
      if (round === 3)
        await cluster.world.settle(cluster.ask(1, { case: 'transferLeader', value: 2 }));
    });
    expect(round).toBeGreaterThan(3);
    expect(cluster.leader()).toBe(2);
    const copy = new Cluster({ size: 1 });
    await send(copy, '00112233445566aa', chunks);
    await step(copy, '00112233445566aa', commit(chunks.length));
    expect(hashAt(copy, 1)).toBe(hash);
  });

  it('is fixed after all that was acknowledged before: a leader that nobody confirms opens none', async () => {
    const cluster = await filled();
    cluster.drop = ({ path }) => path === 'peer';
    const { outcome } = await cluster.world.settle(cluster.ask(1, openOp));
    expect(outcome.case).not.toBe('response');
    expect(cluster.sql(1).all('SELECT 1 FROM kv_snapshot')).toEqual([]);
  });

  it('holds up the deletion of old versions until it is closed', async () => {
    const cluster = await filled(1);
    const before = rows(cluster);
    const id = await open(cluster);
    await compacted(cluster);
    expect(rows(cluster)).toBe(before);
    await close(cluster, id);
    await cluster.world.pass(500);
    expect(rows(cluster)).toBe(7);
    expect((await readPart(cluster, id)).open).toBe(false);
  });

  it('is given up when nobody has read it for a while, but not before', async () => {
    const cluster = await filled(1);
    const id = await open(cluster);
    for (let n = 0; n < 3; n += 1) {
      await cluster.world.pass(backupIdleMs - 5_000);
      await put(cluster, 1, 'a', `${n}`);
      expect((await readPart(cluster, id)).open).toBe(true);
    }
    await cluster.world.pass(backupIdleMs + 5_000);
    await put(cluster, 1, 'a', 'last');
    expect((await readPart(cluster, id)).open).toBe(false);
  });

  it('costs a member at rest nothing, and the next life gives it the same time', async () => {
    const cluster = await filled(1);
    const id = await open(cluster);
    await cluster.world.pass(1_000);
    expect(cluster.status(1).atRest).toBe(true);
    expect(cluster.hasAlarm(1)).toBe(false);
    cluster.end(1);
    await cluster.world.pass(600_000);
    expect((await readPart(cluster, id)).open).toBe(true);
    await cluster.world.pass(backupIdleMs + 1_000);
    await put(cluster, 1, 'a', '2');
    expect((await readPart(cluster, id)).open).toBe(false);
  });

  it('is one of four at most', async () => {
    const cluster = await filled(1);
    const ids: string[] = [];
    for (let n = 0; n < 4; n += 1) ids.push(await open(cluster));
    const fifth = await cluster.world.settle(cluster.ask(1, openOp));
    expect(fifth.outcome.value).toMatchObject({ error: 'TooManyRequests' });
    await close(cluster, ids[2] ?? '');
    expect(idIn(await cluster.world.settle(cluster.ask(1, openOp)))).not.toBe('');
    expect((await readPart(cluster, ids[3] ?? '')).open).toBe(true);
  });

  it('does not end, nor is ended by, the one that brings a member up to date', async () => {
    const cluster = await filled();
    cluster.drop = ({ from, to }) => from === 3 || to === 3;
    const large = 'y'.repeat(1_000_000);
    for (let n = 0; n < 24; n += 1) await put(cluster, 1, `l${n}`, large);
    const id = await open(cluster);
    await cluster.world.pass(12_000);
    for (let n = 0; n < 16; n += 1) await put(cluster, 1, `m${n}`, 'x');
    expect(cluster.status(1).firstIndex).toBeGreaterThan(10);
    cluster.drop = () => false;
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(20_000);
    expect(cluster.status(3).revision).toBe(cluster.status(1).revision);
    expect((await readAll(cluster, id)).length).toBeGreaterThan(24);
  });
});

describe('a snapshot that is read by nobody fast enough', () => {
  it('is given up when the log has grown too much behind it', () => {
    const machine = new Machine();
    machine.apply(set('a', '1'));
    let logBytes = 1_000;
    const backups = backupsOf(machine, () => logBytes);
    expect(backups.open()).not.toBeNull();
    logBytes += 100;
    backups.look();
    expect(openIn(machine)).toBe(1);
    logBytes += 1;
    backups.look();
    expect(openIn(machine)).toBe(0);
  });

  function openIn({ machine }: Machine): number {
    return machine.backups.filter((source: SnapshotSource) => source.open).length;
  }

  function backupsOf({ machine, sql }: Machine, logBytes: () => number): Backups {
    const platform = {
      place: 1,
      now: () => 0,
      randomId: () => 'one',
      databaseBytes: () => 0,
      transaction: (work: () => void) => sql.transaction(work),
    };
    const limits = { chunkBytesMax: 1_000, logGrowthMax: 100 };
    const { backups } = machine;
    return new Backups(platform as unknown as Platform, newCounters(), backups, limits, logBytes);
  }
});
