/** The gRPC bridge as a process of its own, and a gRPC client with etcd's messages. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';

export interface Bridge {
  /** `host:port` of the first address that it listens on. */
  readonly address: string;
  readonly pid: number;
  log(): string;
  /** Resolves to the status with which it ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const listening = /listening on https?:\/\/(\S+)/;

/** `args` beside --target and --listen; `port`: any free one, unless it is given. */
export async function startBridge(
  target: string,
  args: readonly string[] = [],
  port = 0,
): Promise<Bridge> {
  const all = ['src/bridge/main.ts', '--target', target, '--listen', `127.0.0.1:${port}`, ...args];
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...all]);
  let log = '';
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  const address = await new Promise<string>((resolve, reject) => {
    const hear = (data: Buffer) => {
      log += data.toString();
      const found = listening.exec(log)?.[1];
      if (found !== undefined) resolve(found);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then(() => reject(new Error(`the bridge ended: ${log}`)));
  });
  return {
    address,
    pid: child.pid ?? 0,
    log: () => log,
    stop: (signal = 'SIGTERM') => {
      child.kill(signal);
      return ended;
    },
  };
}

type Encoded = Uint8Array;
const asIs = (bytes: Encoded) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Calls by `package.Service/Method`. */
export class GrpcClient {
  private readonly client: Client;
  private readonly metadata = new Metadata();

  constructor(
    address: string,
    {
      token,
      security,
      expectedHost,
      waitForReady = false,
      ...options
    }: ClientOptions & {
      token?: string;
      security?: ChannelCredentials;
      /** The name that the server's certificate is held against instead of the address's. */
      expectedHost?: string;
      /** Calls wait for a connection instead of failing without one. */
      waitForReady?: boolean;
    } = {},
  ) {
    const named =
      expectedHost === undefined ? {} : { 'grpc.ssl_target_name_override': expectedHost };
    this.client = new Client(address, security ?? credentials.createInsecure(), {
      ...options,
      ...named,
    });
    this.metadata.setOptions({ waitForReady });
    if (token !== undefined) this.metadata.set('token', token);
  }

  close(): void {
    this.client.close();
  }

  /** Rejects with a ServiceError. */
  call<Q extends DescMessage, A extends DescMessage>(
    rpc: string,
    [request, init]: readonly [Q, MessageInitShape<Q>],
    answer: A,
    deadlineMs = 20_000,
  ): Promise<MessageShape<A>> {
    const encoded = toBinary(request, create(request, init));
    const options = { deadline: Date.now() + deadlineMs };
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: Encoded) =>
        error ? reject(error) : resolve(fromBinary(answer, response as Encoded));
      this.client.makeUnaryRequest(`/${rpc}`, asIs, asIs, encoded, this.metadata, options, done);
    });
  }

  serverStream<Q extends DescMessage>(
    rpc: string,
    [request, init]: readonly [Q, MessageInitShape<Q>],
  ): ClientReadableStream<Encoded> {
    const encoded = toBinary(request, create(request, init));
    return this.client.makeServerStreamRequest(`/${rpc}`, asIs, asIs, encoded, this.metadata);
  }

  duplex(rpc: string): ClientDuplexStream<Encoded, Encoded> {
    return this.client.makeBidiStreamRequest(`/${rpc}`, asIs, asIs, this.metadata);
  }
}
