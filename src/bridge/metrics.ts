/**
 * What the bridge counts of itself, with the names that Go's gRPC servers use (and etcd with them), served over plain
 * HTTP beside /health.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import {
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { GrpcCode, nameOfCode } from '../api/errors.ts';
import { rpcs } from './rpcs.ts';
import type { Upstream } from './upstream.ts';

type Labels = 'grpc_service' | 'grpc_method' | 'grpc_type';

export class Metrics {
  readonly registry = new Registry();
  private readonly started: Counter<Labels>;
  private readonly handled: Counter<Labels | 'grpc_code'>;
  private readonly open: Gauge<Labels>;

  constructor() {
    const registers = [this.registry];
    const labelNames: Labels[] = ['grpc_service', 'grpc_method', 'grpc_type'];
    collectDefaultMetrics({ register: this.registry });
    this.started = new Counter({
      name: 'grpc_server_started_total',
      help: 'Calls begun.',
      labelNames,
      registers,
    });
    this.handled = new Counter({
      name: 'grpc_server_handled_total',
      help: 'Calls ended, by code.',
      labelNames: [...labelNames, 'grpc_code'],
      registers,
    });
    this.open = new Gauge({
      name: 'quorate_bridge_open_calls',
      help: 'Calls and streams under way.',
      labelNames,
      registers,
    });
  }

  /** Counts every call of an RPC that etcd has. */
  readonly interceptor: ServerInterceptor = ({ path }, call) => {
    const labels = labelsOf.get(path);
    if (!labels) return new ServerInterceptingCall(call);
    let isOver = false;
    const ended = (code: GrpcCode) => {
      if (isOver) return;
      isOver = true;
      this.open.dec(labels);
      const grpcCode = code === (0 as GrpcCode) ? 'OK' : nameOfCode(code);
      this.handled.inc({ ...labels, grpc_code: grpcCode });
    };
    this.started.inc(labels);
    this.open.inc(labels);
    const listener = new ServerListenerBuilder()
      .withOnCancel(() => ended(GrpcCode.Canceled))
      .build();
    return new ServerInterceptingCall(call, {
      start: (next) => next(listener),
      sendStatus: (status, next) => {
        ended(status.code as GrpcCode);
        next(status);
      },
    });
  };
}

const labelsOf: ReadonlyMap<string, Record<Labels, string>> = new Map(
  rpcs.map(({ name, service, method, type }) => [
    name,
    { grpc_service: service, grpc_method: method, grpc_type: type },
  ]),
);

/** Resolves to the server when it listens. */
export function serveMetrics(
  address: string,
  metrics: Metrics,
  upstream: Upstream,
): Promise<Server> {
  const server = createServer((request, response) => {
    void answer(request.url ?? '', response, metrics, upstream);
  });
  const at = address.lastIndexOf(':');
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(Number(address.slice(at + 1)), address.slice(0, at), () => resolve(server));
  });
}

async function answer(
  url: string,
  response: ServerResponse,
  { registry }: Metrics,
  upstream: Upstream,
): Promise<void> {
  const send = (status: number, type: string, body: string) =>
    response.writeHead(status, { 'content-type': type }).end(body);
  switch (url.split('?', 1)[0]) {
    case '/metrics':
      send(200, registry.contentType, await registry.metrics());
      return;
    case '/health': {
      const isThere = await upstream.isThere();
      const reason = isThere ? '' : 'the target does not answer as a Quorate service';
      const body = JSON.stringify({ health: String(isThere), reason });
      send(isThere ? 200 : 503, 'application/json', body);
      return;
    }
    default:
      send(404, 'text/plain; charset=utf-8', '404 page not found\n');
  }
}
