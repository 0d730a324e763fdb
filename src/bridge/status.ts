/** How a call ends badly: gRPC's code and etcd's text, as the service said it or as the bridge has to. */
import { type EtcdErrorName, etcdErrors, GrpcCode } from '../api/errors.ts';

export class CallFailed extends Error {
  override readonly name = 'CallFailed';
  readonly code: GrpcCode;

  constructor(code: GrpcCode, message: string) {
    super(message);
    this.code = code;
  }
}

const codes: ReadonlySet<number> = new Set(Object.values(GrpcCode));

/** What a body of the service in JSON says; of anything else, that the target is not the service. */
export function failureOf(httpStatus: number, body: Uint8Array): CallFailed {
  const said = parse(new TextDecoder().decode(body));
  if (said !== null) return said;
  // A proxy between here and there that is overloaded or has lost the service.
  if (httpStatus >= 500 || httpStatus === 429)
    return new CallFailed(GrpcCode.Unavailable, `target answered with status ${httpStatus}`);
  return noService(`with status ${httpStatus}`);
}

/** Trying again is of no use. */
export const noService = (how: string) =>
  new CallFailed(
    GrpcCode.Unknown,
    `target answered ${how}: is --target the URL of a Quorate service?`,
  );

function parse(text: string): CallFailed | null {
  try {
    const body = JSON.parse(text) as { error?: unknown; code?: unknown; message?: unknown };
    const said = (typeof body.error === 'object' ? body.error : body) as typeof body | null;
    const { code, message } = said ?? {};
    if (typeof code !== 'number' || typeof message !== 'string' || !codes.has(code)) return null;
    return new CallFailed(code as GrpcCode, message);
  } catch {
    return null;
  }
}

const noConnectionWords = 'there is no connection available';
/**
 * Nothing was sent. clientv3 sends a write again if it reads these words and no others (it compares them); why there is
 * no connection is nowhere said, but the health page tells whether the service is there.
 */
export const noConnection = () => new CallFailed(GrpcCode.Unavailable, noConnectionWords);
/** Of a stream, whose clients look at the code and go on elsewhere. */
export const unreachable = (why: string) =>
  new CallFailed(GrpcCode.Unavailable, `${noConnectionWords}: ${why}`);
/** It may have taken effect. */
export const outcomeUnknown = () => named('OutcomeUnknown');
export const canceled = () => new CallFailed(GrpcCode.Canceled, 'context canceled');
export const late = () => named('DeadlineExceeded');

function named(name: EtcdErrorName): CallFailed {
  const { code, message } = etcdErrors[name];
  return new CallFailed(code, message);
}
