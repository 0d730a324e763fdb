/**
 * A gRPC connection that is held through the bridge, with many watches and puts, while members die and the bridge is
 * restarted once. Every watch is held against the whole history.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Bridge, GrpcClient, startBridge } from '../../bridge.ts';
import { readHistory } from '../../changes.ts';
import { endOneLife } from '../../faults.ts';
import { Gateway } from '../../gateway.ts';
import { memoryOf } from '../../memory.ts';
import { Random } from '../../random.ts';
import { KeptStream } from './client.ts';
import { History, Violations, WatchJudge, Words } from './judge.ts';
import { allKeys, Load, scopeOf } from './load.ts';
import { Writes } from './writes.ts';

export interface BridgeRun {
  readonly url: string;
  /** Null: nobody knows; its memory is not told. */
  readonly workerdPid: number | null;
  readonly watches: number;
  /** Of the one connection; the watches are spread over them. */
  readonly streams: number;
  /** Puts and transactions, and their rate. */
  readonly puts: number;
  readonly putsPerSecond: number;
  /** How the bridge is ended in the middle, before another one is started in its place. */
  readonly restart: 'SIGTERM' | 'SIGKILL';
  readonly seed: number;
  /** Milliseconds between two faults; 0: none. */
  readonly faultEveryMs: number;
  readonly log: (text: string) => void;
}

export interface BridgeReport {
  readonly violations: readonly string[];
  /** Null: it was broken off. */
  readonly revisions: number | null;
  readonly putsAcknowledged: number;
  readonly putsPerSecond: number;
  readonly unknown: number;
  readonly unsent: number;
  readonly events: number;
  readonly messages: number;
  readonly fragments: number;
  readonly progress: number;
  readonly faults: number;
  /** Streams that ended with the bridge, and from then until every watch was served again. */
  readonly resumed: number;
  readonly resumedWithinMs: number;
  /** Ten times during the run, in MiB; the bridge is another process after the restart. */
  readonly bridgeMiB: readonly (number | null)[];
  readonly workerdMiB: readonly (number | null)[];
}

const samples = 10;
const progressEveryMs = 200;
const logEveryMs = 10_000;
const stalledMs = 60_000;
/** Large writes: from the second on they are more than one message of a watch takes. */
const largeEveryMax = 1_000;
const largeMin = 4;
const historyWithinMs = 120_000;
const pollMs = 50;
/** Who comes when all is over reads the history through the bridge: one watch of each kind. */
const lateWatches = 20;
/** As clientv3: any message, and no long wait before a server that was away is tried again. */
const channel = {
  'grpc.max_receive_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

export async function runBridgeWatches(run: BridgeRun): Promise<BridgeReport> {
  const bridge = await startBridge(run.url);
  const held = new HeldConnection(run, bridge);
  try {
    return await held.run();
  } finally {
    await held.close();
  }
}

class HeldConnection {
  private readonly options: BridgeRun;
  private bridge: Bridge;
  private readonly client: GrpcClient;
  private readonly gateway: Gateway;
  private readonly violations = new Violations();
  private readonly words = new Words();
  private readonly writes = new Writes(this.violations);
  private readonly load: Load;
  private readonly streams: KeptStream[] = [];
  private readonly counts = { faults: 0, resumedWithinMs: 0 };
  private readonly memory = {
    bridgeMiB: [] as (number | null)[],
    workerdMiB: [] as (number | null)[],
  };
  private isWriting = true;

  constructor(options: BridgeRun, bridge: Bridge) {
    this.options = options;
    this.bridge = bridge;
    this.client = new GrpcClient(bridge.address, { ...channel, waitForReady: true });
    this.gateway = new Gateway(options.url);
    const { seed, puts } = options;
    const largeEvery = Math.min(largeEveryMax, Math.floor(puts / largeMin));
    this.load = new Load(this.client, this.writes, { seed, largeEvery });
  }

  async run(): Promise<BridgeReport> {
    const { puts, putsPerSecond, watches, streams } = this.options;
    const first = await this.load.writeAtLast();
    // They come while it is written, so some begin in the past and have to catch up.
    const isOpening = { now: true };
    const early = this.load.run(Number.POSITIVE_INFINITY, putsPerSecond / 4, () => isOpening.now);
    const judges = Array.from({ length: watches }, (_, n) =>
      this.judge(`watch ${n}`, n, n % 5 === 4 ? null : first),
    );
    for (let at = 0; at < streams; at += 1) this.open(judges.filter((_, n) => n % streams === at));
    await this.untilServed();
    isOpening.now = false;
    await early;
    const before = this.writes.acknowledgedPuts;
    const startedMs = performance.now();
    const writing = this.load
      .run(puts, putsPerSecond, () => this.goesOn)
      .finally(() => {
        this.isWriting = false;
      });
    await Promise.all([this.disturb(), this.restartInTheMiddle(), this.watchMemory(), writing]);
    const putsAcknowledged = this.writes.acknowledgedPuts - before;
    const seconds = (performance.now() - startedMs) / 1_000;
    const last = this.goesOn ? await this.settle(first) : null;
    return this.report({
      revisions: last,
      putsAcknowledged,
      putsPerSecond: Math.round((putsAcknowledged / seconds) * 10) / 10,
    });
  }

  async close(): Promise<void> {
    for (const stream of this.streams) stream.close();
    this.client.close();
    this.gateway.close();
    await this.bridge.stop();
  }

  private get goesOn(): boolean {
    return this.violations.all.length === 0;
  }

  private judge(name: string, n: number, from: number | null): WatchJudge {
    const { violations, words } = this;
    return new WatchJudge(name, scopeOf(n), from, { violations, words });
  }

  private untilServed(): Promise<void> {
    return this.until('watches are not served', () => this.sum(({ unserved }) => unserved));
  }

  private open(judges: readonly WatchJudge[]): void {
    const fail = (what: string) => this.violations.complain(what);
    const stream = new KeptStream(this.client, judges, { fail, log: this.options.log });
    this.streams.push(stream);
    stream.open();
  }

  /** Ends lives of members, asks for progress. */
  private async disturb(): Promise<void> {
    const { faultEveryMs, seed, puts, log } = this.options;
    const random = new Random(seed);
    for (let ms = progressEveryMs; this.isWriting; ms += progressEveryMs) {
      await sleep(progressEveryMs);
      if (random.next() < 0.3) random.pick(this.streams).askProgress();
      if (ms % logEveryMs === 0)
        log(
          `${this.load.begun} of ${puts} puts, ${this.events} events told, ` +
            `${this.sum(({ unserved }) => unserved)} watches unserved, ${this.counts.faults} faults, MiB ${JSON.stringify(this.memory)}`,
        );
      if (faultEveryMs === 0 || ms % faultEveryMs >= progressEveryMs) continue;
      await endOneLife(this.gateway, random);
      this.counts.faults += 1;
    }
  }

  private async restartInTheMiddle(): Promise<void> {
    while (this.isWriting && this.load.begun < this.options.puts / 2) await sleep(pollMs);
    if (!this.isWriting) return;
    const port = Number(this.bridge.address.split(':').at(-1));
    const endedMs = performance.now();
    await this.bridge.stop(this.options.restart);
    this.bridge = await startBridge(this.options.url, [], port);
    await this.until('streams have not noticed', () =>
      count(this.streams, ({ ends }) => ends === 0),
    );
    await this.untilServed();
    this.counts.resumedWithinMs = Math.round(performance.now() - endedMs);
  }

  private async watchMemory(): Promise<void> {
    const { puts, workerdPid } = this.options;
    for (let sample = 0; sample <= samples && this.goesOn; ) {
      if (this.isWriting && this.load.begun < (puts * sample) / samples) {
        await sleep(pollMs);
        continue;
      }
      sample += 1;
      this.memory.bridgeMiB.push(memoryOf(this.bridge.pid)?.now ?? null);
      const workerd = workerdPid === null ? null : memoryOf(workerdPid);
      this.memory.workerdMiB.push(workerd?.now ?? null);
    }
  }

  /** Everybody has to be told everything, those who come late too. The last revision. */
  private async settle(first: number): Promise<number> {
    const last = await this.load.writeAtLast();
    const changes = await readHistory(this.gateway, allKeys, last, historyWithinMs);
    const history = new History(changes, this.words);
    this.writes.judge(changes.filter(({ revision }) => revision >= first));
    await this.judgeAll(this.streams, history, last);
    // Each was let go once, with the bridge.
    for (const { ends } of this.streams)
      if (ends !== 1) this.violations.complain(`a stream has ended ${ends} times`);
    if (!this.goesOn) return last;
    const late = Array.from({ length: lateWatches }, (_, n) => {
      const from = first + Math.floor(((last - first) * (n % 7)) / 7);
      return this.judge(`late watch ${n}`, n, from);
    });
    this.open(late);
    await this.untilServed();
    await this.judgeAll(this.streams.slice(-1), history, last);
    return last;
  }

  /** Progress is told after all events that there are, so what comes twice has come by then. */
  private async judgeAll(
    streams: readonly KeptStream[],
    history: History,
    last: number,
  ): Promise<void> {
    const judges = streams.flatMap(({ judges }) => judges);
    const dues = judges.map((judge) => ({ judge, due: judge.due(history) }));
    await this.until('watches are not told everything', () =>
      count(dues, ({ judge, due }) => judge.told.length < due.length),
    );
    await this.until('streams are not told how far they have come', () => {
      const behind = streams.filter(({ progressThrough }) => progressThrough < last);
      for (const stream of behind) stream.askProgress();
      return behind.length;
    });
    for (const { judge, due } of dues) judge.end(due);
  }

  /** Until nothing is left. A violation, if there is no less of it for a while. */
  private async until(what: string, left: () => number): Promise<void> {
    let least = Number.POSITIVE_INFINITY;
    let sinceMs = performance.now();
    for (let now = left(); now > 0 && this.goesOn; now = left()) {
      if (now < least) {
        least = now;
        sinceMs = performance.now();
      }
      if (performance.now() - sinceMs > stalledMs) this.violations.complain(`${now} ${what}`);
      await sleep(pollMs);
    }
  }

  private sum(count: (stream: KeptStream) => number): number {
    return this.streams.reduce((sum, stream) => sum + count(stream), 0);
  }

  private get events(): number {
    return this.sum(({ judges }) => judges.reduce((sum, { told }) => sum + told.length, 0));
  }

  private report(
    counted: Pick<BridgeReport, 'revisions' | 'putsAcknowledged' | 'putsPerSecond'>,
  ): BridgeReport {
    const { writes, load, options } = this;
    for (const [reason, times] of load.reasons) options.log(`${times} writes: ${reason}`);
    return {
      violations: this.violations.all,
      ...counted,
      unknown: writes.count('unknown'),
      unsent: writes.count('unsent'),
      events: this.events,
      messages: this.sum(({ messages }) => messages),
      fragments: this.sum(({ fragments }) => fragments),
      progress: this.sum(({ progressHeard }) => progressHeard),
      resumed: this.sum(({ ends }) => ends),
      ...this.counts,
      ...this.memory,
    };
  }
}

function count<Item>(items: readonly Item[], isIt: (item: Item) => boolean): number {
  return items.filter(isIt).length;
}
