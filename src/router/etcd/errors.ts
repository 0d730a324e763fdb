/**
 * How etcd's gateway puts an error on the wire: HTTP status by gRPC code, and one body that clients
 * of every gateway version read (`error` for v1, `code` and `message` for v2).
 */
import { type ErrorFacts, type EtcdErrorName, etcdErrors, GrpcCode } from '../../api/errors.ts';
import { gatewayHeaders } from './headers.ts';

const httpStatus: Readonly<Record<GrpcCode, number>> = {
  [GrpcCode.Canceled]: 499,
  [GrpcCode.Unknown]: 500,
  [GrpcCode.InvalidArgument]: 400,
  [GrpcCode.DeadlineExceeded]: 504,
  [GrpcCode.NotFound]: 404,
  [GrpcCode.PermissionDenied]: 403,
  [GrpcCode.ResourceExhausted]: 429,
  [GrpcCode.FailedPrecondition]: 400,
  [GrpcCode.OutOfRange]: 400,
  [GrpcCode.Unimplemented]: 501,
  [GrpcCode.Internal]: 500,
  [GrpcCode.Unavailable]: 503,
  [GrpcCode.DataLoss]: 500,
  [GrpcCode.Unauthenticated]: 401,
};

/** Seconds after which a client may find a leader again. */
const retryAfterSeconds = '1';

export function gatewayError(code: GrpcCode, message: string): Response {
  const headers: Record<string, string> = { ...gatewayHeaders };
  if (code === GrpcCode.Unavailable) headers['retry-after'] = retryAfterSeconds;
  if (code === GrpcCode.Unauthenticated) headers['www-authenticate'] = 'Bearer';
  const body = JSON.stringify({ error: message, code, message });
  return coded(code, new Response(body, { status: httpStatus[code], headers }));
}

const codes = new WeakMap<Response, GrpcCode>();

function coded(code: GrpcCode, response: Response): Response {
  codes.set(response, code);
  return response;
}

/** Of a refusal that was made here: the status alone does not tell. */
export function codeOf(response: Response): GrpcCode | undefined {
  return codes.get(response);
}

export function namedError(name: EtcdErrorName): Response {
  const { code, message } = etcdErrors[name];
  return gatewayError(code, message);
}

/** As maintenance says it. */
export function namedErrorOfAuth(name: EtcdErrorName): Response {
  const { code, message } = factsOfAuth(name);
  return gatewayError(code, message);
}

/** etcd hands some errors of its auth package on as they are, and then they have no code. */
function factsOfAuth(name: EtcdErrorName): ErrorFacts {
  const facts = etcdErrors[name];
  if (!refusalsOfAuth.has(name)) return facts;
  return { code: GrpcCode.Unknown, message: facts.message.replace('etcdserver: ', 'auth: ') };
}

const refusalsOfAuth: ReadonlySet<EtcdErrorName> = new Set<EtcdErrorName>([
  'PermissionDenied',
  'UserEmpty',
  'InvalidAuthToken',
]);

/** The line that ends a stream that has begun, with what the clients of all versions look for. */
export function streamError(name: EtcdErrorName): string {
  return lineOf(etcdErrors[name]);
}

function lineOf({ code, message }: ErrorFacts): string {
  const error = { grpc_code: code, http_code: httpStatus[code], code, message };
  return `${JSON.stringify({ error })}\n`;
}

/** Of a stream that has not begun. */
export function streamRefusal(name: EtcdErrorName): Response {
  return refusedStream(etcdErrors[name]);
}

/** The same in the words of maintenance. */
export function streamRefusalOfAuth(name: EtcdErrorName): Response {
  return refusedStream(factsOfAuth(name));
}

function refusedStream(facts: ErrorFacts): Response {
  const { status, headers } = gatewayError(facts.code, facts.message);
  return coded(facts.code, new Response(lineOf(facts), { status, headers }));
}

/**
 * The refusal of a stream that begins with what is no JSON. etcd 3.5 never answers it on a watch, and
 * 3.4 answers 500 with this code: neither is of use to anybody but for the code.
 */
export function badStream(message: string): Response {
  const refusal = { status: 400, headers: gatewayHeaders };
  return coded(GrpcCode.Unknown, new Response(badStreamBody(message), refusal));
}

export function badStreamBody(message: string): string {
  return JSON.stringify({ error: message, code: GrpcCode.Unknown, message });
}

/** gRPC's own refusal of a message that is too long; `size` is that of the encoded message. */
export function messageTooLarge(size: number, maxBytes: number): Response {
  return gatewayError(
    GrpcCode.ResourceExhausted,
    `grpc: received message larger than max (${size} vs. ${maxBytes})`,
  );
}
