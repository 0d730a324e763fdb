/** What a member counts and tells of itself is what alerts take it for (docs/metrics.md). */
import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { TxnResponseSchema } from '../../src/api/gen/rpc_pb.js';
import type { MemberTotals } from '../../src/api/member.ts';
import { newCounters } from '../../src/node-do/counters.ts';
import { countTxn } from '../../src/node-do/totals.ts';
import type { Cluster } from './cluster.ts';
import { born, getOp, grant, persist, put, putOp } from './support.ts';

const places = [1, 2, 3];

const each = (cluster: Cluster, name: keyof MemberTotals) =>
  places.map((place) => cluster.status(place).counters.totals?.[name]);

describe('a change of the leader', () => {
  it('is counted by each member that sees it, and by no life that finds the leader it knew', async () => {
    const cluster = await born();
    const before = each(cluster, 'leaderChanges').map(Number);
    cluster.drop = ({ from, to }) => from === 1 || to === 1;
    await persist(cluster, putOp('a', '2'), [2, 3]);
    await cluster.world.pass(5_000);
    const [, second, third] = each(cluster, 'leaderChanges').map(Number);
    expect([second, third]).toEqual([Number(before[1]) + 1, Number(before[2]) + 1]);
    cluster.drop = () => false;
    await persist(cluster, getOp('a'), [2, 3]);
    await cluster.world.pass(20_000);
    const leader = cluster.leader();
    for (const place of [2, 3]) cluster.end(place);
    await persist(cluster, getOp('a'), [Number(leader)]);
    expect([2, 3].map((place) => cluster.status(place).counters.totals?.leaderChanges)).toEqual([
      0, 0,
    ]);
  });
});

describe('has_leader', () => {
  it('is so at rest and in a life that was just begun, and not while the leader is doubted', async () => {
    const cluster = await born();
    const hasLeader = () => places.map((place) => cluster.status(place, true).metrics?.hasLeader);
    await cluster.world.pass(20_000);
    expect(hasLeader()).toEqual([true, true, true]);
    cluster.endAll();
    expect(hasLeader()).toEqual([true, true, true]);
    cluster.drop = ({ from }) => from !== 0;
    void cluster.ask(2, getOp('a'), { suspectTerm: 1n, timeoutMs: 2_000 });
    await cluster.world.pass(500);
    expect(cluster.status(2, true).metrics?.hasLeader).toBe(false);
  });
});

describe('a command', () => {
  it('that has failed counts once, whatever becomes of it later', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    await cluster.world.settle(cluster.ask(1, putOp('a', '2'), { timeoutMs: 300 }));
    expect(cluster.status(1).counters.totals?.failedProposals).toBe(1);
    cluster.drop = () => false;
    await persist(cluster, putOp('a', '3'), [2, 3]);
    await cluster.world.pass(20_000);
    expect(cluster.status(1).counters.totals?.failedProposals).toBe(1);
  });

  it('that waits is pending until its fate is known', async () => {
    const cluster = await born();
    const pending = () => cluster.status(1, true).metrics?.pendingProposals;
    expect(pending()).toBe(0);
    cluster.drop = ({ from }) => from === 1;
    void cluster.ask(1, putOp('a', '2'), { timeoutMs: 5_000 });
    await cluster.world.pass(50);
    expect(pending()).toBe(1);
    cluster.drop = () => false;
    await cluster.world.pass(5_000);
    expect(pending()).toBe(0);
  });
});

it('a lease that expires is ended at every member, and has expired at the leader', async () => {
  const cluster = await born();
  await grant(cluster, 1, 7n, 2);
  await cluster.world.pass(20_000);
  expect(each(cluster, 'leasesGranted')).toEqual([1, 1, 1]);
  expect(each(cluster, 'leasesEnded')).toEqual([1, 1, 1]);
  const leader = Number(cluster.leader());
  expect(each(cluster, 'leasesExpired').map((count, at) => [at + 1, count])).toEqual(
    places.map((place) => [place, place === leader ? 1 : 0]),
  );
});

it('calls of peers, their bytes and those that were not answered', async () => {
  const cluster = await born();
  await put(cluster, 1, 'a', '1');
  cluster.drop = ({ to }) => to === 3;
  await put(cluster, 1, 'a', '2');
  await cluster.world.pass(5_000);
  const peers = cluster.status(1, true).metrics?.peers ?? [];
  expect(peers).toHaveLength(2);
  const failures = peers.map((peer) => peer.failures);
  expect([Math.min(...failures), Math.max(...failures) > 0]).toEqual([0, true]);
  for (const { roundTrips, roundTripMs, bytesSent, bytesReceived } of peers) {
    expect(roundTrips.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
    expect(Math.min(roundTripMs, bytesSent, bytesReceived)).toBeGreaterThan(0);
  }
});

it('a transaction counts its operations, nested ones too, and itself if it has several', () => {
  const { totals } = newCounters();
  const put = { response: { case: 'responsePut', value: {} } } as const;
  const range = { response: { case: 'responseRange', value: {} } } as const;
  const remove = { response: { case: 'responseDeleteRange', value: {} } } as const;
  const txn = (responses: object[]) => create(TxnResponseSchema, { responses } as never);
  const nested = (responses: object[]) =>
    ({ response: { case: 'responseTxn', value: txn(responses) } }) as const;
  countTxn(totals, txn([put]));
  countTxn(totals, txn([nested([put])]));
  countTxn(totals, txn([]));
  expect([totals.puts, totals.txns]).toEqual([2, 0]);
  countTxn(totals, txn([range, nested([put, nested([remove])])]));
  const { puts, ranges, deletes, txns } = totals;
  expect({ puts, ranges, deletes, txns }).toEqual({ puts: 3, ranges: 1, deletes: 1, txns: 1 });
});
