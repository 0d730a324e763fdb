/**
 * What all clients together may have under way: calls, and bytes of messages that have come in. One connection may
 * have very many streams, each with a message of which the last byte never comes, and grpc-js would keep them all.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { frameHeadBytes } from '../api/frames.ts';
import { rpcs } from './rpcs.ts';

export interface IntakeLimits {
  readonly calls: number;
  /** Of messages that are not complete, and of requests that are not answered. */
  readonly bytes: number;
  /** For the whole of a request, where it is one message. */
  readonly requestMs: number;
}

/** A call is some 6 KB of memory, before it says anything. */
export const intakeLimits: IntakeLimits = {
  calls: 50_000,
  bytes: 256 * 1024 * 1024,
  requestMs: 60_000,
};

/** A client may send several messages. */
const manyMessages: ReadonlySet<string> = new Set(
  rpcs.filter(({ shape }) => shape === 'watch' || shape === 'keepAlive').map(({ name }) => name),
);

export class Intake {
  private readonly limits: IntakeLimits;
  private calls = 0;
  private bytes = 0;

  constructor(limits: IntakeLimits) {
    this.limits = limits;
  }

  /** A stream that has begun, before anybody else has seen it. */
  readonly take = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    if (this.calls >= this.limits.calls) {
      // Nothing was done: a client may try again.
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.calls += 1;
    const isOne = !manyMessages.has(String(headers[':path']));
    let held = 0;
    const begun = new MessageBytes();
    const timer = isOne
      ? setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), this.limits.requestMs).unref()
      : undefined;
    stream.on('data', (chunk: Buffer) => {
      const now = isOne ? held + chunk.length : begun.take(chunk);
      this.bytes += now - held;
      held = now;
      if (this.bytes > this.limits.bytes) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
    stream.once('end', () => clearTimeout(timer));
    stream.once('close', () => {
      clearTimeout(timer);
      this.calls -= 1;
      this.bytes -= held;
      held = 0;
    });
  };
}

/** Of gRPC's frames: how much has come of the one that is not complete. */
class MessageBytes {
  private head = Buffer.alloc(0);
  private body = 0;
  private length = 0;

  take(chunk: Buffer): number {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.head.length < frameHeadBytes) {
        const wanted = rest.subarray(0, frameHeadBytes - this.head.length);
        this.head = Buffer.concat([this.head, wanted]);
        rest = rest.subarray(wanted.length);
        if (this.head.length < frameHeadBytes) break;
        this.length = this.head.readUInt32BE(1);
      }
      const taken = Math.min(rest.length, this.length - this.body);
      this.body += taken;
      rest = rest.subarray(taken);
      if (this.body < this.length) break;
      this.head = Buffer.alloc(0);
      this.body = 0;
    }
    return this.head.length + this.body;
  }
}
