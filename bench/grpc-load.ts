/** The load generator for gRPC: a thread of this process, messages made before the clock starts. */
import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Order } from './grpc-load-thread.ts';
import { encodeRequest, grpcPath } from './grpc-messages.ts';
import type { LoadGenerator, Measurement } from './load.ts';
import type { Operation, Workload } from './workload.ts';

/** `connections`: null: one for each client. */
export function startGrpcLoad(workload: Workload, connections: number | null): LoadGenerator {
  const encoded = (operation: Operation) =>
    workload.bodies[operation].map((body) => encodeRequest(operation, body));
  const thread = new Worker(join(import.meta.dirname, 'grpc-load-thread.ts'), {
    workerData: { put: encoded('put'), get: encoded('get') },
  });
  thread.unref();
  const among = connections === null ? 'a connection each' : `${connections} connections at most`;
  return {
    name: `Node, one thread, ${among}`,
    run: async ({ url, operation, clients, seconds }) => {
      const order: Order = {
        ...{ url, operation, clients, seconds },
        path: grpcPath[operation],
        connections: connections ?? clients,
      };
      thread.ref();
      thread.postMessage(order);
      // Rejects with what the thread throws.
      const [measurement] = (await once(thread, 'message')) as [Measurement];
      thread.unref();
      return measurement;
    },
  };
}
