/** What `quorate-grpc` is told on its command line. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Tls } from './connections.ts';
import type { KeepAlive } from './server.ts';
import type { Target } from './upstream.ts';

export const usage = `quorate-grpc: native gRPC in front of a Quorate service

  --target URL          the service, http://127.0.0.1:2379
  --listen HOST:PORT    where to accept gRPC, 127.0.0.1:2389; may be given several times; port 0: any
  --tenant NAME         whose group is served; without it the default tenant's
  --token SECRET        the deployment's API_TOKEN, if it has one (or QUORATE_TOKEN in the environment)
  --cert FILE           certificate chain in PEM; with --key: TLS
  --key FILE            its private key
  --trusted-ca FILE     who signs clients' certificates
  --client-cert-auth    a client has to show a certificate that --trusted-ca signed
  --max-connections N   of clients, at each address, 20000; those above are closed
  --grpc-keepalive-interval 2h, --grpc-keepalive-timeout 20s
                        how often a client that is silent is asked whether it is there, and how long it may take to answer
  --grpc-keepalive-min-time 5s
                        between a client's own pings while it has no call under way; who pings more often is let go
  --metrics HOST:PORT   where to serve /metrics and /health over HTTP
  --help
`;

export interface Options {
  readonly target: Target;
  readonly listen: readonly string[];
  readonly metrics: string | null;
  readonly tls: Tls | null;
  /** At each address. */
  readonly maxConnections: number;
  /** `minTimeMs`: between pings of a client. */
  readonly keepAlive: KeepAlive & { readonly minTimeMs: number };
}

/** What is wrong with the command line, in words for whoever wrote it. */
export class BadOptions extends Error {
  override readonly name = 'BadOptions';
}

/** 'help': that is all that is wanted. Throws BadOptions. */
export function readOptions(args: readonly string[], env: NodeJS.ProcessEnv): Options | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  return {
    target: {
      url: urlOf(values.target ?? 'http://127.0.0.1:2379'),
      tenant: values.tenant ?? null,
      token: values.token ?? (env.QUORATE_TOKEN || null),
    },
    listen: (values.listen ?? ['127.0.0.1:2389']).map((address) => addressOf('--listen', address)),
    metrics: values.metrics === undefined ? null : addressOf('--metrics', values.metrics),
    tls: tlsOf(values),
    maxConnections: countOf('--max-connections', values['max-connections'] ?? '20000'),
    keepAlive: {
      intervalMs: msOf('--grpc-keepalive-interval', values['grpc-keepalive-interval'] ?? '2h'),
      timeoutMs: msOf('--grpc-keepalive-timeout', values['grpc-keepalive-timeout'] ?? '20s'),
      minTimeMs: msOf('--grpc-keepalive-min-time', values['grpc-keepalive-min-time'] ?? '5s'),
    },
  };
}

type Values = ReturnType<typeof parse>;

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        target: { type: 'string' },
        listen: { type: 'string', multiple: true },
        tenant: { type: 'string' },
        token: { type: 'string' },
        cert: { type: 'string' },
        key: { type: 'string' },
        'trusted-ca': { type: 'string' },
        'client-cert-auth': { type: 'boolean' },
        'max-connections': { type: 'string' },
        'grpc-keepalive-interval': { type: 'string' },
        'grpc-keepalive-timeout': { type: 'string' },
        'grpc-keepalive-min-time': { type: 'string' },
        metrics: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new BadOptions((error as Error).message);
  }
}

function urlOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === null || !isHttp || url.href !== `${url.origin}/`)
    throw new BadOptions(`--target ${text} is no URL of a service: http://127.0.0.1:2379`);
  return url.origin;
}

function countOf(option: string, text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new BadOptions(`${option} ${text} is no number above 0`);
  return Number(text);
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
/** Of Node's timers. */
const msMax = 2 ** 31 - 1;

function msOf(option: string, text: string): number {
  const [, digits, unit] = /^(\d{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = Number(digits) * unitMs[(unit ?? 's') as keyof typeof unitMs];
  if (!(ms > 0 && ms <= msMax))
    throw new BadOptions(`${option} ${text} is no length of time: 500ms, 20s, 5m, 2h`);
  return ms;
}

function addressOf(option: string, text: string): string {
  if (!/^.+:\d{1,5}$/.test(text))
    throw new BadOptions(`${option} ${text} is no address: 127.0.0.1:2389`);
  return text;
}

function tlsOf(values: Values): Tls | null {
  const { cert, key } = values;
  const ca = values['trusted-ca'];
  const clientCertAuth = values['client-cert-auth'] ?? false;
  if (cert === undefined && key === undefined) {
    if (ca !== undefined || clientCertAuth)
      throw new BadOptions('--trusted-ca and --client-cert-auth go with --cert and --key');
    return null;
  }
  if (cert === undefined || key === undefined) throw new BadOptions('--cert and --key go together');
  if (clientCertAuth && ca === undefined)
    throw new BadOptions('--client-cert-auth needs --trusted-ca');
  const tls = {
    cert: fileOf('--cert', cert),
    key: fileOf('--key', key),
    trustedCa: ca === undefined ? null : fileOf('--trusted-ca', ca),
    clientCertAuth,
  };
  const certificate = certificateIn('--cert', cert, tls.cert);
  if (!certificate.checkPrivateKey(keyIn(key, tls.key)))
    throw new BadOptions(`--key ${key} is not the key of --cert ${cert}`);
  // Node would take it for an authority that has signed nothing.
  if (ca !== undefined && tls.trustedCa !== null) certificateIn('--trusted-ca', ca, tls.trustedCa);
  return tls;
}

/** The first of those in the file. One that is not valid today is said, as clients will refuse it. */
function certificateIn(option: string, path: string, pem: Buffer): X509Certificate {
  try {
    const certificate = new X509Certificate(pem);
    const { validFrom, validTo } = certificate;
    const now = Date.now();
    if (now < Date.parse(validFrom) || now > Date.parse(validTo))
      console.error(`quorate-grpc: ${option} ${path} is valid from ${validFrom} to ${validTo}`);
    return certificate;
  } catch {
    throw new BadOptions(`${option} ${path} has no certificate in PEM in it`);
  }
}

function keyIn(path: string, pem: Buffer): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new BadOptions(`--key ${path} has no private key in PEM in it`);
  }
}

function fileOf(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BadOptions(`${option} ${path}: ${(error as Error).message}`);
  }
}
