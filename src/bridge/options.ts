/** What `quorate-grpc` is told on its command line. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Tls } from './server.ts';
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
  --metrics HOST:PORT   where to serve /metrics and /health over HTTP
  --help
`;

export interface Options {
  readonly target: Target;
  readonly listen: readonly string[];
  readonly metrics: string | null;
  readonly tls: Tls | null;
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
  if (url === null || !isHttp || url.pathname !== '/')
    throw new BadOptions(`--target ${text} is no URL of a service: http://127.0.0.1:2379`);
  return url.origin;
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
  return {
    cert: fileOf('--cert', cert),
    key: fileOf('--key', key),
    trustedCa: ca === undefined ? null : fileOf('--trusted-ca', ca),
    clientCertAuth,
  };
}

function fileOf(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new BadOptions(`${option} ${path}: ${(error as Error).message}`);
  }
}
