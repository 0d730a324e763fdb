/** The gRPC server: every RPC of etcd v3. */
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type MethodDefinition,
  Server,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { Batches } from './batches.ts';
import { serverStream, unary } from './calls.ts';
import { check, healthRpcs, watchHealth } from './health.ts';
import { keepAlives } from './keep-alives.ts';
import type { Metrics } from './metrics.ts';
import { type Rpc, rpcs } from './rpcs.ts';
import type { Streams } from './streams.ts';
import type { Upstream } from './upstream.ts';
import { watches } from './watches.ts';

type Bytes = Uint8Array;

/** The service refuses a message above 2 MiB with etcd's words; beyond this it is not even taken in. */
const messageBytesMax = 8 * 1024 * 1024;
/** Streams of one connection. A client with more calls waits, or opens another. */
const streamsMax = 10_000;

/** How it finds out that a client has vanished. */
export interface KeepAlive {
  /** After which it asks whether a client is there. */
  readonly intervalMs: number;
  /** Which a client has to answer. */
  readonly timeoutMs: number;
}

export function createServer(
  upstream: Upstream,
  streams: Streams,
  metrics: Metrics,
  keepAlive: KeepAlive,
): Server {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': -1,
    'grpc.max_concurrent_streams': streamsMax,
    'grpc.keepalive_time_ms': keepAlive.intervalMs,
    'grpc.keepalive_timeout_ms': keepAlive.timeoutMs,
    // It would keep a record of every connection.
    'grpc.enable_channelz': 0,
    interceptors: [metrics.interceptor],
  });
  const implementation: UntypedServiceImplementation = {};
  const definition: Record<string, MethodDefinition<Bytes, Bytes>> = {};
  const batches = new Batches(upstream);
  const alive = keepAlives(upstream, streams);
  for (const rpc of rpcs) {
    definition[rpc.name] = definitionOf(rpc);
    implementation[rpc.name] = handlerOf(upstream, batches, streams, rpc, alive);
  }
  const [ofCheck, ofWatch] = healthRpcs;
  definition[ofCheck.name] = definitionOf(ofCheck);
  implementation[ofCheck.name] = check(upstream);
  definition[ofWatch.name] = definitionOf(ofWatch);
  implementation[ofWatch.name] = watchHealth(upstream, streams);
  server.addService(definition, implementation);
  return server;
}

function handlerOf(
  upstream: Upstream,
  batches: Batches,
  streams: Streams,
  { path, shape }: Rpc,
  alive: handleBidiStreamingCall<Bytes, Bytes>,
):
  | handleUnaryCall<Bytes, Bytes>
  | handleServerStreamingCall<Bytes, Bytes>
  | handleBidiStreamingCall<Bytes, Bytes> {
  switch (shape) {
    case 'unary':
      return unary(batches, path);
    case 'serverStream':
      return serverStream(upstream, streams, path);
    case 'keepAlive':
      return alive;
    case 'watch':
      return watches(upstream, streams);
    default:
      return shape satisfies never;
  }
}

/** Messages are bytes. */
export function definitionOf({
  name,
  shape,
}: Pick<Rpc, 'name' | 'shape'>): MethodDefinition<Bytes, Bytes> {
  const asIs = ({ buffer, byteOffset, byteLength }: Bytes) =>
    Buffer.from(buffer, byteOffset, byteLength);
  return {
    path: name,
    requestStream: shape === 'watch' || shape === 'keepAlive',
    responseStream: shape !== 'unary',
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}
