/**
 * /v3: etcd's gRPC gateway. JSON in, protobuf to the group, JSON out; bodies, codes, texts and
 * headers as recorded from etcd 3.5.30.
 */
import { fromBinary, toJson } from '@bufbuild/protobuf';
import { GrpcCode } from '../../api/errors.ts';
import { maxMessageBytes } from '../../api/limits.ts';
import type { RouterEnv } from '../env.ts';
import { readBody } from '../http/body.ts';
import { type Deadline, isOver, parseGrpcTimeout, startDeadline } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import { gatewayError, messageTooLarge, namedError } from './errors.ts';
import { gatewaySuccessHeaders } from './headers.ts';
import { BadJson, decodeText } from './json-text.ts';
import { type Method, methods, type Plan } from './methods.ts';
import { serveWatch } from './watch.ts';

/** Bodies beyond this are not read: the message in it would be over gRPC's limit anyway. */
const bodyBytesMax = 4 * maxMessageBytes;

/** `rpc` is the path after /v3/. */
export async function serveGateway(
  request: Request,
  env: RouterEnv,
  tenant: string,
  rpc: string,
): Promise<Response> {
  if (rpc === 'watch') return serveWatch(request, env, tenant);
  const method = methods.get(rpc);
  if (method === undefined) return gatewayError(GrpcCode.NotFound, 'Not Found');
  if (request.method !== 'POST') return gatewayError(GrpcCode.Unimplemented, 'Method Not Allowed');
  const deadline = deadlineOf(request);
  if (deadline === null) {
    const given = request.headers.get('grpc-timeout');
    return gatewayError(GrpcCode.InvalidArgument, `invalid grpc-timeout: ${given}`);
  }
  const body = await readBody(request, bodyBytesMax, deadline);
  switch (body.kind) {
    case 'tooLarge':
      return messageTooLarge(body.size, maxMessageBytes);
    case 'late':
      return namedError('DeadlineExceeded');
    case 'broken':
      return gatewayError(GrpcCode.InvalidArgument, 'unexpected EOF');
    case 'bytes':
      return call(method, body.bytes, env, tenant, deadline);
    default:
      return body satisfies never;
  }
}

function deadlineOf(request: Request): Deadline | null {
  const header = request.headers.get('grpc-timeout');
  if (header === null || header === '') return startDeadline(null, Date.now());
  const timeoutMs = parseGrpcTimeout(header);
  return Number.isNaN(timeoutMs) ? null : startDeadline(timeoutMs, Date.now());
}

async function call(
  method: Method,
  body: Uint8Array,
  env: RouterEnv,
  tenant: string,
  deadline: Deadline,
): Promise<Response> {
  let plan: Plan;
  try {
    plan = method.plan(decodeText(body));
  } catch (error) {
    if (!(error instanceof BadJson)) throw error;
    return gatewayError(GrpcCode.InvalidArgument, error.message);
  }
  if (isOver(deadline)) return namedError('DeadlineExceeded');
  if (plan.kind === 'oversized') return messageTooLarge(plan.size, maxMessageBytes);
  if (plan.kind === 'refused') return namedError(plan.error);
  const answer = await askGroup({ env, tenant, kind: plan.kind, op: plan.op, deadline });
  if (!answer.ok) return namedError(answer.error);
  return new Response(responseJson(method, answer.response), { headers: gatewaySuccessHeaders });
}

/** The encoded response as the gateway's JSON: proto names, zero values left out. */
export function responseJson(method: Method, response: Uint8Array): string {
  const message = fromBinary(method.response, response);
  return JSON.stringify(toJson(method.response, message, { useProtoFieldName: true }));
}
