/** What clients of a simulated group see: through elections, deaths, lost messages and long sleeps. */
import { describe, expect, it } from 'vitest';
import { Redirect_Reason } from '../../src/api/gen/member_pb.js';
import type { Cluster } from './cluster.ts';
import {
  born,
  compactOp,
  get,
  getOp,
  messageKinds,
  persist,
  put,
  putOp,
  valueIn,
} from './support.ts';

const calls = (cluster: Cluster) => cluster.traffic.filter(({ from }) => from !== 0).length;

describe('what an operation costs', () => {
  it('a write is two appends, and one commit notice to each peer when its burst is over', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    expect(messageKinds(cluster.traffic)).toEqual(['1>2 append', '1>3 append']);
    await cluster.world.pass(1_000);
    expect(calls(cluster)).toBe(4);
    expect(cluster.status(2)).toMatchObject({
      revision: 3,
      commitIndex: cluster.status(1).lastIndex,
    });
  });

  it('writes one after the other carry the commit of the one before', async () => {
    const cluster = await born();
    for (const value of ['2', '3', '4', '5']) await put(cluster, 1, 'a', value);
    await cluster.world.pass(1_000);
    expect(calls(cluster)).toBe(4 * 2 + 2);
  });

  it('a linearizable read is one round to the quorum and writes no row', async () => {
    const cluster = await born();
    const written = cluster.sql(1).counters.rowsWritten;
    expect(await get(cluster, 1, 'a')).toBe('1');
    await cluster.world.pass(1_000);
    expect(calls(cluster)).toBe(2);
    expect(cluster.sql(1).counters.rowsWritten).toBe(written);
  });

  it('a read at a follower is one request and its answer', async () => {
    const cluster = await born();
    cluster.responses.length = 0;
    expect(await get(cluster, 2, 'a', { readHere: true })).toBe('1');
    expect(messageKinds(cluster.traffic)).toEqual(['2>1 readRequest']);
    expect(cluster.responses).toEqual(['1>2 readReply']);
    await cluster.world.pass(1_000);
    expect(calls(cluster)).toBe(1);
  });

  it('each append and each notice is answered once, in the response of its call', async () => {
    const cluster = await born();
    cluster.responses.length = 0;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    expect(cluster.responses.toSorted()).toEqual(
      [2, 2, 3, 3].map((place) => `${place}>1 appendReply`),
    );
  });

  it('a write is at most four rows on each member', async () => {
    const cluster = await born();
    const before = [1, 2, 3].map((place) => cluster.sql(place).counters.rowsWritten);
    for (const value of ['2', '3', '4', '5']) await put(cluster, 1, 'a', value);
    await cluster.world.pass(1_000);
    for (const [at, place] of [1, 2, 3].entries())
      expect(cluster.sql(place).counters.rowsWritten - (before[at] ?? 0)).toBeLessThanOrEqual(16);
  });

  it('many writes at once share entries', async () => {
    const cluster = await born();
    const before = cluster.status(1).lastIndex;
    await cluster.world.settle(
      Promise.all(Array.from({ length: 64 }, (_, n) => cluster.ask(1, putOp(`k${n}`, 'x')))),
    );
    expect(cluster.status(1).revision).toBe(2 + 64);
    expect(cluster.status(1).lastIndex - before).toBeLessThanOrEqual(4);
  });
});

describe('rest', () => {
  it('after a burst nobody waits for anything', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    await get(cluster, 1, 'a');
    await cluster.world.pass(5_000);
    expect(cluster.world.isQuiet).toBe(true);
    for (const place of [1, 2, 3]) expect(cluster.status(place).atRest).toBe(true);
    cluster.traffic.length = 0;
    await cluster.world.pass(3_600_000);
    expect(cluster.traffic).toEqual([]);
  });

  it('a dead member does not keep the others awake', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(60_000);
    cluster.traffic.length = 0;
    await cluster.world.pass(24 * 3_600_000);
    // A few tries at each repair alarm, and those come less and less often.
    expect(cluster.traffic.length).toBeLessThan(30 * 24);
    expect(cluster.traffic.every(({ to }) => to === 3)).toBe(true);
    // And it is brought up to date by the next work, once it is back.
    cluster.drop = () => false;
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(5_000);
    expect(cluster.status(3).revision).toBe(4);
    expect([1, 2, 3].map((place) => cluster.hasAlarm(place))).toEqual([false, false, false]);
  });

  it('a member that comes back is brought up to date by the repair alarm alone', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(60_000);
    // Whoever leads is evicted meanwhile: the alarm outlives it.
    cluster.endAll();
    cluster.drop = () => false;
    await cluster.world.pass(3_600_000);
    expect(cluster.status(3).revision).toBe(3);
    expect(cluster.world.isQuiet).toBe(true);
  });
});

describe('waking', () => {
  it('a cold group serves its first read in one round to the quorum, without an election', async () => {
    const cluster = await born();
    const { term } = cluster.status(1);
    cluster.endAll();
    expect(await get(cluster, 1, 'a')).toBe('1');
    expect(messageKinds(cluster.traffic)).toEqual(['1>2 append', '1>3 append']);
    expect(cluster.status(1)).toMatchObject({ role: 'leader', term, boot: 2 });
  });

  it('a cold follower names the leader of its term', async () => {
    const cluster = await born();
    cluster.endAll();
    const { outcome } = await cluster.world.settle(cluster.ask(3, getOp('a')));
    expect(outcome.value).toMatchObject({ reason: Redirect_Reason.NOT_LEADER, leaderPlace: 1 });
  });

  it('a cold start reads a fixed number of rows, however long the log', async () => {
    const cluster = await born();
    const rowsAtStart = async () => {
      await cluster.world.pass(1_000);
      cluster.end(1);
      const { counters } = cluster.sql(1);
      const before = counters.rowsRead;
      cluster.life(1);
      return counters.rowsRead - before;
    };
    const short = await rowsAtStart();
    for (let n = 0; n < 200; n += 1) await put(cluster, 1, `k${n}`, 'x');
    expect(await rowsAtStart()).toBe(short);
    expect(short).toBeLessThan(12);
  });
});

describe('the loss of the leader', () => {
  it('nothing acknowledged is lost, and a suspicion finds the next leader within a second', async () => {
    const cluster = await born();
    await put(cluster, 1, 'a', '2');
    cluster.end(1);
    cluster.drop = ({ to, from }) => to === 1 || from === 1;
    const asked = cluster.world.now;
    const reply = cluster.ask(2, getOp('a'), { suspectTerm: BigInt(1) });
    expect(valueIn(await cluster.world.settle(reply))).toBe('2');
    expect(cluster.world.now - asked).toBeLessThan(1_000);
    expect([2, 3]).toContain(cluster.leader());
    const elections = [2, 3].map((place) => cluster.status(place).counters.elections);
    expect(Math.max(...elections)).toBeGreaterThan(0);
  });

  it('a member that can reach the leader relays instead of campaigning', async () => {
    const cluster = await born();
    const { term } = cluster.status(1);
    const reply = cluster.ask(2, putOp('a', '2'), { suspectTerm: BigInt(term) });
    expect((await cluster.world.settle(reply)).servedBy?.place).toBe(1);
    expect(cluster.status(1)).toMatchObject({ role: 'leader', term, revision: 3 });
  });

  it('a write that may have reached a core is not proposed again', async () => {
    const cluster = await born();
    for (const place of [1, 2]) {
      const reply = cluster.ask(place, putOp('a', '2'), { mayPropose: false, suspectTerm: 1n });
      expect((await cluster.world.settle(reply)).outcome.case).toBe('redirect');
    }
    expect(cluster.status(1).revision).toBe(2);
  });

  it('a write whose quorum never answers has an unknown outcome, neither failure nor success', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    const reply = cluster.ask(1, putOp('a', '2'), { timeoutMs: 300 });
    const { outcome } = await cluster.world.settle(reply);
    expect(outcome.value).toMatchObject({ error: 'OutcomeUnknown', outcomeUnknown: true });
    // Nobody but the old leader has it: whether it is applied depends on who leads next.
    cluster.drop = () => false;
    expect(['1', '2']).toContain(valueIn(await persist(cluster, getOp('a'))));
  });

  it('a leader without a quorum serves no read', async () => {
    const cluster = await born();
    cluster.drop = ({ from }) => from === 1;
    const reply = await cluster.world.settle(cluster.ask(1, getOp('a'), { timeoutMs: 3_000 }));
    expect(reply.outcome.case).not.toBe('response');
    expect(cluster.status(1).role).not.toBe('leader');
  });

  it('a deposed leader that was cut off gives no old value', async () => {
    const cluster = await born();
    const cut = (place: number) =>
      (cluster.drop = ({ to, from }) => from !== 0 && (to === place || from === place));
    cut(1);
    const taken = cluster.ask(2, putOp('a', '2'), { suspectTerm: 1n });
    await cluster.world.settle(taken);
    // Member 1 still believes that it leads: nothing has told it otherwise.
    const stale = cluster.ask(1, getOp('a'), { timeoutMs: 2_000 });
    expect((await cluster.world.settle(stale)).outcome.case).not.toBe('response');
    cluster.drop = () => false;
    expect(valueIn(await persist(cluster, getOp('a')))).toBe('2');
  });
});

describe('what a superseded life can do', () => {
  it('only replies ride the response of a call, so it is given nothing to acknowledge', async () => {
    const cluster = await born();
    cluster.drop = ({ to }) => to === 3;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(60_000);
    cluster.drop = () => false;
    cluster.responses.length = 0;
    // Member 3 asks the leader, which has entries for it: they come as a call of their own.
    const { term } = cluster.status(1);
    await cluster.world.settle(cluster.ask(3, getOp('a'), { suspectTerm: BigInt(term) }));
    await cluster.world.pass(1_000);
    expect(cluster.responses).toContain('1>3 readReply');
    expect(cluster.responses.filter((response) => response.endsWith(' append'))).toEqual([]);
    expect(cluster.status(3).revision).toBe(3);
  });
});

describe('fail-stop', () => {
  it('a follower that has lost what it acknowledged is not asked again as fast as it refuses', async () => {
    const cluster = await born();
    const entries = cluster.status(3).lastIndex;
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    cluster.end(3);
    cluster.sql(3).run('DELETE FROM raft_log WHERE idx > ?', entries);
    cluster.sql(3).run('UPDATE kv_meta SET applied = ?, revision = 2', entries);
    for (const table of ['kv_index', 'kv_data'])
      cluster.sql(3).run(`DELETE FROM ${table} WHERE rev > 2`);
    cluster.traffic.length = 0;
    await put(cluster, 1, 'a', '3');
    await cluster.world.pass(60_000);
    const asked = cluster.traffic.filter(({ from, to }) => from === 1 && to === 3).length;
    expect(asked).toBeLessThan(30);
    expect(cluster.status(1).atRest).toBe(true);
  });

  it('a leader whose storage went back in time stops instead of writing a second entry', async () => {
    const cluster = await born();
    const log = cluster.sql(1).all('SELECT idx, term, kind, data FROM raft_log ORDER BY idx');
    await put(cluster, 1, 'a', '2');
    await cluster.world.pass(1_000);
    // The restore of an older copy: last entry, its effects and its boot are gone.
    cluster.end(1);
    cluster.sql(1).run('DELETE FROM raft_log WHERE idx > ?', log.length);
    cluster.sql(1).run('UPDATE kv_meta SET applied = ?, revision = 2', log.length);
    for (const table of ['kv_index', 'kv_data'])
      cluster.sql(1).run(`DELETE FROM ${table} WHERE rev > 2`);
    const reply = await cluster.world.settle(cluster.ask(1, putOp('a', 'other')));
    // Nothing of it was saved or sent, and it is not taken for what others hold in its place.
    expect(reply.outcome.case).toBe('redirect');
    // It is a member no more, says where the group is, and waits to be added again.
    expect(cluster.status(1)).toMatchObject({ born: false, role: 'unborn' });
    const next = await cluster.world.settle(cluster.ask(1, getOp('a')));
    expect(next.outcome).toMatchObject({ case: 'redirect', value: { places: [1, 2, 3] } });
    expect(await get(cluster, 2, 'a', { serializable: true })).toBe('2');
    // In its next life too.
    cluster.end(1);
    expect(cluster.status(1)).toMatchObject({ born: false, role: 'unborn' });
  });
});

describe('compaction', () => {
  it('a physical one is answered when the rows are gone, and every member drops them', async () => {
    const cluster = await born();
    for (let n = 0; n < 30; n += 1) await put(cluster, 1, 'a', String(n));
    const reply = await cluster.world.settle(cluster.ask(1, compactOp(30, true)));
    expect(reply.outcome.case).toBe('response');
    const rows = (place: number) => cluster.sql(place).all('SELECT rev FROM kv_data').length;
    expect(rows(1)).toBe(32 - 30 + 1);
    await cluster.world.pass(1_000);
    expect([rows(2), rows(3)]).toEqual([3, 3]);
    expect(cluster.status(1).compactRevision).toBe(30);
  });

  it('what an evicted member had left to delete its next life deletes', async () => {
    const cluster = await born();
    for (let n = 0; n < 30; n += 1) await put(cluster, 1, 'a', String(n));
    await cluster.world.settle(cluster.ask(1, compactOp(30, false)));
    cluster.endAll();
    expect(await get(cluster, 1, 'a')).toBe('29');
    await cluster.world.pass(1_000);
    expect(cluster.sql(1).all('SELECT rev FROM kv_data').length).toBe(3);
    expect(cluster.status(1).atRest).toBe(true);
  });
});
