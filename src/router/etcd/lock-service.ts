/** What the services for locks and elections have in common: how they read, wait, and put errors. */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { etcdErrors, GrpcCode } from '../../api/errors.ts';
import { parseGrpcTimeout } from '../http/deadline.ts';
import { type Caller, Unanswered, WaitOver } from '../locks/caller.ts';
import { gatewayError, namedError } from './errors.ts';
import { type GatewayCall, readOr } from './request.ts';

/** Of etcd's concurrency package; without a code of gRPC's, so that it becomes Unknown. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
}

type Serve<Q extends DescMessage> = (
  caller: Caller,
  request: MessageShape<Q>,
  call: GatewayCall,
) => Promise<Response>;

/** A call that may take as long as the client likes: only its own deadline ends it. */
export function service<Q extends DescMessage>(
  request: Q,
  serve: Serve<Q>,
): (call: GatewayCall) => Promise<Response> {
  return async (call) => {
    try {
      const message = readOr(request, call);
      if (message instanceof Response) return message;
      const served = serve(callerOf(call), message, call);
      // A key that nobody waits with any more has to go.
      call.keepGoing(served.catch(() => {}));
      return await served;
    } catch (error) {
      return errorResponse(error);
    }
  };
}

function callerOf({ request, env, tenant, credentials }: GatewayCall): Caller {
  const header = request.headers.get('grpc-timeout');
  const timeoutMs = header ? parseGrpcTimeout(header) : Number.POSITIVE_INFINITY;
  const signal = request.signal ?? undefined;
  return { env, tenant, credentials, signal, untilMs: Date.now() + timeoutMs };
}

/**
 * etcd's server is a client of itself here, and what that client says has lost its code. That nobody leads
 * keeps its code all the same: a client that is told Unknown would not try again.
 */
function errorResponse(error: unknown): Response {
  if (error instanceof ServiceError) return gatewayError(GrpcCode.Unknown, error.message);
  if (error instanceof WaitOver) {
    if (error.why === 'late') return namedError('DeadlineExceeded');
    if (error.why === 'gone') return gatewayError(GrpcCode.Canceled, 'context canceled');
    return gatewayError(GrpcCode.Unknown, 'mutex: session is expired');
  }
  if (!(error instanceof Unanswered)) throw error;
  const { code, message } = etcdErrors[error.error];
  const isTransient = code === GrpcCode.Unavailable || code === GrpcCode.DeadlineExceeded;
  return isTransient ? namedError(error.error) : gatewayError(GrpcCode.Unknown, message);
}
