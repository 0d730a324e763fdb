/**
 * Accepts connections on every address, with or without TLS, and looks at their first bytes: those that speak HTTP/2
 * go to gRPC, those that speak anything else are answered in HTTP/1.1. One that says nothing, or of which there are
 * too many, or whose certificate is not good, is closed, and that is counted and told. No byte of a client that is
 * refused is taken for a call.
 */
import { constants } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { CannotListen, splitAddress } from './address.ts';
import type { Refusal } from './metrics.ts';

export interface Tls {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Who signs clients' certificates; null: the system's. */
  readonly trustedCa: Buffer | null;
  /** A client has to show a certificate. */
  readonly clientCertAuth: boolean;
}

/** Whither connections go, and who is told of others. */
export interface Handlers {
  readonly http2: (socket: Socket) => void;
  /** With one request, whatever it is. */
  readonly http1: (socket: Socket) => void;
  readonly refused: (reason: Refusal, client: string | undefined, why: string) => void;
}

/** For the handshake of TLS; again for the first bytes and, where that is what they are, an answer in HTTP/1.1. */
const firstWordsMs = 10_000;
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export class Connections {
  private readonly handlers: Handlers;
  private readonly tls: Tls | null;
  private readonly max: number;
  private readonly servers: Server[] = [];
  private readonly open = new Set<Socket>();
  /** Those of `open` that gRPC has not got, or will not get. */
  private readonly early = new Set<Socket>();

  /** `max`: at one address. */
  constructor(handlers: Handlers, tls: Tls | null, max: number) {
    this.handlers = handlers;
    this.tls = tls;
    this.max = max;
  }

  get count(): number {
    return this.open.size;
  }

  /** At every address that the host has. Resolves to the port. Throws CannotListen. */
  async listen(address: string): Promise<number> {
    const { host, port: asked } = splitAddress(address);
    let port = asked;
    try {
      for (const { address: ip } of await lookup(host, { all: true }))
        port = await this.listenAt(ip, port);
      return port;
    } catch (error) {
      throw new CannotListen(address, (error as Error).message);
    }
  }

  /** Accepts no more, and waits for nobody's first words. */
  close(): void {
    for (const server of this.servers) server.close();
    for (const socket of this.early) socket.destroy();
  }

  /** Whatever is under way. */
  destroy(): void {
    for (const socket of this.open) socket.destroy();
  }

  private listenAt(host: string, port: number): Promise<number> {
    const server = this.tls === null ? this.plainServer() : this.tlsServer(this.tls);
    server.maxConnections = this.max;
    server.on('drop', (dropped) =>
      this.handlers.refused('limit', dropped?.remoteAddress, `${this.max} are open`),
    );
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: 1024 }, () => {
        server.off('error', reject);
        // Of a connection that could not be accepted.
        server.on('error', (error) => this.handlers.refused('error', undefined, error.message));
        this.servers.push(server);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  private plainServer(): Server {
    return createTcpServer({ noDelay: true }, (socket) => this.hear(socket));
  }

  /** Judges certificates here, since Node closes the connection without a word about what is wrong. */
  private tlsServer({ cert, key, trustedCa, clientCertAuth }: Tls): Server {
    const server = createTlsServer({
      cert,
      key,
      ...(trustedCa === null ? {} : { ca: trustedCa }),
      requestCert: clientCertAuth,
      rejectUnauthorized: false,
      // A session that is resumed shows no certificate, and Node takes that for a good one.
      secureOptions: clientCertAuth ? constants.SSL_OP_NO_TICKET : 0,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: firstWordsMs,
      noDelay: true,
    });
    server.on('tlsClientError', (error, socket) => {
      const { code, reason } = error as NodeJS.ErrnoException & { reason?: string };
      // One that only looks whether somebody listens.
      if (code === 'ECONNRESET') return;
      this.handlers.refused('tls', socket.remoteAddress, reason ?? error.message);
    });
    server.on('secureConnection', (socket) => {
      const isCertified = socket.authorized && socket.getPeerX509Certificate() !== undefined;
      if (clientCertAuth && !isCertified) {
        this.refuseCertificate(socket);
        return;
      }
      // Without it grpc-js does not tell that a connection is one over TLS.
      socket.authorized = true;
      this.hear(socket);
    });
    return server;
  }

  /** Nothing that the client says is read. */
  private refuseCertificate(socket: TLSSocket): void {
    // Of a client without a certificate it says that its issuer is missing.
    const isThere = socket.getPeerX509Certificate() !== undefined;
    const why = isThere ? String(socket.authorizationError) : 'no certificate is shown';
    this.handlers.refused('certificate', socket.remoteAddress, why);
    this.keep(socket);
    const words = `quorate-grpc: certificate of the client: ${why}`;
    socket.end(socket.alpnProtocol === 'h2' ? goAway(words) : forbidden(words));
    socket.resume();
  }

  private keep(socket: Socket): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.handlers.refused('silent', socket.remoteAddress, 'it says nothing');
      socket.destroy();
    }, firstWordsMs);
    this.open.add(socket);
    this.early.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      clearTimeout(timer);
      this.early.delete(socket);
      this.open.delete(socket);
    });
    return timer;
  }

  /** The first bytes, and to whom they are. */
  private hear(socket: Socket): void {
    const timer = this.keep(socket);
    let heard = Buffer.alloc(0);
    const hearMore = (data: Buffer) => {
      heard = heard.length === 0 ? data : Buffer.concat([heard, data]);
      const length = Math.min(heard.length, preface.length);
      const isPreface = heard.compare(preface, 0, length, 0, length) === 0;
      if (isPreface && length < preface.length) return;
      socket.off('data', hearMore);
      socket.pause();
      socket.unshift(heard);
      if (!isPreface) {
        this.handlers.http1(socket);
        socket.resume();
        return;
      }
      clearTimeout(timer);
      this.early.delete(socket);
      this.handlers.http2(socket);
    };
    socket.on('data', hearMore);
  }
}

/** HTTP/2's SETTINGS, which come first, and GOAWAY with INADEQUATE_SECURITY and what is to be said. */
function goAway(words: string): Buffer {
  const head = Buffer.from([
    0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12,
  ]);
  head.writeUIntBE(8 + words.length, 9, 3);
  return Buffer.concat([head, Buffer.from(words)]);
}

function forbidden(words: string): string {
  const head = 'HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n';
  return `${head}Content-Length: ${words.length + 1}\r\n\r\n${words}\n`;
}
