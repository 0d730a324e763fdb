/**
 * Unary calls that share a request to the service (docs/decisions/batches.md). One that comes alone goes at once and
 * alone; while some are under way those that come wait a moment, and go together.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { GrpcCode } from '../api/errors.ts';
import {
  BatchAnswersSchema,
  type BatchedCall,
  BatchedCallSchema,
  BatchRequestSchema,
} from '../api/gen/batch_pb.js';
import { hasSmallAnswer } from '../api/small-answers.ts';
import { CallFailed, canceled, failureOf, late, outcomeUnknown } from './status.ts';
import type { Asking, Upstream } from './upstream.ts';

type User = Pick<Asking, 'userToken' | 'certifiedUser' | 'requiresLeader'>;

interface Waiting {
  readonly call: BatchedCall;
  readonly asking: Asking;
  readonly settle: (outcome: Uint8Array | CallFailed) => void;
}

const path = 'batch';
/** In one request: no more than the service takes, and no more than half of its limit of bytes. */
const callsMax = 256;
const bytesMax = 1024 * 1024;
/** Larger ones gain nothing from company. */
const callBytesMax = 64 * 1024;
/** Requests of one user that are waited for before the next one goes, */
const underWayMax = 4;
/** each for so long at most: whoever waits for a slow one has waited a fraction of this. */
const waitedForMs = 20;
/** How long a service that does not know the path is not asked again. */
const unknownForMs = 300_000;

/** Those of all users. */
export class Batches {
  private readonly upstream: Upstream;
  private readonly byUser = new Map<string, Queue>();
  private unknownUntilMs = 0;

  constructor(upstream: Upstream) {
    this.upstream = upstream;
  }

  /** The encoded response. Throws CallFailed. */
  call(rpc: string, request: Uint8Array, asking: Asking): Promise<Uint8Array> {
    const isFit = request.length <= callBytesMax && hasSmallAnswer(rpc, request);
    if (!isFit || Date.now() < this.unknownUntilMs) return this.upstream.call(rpc, request, asking);
    const left = asking.deadline - Date.now();
    if (left <= 0) return Promise.reject(late());
    const timeoutMs = Number.isFinite(left) ? Math.ceil(left) : 0;
    const call = create(BatchedCallSchema, { rpc, request, timeoutMs });
    return this.queueOf(asking).add(call, asking);
  }

  private queueOf({ userToken, certifiedUser, requiresLeader }: Asking): Queue {
    const user = { userToken, certifiedUser, requiresLeader };
    const name = JSON.stringify(Object.values(user));
    const known = this.byUser.get(name);
    if (known) return known;
    const queue = new Queue(user, this.upstream, {
      idle: () => {
        if (this.byUser.get(name) === queue) this.byUser.delete(name);
      },
      unknown: () => {
        this.unknownUntilMs = Date.now() + unknownForMs;
      },
    });
    this.byUser.set(name, queue);
    return queue;
  }
}

/** Those of one user, since a request is one user's. */
class Queue {
  private readonly user: User;
  private readonly upstream: Upstream;
  private readonly on: { idle(): void; unknown(): void };
  private readonly waiting = new Set<Waiting>();
  /** Requests that the next one would wait for. */
  private waitedFor = 0;
  private isLeaving = false;

  constructor(user: User, upstream: Upstream, on: { idle(): void; unknown(): void }) {
    this.user = user;
    this.upstream = upstream;
    this.on = on;
  }

  add(call: BatchedCall, asking: Asking): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const { signal } = asking;
      const over = () => one.settle(Date.now() >= asking.deadline ? late() : canceled());
      const one: Waiting = {
        call,
        asking,
        settle: (outcome) => {
          signal.removeEventListener('abort', over);
          this.waiting.delete(one);
          if (outcome instanceof CallFailed) reject(outcome);
          else resolve(outcome);
        },
      };
      signal.addEventListener('abort', over);
      if (signal.aborted) return over();
      this.waiting.add(one);
      // Those that the same read from the network has brought go together.
      if (!this.isLeaving) setImmediate(() => this.leave());
      this.isLeaving = true;
    });
  }

  private leave(): void {
    this.isLeaving = false;
    while (this.waiting.size > 0 && this.waitedFor < underWayMax) {
      this.waitedFor += 1;
      let isWaitedFor = true;
      const next = () => {
        if (!isWaitedFor) return;
        isWaitedFor = false;
        this.waitedFor -= 1;
        this.leave();
      };
      const timer = setTimeout(next, waitedForMs);
      void this.send(this.take()).finally(() => {
        clearTimeout(timer);
        next();
      });
    }
    if (this.waitedFor === 0) this.on.idle();
  }

  private take(): Waiting[] {
    const taken: Waiting[] = [];
    let bytes = 0;
    for (const one of this.waiting) {
      bytes += one.call.request.length;
      if (taken.length === callsMax || (taken.length > 0 && bytes > bytesMax)) break;
      this.waiting.delete(one);
      taken.push(one);
    }
    return taken;
  }

  /** Settles all of them; never rejects. */
  private async send(batch: readonly Waiting[]): Promise<void> {
    const [first] = batch;
    if (first !== undefined && batch.length === 1) return this.sendAlone(first);
    let why: CallFailed = outcomeUnknown();
    const left = new Set(batch);
    try {
      const calls = batch.map(({ call }) => call);
      const body = toBinary(BatchRequestSchema, create(BatchRequestSchema, { calls }));
      for await (const message of this.upstream.stream(path, body, this.asking))
        for (const { call, outcome } of fromBinary(BatchAnswersSchema, message).answers) {
          const one = batch[call];
          if (one === undefined) continue;
          left.delete(one);
          one.settle(
            outcome.case === 'response'
              ? outcome.value
              : failureOf(500, new TextEncoder().encode(outcome.value ?? '')),
          );
        }
    } catch (error) {
      why = error instanceof CallFailed ? error : outcomeUnknown();
    }
    // A service of older code, which has not looked at any of them.
    if (left.size === batch.length && why.code === GrpcCode.NotFound) {
      this.on.unknown();
      await Promise.all(batch.map((one) => this.sendAlone(one)));
    } else for (const { settle } of left) settle(why);
  }

  private async sendAlone({ call, asking, settle }: Waiting): Promise<void> {
    try {
      settle(await this.upstream.call(call.rpc, call.request, asking));
    } catch (error) {
      settle(error instanceof CallFailed ? error : outcomeUnknown());
    }
  }

  /** Each call has its own deadline, and the service holds to it. */
  private get asking(): Asking {
    const signal = new AbortController().signal;
    return {
      ...this.user,
      dialled: null,
      clientAddress: '',
      deadline: Number.POSITIVE_INFINITY,
      signal,
    };
  }
}
