/** What a gRPC call brings along beside its messages. */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import type { Asking } from './upstream.ts';

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

/** Of what every kind of call has. */
type AnyCall = Pick<
  ServerUnaryCall<unknown, unknown>,
  'metadata' | 'getDeadline' | 'getAuthContext' | 'getHost' | 'getPeer'
> & {
  on(event: 'cancelled', listener: () => void): unknown;
};

/** `stopped`: ends it too. */
export function begin(call: AnyCall, stopped?: AbortSignal): Asking {
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  const [token] = call.metadata.get('token');
  const security = call.getAuthContext();
  const given = call.getDeadline();
  const deadline = given instanceof Date ? given.getTime() : given;
  return {
    userToken: token?.toString() ?? '',
    // Only a certificate that an authority of ours has signed gets this far (--client-cert-auth).
    certifiedUser: commonName(security.sslPeerCertificate),
    dialled: urlOf(call.getHost(), security.transportSecurityType === 'ssl'),
    clientAddress: addressOf(call.getPeer()),
    requiresLeader: call.metadata.get('hasleader')[0] === 'true',
    deadline,
    signal: stopped ? AbortSignal.any([gone.signal, stopped]) : gone.signal,
  };
}

/** A name that HTTP cannot carry is nobody's. */
function commonName(certificate: AuthContext['sslPeerCertificate']): string {
  const name = certificate?.subject?.CN;
  return typeof name === 'string' && /^[\x21-\x7e]+$/.test(name) ? name : '';
}

/** Of `address:port`. One that reached an IPv6 socket over IPv4 is the same client as ever. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^::ffff:(?=\d+\.)/i, '');
}

/** `host:port`, as the client wrote it: other forms are not what it dials. */
function urlOf(authority: string, isSecure: boolean): string | null {
  const isAddress = /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}$/i.test(authority);
  return isAddress ? `${isSecure ? 'https' : 'http'}://${authority}` : null;
}
