/**
 * Members are aborted and evicted in the middle of load, the leader among them. No acknowledged
 * write may be lost, no read may be stale, and service is there again soon.
 *
 * Each writer owns one key. The revision of a key only ever grows, so whatever was seen of it
 * (acknowledged to its writer, or read by anybody) is a floor for every read that begins later. Half
 * of the reads go through etcd's gateway, half through the REST API.
 *
 *   FAULTS_SECONDS  20           length of the load
 *   FAULTS_SEED     1            order of the faults
 *   FAULTS_KINDS    abort,evict  which ones
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const loadSeconds = numberFromEnvironment('FAULTS_SECONDS', 20);
const timeoutMs = 60_000 + loadSeconds * 3_000;
const seed = numberFromEnvironment('FAULTS_SEED', 1);
const kinds = (process.env.FAULTS_KINDS || 'abort,evict').split(',');
const writers = 16;
const readers = 8;
const faultEveryMs = 700;
const recoveryMaxMs = 5_000;
/** Operations of one transaction, when history is read. */
const rangesPerRequest = 100;

interface Acknowledged {
  readonly key: string;
  readonly value: string;
  readonly revision: number;
}

/** What one run of load has seen. */
interface Evidence {
  readonly acknowledged: Acknowledged[];
  readonly floors: Map<string, number>;
  readonly staleReads: string[];
  /** When each successful operation began and ended. */
  readonly successes: { begun: number; ended: number }[];
  failures: number;
  reads: number;
}

it(
  `members die during ${loadSeconds} s of load (FAULTS_SEED=${seed}): nothing acknowledged is lost, no read is stale`,
  async () => {
    await withServer({ members: 3, chaos: true }, async ({ url }) => {
      const gateway = new Gateway(url);
      expect(await gateway.put('born', 'yes')).toMatchObject({ acknowledged: true });
      const evidence: Evidence = {
        acknowledged: [],
        floors: new Map(),
        staleReads: [],
        successes: [],
        failures: 0,
        reads: 0,
      };
      const until = Date.now() + loadSeconds * 1_000;
      const [faults] = await Promise.all([
        injectFaults(gateway, new Random(seed), until),
        ...Array.from({ length: writers }, (_, name) => write(gateway, name, evidence, until)),
        ...Array.from({ length: readers }, (_, name) => read(gateway, name, evidence, until)),
      ]);
      const gaps = faults.map(({ at }) => recoveryMs(at, evidence));
      console.log(summary(evidence, faults, gaps));

      expect(evidence.staleReads).toEqual([]);
      expect(await missingWrites(gateway, evidence)).toEqual([]);
      expect(Math.max(...gaps)).toBeLessThan(recoveryMaxMs);
      expect(evidence.acknowledged.length).toBeGreaterThan(faults.length);
      gateway.close();
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

async function write(gateway: Gateway, name: number, evidence: Evidence, until: number) {
  const key = keyOf(name);
  for (let count = 1; Date.now() < until; count++) {
    const begun = performance.now();
    const outcome = await gateway.put(key, String(count));
    if (!outcome.acknowledged) {
      evidence.failures += 1;
      continue;
    }
    evidence.successes.push({ begun, ended: performance.now() });
    evidence.acknowledged.push({ key, value: String(count), revision: outcome.revision });
    raiseFloor(evidence, key, outcome.revision);
  }
}

async function read(gateway: Gateway, name: number, evidence: Evidence, until: number) {
  const random = new Random(name);
  while (Date.now() < until) {
    const key = keyOf(random.integer(0, writers - 1));
    const floor = evidence.floors.get(key) ?? 0;
    try {
      const seen = await (random.next() < 0.5 ? gatewayRead : restRead)(gateway, key);
      evidence.reads += 1;
      if (seen < floor) evidence.staleReads.push(`${key}: read ${seen} after ${floor}`);
      raiseFloor(evidence, key, seen);
    } catch {
      evidence.failures += 1;
    }
  }
}

/** Both answer the key's revision, 0 when it does not exist, and throw when there is no answer. */
async function gatewayRead(gateway: Gateway, key: string): Promise<number> {
  return (await gateway.range({ key })).kvs[0]?.modRevision ?? 0;
}

async function restRead(gateway: Gateway, key: string): Promise<number> {
  const reply = await gateway.send('GET', `/v1/kv/${key}`);
  if (reply.status === 404) return 0;
  const revision = /^"(\d+)"$/.exec(String(reply.headers.etag))?.[1];
  if (reply.status !== 200 || revision === undefined) throw new Error(`answered ${reply.status}`);
  return Number(revision);
}

function keyOf(writer: number): string {
  return `register/${writer}`;
}

function raiseFloor(evidence: Evidence, key: string, revision: number): void {
  evidence.floors.set(key, Math.max(revision, evidence.floors.get(key) ?? 0));
}

/** From a fault to the end of the first write that began after it and was acknowledged. */
function recoveryMs(fault: number, { successes }: Evidence): number {
  const ends = successes.filter(({ begun }) => begun >= fault).map(({ ended }) => ended);
  return ends.reduce((first, end) => Math.min(first, end), Number.POSITIVE_INFINITY) - fault;
}

/** Asks history: at the revision of each acknowledged write, its key must have its value. */
async function missingWrites(gateway: Gateway, { acknowledged }: Evidence): Promise<string[]> {
  const missing: string[] = [];
  for (let start = 0; start < acknowledged.length; start += rangesPerRequest) {
    const writes = acknowledged.slice(start, start + rangesPerRequest);
    const answers = await gateway.ranges(writes.map(({ key, revision }) => ({ key, revision })));
    writes.forEach(({ key, value, revision }, index) => {
      const stored = answers[index]?.kvs[0];
      if (stored?.modRevision !== revision || stored.value.toString() !== value) {
        missing.push(`${key} = ${value} at revision ${revision}: found ${JSON.stringify(stored)}`);
      }
    });
  }
  return missing;
}

function summary(
  { acknowledged, reads, failures }: Evidence,
  faults: readonly Fault[],
  gaps: readonly number[],
): string {
  const sorted = gaps.map(Math.round).sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const counts = kinds.map((kind) => {
    const tried = faults.filter((fault) => fault.kind === kind);
    return `${tried.filter(({ happened }) => happened).length} of ${tried.length} ${kind}`;
  });
  return (
    `faults: ${counts.join(', ')}; ${acknowledged.length} writes and ${reads} reads, ` +
    `${failures} failed; next acknowledged write after ${median} ms in the median, ` +
    `${sorted.at(-1)} ms at most`
  );
}
