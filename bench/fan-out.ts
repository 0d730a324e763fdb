/**
 * Watch fan-out: one put, and how long until the first and until the last of so many watchers has it.
 * All watch one key by POST /v3/watch, each on a connection of its own as far as file descriptors reach
 * (workerd takes two for each), else several on one.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contender, ContenderName } from './contender.ts';
import { callJson, inParallel } from './http.ts';
import { median } from './statistics.ts';
import { randomValue } from './workload.ts';

export interface FanOutLine {
  readonly bench: 'fan-out';
  readonly contender: ContenderName;
  readonly watchers: number;
  readonly puts: number;
  readonly openedPerSecond: number;
  /** Medians over the puts, milliseconds from the start of the put. */
  readonly putMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

interface FanOutTask {
  readonly contenders: readonly Contender[];
  readonly watchers: readonly number[];
  readonly log: (text: string) => void;
}

const putsPerCount = 7;
/** The first ones compile and connect; they count for nobody. */
const warmUpPuts = 2;
const openAtOnce = 64;
const connectionsMax = 5_000;
const everybodyWithinMs = 60_000;
const pauseMs = 200;

export async function measureFanOut({
  contenders,
  watchers,
  log,
}: FanOutTask): Promise<FanOutLine[]> {
  const lines: FanOutLine[] = [];
  for (const count of watchers)
    for (const contender of contenders) {
      log(`${contender.name}: ${count} watchers`);
      const crowd = new Crowd(contender.url, `fan-out/${count}`);
      try {
        lines.push(await measure(contender, crowd, count));
      } finally {
        crowd.close();
      }
      await sleep(pauseMs);
    }
  return lines;
}

async function measure({ name, url }: Contender, crowd: Crowd, count: number): Promise<FanOutLine> {
  const openBegan = performance.now();
  const connections = Math.min(count, connectionsMax);
  const each = Math.ceil(count / connections);
  await inParallel(connections, openAtOnce, (n) => crowd.join(Math.min(each, count - n * each)));
  const openedPerSecond = (count / (performance.now() - openBegan)) * 1_000;
  const rounds: { putMs: number; firstMs: number; lastMs: number }[] = [];
  for (let n = 0; n < warmUpPuts + putsPerCount; n += 1) {
    await sleep(pauseMs);
    const began = performance.now();
    const told = crowd.expect();
    await callJson(`${url}/v3/kv/put`, JSON.stringify({ key: crowd.key, value: randomValue() }));
    const putMs = performance.now() - began;
    const { first, last } = await told;
    if (n >= warmUpPuts) rounds.push({ putMs, firstMs: first - began, lastMs: last - began });
  }
  const of = (value: keyof (typeof rounds)[number]) =>
    Number(median(rounds.map((round) => round[value])).toFixed(2));
  return {
    bench: 'fan-out',
    contender: name,
    watchers: count,
    puts: putsPerCount,
    openedPerSecond: Math.round(openedPerSecond),
    putMs: of('putMs'),
    firstMs: of('firstMs'),
    lastMs: of('lastMs'),
  };
}

/** Bare connections: a client library would measure itself. A line with `"events"` is a put's. */
class Crowd {
  readonly key: string;
  private readonly url: URL;
  private readonly sockets: Socket[] = [];
  private watchers = 0;
  private heard = 0;
  private first = 0;
  private done: (times: { first: number; last: number }) => void = () => {};

  constructor(url: string, key: string) {
    this.url = new URL(url);
    this.key = btoa(key);
  }

  /** One connection with so many watches; resolves when they exist. */
  join(watches: number): Promise<void> {
    const body = JSON.stringify({ create_request: { key: this.key } }).repeat(watches);
    this.watchers += watches;
    const { hostname, port } = this.url;
    const socket = connect(Number(port), hostname);
    this.sockets.push(socket);
    socket.write(
      `POST /v3/watch HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    return new Promise((resolve, reject) => {
      let text = '';
      let created = 0;
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('a watcher was disconnected')));
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        // A line is whole when its chunk has ended.
        if (!text.endsWith('\n')) return;
        created += occurrences(text, '"created":true');
        if (created >= watches) resolve();
        for (let n = occurrences(text, '"events"'); n > 0; n -= 1) this.hear();
        text = '';
      });
    });
  }

  /** When the first and when the last of all has heard of the next put. */
  expect(): Promise<{ first: number; last: number }> {
    this.heard = 0;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.heard} of ${this.watchers} watchers heard of a put`));
      }, everybodyWithinMs);
      this.done = (times) => {
        clearTimeout(timer);
        resolve(times);
      };
    });
  }

  private hear(): void {
    this.heard += 1;
    if (this.heard === 1) this.first = performance.now();
    if (this.heard === this.watchers) this.done({ first: this.first, last: performance.now() });
  }

  close(): void {
    for (const socket of this.sockets) {
      socket.removeAllListeners('close');
      socket.destroy();
    }
  }
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}
