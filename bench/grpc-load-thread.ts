/** The thread of grpc-load.ts: it lives as long as the bench, so that its code is compiled by the first run. */
import { parentPort, workerData } from 'node:worker_threads';
import { type GrpcLoad, runGrpcLoad } from './grpc-loop.ts';
import type { Operation } from './workload.ts';

export interface Order extends GrpcLoad {
  readonly operation: Operation;
}

const requests = workerData as Readonly<Record<Operation, readonly Uint8Array[]>>;

parentPort?.on('message', async (order: Order) => {
  parentPort?.postMessage(await runGrpcLoad(order, requests[order.operation]));
});
