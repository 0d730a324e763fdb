/**
 * What the bridge counts of itself, with the names that Go's gRPC servers use (and etcd with them).
 */
import {
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { GrpcCode, nameOfCode } from '../api/errors.ts';
import { rpcs } from './rpcs.ts';

type Labels = 'grpc_service' | 'grpc_method' | 'grpc_type';

/** Why a connection is closed by the bridge. */
export type Refusal = 'certificate' | 'error' | 'limit' | 'pings' | 'silent' | 'tls';

/** Between two lines about connections that were refused for one reason. */
const quietMs = 10_000;

export class Metrics {
  readonly registry = new Registry();
  private readonly refusals: Counter<'reason'>;
  private readonly connections: Gauge;
  private readonly said = new Map<string, number>();
  private readonly started: Counter<Labels>;
  private readonly handled: Counter<Labels | 'grpc_code'>;
  private readonly open: Gauge<Labels>;

  constructor(connectionsNow: () => number) {
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
    this.refusals = new Counter({
      name: 'quorate_bridge_refused_connections_total',
      help: 'Connections that the bridge has closed, by reason.',
      labelNames: ['reason'],
      registers,
    });
    this.connections = new Gauge({
      name: 'quorate_bridge_open_connections',
      help: 'Connections of clients.',
      registers,
      collect: () => this.connections.set(connectionsNow()),
    });
  }

  /** Counts it, and tells of it unless it has just told of another. */
  readonly refused = (reason: Refusal, client: string | undefined, why: string): void => {
    this.refusals.inc({ reason });
    const now = performance.now();
    if (now - (this.said.get(why) ?? Number.NEGATIVE_INFINITY) < quietMs) return;
    this.said.set(why, now);
    console.error(`quorate-grpc: refused a connection of ${client ?? 'a client'}: ${why}`);
  };

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
    const listener = new ServerListenerBuilder()
      // One that its client has cancelled by now is told nothing, not even that it is over.
      .withOnReceiveMetadata((metadata, next) => {
        this.started.inc(labels);
        this.open.inc(labels);
        next(metadata);
      })
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
