/**
 * Catching up by snapshot (docs/decisions/snapshots.md, consensus-rules.md 5).
 */
import { describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import { defaultSettings } from '../../src/raft/state.ts';
import type { Chunk, Effects, MemberId, Message, SnapshotMeta } from '../../src/raft/types.ts';
import { Random } from '../support/random.ts';
import { stateOf } from './support/checks.ts';
import { Group, type GroupOptions, groupLedBy, members } from './support/group.ts';
import { append, entries } from './support/messages.ts';
import { Storage } from './support/storage.ts';

const { retransmitMs } = defaultSettings;

/** What `away` missed is compacted away at all others: entries 2 to 6 of `A`s term. */
function groupWithout(away: string, options: GroupOptions = {}): Group {
  const group = groupLedBy('A', options);
  group.isolate(away);
  for (let at = 2; at <= 6; at += 1) group.propose('A', `${at}`);
  group.pass(60_000);
  for (const id of group.ids) if (id !== away) expect(group.compact(id, 6)).toBe(true);
  group.heal();
  group.sent = [];
  return group;
}

/** The same, where the first chunk is under way: the turn after the one that opened the snapshot. */
function groupSending(away: string): Group {
  const group = groupWithout(away);
  group.propose('A', 'after');
  group.settle();
  expect(group.core('A').nextDeadline()).toBe(group.now);
  group.tick('A');
  expect(group.pool.map(({ type }) => type)).toEqual(['snapshot']);
  return group;
}

function sentTo(group: Group, to: string): string[] {
  return group.sent.flatMap((message) =>
    message.to === to && message.from === 'A' ? [message.type] : [],
  );
}

function logOf(group: Group, name: string) {
  const { firstIndex, lastIndex, commitIndex } = group.core(name);
  return { first: firstIndex, last: lastIndex, commit: commitIndex };
}

function progressOf(group: Group, peer: string) {
  const { role } = stateOf(group.core('A'));
  const progress = role.type === 'leader' ? role.progress.get(peer as MemberId) : undefined;
  if (!progress) throw new Error(`A keeps no progress of ${peer}`);
  return progress;
}

const meta: SnapshotMeta = {
  id: 's1',
  index: 5,
  term: 2,
  configuration: { voters: members('ABC'), outgoing: [], learners: [] },
};

/** The only chunk of a snapshot, unless said otherwise. */
function snapshotMessage(
  fields: Partial<SnapshotMeta> = {},
  { term = 2, cursor = '', next = null as string | null, from = 'B' } = {},
): Message {
  const chunk: Chunk = { data: new Uint8Array(), next };
  return {
    ...{ from: from as MemberId, to: 'A' as MemberId, boot: 9, term, type: 'snapshot' as const },
    ...{ readPosition: 0, barrier: 0, knownBoot: 0, knownMatch: 0 },
    snapshot: { ...meta, ...fields },
    cursor,
    chunk,
  };
}

describe('a follower that lacks what is compacted away', () => {
  it('gets a snapshot at once when it passes a suspicion on, however long it was given up', () => {
    const group = groupLedBy('A', { voters: 'A', learners: 'B' });
    group.isolate('B');
    for (let time = 0; time < 5; time += 1) group.propose('A');
    group.pass(60_000);
    expect(group.compact('A', 6)).toBe(true);
    group.heal();
    const [from, to] = members('BA');
    if (from && to) group.step({ from, to, boot: 1, term: 1, type: 'suspicion' });
    group.pass(5_000);
    expect(group.core('B').commitIndex).toBe(group.core('A').commitIndex);
  });

  it.each([
    ['voter', 'C', {}],
    ['learner', 'D', { learners: 'D' }],
  ])('gets a snapshot, then the log, as a %s', (_, away, options) => {
    const group = groupWithout(away, options);
    group.propose('A', 'after');
    // No step of it waits for a timeout.
    expect(group.pass(retransmitMs - 1, () => group.core(away).commitIndex === 7)).toBe(true);
    group.pass(10_000);
    // The snapshot is of the time when it was asked for, so it covers the new entry too.
    expect(logOf(group, away)).toEqual({ first: 8, last: 7, commit: 7 });
    expect(group.storage(away).applied).toBe(7);
    expect(progressOf(group, away)).toMatchObject({ state: 'replicate', match: 7, next: 8 });
    expect(group.isAtRest).toBe(true);
    // Nobody needs it any more.
    expect(group.storage('A').snapshot).toBe(null);
    group.propose('A', 'later');
    group.pass(1_000);
    expect(group.logOf(away)).toBe('1:later');
  });

  it('gets one chunk at a time and nothing else, whatever is written meanwhile', () => {
    const group = groupSending('C');
    group.sent = [];
    for (let time = 0; time < 5; time += 1) group.propose('A');
    group.read('A');
    group.settle(({ to }) => to !== 'C');
    expect(progressOf(group, 'C').state).toBe('snapshot');
    expect(sentTo(group, 'C')).toEqual([]);
    group.settle(({ type, to }) => type === 'snapshot' || to === 'A');
    expect(sentTo(group, 'C').filter((type) => type === 'snapshot').length).toBe(2);
  });

  it('gets none while it does not answer: it is asked where its log ends', () => {
    const group = groupWithout('C');
    group.isolate('C');
    group.propose('A', 'after');
    group.pass(60_000);
    expect(sentTo(group, 'C')).not.toContain('snapshot');
    expect(group.storage('A').snapshot).toBe(null);
  });

  it('gets a lost chunk again after a retransmission time', () => {
    const group = groupSending('C');
    expect(group.withhold().length).toBe(1);
    group.sent = [];
    // It was away for so long that it may be a far one.
    group.pass(2 * retransmitMs - 1);
    expect(sentTo(group, 'C')).toEqual([]);
    group.pass(1);
    expect(sentTo(group, 'C')[0]).toBe('snapshot');
    expect(group.pass(1_000, () => group.core('C').commitIndex === 7)).toBe(true);
  });

  it('goes on with the log right after the snapshot', () => {
    const group = groupSending('C');
    for (let time = 0; time < 2; time += 1) group.propose('A');
    group.settle();
    const appends = group.sent.filter(({ type, to }) => type === 'append' && to === 'C');
    const first = appends.findIndex((message) => 'prevIndex' in message && message.prevIndex === 7);
    expect(appends[first + 1]).toMatchObject({ prevIndex: 7, prevTerm: 1 });
    group.pass(1_000);
    expect(group.core('C').commitIndex).toBe(9);
  });

  it('goes on with the log also without the snapshot, when it has got there some other way', () => {
    const group = groupSending('C');
    group.withhold();
    const full = entries(2, 1, 1, 1, 1, 1).map((entry, at) => ({
      ...entry,
      payload: { type: 'data' as const, data: new TextEncoder().encode(`${at + 2}`) },
    }));
    group.step(
      append({ from: 'A', to: 'C', term: 1 }, { prevIndex: 1, prevTerm: 1, entries: full }),
    );
    group.settle(({ type }) => type === 'appendReply');
    expect(progressOf(group, 'C').state).toBe('replicate');
    group.pass(1_000);
    expect(group.core('C').commitIndex).toBe(7);
  });

  it('leaves the entries after its snapshot in the log of the leader', () => {
    const group = groupSending('C');
    group.propose('A', 'more');
    group.settle(({ to }) => to !== 'C');
    expect(group.storage('A').snapshot?.index).toBe(7);
    group.compact('A', 99);
    expect(group.core('A').firstIndex).toBe(8);
  });

  it('receives leadership only with the snapshot and the log', () => {
    const group = groupWithout('C');
    expect(group.transfer('A', 'C')).toBe('ok');
    group.settle();
    group.tick('A');
    expect(sentTo(group, 'C').at(-1)).toBe('snapshot');
    expect(sentTo(group, 'C')).not.toContain('timeoutNow');
    group.settle();
    expect(group.core('C').role).toBe('leader');
  });

  it('catches up whatever is lost, whoever is restarted, and with new leaders', () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const group = groupWithout('C', { seed, latencyMs: 1 });
      const random = new Random(seed);
      group.loses = () => random.next() < 0.3;
      for (let time = 0; time < 12; time += 1) {
        const leader = group.ids.find((id) => group.core(id).role === 'leader') ?? 'A';
        group.propose(leader, `${time}`);
        group.pass(random.integer(1, 400));
        const dice = random.integer(1, 6);
        const id = random.pick(group.ids);
        if (dice === 1) group.restart(id);
        if (dice === 2) group.compact(id, group.storage(id).applied);
        if (dice === 3) group.suspect(id);
        if (dice === 4) group.transfer(leader, id);
        if (dice === 5) group.supersede(id);
      }
      group.loses = () => false;
      const written = () => group.ids.every((id) => group.logOf(id).endsWith(':end'));
      for (let time = 0; time < 10 && !written(); time += 1) {
        for (const id of group.ids) if (group.propose(id, 'end').ok) break;
        group.suspect('C');
        group.pass(3_000, written);
      }
      expect(written(), `seed ${seed}`).toBe(true);
    }
  });
});

describe('a snapshot', () => {
  it('sets end and start of the log, what is applied, the configuration and the leader', () => {
    const group = new Group({ start: { A: { terms: [1, 1], term: 2 } } });
    const configuration = { voters: members('ABD'), outgoing: [], learners: members('C') };
    group.step(snapshotMessage({ configuration }));
    expect(group.sent).toMatchObject([{ type: 'appendReply', ok: true, index: 5, lastTerm: 2 }]);
    expect(group.core('A')).toMatchObject({
      ...{ role: 'follower', leader: 'B', lastIndex: 5, firstIndex: 6, commitIndex: 5 },
      ...{ appliedIndex: 5, configuration },
    });
    // No campaign follows, now or later.
    group.pass(60_000);
    expect(group.sent.length).toBe(1);
    expect(group.isAtRest).toBe(true);
  });

  it.each([
    ['with learners', { voters: members('ABC'), outgoing: [], learners: members('DE') }],
    [
      'in a joint configuration',
      { voters: members('ABD'), outgoing: members('ABC'), learners: [] },
    ],
  ])('brings its configuration, and the next life has it too: %s', (_, configuration) => {
    const group = new Group();
    group.step(snapshotMessage({ configuration }));
    expect(group.core('A').configuration).toEqual(configuration);
    expect(group.storage('A').configurations.at(-1)).toEqual({ index: 5, configuration });
    group.restart('A');
    expect(group.core('A').configuration).toEqual(configuration);
  });

  it('that names its receiver no more tells that it is removed', () => {
    const storage = new Storage(meta.configuration);
    const self = 'A' as MemberId;
    const core = new RaftCore(
      { self, bootState: storage.bootState(), log: storage },
      1,
      () => 0,
      0,
    );
    const configuration = { voters: members('BC'), outgoing: [], learners: [] };
    core.step(snapshotMessage({ configuration }), 0);
    expect(core.take().removed).toBe(true);
  });

  it('may make a voter of a learner', () => {
    const group = new Group({ voters: 'BC', learners: 'A' });
    group.step(snapshotMessage());
    group.now += 60_000;
    group.suspect('A');
    group.pass(10_000, () => group.core('A').role === 'leader');
    expect(group.core('A').role).toBe('leader');
  });

  it('at or below the commit index is answered as an append, and sets nothing', () => {
    const group = new Group({ start: { A: { terms: [1, 1, 2, 2, 2, 2], term: 2, applied: 5 } } });
    for (const index of [4, 5]) group.step(snapshotMessage({ index }));
    for (const reply of group.sent)
      expect(reply).toMatchObject({ type: 'appendReply', ok: true, index: 5 });
    expect(logOf(group, 'A')).toEqual({ first: 1, last: 6, commit: 5 });
  });

  it('that the log holds moves the commit index, and keeps what comes after it', () => {
    const group = new Group({ start: { A: { terms: [1, 1, 2, 2, 2, 2], term: 2 } } });
    group.step(snapshotMessage());
    expect(group.sent).toMatchObject([{ type: 'appendReply', ok: true, index: 5 }]);
    expect(logOf(group, 'A')).toEqual({ first: 1, last: 6, commit: 5 });
    expect(group.storage('A').applied).toBe(5);
  });

  it('that the log contradicts takes the place of it', () => {
    const group = new Group({ start: { A: { terms: [1, 1, 1, 1, 1, 1, 1], term: 2 } } });
    group.step(snapshotMessage());
    expect(logOf(group, 'A')).toEqual({ first: 6, last: 5, commit: 5 });
    expect(group.logOf('A')).toBe('');
  });

  it('is set once: the last chunk again is answered and does nothing', () => {
    const group = new Group();
    group.step(snapshotMessage());
    group.step(
      append(
        { from: 'B', to: 'A', term: 2, boot: 9 },
        { prevIndex: 5, prevTerm: 2, entries: entries(6, 2) },
      ),
    );
    group.step(snapshotMessage());
    expect(logOf(group, 'A')).toEqual({ first: 6, last: 6, commit: 5 });
  });

  it('does not undo what was acknowledged while it was on its way (consensus-rules.md 5)', () => {
    const group = new Group();
    group.step(snapshotMessage({}, { next: '1' }));
    const sent = { entries: entries(1, 2, 2, 2, 2, 2, 3, 3), commit: 7 };
    group.step(append({ from: 'C', to: 'A', term: 3, boot: 9 }, sent));
    group.step(snapshotMessage({}, { term: 3, from: 'C', cursor: '1' }));
    expect(logOf(group, 'A')).toEqual({ first: 1, last: 7, commit: 7 });
  });

  it('that appends have overtaken is received no further, and its chunks are given up', () => {
    const group = new Group();
    const abandons: boolean[] = [];
    group.onTurn = (_, effects) => abandons.push(effects.abandonReception);
    group.step(snapshotMessage({}, { next: '1' }));
    const sent = { entries: entries(1, 2, 2, 2, 2, 2, 3), commit: 6 };
    group.step(append({ from: 'C', to: 'A', term: 3, boot: 9 }, sent));
    expect(abandons).toEqual([false, true]);
    expect(stateOf(group.core('A')).receiving).toBeNull();
  });

  it('gives way to another one, in the turn in which that begins', () => {
    for (const isRoom of [false, true]) {
      const group = new Group();
      const turns: Effects[] = [];
      group.onTurn = (_, effects) => turns.push(effects);
      group.step(snapshotMessage({}, { next: '1' }));
      const begin = snapshotMessage({ id: 's2' }, { next: '1' });
      group.step(
        snapshotMessage({}, { cursor: '1', next: '2' }),
        isRoom ? begin : ({ ...begin, chunk: null } as Message),
      );
      expect(turns[1]?.abandonReception).toBe(true);
      expect(turns[1]?.chunks.map(({ id }) => id)).toEqual(isRoom ? ['s2'] : []);
      // What is late of the first one finds nothing that it would continue.
      group.step(snapshotMessage({}, { cursor: '1', next: '2' }));
      expect(turns[2]?.chunks).toEqual([]);
      expect(group.sent.at(-1)).toMatchObject({ type: 'snapshotReply', id: 's1', cursor: '' });
    }
  });

  it('is not given up in the turn that completes it', () => {
    const group = new Group();
    group.step(snapshotMessage({}, { next: '1' }));
    group.step(
      snapshotMessage({}, { cursor: '1' }),
      snapshotMessage({ id: 's2', index: 7 }, { next: '1' }),
      append(
        { from: 'B', to: 'A', term: 2, boot: 9 },
        { prevIndex: 5, prevTerm: 2, entries: entries(6, 2) },
      ),
    );
    expect(logOf(group, 'A')).toEqual({ first: 6, last: 6, commit: 5 });
    expect(stateOf(group.core('A')).receiving).toBeNull();
  });

  it('comes in order: any other chunk is answered with the one that is wanted', () => {
    const group = new Group();
    group.step(snapshotMessage({}, { cursor: '1', next: '2' }));
    group.step(snapshotMessage({}, { next: '1' }));
    group.step(snapshotMessage({}, { cursor: '2' }));
    group.step(snapshotMessage({ id: 's2' }, { cursor: '1' }));
    expect(group.sent).toMatchObject([
      { type: 'snapshotReply', id: 's1', cursor: '' },
      { type: 'snapshotReply', id: 's1', cursor: '1' },
      { type: 'snapshotReply', id: 's1', cursor: '1' },
      { type: 'snapshotReply', id: 's2', cursor: '' },
    ]);
    expect(group.core('A').lastIndex).toBe(0);
  });

  it('is received on in the next life of its receiver', () => {
    const group = new Group();
    group.step(snapshotMessage({}, { next: '1' }));
    group.restart('A');
    group.step(snapshotMessage({}, { cursor: '1' }));
    expect(logOf(group, 'A')).toEqual({ first: 6, last: 5, commit: 5 });
  });

  it('of an older term is refused, with the newer one in the answer', () => {
    const group = new Group({ start: { A: { terms: [1], term: 4 } } });
    group.step(snapshotMessage({}, { term: 3 }));
    expect(group.sent).toMatchObject([{ type: 'appendReply', ok: false, term: 4 }]);
    expect(group.core('A')).toMatchObject({ lastIndex: 1, leader: null });
  });

  it('and entries after it in one turn are persisted as one', () => {
    const group = new Group({ start: { A: { terms: [1, 1, 1], term: 1 } } });
    group.turn(group.life('A'), (core) => {
      const route = { from: 'B', to: 'A', term: 2, boot: 9 };
      // An entry of this very turn that the snapshot drops.
      core.step(append(route, { prevIndex: 1, prevTerm: 1, entries: entries(2, 2) }), group.now);
      core.step(snapshotMessage(), group.now);
      core.step(
        append(route, { prevIndex: 5, prevTerm: 2, entries: entries(6, 2), commit: 6 }),
        group.now,
      );
    });
    expect(group.storage('A')).toMatchObject({ start: { index: 5, term: 2 }, applied: 6 });
    expect(group.logOf('A')).toBe('2:6');
    group.restart('A');
    expect(logOf(group, 'A')).toEqual({ first: 6, last: 6, commit: 6 });
  });
});

describe('a life that begins with a snapshot and a tail', () => {
  it('gives for applying what comes after it, once', () => {
    const group = groupWithout('C');
    group.propose('A', 'after');
    group.pass(10_000);
    for (const id of group.ids) group.restart(id);
    for (const id of group.ids) {
      expect(logOf(group, id)).toEqual({ first: id === 'C' ? 8 : 7, last: 7, commit: 7 });
      for (const effect of Object.values(group.core(id).take()))
        expect(Array.isArray(effect) ? effect.length : (effect ?? false)).toBeFalsy();
    }
    expect(group.storage('C').applied).toBe(7);
    group.propose('A', 'next');
    group.pass(1_000);
    expect(group.storage('C').applied).toBe(8);
  });
});
