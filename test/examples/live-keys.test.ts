/** examples/config-store: what the page knows is what the watch has told, in order, once. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LiveKeys } from '../../examples/config-store/page/live-keys.js';
import { Problem, type Service } from '../../examples/config-store/page/service.js';

/** As the browser's, but the test says what comes. */
class FakeEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  static made: FakeEventSource[] = [];
  readonly url: string;
  readyState = FakeEventSource.CONNECTING;
  wasClosed = false;
  constructor(url: string) {
    super();
    this.url = url;
    FakeEventSource.made.push(this);
  }
  close(): void {
    this.readyState = FakeEventSource.CLOSED;
    this.wasClosed = true;
  }
  open(): void {
    this.readyState = FakeEventSource.OPEN;
    this.dispatchEvent(new Event('open'));
  }
  /** `readyState`: CONNECTING when it comes back by itself, CLOSED when it was given an error. */
  fail(readyState: number): void {
    this.readyState = readyState;
    this.dispatchEvent(new Event('error'));
  }
  tell(name: string, data: object): void {
    this.dispatchEvent(new MessageEvent(name, { data: JSON.stringify(data) }));
  }
}

const item = (key: string, value: string, mod_revision: number) => {
  const encoding = 'utf8' as const;
  return { key, value, encoding, mod_revision, create_revision: 1, version: 1, lease: null };
};
const put = (key: string, value: string, revision: number) => ({
  type: 'put',
  ...item(key, value, revision),
});

let lists: (() => { items: object[]; revision: number })[];
let pauses: number[];
let live: LiveKeys;
let running: Promise<void>;
let fired: (readonly string[] | null)[];

beforeEach(() => {
  FakeEventSource.made = [];
  lists = [];
  pauses = [];
  fired = [];
  const service = {
    list: async () => {
      const next = lists.shift();
      if (next === undefined) throw new Error('it lists once too often');
      return next();
    },
    watchUrl: async (prefix: string, from: number) => `watch?prefix=${prefix}&from=${from}`,
  };
  const pause = async (ms: number) => {
    pauses.push(ms);
  };
  const parts = { EventSource: FakeEventSource, pause };
  live = new LiveKeys(service as unknown as Service, 'p/', parts as never);
  live.addEventListener('keys', (event) => {
    const { detail } = event as CustomEvent<ReadonlySet<string> | null>;
    fired.push(detail === null ? null : [...detail].sort());
  });
});

afterEach(async () => {
  live.close();
  await running;
});

function start(...given: (() => { items: object[]; revision: number })[]): void {
  lists.push(...given);
  running = live.run();
}

/** The newest EventSource, once there are `count`. */
async function source(count = 1): Promise<FakeEventSource> {
  for (let turn = 0; turn < 100 && FakeEventSource.made.length < count; turn++)
    await new Promise((resolve) => setImmediate(resolve));
  expect(FakeEventSource.made.length).toBe(count);
  return FakeEventSource.made[count - 1] as FakeEventSource;
}

const values = () =>
  Object.fromEntries([...live.items.values()].map((one) => [one.key, one.value]));
const listOf =
  (revision: number, ...items: object[]) =>
  () => ({ items, revision });

it('watches from the revision after its list', async () => {
  start(listOf(7, item('p/a', '1', 3)));
  const { url } = await source();
  expect(url).toBe('watch?prefix=p/&from=8');
  expect(values()).toEqual({ 'p/a': '1' });
});

it('applies a revision as a whole, and fires once for it', async () => {
  start(listOf(7, item('p/a', '1', 3), item('p/b', '1', 4)));
  const events = await source();
  events.open();
  events.tell('change', {
    revision: 9,
    events: [
      put('p/a', '2', 9),
      { type: 'delete', key: 'p/b', mod_revision: 9 },
      put('p/c', '2', 9),
    ],
  });
  expect(values()).toEqual({ 'p/a': '2', 'p/c': '2' });
  expect(live.revision).toBe(9);
  expect(fired.length).toBe(2);
  expect(fired[0]).toBeNull();
  expect(fired[1]?.length).toBe(3);
});

it('does not go back when it is told a revision that it has', async () => {
  start(listOf(7));
  const events = await source();
  events.tell('change', { revision: 8, events: [put('p/a', 'old', 8)] });
  events.tell('change', { revision: 9, events: [put('p/a', 'new', 9)] });
  events.tell('change', { revision: 8, events: [put('p/a', 'old', 8)] });
  expect(values()).toEqual({ 'p/a': 'new' });
});

it('leaves it to EventSource to come back after a lost connection', async () => {
  start(listOf(7));
  const events = await source();
  events.open();
  expect(live.state.phase).toBe('live');
  events.fail(FakeEventSource.CONNECTING);
  expect(live.state.phase).toBe('reconnecting');
  events.open();
  expect(live.state.phase).toBe('live');
  await source(1);
});

it('goes on after the last revision, without reading anew, when EventSource was refused', async () => {
  start(listOf(7));
  const events = await source();
  events.open();
  events.tell('change', { revision: 9, events: [put('p/a', '1', 9)] });
  events.tell('progress', { revision: 12 });
  events.fail(FakeEventSource.CLOSED);
  expect((await source(2)).url).toBe('watch?prefix=p/&from=13');
});

it.each(['compacted', 'overflow', 'too-large'])(
  'reads anew after %s, and not the end of the stream',
  async (name) => {
    start(listOf(7, item('p/a', 'gone', 3)), listOf(20, item('p/b', 'new', 15)));
    const events = await source();
    events.open();
    events.tell(name, { revision: 9, compact_revision: 15 });
    expect((await source(2)).url).toBe('watch?prefix=p/&from=21');
    expect(events.wasClosed).toBe(true);
    expect(values()).toEqual({ 'p/b': 'new' });
  },
);

it('reads anew when a watch is refused before it was open, and waits longer each time', async () => {
  start(listOf(7), listOf(8), listOf(9), listOf(10));
  for (let count = 1; count <= 3; count++) (await source(count)).fail(FakeEventSource.CLOSED);
  expect((await source(4)).url).toBe('watch?prefix=p/&from=11');
  expect(pauses).toEqual([1_000, 2_000, 4_000]);
});

it.each([
  [401, 'unauthenticated'],
  [404, 'tenant-not-found'],
  [400, 'bad-request'],
])('does not try again what was refused: %i %s', async (status, code) => {
  start(() => {
    throw new Problem(status, code, 'no');
  });
  await running;
  expect(live.state).toMatchObject({ phase: 'refused', problem: { code } });
  expect(FakeEventSource.made).toEqual([]);
});

it.each([0, 410, 429, 503, 504])('tries again what passes: %i', async (status) => {
  const fail = () => {
    throw new Problem(status, 'x', 'not now');
  };
  start(fail, fail, listOf(3));
  await source();
  expect(pauses).toEqual([1_000, 2_000]);
});

it('stops when there are more keys than it can show', async () => {
  const items = Array.from({ length: 2_000 }, (_, n) => item(`p/${n}`, 'v', n + 2));
  start(listOf(2_001, ...items));
  const events = await source();
  events.open();
  events.tell('change', { revision: 2_002, events: [put('p/more', 'v', 2_002)] });
  await running;
  expect(live.state).toMatchObject({ phase: 'refused', problem: { code: 'too-much' } });
  expect(events.wasClosed).toBe(true);
});

it('closes its connection and fires no more when it is closed', async () => {
  start(listOf(7));
  const events = await source();
  events.open();
  const before = fired.length;
  live.close();
  await running;
  expect(events.wasClosed).toBe(true);
  events.tell('change', { revision: 8, events: [put('p/a', '1', 8)] });
  expect(fired.length).toBe(before);
});
