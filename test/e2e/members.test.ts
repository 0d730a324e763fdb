/**
 * A group grows from one member to five, has each of its members replaced, and shrinks to one again, all of it
 * through etcd's own calls and under load. What clients saw must be linearizable, and after each step all
 * members must hold the same.
 *
 *   MEMBERS_ROUNDS  1    how often
 *   MEMBERS_FAULTS  0    milliseconds from one aborted or evicted member to the next; 0: none
 *   MEMBERS_SEED    1    of the faults
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { get, History, isAnswered, isWrite, put } from '../support/history/history.ts';
import { assertLinearizable } from '../support/history/linearizability.ts';
import { assertRevisions } from '../support/history/revisions.ts';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const rounds = numberFromEnvironment('MEMBERS_ROUNDS', 1);
const faultEveryMs = numberFromEnvironment('MEMBERS_FAULTS', 0);
const seed = numberFromEnvironment('MEMBERS_SEED', 1);
const timeoutMs = 60_000 + rounds * (faultEveryMs > 0 ? 300_000 : 60_000);
const writers = 8;
const readers = 4;
const pauseMs = 5;
/** Of load after each change. */
const settledMs = 200;
const stepWithinMs = 60_000;
const agreeWithinMs = 15_000;

interface Listed {
  readonly ID: string;
  readonly name?: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs?: readonly string[];
  readonly isLearner?: boolean;
}

it(
  `a group grows to five, is replaced and shrinks to one under load, ${rounds} times over`,
  async () => {
    await withServer({ members: 1, chaos: true }, async ({ url }) => {
      const gateway = new Gateway(url);
      const load = new Load(gateway);
      await load.write('first', 1);
      const members = new Members(gateway, load);
      const running = load.run();
      const faults = injectFaults(gateway, () => load.isOver);
      try {
        let present: readonly number[] = [1];
        for (let round = 0; round < rounds; round += 1) present = await members.goRound(present);
      } finally {
        load.isOver = true;
        await Promise.allSettled([running, faults]);
      }
      await running;
      console.log(`${load.summary(members)}; ${await faults} faults`);
      assertRevisions(load.history);
      assertLinearizable(load.history);
      if (faultEveryMs === 0) expect(members.failed).toEqual([]);
      expect(members.steps).toBe(rounds * stepsOfRound);
      gateway.close();
    });
  },
  timeoutMs,
);

/** 4 places come, 2 go, 3 are replaced, 2 go. */
const stepsOfRound = 4 + 2 + 2 * 3 + 2;

/** Who belongs to the group, changed one by one. Each change has its effect, whatever it was answered. */
class Members {
  steps = 0;
  readonly failed: string[] = [];
  readonly tookMs: number[] = [];
  private readonly gateway: Gateway;
  private readonly load: Load;

  constructor(gateway: Gateway, load: Load) {
    this.gateway = gateway;
    this.load = load;
  }

  /** From one member to one member, which is another. */
  async goRound([first = 1]: readonly number[]): Promise<readonly number[]> {
    const [second = 0, third = 0, ...others] = [1, 2, 3, 4, 5, 6].filter((at) => at !== first);
    const present = [first];
    const come = async (place: number) => {
      await this.come(place);
      present.push(place);
      await this.agree(present);
    };
    const go = async (place: number) => {
      await this.go(place);
      present.splice(present.indexOf(place), 1);
      await this.agree(present);
    };
    const [fourth = 0, fifth = 0, sixth = 0] = others;
    for (const place of [second, third, fourth, fifth]) await come(place);
    for (const place of [fourth, fifth]) await go(place);
    // The first two have been members before, as somebody else.
    for (const [gone, comes] of [
      [first, fourth],
      [second, fifth],
      [third, sixth],
    ] as const) {
      await come(comes);
      await go(gone);
    }
    for (const place of [fourth, fifth]) await go(place);
    return present;
  }

  private async come(place: number): Promise<void> {
    const url = `http://place-${place}.weur:2380`;
    await this.until(async () => {
      const listed = (await this.list()).find(({ peerURLs }) => peerURLs.includes(url));
      if (listed?.name === `place-${place}` && !listed.isLearner) return true;
      // Added already, and on its way: whoever leads goes on with it.
      if (listed === undefined) await this.ask('add', { peerURLs: [url] });
      else if (listed.isLearner) await this.ask('promote', { ID: listed.ID });
      return false;
    });
  }

  private async go(place: number): Promise<void> {
    await this.until(async () => {
      const listed = (await this.list()).find(({ name }) => name === `place-${place}`);
      if (listed === undefined) return true;
      await this.ask('remove', { ID: listed.ID });
      return false;
    });
  }

  private async until(isDone: () => Promise<boolean>): Promise<void> {
    const began = performance.now();
    while (!(await isDone())) {
      if (performance.now() - began > stepWithinMs) throw new Error('the step does not end');
      if (faultEveryMs > 0) await sleep(50);
    }
    this.tookMs.push(performance.now() - began);
    await sleep(settledMs);
    this.steps += 1;
  }

  private async list(): Promise<readonly Listed[]> {
    for (let attempt = 0; ; attempt += 1) {
      const body = JSON.stringify({ linearizable: true });
      const path = '/v3/cluster/member/list';
      const answer = await this.gateway.send('POST', path, body).catch(() => null);
      if (answer?.status === 200) return (JSON.parse(answer.text) as { members: Listed[] }).members;
      if (attempt === 100) throw new Error(`no list: ${answer?.text}`);
      await sleep(50);
    }
  }

  private async ask(call: string, body: object): Promise<void> {
    const path = `/v3/cluster/member/${call}`;
    const { status, text } = await this.gateway
      .send('POST', path, JSON.stringify(body))
      .catch((error) => ({ status: 0, text: String(error) }));
    if (status !== 200) this.failed.push(`${call} ${JSON.stringify(body)}: ${status} ${text}`);
  }

  /** While nobody writes, all of these members, and no others, come to hold the same. */
  private async agree(places: readonly number[]): Promise<void> {
    await this.load.paused(async () => {
      const until = performance.now() + agreeWithinMs;
      for (;;) {
        const present = (await this.list()).map(({ name = '' }) => name).sort();
        const held = await Promise.all(places.map((place) => this.heldAt(place)));
        const isSame = !held.includes(null) && new Set(held).size === 1;
        if (isSame && isDeep(present, places.map((place) => `place-${place}`).sort())) return;
        if (performance.now() > until)
          throw new Error(`members differ: ${present} ${JSON.stringify(held)}`);
        await sleep(50);
      }
    });
  }

  /** What a member holds, its keys and all the rest, as etcd's two hashes; null: it gives none. */
  private async heldAt(place: number): Promise<string | null> {
    const hashes = ['hashkv', 'hash'].map(async (call) => {
      const via = { 'kv-via': `place=${place}` };
      const path = `/v3/maintenance/${call}`;
      const answer = await this.gateway.send('POST', path, '{}', via).catch(() => null);
      if (answer?.status !== 200) return null;
      const { header, ...hash } = JSON.parse(answer.text) as { header: { revision: string } };
      return JSON.stringify({ ...hash, revision: header.revision });
    });
    const [keys = null, all = null] = await Promise.all(hashes);
    return keys && all && keys + all;
  }
}

function isDeep(some: unknown, others: unknown): boolean {
  return JSON.stringify(some) === JSON.stringify(others);
}

/** Each writer owns one key; readers read any of them at any member that may serve them. */
class Load {
  isOver = false;
  readonly history = new History(() => performance.now());
  private readonly gateway: Gateway;
  private waiting: Promise<void> | null = null;
  private underWay = 0;

  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  async run(): Promise<void> {
    await Promise.all([
      ...Array.from({ length: writers }, async (_, name) => {
        for (let count = 1; !this.isOver; count += 1)
          await this.one(() => this.write(`register/${name}`, count));
      }),
      ...Array.from({ length: readers }, async (_, name) => {
        const random = new Random(name);
        while (!this.isOver) await this.one(() => this.read(name, random));
      }),
    ]);
  }

  /** Nothing is under way while `work` goes on. */
  async paused(work: () => Promise<void>): Promise<void> {
    let goOn: () => void = () => {};
    this.waiting = new Promise((resolve) => {
      goOn = resolve;
    });
    try {
      while (this.underWay > 0) await sleep(1);
      await work();
    } finally {
      this.waiting = null;
      goOn();
    }
  }

  private async one(work: () => Promise<void>): Promise<void> {
    await this.waiting;
    this.underWay += 1;
    await work();
    this.underWay -= 1;
    await sleep(pauseMs);
  }

  async write(key: string, count: number): Promise<void> {
    const value = String(count);
    const call = this.history.begin(`writer of ${key}`, put(key, value));
    const outcome = await this.gateway.put(key, value);
    if (outcome.acknowledged) call.acknowledge(outcome.revision);
    else call.unknown();
  }

  private async read(name: number, random: Random): Promise<void> {
    const key = `register/${random.integer(0, writers - 1)}`;
    const call = this.history.begin(`reader ${name}`, get(key));
    const body = JSON.stringify({ key: Buffer.from(key).toString('base64') });
    const via = random.pick(['leader', 'nearest', 'follower']);
    try {
      const { status, text } = await this.gateway.send('POST', '/v3/kv/range', body, {
        'kv-via': via,
      });
      if (status !== 200) throw new Error(text);
      const { header, kvs = [] } = JSON.parse(text) as {
        header: { revision: string };
        kvs?: { value: string; mod_revision: string }[];
      };
      const found = kvs.map(({ value, mod_revision }) => ({
        key,
        value: Buffer.from(value, 'base64').toString(),
        modRevision: Number(mod_revision),
      }));
      call.found(Number(header.revision), found);
    } catch {
      call.failed();
    }
  }

  summary({ steps, failed, tookMs }: Members): string {
    const { operations } = this.history;
    const answered = operations.filter(isAnswered);
    const writes = answered.filter(({ call }) => isWrite(call)).length;
    const longest = Math.round(Math.max(...tookMs));
    return (
      `${steps} steps, the longest ${longest} ms, ${failed.length} not answered with success; ` +
      `${writes} writes, ${answered.length - writes} reads, ` +
      `${operations.length - answered.length} failed`
    );
  }
}

/** How many places it happened at. */
async function injectFaults(gateway: Gateway, isOver: () => boolean): Promise<number> {
  const random = new Random(seed);
  let happened = 0;
  while (faultEveryMs > 0 && !isOver()) {
    const kind = random.pick(['abort', 'evict']);
    const path = `/chaos/${kind}?tenant=default&place=${random.integer(1, 6)}`;
    const { status, text } = await gateway.send('POST', path, '');
    expect({ path, status }).toEqual({ path, status: 200 });
    if (!text.startsWith('not ')) happened += 1;
    await sleep(faultEveryMs);
  }
  return happened;
}
