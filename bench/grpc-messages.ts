/**
 * The same puts and gets as the JSON bodies of workload.ts, as gRPC's frames: for the load generator,
 * which only sends them, and for the bench's own calls, which read the answers as the gateway's JSON.
 */
import {
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { frame, frameHeadBytes } from '../src/api/frames.ts';
import {
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
} from '../src/api/gen/rpc_pb.js';
import type { Operation } from './workload.ts';

export const grpcPath = { put: '/etcdserverpb.KV/Put', get: '/etcdserverpb.KV/Range' } as const;

const requestOf = { put: PutRequestSchema, get: RangeRequestSchema } as const;
const responseOf = { put: PutResponseSchema, get: RangeResponseSchema } as const;

/** A frame from a body of the JSON gateway. */
export function encodeRequest(operation: Operation, body: string): Uint8Array {
  return encode(requestOf[operation], JSON.parse(body));
}

/** A frame from an answer of the JSON gateway. */
export function encodeResponse(operation: Operation, answer: JsonValue): Uint8Array {
  return encode(responseOf[operation], answer);
}

/** The answer as the JSON gateway would give it, from a frame. Throws on anything else. */
export function decodeResponse(operation: Operation, framed: Uint8Array): JsonValue {
  const schema: DescMessage = responseOf[operation];
  const message = fromBinary(schema, framed.subarray(frameHeadBytes));
  return toJson(schema, message, { useProtoFieldName: true });
}

function encode(schema: DescMessage, json: JsonValue): Uint8Array {
  return frame(0, toBinary(schema, fromJson(schema, json)));
}
