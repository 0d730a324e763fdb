/**
 * Members are aborted and evicted in the middle of load, the leader among them. What all clients saw
 * must be linearizable, the history that the store tells afterwards must be the one that they saw,
 * and service is there again soon.
 *
 * Each writer owns one key. Half of the reads go through etcd's gateway, half through the REST API; or everything goes
 * through a gRPC bridge, where calls share requests.
 *
 *   FAULTS_SECONDS  12           length of the load
 *   FAULTS_SEED     1            order of the faults
 *   FAULTS_KINDS    abort,evict  which ones
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { BridgedKeys } from '../support/bridged-keys.ts';
import { Gateway, type KeyValue, type WriteOutcome } from '../support/gateway.ts';
import {
  get,
  History,
  isAnswered,
  isWrite,
  put,
  txn,
  type Version,
} from '../support/history/history.ts';
import { assertLinearizable } from '../support/history/linearizability.ts';
import { assertRevisions } from '../support/history/revisions.ts';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const loadSeconds = numberFromEnvironment('FAULTS_SECONDS', 12);
const timeoutMs = 60_000 + loadSeconds * 3_000;
const seed = numberFromEnvironment('FAULTS_SEED', 1);
const kinds = (process.env.FAULTS_KINDS || 'abort,evict').split(',');
const faultEveryMs = 700;
const recoveryMaxMs = 5_000;
/** Operations of one transaction, when history is read. */
const rangesPerRequest = 100;

it.each([
  ['over HTTP', 16],
  ['through a bridge', 48],
] as const)(
  `members die during ${loadSeconds} s of load (FAULTS_SEED=${seed}) %s: all that clients see is linearizable`,
  async (way, writers) => {
    await withServer({ members: 3, chaos: true }, async ({ url }) => {
      const gateway = new Gateway(url);
      const clients = way === 'over HTTP' ? overHttp(gateway) : await throughBridge(url);
      const history = new History(() => performance.now());
      await write(clients, 'first', history);
      const until = Date.now() + loadSeconds * 1_000;
      const [faults] = await Promise.all([
        injectFaults(gateway, new Random(seed), until),
        ...Array.from({ length: writers }, async (_, name) => {
          for (let count = 1; Date.now() < until; count++)
            await write(clients, keyOf(name), history, String(count));
        }),
        ...Array.from({ length: writers / 2 }, (_, name) =>
          read(clients, keysOf(writers), name, history, until),
        ),
      ]);
      const gaps = faults.map(({ at }) => recoveryMs(at, history));
      console.log(summary(history, faults, gaps));

      await readHistory(gateway, history);
      assertRevisions(history);
      assertLinearizable(history);
      expect(Math.max(...gaps)).toBeLessThan(recoveryMaxMs);
      expect(writesIn(history).length).toBeGreaterThan(faults.length);
      gateway.close();
      await clients.close();
    });
  },
  timeoutMs,
);

interface Fault {
  readonly at: number;
  readonly kind: string;
  /** An eviction waits for requests under way, so that under load it may come to nothing. */
  readonly happened: boolean;
}

async function injectFaults(gateway: Gateway, random: Random, until: number): Promise<Fault[]> {
  const faults: Fault[] = [];
  await sleep(faultEveryMs);
  // The last fault leaves time to recover within the load.
  while (Date.now() < until - 2 * faultEveryMs) {
    const kind = random.pick(kinds);
    const place = random.integer(1, 3);
    const at = performance.now();
    const path = `/chaos/${kind}?tenant=default&place=${place}`;
    const { status, text } = await gateway.send('POST', path, '');
    expect({ path, status }).toEqual({ path, status: 200 });
    faults.push({ at, kind, happened: !text.startsWith('not ') });
    await sleep(faultEveryMs);
  }
  return faults;
}

interface Clients {
  put(key: string, value: string): Promise<WriteOutcome>;
  /** Throws when there is no answer. */
  get(key: string, random: Random): Promise<Seen>;
  close(): Promise<void>;
}

function overHttp(gateway: Gateway): Clients {
  return {
    put: (key, value) => gateway.put(key, value),
    get: (key, random) => (random.next() < 0.5 ? gatewayRead : restRead)(gateway, key),
    close: async () => {},
  };
}

async function throughBridge(url: string): Promise<Clients> {
  const keys = await BridgedKeys.start(url);
  return {
    put: (key, value) => keys.put(key, value),
    get: (key) => keys.get(key),
    close: () => keys.stop(),
  };
}

/** Each writer is the only one of its key, and no value of a key is written twice. */
async function write(clients: Clients, key: string, history: History, value = '0') {
  const call = history.begin(`writer of ${key}`, put(key, value));
  const outcome = await clients.put(key, value);
  if (outcome.acknowledged) call.acknowledge(outcome.revision);
  else call.unknown();
}

async function read(
  clients: Clients,
  keys: readonly string[],
  name: number,
  history: History,
  until: number,
) {
  const random = new Random(name);
  while (Date.now() < until) {
    const key = random.pick(keys);
    const call = history.begin(`reader ${name}`, get(key));
    try {
      const seen = await clients.get(key, random);
      call.found(seen.revision, seen.found);
    } catch {
      call.failed();
    }
  }
}

interface Seen {
  readonly revision: number;
  readonly found: readonly Version[];
}

/** Both throw when there is no answer. */
async function gatewayRead(gateway: Gateway, key: string): Promise<Seen> {
  const { revision, kvs } = await gateway.range({ key });
  return { revision, found: kvs.map(versionOf) };
}

async function restRead(gateway: Gateway, key: string): Promise<Seen> {
  const { status, headers, text } = await gateway.send('GET', `/v1/kv/${key}`);
  const revision = Number(headers['kv-revision']);
  if (status === 404 && revision > 0) return { revision, found: [] };
  const modRevision = Number(/^"(\d+)"$/.exec(String(headers.etag))?.[1]);
  if (status !== 200 || !(modRevision > 0)) throw new Error(`answered ${status}`);
  return { revision, found: [{ key, value: text, modRevision }] };
}

/** Asks the store for the key of each acknowledged write at its revision. */
async function readHistory(gateway: Gateway, history: History): Promise<void> {
  const writes = writesIn(history).map(({ key, revision }) => ({ key, revision }));
  for (let start = 0; start < writes.length; start += rangesPerRequest) {
    const queries = writes.slice(start, start + rangesPerRequest);
    const call = history.begin(
      'historian',
      txn({ success: queries.map(({ key, revision }) => ({ kind: 'get', key, at: revision })) }),
    );
    const answers = await gateway.ranges(queries);
    call.answer({
      revision: answers[0]?.revision ?? 0,
      succeeded: true,
      answers: answers.map(({ kvs }) => ({ kind: 'get', found: kvs.map(versionOf) })),
    });
  }
}

function versionOf({ key, value, modRevision }: KeyValue): Version {
  return { key: key.toString(), value: value.toString(), modRevision };
}

function keyOf(writer: number): string {
  return `register/${writer}`;
}

function keysOf(writers: number): string[] {
  return Array.from({ length: writers }, (_, writer) => keyOf(writer));
}

/** The acknowledged writes, in the order in which they began. */
function writesIn({ operations }: History) {
  return operations.filter(isAnswered).flatMap(({ call, outcome, invokedMs, completedMs }) => {
    const [step] = call.success;
    if (step?.kind !== 'put') return [];
    return [{ key: step.key, revision: outcome.revision, invokedMs, completedMs }];
  });
}

/** From a fault to the end of the first write that began after it and was acknowledged. */
function recoveryMs(fault: number, history: History): number {
  const after = writesIn(history).filter(({ invokedMs }) => invokedMs >= fault);
  return Math.min(...after.map(({ completedMs }) => completedMs)) - fault;
}

function summary(
  { operations }: History,
  faults: readonly Fault[],
  gaps: readonly number[],
): string {
  const sorted = gaps.map(Math.round).sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const counts = kinds.map((kind) => {
    const tried = faults.filter((fault) => fault.kind === kind);
    return `${tried.filter(({ happened }) => happened).length} of ${tried.length} ${kind}`;
  });
  const answered = operations.filter(isAnswered);
  const writes = answered.filter(({ call }) => isWrite(call)).length;
  return (
    `faults: ${counts.join(', ')}; ${writes} writes and ` +
    `${answered.length - writes} reads, ${operations.length - answered.length} failed; next acknowledged write after ${median} ms in the median, ` +
    `${sorted.at(-1)} ms at most`
  );
}
