/**
 * The closed loop of the load generator for gRPC: so many clients, each with one call at a time, over
 * connections that are open before the clock starts.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { performance } from 'node:perf_hooks';
import { callUnary, isSuccess } from './grpc-call.ts';
import type { Measurement } from './load.ts';
import { percentile } from './statistics.ts';

export interface GrpcLoad {
  readonly url: string;
  readonly path: string;
  readonly clients: number;
  /** Clients take turns at them. */
  readonly connections: number;
  readonly seconds: number;
}

/** After a call that failed: whatever refuses everything is not asked as fast as can be. */
const errorPauseMs = 10;
const connectTimeoutMs = 10_000;

/** Where the next call is in the list of requests: short runs do not repeat the same few keys. */
let position = 0;

/** What is under way at the end counts for nobody. Throws when a connection cannot be opened. */
export async function runGrpcLoad(
  load: GrpcLoad,
  requests: readonly Uint8Array[],
): Promise<Measurement> {
  const { url, path, clients, seconds } = load;
  const count = Math.min(load.connections, clients);
  const sessions = await Promise.all(Array.from({ length: count }, () => open(url)));
  const latenciesMs: number[] = [];
  let errors = 0;
  let isOver = false;
  const next = (slot: number) => {
    if (isOver) return;
    const request = requests[position++ % requests.length] as Uint8Array;
    const began = performance.now();
    callUnary(sessionAt(sessions, slot, url), path, request, (answer) => {
      if (isOver) return;
      if (isSuccess(answer)) {
        latenciesMs.push(performance.now() - began);
        next(slot);
      } else {
        errors += 1;
        setTimeout(() => next(slot), errorPauseMs);
      }
    });
  };
  const loopBefore = performance.eventLoopUtilization();
  const began = performance.now();
  for (let client = 0; client < clients; client += 1) next(client % count);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const elapsedMs = performance.now() - began;
  isOver = true;
  const { utilization } = performance.eventLoopUtilization(loopBefore);
  for (const session of sessions) session.destroy();
  const isEmpty = latenciesMs.length === 0;
  return {
    operations: latenciesMs.length + errors,
    opsPerSecond: latenciesMs.length / (elapsedMs / 1000),
    p50Ms: isEmpty ? 0 : percentile(latenciesMs, 50),
    p99Ms: isEmpty ? 0 : percentile(latenciesMs, 99),
    errors,
    generatorBusy: utilization,
  };
}

async function open(url: string): Promise<ClientHttp2Session> {
  const session = begin(url);
  await new Promise<void>((resolve, reject) => {
    session.setTimeout(connectTimeoutMs, () => reject(new Error(`${url}: no connection`)));
    session.once('connect', () => resolve());
    session.once('error', reject);
  });
  session.setTimeout(0);
  return session;
}

function begin(url: string): ClientHttp2Session {
  const session = connect(url, { settings: { enablePush: false } });
  // Its calls end with it, and are counted.
  session.on('error', () => {});
  return session;
}

/** A connection that was lost is opened again by whoever comes next. */
function sessionAt(sessions: ClientHttp2Session[], slot: number, url: string): ClientHttp2Session {
  const session = sessions[slot];
  if (session && !session.closed && !session.destroyed) return session;
  const opened = begin(url);
  sessions[slot] = opened;
  return opened;
}
