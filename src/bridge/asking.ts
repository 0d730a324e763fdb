/** What a gRPC call brings along beside its messages. */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { Asking } from './upstream.ts';

/** Of what every kind of call has. */
type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'metadata' | 'getDeadline'> & {
  on(event: 'cancelled', listener: () => void): unknown;
};

/** `stopped`: ends it too. */
export function begin(call: AnyCall, stopped?: AbortSignal): Asking {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const [token] = call.metadata.get('token');
  const given = call.getDeadline();
  const deadline = given instanceof Date ? given.getTime() : given;
  return {
    userToken: token?.toString() ?? '',
    deadline,
    signal: stopped ? AbortSignal.any([gone.signal, stopped]) : gone.signal,
  };
}
