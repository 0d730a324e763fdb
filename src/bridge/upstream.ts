/**
 * The service, as the bridge asks it: calls with protobuf bodies over connections that are kept, streams of
 * frames, and WebSockets (docs/decisions/bridge.md).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type Dispatcher, errors } from 'undici';
import { WebSocket } from 'ws';
import { GrpcCode } from '../api/errors.ts';
import { errorFlag, frameHeadBytes, protobufType } from '../api/frames.ts';
import { pacedWatch } from '../api/paced-watch.ts';
import {
  CallFailed,
  canceled,
  failureOf,
  late,
  noConnection,
  noService,
  outcomeUnknown,
} from './status.ts';

export interface Target {
  /** Of the service, without a path. */
  readonly url: string;
  /** Null: the default one. */
  readonly tenant: string | null;
  /** The deployment's secret. Null: the target is open, or every client shows its own. */
  readonly token: string | null;
}

/** What a call brings along. */
export interface Asking {
  /** Of a user, as the client showed it; empty: none. */
  readonly userToken: string;
  /** Whom the client's certificate names; empty: it has shown none. A token goes first, as in etcd. */
  readonly certifiedUser: string;
  /** It is to fail, or to end, when nobody leads the group. */
  readonly requiresLeader: boolean;
  /** Where the client reaches the bridge: what members are said to be dialled at. Null: nobody knows. */
  readonly dialled: string | null;
  /** Without a port; empty: many ask together. */
  readonly clientAddress: string;
  /** Milliseconds since the epoch; infinite: the client waits for ever. */
  readonly deadline: number;
  readonly signal: AbortSignal;
}

const connectTimeoutMs = 5_000;
/** Without a connection; 1.5 s in all. clientv3 asks a hundred times, with little between, before it gives a call up. */
const reconnectAfterMs = [100, 200, 400, 800] as const;
/** To one service. More calls wait their turn. */
const connectionsMax = 256;
const answerBytesMax = 64 * 1024 * 1024;
/** In which it is said why something is refused; of what is longer only the status counts. */
export const refusalBytesMax = 64 * 1024;
const frameBytesMax = 64 * 1024 * 1024;

export class Upstream {
  private readonly target: Target;
  private readonly base: string;
  private readonly agent: Agent;

  constructor(target: Target) {
    this.target = target;
    this.base = target.tenant === null ? '/v3/' : `/t/${encodeURIComponent(target.tenant)}/v3/`;
    this.agent = new Agent({
      connections: connectionsMax,
      connect: { timeout: connectTimeoutMs },
      // Below the 15 s after which plain workerd closes a connection that is not used.
      keepAliveTimeout: 5_000,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  async close(): Promise<void> {
    await this.agent.destroy();
  }

  /** The answer's message. Throws CallFailed. */
  async call(path: string, body: Uint8Array, asking: Asking): Promise<Uint8Array> {
    try {
      const answer = await this.post(path, body, asking);
      if (!isAnswer(answer)) throw await this.refusal(answer, asking);
      return await readAll(answer.body, answerBytesMax);
    } catch (error) {
      throw failed(error, asking);
    }
  }

  /** Messages as they come. Throws CallFailed. */
  async *stream(path: string, body: Uint8Array, asking: Asking): AsyncGenerator<Uint8Array, void> {
    try {
      const answer = await this.post(path, body, asking);
      if (!isAnswer(answer)) throw await this.refusal(answer, asking);
      yield* framesOf(answer.body);
    } catch (error) {
      throw failed(error, asking);
    }
  }

  /** What an answer says that is none. A client that shows no token is not the one whose token is refused. */
  refused(httpStatus: number, body: Uint8Array, { userToken }: Asking): CallFailed {
    const failure = failureOf(httpStatus, body);
    if (failure.code !== GrpcCode.Unauthenticated || userToken !== '') return failure;
    const why =
      this.target.token === null
        ? 'the target asks for a secret, and this bridge has been given no --token'
        : "the target refuses this bridge's --token";
    return new CallFailed(GrpcCode.Unauthenticated, why);
  }

  /** Whether the target answers as the service does. Asks no member of a group. */
  async isThere(): Promise<boolean> {
    try {
      const { statusCode, body } = await this.agent.request({
        origin: this.target.url,
        path: '/version',
        method: 'GET',
        signal: AbortSignal.timeout(connectTimeoutMs),
      });
      return statusCode === 200 && typeof (await body.json()) === 'object';
    } catch {
      return false;
    }
  }

  /** For a watch: one request or response in each binary message. */
  openWatch(asking: Asking): WebSocket {
    const url = new URL(`${this.base}watch`, this.target.url);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    return new WebSocket(url.href, [pacedWatch.protocol, 'protobuf'], {
      headers: this.headers(asking),
      handshakeTimeout: connectTimeoutMs,
      maxPayload: frameBytesMax,
      perMessageDeflate: false,
    });
  }

  private async refusal(answer: Dispatcher.ResponseData, asking: Asking): Promise<CallFailed> {
    const nothing = new Uint8Array();
    const body = await readAll(answer.body, refusalBytesMax).catch(() => nothing);
    return this.refused(answer.statusCode, body, asking);
  }

  /** Waits a moment for a service that is not there, as gRPC's own clients wait for a connection. */
  private async post(
    path: string,
    body: Uint8Array,
    asking: Asking,
  ): Promise<Dispatcher.ResponseData> {
    for (const waitMs of reconnectAfterMs) {
      try {
        return await this.postOnce(path, body, asking);
      } catch (error) {
        if (!wasNeverSent(error)) throw error;
      }
      await sleep(waitMs, undefined, { signal: asking.signal });
    }
    return this.postOnce(path, body, asking);
  }

  private postOnce(
    path: string,
    body: Uint8Array,
    asking: Asking,
  ): Promise<Dispatcher.ResponseData> {
    const left = asking.deadline - Date.now();
    if (left <= 0) throw late();
    const headers: Record<string, string> = {
      ...this.headers(asking),
      'content-type': protobufType,
    };
    // Nobody else is asked for it, so calls of several clients are alike in all else.
    if (path === 'auth/authenticate' && this.target.token !== null)
      headers['quorate-client-address'] = asking.clientAddress;
    return this.agent.request({
      origin: this.target.url,
      path: this.base + path,
      method: 'POST',
      headers: Number.isFinite(left)
        ? { ...headers, 'grpc-timeout': `${Math.ceil(left)}m` }
        : headers,
      body,
      signal: asking.signal,
    });
  }

  /**
   * With the deployment's secret goes the user's token, even an empty one: what a client of the bridge may do is
   * that user's or nobody's, never the operator's.
   */
  private headers(asking: Asking): Record<string, string> {
    const { userToken, certifiedUser, dialled, requiresLeader } = asking;
    const { token } = this.target;
    const at: Record<string, string> = dialled === null ? {} : { 'quorate-client-url': dialled };
    if (requiresLeader) at['grpc-metadata-hasleader'] = 'true';
    if (token !== null)
      return {
        ...at,
        authorization: `Bearer ${token}`,
        'grpc-metadata-token': userToken,
        ...(certifiedUser === '' ? {} : { 'quorate-user': certifiedUser }),
      };
    return userToken === '' ? at : { ...at, 'grpc-metadata-token': userToken };
  }
}

/** And not a page that something else has at that address. */
function isAnswer({ statusCode, headers }: Dispatcher.ResponseData): boolean {
  return statusCode === 200 && headers['content-type'] === protobufType;
}

/** Node's and undici's names of what happens before anything is sent. */
const neverSent: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EMFILE',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
]);

function wasNeverSent(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && neverSent.has(code);
}

function failed(error: unknown, { deadline, signal }: Asking): CallFailed {
  if (error instanceof CallFailed) return error;
  if (signal.aborted) return Date.now() >= deadline ? late() : canceled();
  const { code } = error as { code?: unknown };
  if (wasNeverSent(error)) return noConnection();
  if (error instanceof errors.HTTPParserError) return noService('not in HTTP');
  if (error instanceof errors.UndiciError || typeof code === 'string') return outcomeUnknown();
  throw error;
}

async function readAll(body: Dispatcher.ResponseData['body'], max: number): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > max)
      throw new CallFailed(GrpcCode.ResourceExhausted, `answer larger than ${max} bytes`);
    chunks.push(chunk);
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
}

/** Ends with a frame that says why, or with the answer; one that is cut off is a lost connection. */
export async function* framesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  let rest = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
    while (rest.length >= frameHeadBytes) {
      const length = rest.readUInt32BE(1);
      if (length > frameBytesMax) throw outcomeUnknown();
      if (rest.length < frameHeadBytes + length) break;
      const message = rest.subarray(frameHeadBytes, frameHeadBytes + length);
      if (rest[0] === errorFlag) throw failureOf(500, message);
      rest = rest.subarray(frameHeadBytes + length);
      yield message;
    }
  }
  if (rest.length > 0) throw outcomeUnknown();
}
