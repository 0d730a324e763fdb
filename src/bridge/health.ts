/**
 * grpc.health.v1: serving while the target answers as a Quorate service. No member of any group is asked, so
 * a load balancer that looks every second wakes nobody.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { handleServerStreamingCall, handleUnaryCall } from '@grpc/grpc-js';
import { GrpcCode } from '../api/errors.ts';
import {
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus,
  HealthCheckResponseSchema,
} from '../api/gen/health_pb.js';
import { fail } from './calls.ts';
import { rpcs } from './rpcs.ts';
import type { Streams } from './streams.ts';
import type { Upstream } from './upstream.ts';

type Bytes = Uint8Array;
type Status = HealthCheckResponse_ServingStatus;

const { SERVING, NOT_SERVING, SERVICE_UNKNOWN } = HealthCheckResponse_ServingStatus;
const lookEveryMs = 5_000;

export const healthRpcs = [
  { name: '/grpc.health.v1.Health/Check', shape: 'unary' },
  { name: '/grpc.health.v1.Health/Watch', shape: 'serverStream' },
] as const;

/** Empty: all of them. */
const serviceNames: ReadonlySet<string> = new Set(['', ...rpcs.map(({ service }) => service)]);

export function check(upstream: Upstream): handleUnaryCall<Bytes, Bytes> {
  return (call, answer) => {
    if (!serviceNames.has(serviceOf(call.request))) {
      answer({ code: GrpcCode.NotFound, details: 'unknown service' });
      return;
    }
    void statusOf(upstream).then((status) => answer(null, encode(status)));
  };
}

/** Says the status, and again when it is another. */
export function watchHealth(
  upstream: Upstream,
  streams: Streams,
): handleServerStreamingCall<Bytes, Bytes> {
  return (call) => {
    if (!serviceNames.has(serviceOf(call.request))) {
      call.write(encode(SERVICE_UNKNOWN));
      return;
    }
    let told: Status | null = null;
    const look = async () => {
      const status = await statusOf(upstream);
      if (status !== told && !call.cancelled) call.write(encode(status));
      told = status;
    };
    void look();
    const timer = setInterval(() => void look(), lookEveryMs);
    const forget = streams.add((why) => fail(call, why));
    call.on('cancelled', () => {
      clearInterval(timer);
      forget();
    });
  };
}

function serviceOf(request: Bytes): string {
  try {
    return fromBinary(HealthCheckRequestSchema, request).service;
  } catch {
    return 'no message';
  }
}

async function statusOf(upstream: Upstream): Promise<Status> {
  return (await upstream.isThere()) ? SERVING : NOT_SERVING;
}

function encode(status: Status): Bytes {
  return toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
}
