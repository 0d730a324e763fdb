/** The watches of one client in the Worker (src/router/watch/session.ts). */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { nobody } from '../../../src/router/auth/credentials.ts';
import type { WatchMessage } from '../../../src/router/watch/message.ts';
import { type SessionOptions, WatchSession } from '../../../src/router/watch/session.ts';
import { bytes, compact, del, set, text } from '../../kv/support.ts';
import { Random } from '../../support/random.ts';
import { Group } from './group.ts';

const sessions: WatchSession[] = [];

function sessionOn(group: Group, more: Partial<SessionOptions> = {}): WatchSession {
  const session = new WatchSession({
    env: group.env,
    tenant: 'default',
    credentials: nobody,
    ...more,
  });
  sessions.push(session);
  return session;
}

afterEach(() => {
  for (const session of sessions.splice(0)) session.close();
  vi.useRealTimers();
});

const spec = (key: string, from = 0, end = '') => ({
  key: bytes(key),
  rangeEnd: bytes(end),
  from: BigInt(from),
});

const macrotask = () => new Promise((resolve) => setImmediate(resolve));

function short(message: WatchMessage | null): string {
  switch (message?.type) {
    case 'events': {
      const events = message.events.map(
        ({ type, kv }) =>
          `${type === 1 ? '-' : '+'}${text(kv?.key ?? bytes(''))}@${kv?.modRevision}`,
      );
      return `${message.slot} at ${message.header.revision}: ${events.join(' ')}`;
    }
    case 'created':
    case 'canceled':
      return `${message.type} ${message.slot}`;
    case 'compacted':
      return `compacted ${message.slot}, ${message.compactRevision} is left`;
    case 'progress':
      return `progress ${message.header.revision}`;
    case 'located':
      return `located ${message.token} at ${message.header.revision}`;
    default:
      return message?.type ?? 'end';
  }
}

async function read(session: WatchSession, count: number): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < count) lines.push(short(await session.next()));
  return lines;
}

describe('a session', () => {
  it('tells creation first, then what happens, revision by revision', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    expect(await read(session, 1)).toEqual(['created 0']);
    group.at.apply(set('a'), set('b'), set('a'));
    expect(await read(session, 2)).toEqual(['0 at 2: +a@2', '0 at 4: +a@4']);
  });

  it.each([true, false])(
    'that requires a leader (%s) ends when nobody leads',
    async (requireLeader) => {
      const group = new Group();
      const session = sessionOn(group, { requireLeader });
      session.watch(0, spec('a'));
      expect(await read(session, 1)).toEqual(['created 0']);
      group.at.hub.tellNoLeader();
      group.at.apply(set('a'));
      expect(await read(session, 1)).toEqual([requireLeader ? 'noLeader' : '0 at 2: +a@2']);
      if (requireLeader) expect(await session.next()).toBeNull();
    },
  );

  it('joins the pages of history, and says how far the store had come', async () => {
    const group = new Group();
    for (const letter of 'cdefg') group.at.apply(set('a', letter.repeat(200_000)));
    const session = sessionOn(group);
    session.watch(0, spec('a', 1));
    void group.at.settle();
    expect(await read(session, 2)).toEqual(['created 0', '0 at 6: +a@2 +a@3 +a@4 +a@5 +a@6']);
  });

  it('gives out no part of a revision, however many pages it takes', async () => {
    const group = new Group();
    group.at.apply(...Array.from({ length: 2_500 }, (_, n) => set(`k${n}`)));
    group.at.apply(del({ key: bytes('k'), rangeEnd: bytes('l') }));
    const session = sessionOn(group);
    session.watch(0, spec('k', 2_502, 'l'));
    await read(session, 1);
    // One of the two pages has arrived when the socket is cut.
    await macrotask();
    group.cutAll();
    let message: WatchMessage | null = null;
    const reading = session.next().then((next) => {
      message = next;
    });
    while (message === null) await group.at.turn();
    await reading;
    expect(short(message).split(' ').length - 3).toBe(2_500);
  });

  it('goes on at another socket from the next revision: no gap, no repeat', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    group.at.apply(set('a'));
    await macrotask();
    group.cutAll();
    group.at.apply(set('a'));
    group.at.apply(set('a'));
    expect(await read(session, 2)).toEqual(['0 at 2: +a@2', '0 at 4: +a@3 +a@4']);
    expect(group.wires.length).toBe(2);
  });

  it('loses what was sent and did not arrive, and gets it again', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    group.at.apply(set('a'));
    // Before the message has arrived.
    group.cutAll();
    expect(await read(session, 1)).toEqual(['0 at 2: +a@2']);
  });

  it('looks for the leader when the member that it knew is gone', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    group.down.add(1);
    group.cutAll();
    group.at.apply(set('a'));
    expect(await read(session, 1)).toEqual(['0 at 2: +a@2']);
    expect(group.asked.at(0)).toBe(1);
    expect(group.asked.at(-1)).not.toBe(1);
  });

  it('is told once that what it wants is compacted', async () => {
    const group = new Group();
    for (let n = 0; n < 5; n += 1) group.at.apply(set('a'));
    group.at.apply(compact(4));
    const session = sessionOn(group);
    session.watch(0, spec('a', 2));
    expect(await read(session, 2)).toEqual(['created 0', 'compacted 0, 4 is left']);
    expect(session.size).toBe(0);
  });

  it('that was idle over a compaction comes back without being canceled', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('z'));
    await read(session, 1);
    for (let n = 0; n < 5; n += 1) group.at.apply(set('a'));
    group.at.apply(compact(6));
    await macrotask();
    group.cutAll();
    group.at.apply(set('z'));
    expect(await read(session, 1)).toEqual(['0 at 7: +z@7']);
  });

  it('answers cancel, locate and progress in order, again after a cut', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    session.watch(1, spec('b'));
    session.locate(7);
    session.cancel(0);
    session.progress();
    expect(await read(session, 5)).toEqual([
      'created 0',
      'created 1',
      'located 7 at 1',
      'canceled 0',
      'progress 1',
    ]);
    session.locate(8);
    session.cancel(1);
    session.progress();
    group.cutAll();
    expect((await read(session, 2)).sort()).toEqual(['canceled 1', 'located 8 at 1']);
  });

  it('answers progress that is asked for while an answer is under way by one more, however often', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    for (let n = 0; n < 9; n += 1) session.progress();
    for (let n = 0; n < 9; n += 1) await macrotask();
    for (let n = 0; n < 2; n += 1) group.at.apply(set('a'));
    expect(await read(session, 3)).toEqual(['progress 1', 'progress 1', '0 at 2: +a@2']);
  });

  it('does not answer progress before what it has missed', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    group.cutAll();
    group.at.apply(set('a'));
    session.progress();
    expect(await read(session, 2)).toEqual(['0 at 2: +a@2', 'progress 2']);
  });

  it('ends when it is closed, and so does its socket', async () => {
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    const last = session.next();
    session.close();
    expect(await last).toBeNull();
    await macrotask();
    await macrotask();
    expect(group.at.hub.sizes).toEqual({ sockets: 0, watches: 0 });
  });
});

describe('a reader that does not read', () => {
  const value = 'x'.repeat(100_000);

  async function flood(group: Group, count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      group.at.apply(set('a', value));
      await macrotask();
    }
  }

  it('costs a bounded queue and no socket, and misses nothing when it reads again', async () => {
    const group = new Group();
    const session = sessionOn(group, { queueBytesMax: 500_000 });
    session.watch(0, spec('a'));
    await read(session, 1);
    await flood(group, 30);
    await macrotask();
    expect(group.at.hub.sizes.sockets).toBe(0);
    const revisions: number[] = [];
    while (revisions.length < 30) {
      const message = await Promise.race([
        session.next(),
        group.at.settle().then(() => session.next()),
      ]);
      if (message?.type !== 'events') throw new Error(short(message));
      revisions.push(...message.events.map(({ kv }) => Number(kv?.modRevision)));
    }
    expect(revisions).toEqual(Array.from({ length: 30 }, (_, n) => n + 2));
  });

  it('is told of a compaction that has overtaken it', async () => {
    const group = new Group();
    const session = sessionOn(group, { queueBytesMax: 500_000 });
    session.watch(0, spec('a'));
    await read(session, 1);
    await flood(group, 30);
    group.at.apply(compact(31));
    const lines: string[] = [];
    while (!lines.at(-1)?.startsWith('compacted')) lines.push(short(await session.next()));
    expect(lines.length).toBeGreaterThan(3);
    expect(lines.at(-1)).toBe('compacted 0, 31 is left');
  });

  it('is told so where the session is to end then', async () => {
    const group = new Group();
    const session = sessionOn(group, { queueBytesMax: 500_000, endOnOverflow: true });
    session.watch(0, spec('a'));
    await read(session, 1);
    await flood(group, 30);
    const lines: string[] = [];
    while (lines.at(-1) !== 'end') lines.push(short(await session.next()));
    expect(lines.slice(-2)).toEqual(['overflow', 'end']);
    expect(lines.length).toBeLessThan(12);
  });
});

describe('a silent socket', () => {
  it('that answers no ping is left for another one', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const group = new Group();
    const session = sessionOn(group);
    session.watch(0, spec('a'));
    await read(session, 1);
    const [wire] = group.wires;
    if (!wire) throw new Error('no socket');
    vi.advanceTimersByTime(30_000);
    await macrotask();
    await macrotask();
    vi.advanceTimersByTime(30_000);
    expect(group.wires.length).toBe(1);
    // It was pinged just now, and this answer never comes.
    wire.readyState = 9;
    await macrotask();
    vi.advanceTimersByTime(30_000);
    group.at.apply(set('a'));
    expect(await read(session, 1)).toEqual(['0 at 2: +a@2']);
    expect(group.wires.length).toBe(2);
  });
});

describe('sessions under cuts at any moment', () => {
  it.each(Array.from({ length: 12 }, (_, n) => n + 1))(
    'give each watch the history from its start (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      const group = new Group();
      const session = sessionOn(group, { queueBytesMax: 100_000 });
      const seen = new Map<number, number[]>();
      const from = new Map<number, number>();
      let revision = 1;
      const reading = (async () => {
        for await (const message of session) {
          if (message.type === 'created' && from.get(message.slot) === 0)
            from.set(message.slot, Number(message.header.revision) + 1);
          if (message.type !== 'events') continue;
          const list = seen.get(message.slot) ?? [];
          list.push(...message.events.map(({ kv }) => Number(kv?.modRevision)));
          seen.set(message.slot, list);
          if (random.next() < 0.2) await macrotask();
        }
      })();
      for (let step = 0; step < 300; step += 1) {
        const dice = random.next();
        if (dice < 0.5) {
          group.at.apply(
            ...Array.from({ length: 3 }, () => set('a', 'x'.repeat(random.integer(1, 9_000)))),
          );
          revision += 3;
        } else if (dice < 0.53 && from.size < 8) {
          const start = random.pick([0, random.integer(1, revision)]);
          from.set(from.size, start);
          session.watch(from.size - 1, spec('a', start));
        } else if (dice < 0.6) group.cutAll();
        else if (dice < 0.7) void group.at.turn();
        else await macrotask();
      }
      const whole = () =>
        [...from].every(
          ([slot, start]) => start > 0 && (start > revision || seen.get(slot)?.at(-1) === revision),
        );
      for (let n = 0; n < 2_000 && !whole(); n += 1) {
        await group.at.turn();
        await new Promise((resolve) => setTimeout(resolve, n < 50 ? 0 : 2));
      }
      session.close();
      await reading;
      expect(from.size).toBeGreaterThan(2);
      for (const [slot, start] of from) {
        const first = Math.max(2, start);
        const right = Array.from({ length: revision - first + 1 }, (_, n) => first + n);
        expect(seen.get(slot) ?? []).toEqual(right);
      }
    },
  );
});
