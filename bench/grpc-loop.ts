/**
 * The closed loop of the load generator for gRPC: so many clients, each with one call at a time, over
 * connections that are open before the clock starts.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { GrpcConnection, isSuccess } from './grpc-connection.ts';
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

/** Where the next call is in the list of requests: short runs do not repeat the same few keys. */
let position = 0;

/**
 * What is under way at the end counts for nobody. A connection that is lost stays lost, and its clients
 * fail. Throws when one cannot be opened at the beginning.
 */
export async function runGrpcLoad(
  load: GrpcLoad,
  requests: readonly Uint8Array[],
): Promise<Measurement> {
  const { url, path, clients, seconds } = load;
  const count = Math.min(load.connections, clients);
  const connections = await Promise.all(
    Array.from({ length: count }, () => GrpcConnection.open(url)),
  );
  const latenciesMs: number[] = [];
  let errors = 0;
  let isOver = false;
  const failed = (connection: GrpcConnection) => {
    errors += 1;
    if (connection.isOpen) setTimeout(() => next(connection), errorPauseMs);
  };
  const next = (connection: GrpcConnection) => {
    if (isOver) return;
    const request = requests[position++ % requests.length] as Uint8Array;
    const began = performance.now();
    connection.call(path, request, (answer) => {
      if (isOver) return;
      if (!isSuccess(answer)) return failed(connection);
      latenciesMs.push(performance.now() - began);
      next(connection);
    });
  };
  const loopBefore = performance.eventLoopUtilization();
  const began = performance.now();
  for (let client = 0; client < clients; client += 1)
    next(connections[client % count] as GrpcConnection);
  await sleep(seconds * 1000);
  isOver = true;
  const elapsedMs = performance.now() - began;
  const { utilization } = performance.eventLoopUtilization(loopBefore);
  for (const connection of connections) connection.close();
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
