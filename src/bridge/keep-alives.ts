/**
 * Lease keep-alives: a stream in both directions to the client, one question for many to the service. While one is
 * under way those that come meanwhile wait, and go together in the next, whichever streams they are of.
 */
import type { handleBidiStreamingCall, ServerDuplexStream } from '@grpc/grpc-js';
import { frame } from '../api/frames.ts';
import { begin } from './asking.ts';
import { drained, fail } from './calls.ts';
import { outcomeUnknown } from './status.ts';
import type { Streams } from './streams.ts';
import type { Asking, Upstream } from './upstream.ts';

type Bytes = Uint8Array;

type User = Pick<Asking, 'userToken' | 'certifiedUser'>;

interface Waiting {
  readonly request: Bytes;
  readonly resolve: (response: Bytes) => void;
  readonly reject: (error: unknown) => void;
}

const path = 'lease/keepalive';
/** Requests in one question. */
const batchMax = 256;
/** Keep-alives that one stream may have under way; more are not read from it. */
const underWayMax = 64;
/** The service's own limit for a question. */
const questionMs = 10_000;

/** Those of one user, since a question is one user's. */
class Batches {
  private readonly upstream: Upstream;
  private readonly user: User;
  private readonly onIdle: () => void;
  private waiting: Waiting[] = [];
  private isAsking = false;

  constructor(upstream: Upstream, user: User, onIdle: () => void) {
    this.upstream = upstream;
    this.user = user;
    this.onIdle = onIdle;
  }

  ask(request: Bytes): Promise<Bytes> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, resolve, reject });
      void this.askAll();
    });
  }

  private async askAll(): Promise<void> {
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.waiting.length > 0) await this.askSome(this.waiting.splice(0, batchMax));
    this.isAsking = false;
    this.onIdle();
  }

  /** What is answered counts, also if the rest is not. */
  private async askSome(batch: readonly Waiting[]): Promise<void> {
    const signal = AbortSignal.timeout(questionMs);
    const asking: Asking = {
      ...this.user,
      dialled: null,
      clientAddress: '',
      requiresLeader: false,
      deadline: Date.now() + questionMs,
      signal,
    };
    let answered = 0;
    let why: unknown = outcomeUnknown();
    try {
      const body = Buffer.concat(batch.map(({ request }) => frame(0, request)));
      for await (const response of this.upstream.stream(path, body, asking))
        batch[answered++]?.resolve(response);
    } catch (error) {
      why = error;
    }
    for (const { reject } of batch.slice(answered)) reject(why);
  }
}

export function keepAlives(
  upstream: Upstream,
  streams: Streams,
): handleBidiStreamingCall<Bytes, Bytes> {
  const byUser = new Map<string, Batches>();
  const batchesOf = (user: User) => {
    const name = JSON.stringify([user.userToken, user.certifiedUser]);
    const known = byUser.get(name);
    if (known) return known;
    const batches = new Batches(upstream, user, () => byUser.delete(name));
    byUser.set(name, batches);
    return batches;
  };
  return (call) => {
    const { userToken, certifiedUser, signal } = begin(call);
    const forget = streams.add((why) => fail(call, why));
    signal.addEventListener('abort', forget);
    serve(call, signal, (request) => batchesOf({ userToken, certifiedUser }).ask(request), forget);
  };
}

/** Answers in the order of the requests. */
function serve(
  call: ServerDuplexStream<Bytes, Bytes>,
  signal: AbortSignal,
  ask: (request: Bytes) => Promise<Bytes>,
  ended: () => void,
): void {
  let underWay = 0;
  let last: Promise<void> = Promise.resolve();
  let hasFailed = false;
  call.on('data', (request: Bytes) => {
    const response = ask(request);
    underWay += 1;
    if (underWay >= underWayMax) call.pause();
    const before = last;
    last = (async () => {
      try {
        const settled = await Promise.allSettled([response, before]).then(([first]) => first);
        if (hasFailed || signal.aborted) return;
        if (settled.status === 'rejected') throw settled.reason;
        if (!call.write(settled.value)) await drained(call, signal);
      } catch (error) {
        hasFailed = true;
        ended();
        fail(call, error);
      } finally {
        underWay -= 1;
        if (underWay < underWayMax) call.resume();
      }
    })();
  });
  call.on('end', () => {
    void last.finally(() => {
      ended();
      if (!hasFailed) call.end();
    });
  });
}
