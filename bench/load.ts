/**
 * Load generators for JSON: wrk where it is installed, else autocannon. Both keep N connections busy,
 * each with one request at a time (a closed loop), and answer with the same measurement, as does the
 * one for gRPC (grpc-load.ts).
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Child, versionOf } from './children.ts';
import { type Operation, operationPath, type Workload } from './workload.ts';

export interface Measurement {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that were not 2xx, and connection errors and timeouts. */
  readonly errors: number;
  /** Part of the time in which the generator's thread was not waiting; null: it does not say. */
  readonly generatorBusy: number | null;
}

export interface Load {
  readonly url: string;
  readonly operation: Operation;
  readonly workload: Workload;
  readonly clients: number;
  readonly seconds: number;
}

export interface LoadGenerator {
  readonly name: string;
  run(load: Load): Promise<Measurement>;
}

const requestTimeoutSeconds = 10;

export function findLoadGenerator(): LoadGenerator {
  const version = versionOf('wrk');
  if (version === null) return { name: 'autocannon (wrk is not on PATH)', run: runAutocannon };
  const [, number = '?'] = /^(wrk \S+)/.exec(version) ?? [];
  return { name: `${number}, one thread`, run: runWrk };
}

/** Every run begins elsewhere in the list, so that short runs do not repeat the same few keys. */
let position = 0;

async function runWrk(load: Load): Promise<Measurement> {
  position += 3_001;
  const child = new Child('wrk', 'wrk', [
    ...['-t', '1', '-c', String(load.clients), '-d', `${load.seconds}s`],
    ...['--timeout', `${requestTimeoutSeconds}s`, '-s', join(import.meta.dirname, 'load.lua')],
    ...[load.url, '--', operationPath[load.operation]],
    ...[load.workload.files[load.operation], String(position)],
  ]);
  const patienceMs = (load.seconds + 2 * requestTimeoutSeconds) * 1000;
  const line = await child.until('result', patienceMs, () => {
    return /^RESULT (\{.*\})$/m.exec(child.output)?.[1] ?? null;
  });
  const result = JSON.parse(line) as Record<
    'requests' | 'durationUs' | 'errors' | 'p50Us' | 'p99Us',
    number
  >;
  return {
    operations: result.requests,
    opsPerSecond: (result.requests - result.errors) / (result.durationUs / 1e6),
    p50Ms: result.p50Us / 1000,
    p99Ms: result.p99Us / 1000,
    errors: result.errors,
    generatorBusy: null,
  };
}

/** The part of autocannon that is used here; it brings no types. */
type Autocannon = (options: {
  url: string;
  connections: number;
  duration: number;
  timeout: number;
  setupClient: (client: { setRequests(requests: AutocannonRequest[]): void }) => void;
}) => Promise<{
  requests: { total: number };
  duration: number;
  latency: { p50: number; p99: number };
  /** Timeouts included. */
  errors: number;
  non2xx: number;
}>;

interface AutocannonRequest {
  readonly method: 'POST';
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Autocannon encodes the list of every connection while the clock runs: keep them short. */
const requestsOfAllConnections = 2_048;
const requestsOfOneMin = 8;

async function runAutocannon(load: Load): Promise<Measurement> {
  const autocannon = createRequire(import.meta.url)('autocannon') as Autocannon;
  const bodies = load.workload.bodies[load.operation];
  const perClient = Math.max(requestsOfOneMin, Math.floor(requestsOfAllConnections / load.clients));
  const nextRequest = (): AutocannonRequest => ({
    method: 'POST',
    path: operationPath[load.operation],
    headers: { 'content-type': 'application/json' },
    body: bodies[position++ % bodies.length] as string,
  });
  const result = await autocannon({
    url: load.url,
    connections: load.clients,
    duration: load.seconds,
    timeout: requestTimeoutSeconds,
    setupClient: (client) => client.setRequests(Array.from({ length: perClient }, nextRequest)),
  });
  return {
    operations: result.requests.total,
    opsPerSecond: (result.requests.total - result.non2xx) / result.duration,
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    errors: result.errors + result.non2xx,
    generatorBusy: null,
  };
}
