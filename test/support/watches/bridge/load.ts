/** Which keys are written and watched through the bridge, and the writers. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ServiceError } from '@grpc/grpc-js';
import {
  DeleteRangeRequestSchema,
  DeleteRangeResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../../../src/api/gen/rpc_pb.js';
import type { GrpcClient } from '../../bridge.ts';
import { Random } from '../../random.ts';
import type { Scope } from './judge.ts';
import type { Outcome, Write, Writes } from './writes.ts';

/** All keys of a run. */
export const allKeys = ['w/', 'w0'] as const;
const keyCount = 400;
const keys = Array.from({ length: keyCount }, (_, n) => keyOf(n));
/** With the values before them they are too much for one message of a watch that asks for fragments. */
const largeKeys = ['w/l0', 'w/l1', 'w/l2'];
const largeValue = 'x'.repeat(400_000);
const txnEvery = 10;
const deleteEvery = 20;
/** Beyond it a service that is slow gets no more, and the rate is made up for later. */
const underWayMax = 64;
const pauseMs = 10;

function keyOf(n: number): string {
  return `w/k${String(n % keyCount).padStart(3, '0')}`;
}

const everything = { prevKv: false, noPut: false, noDelete: false, fragment: false };

/**
 * Of the nth watch: most watch one key, some ranges that overlap, a few all keys, with each option and filter, so that a
 * thousand of them are told some dozen events of each write.
 */
export function scopeOf(n: number): Scope {
  const prevKv = n % 2 === 0;
  switch (n % 250) {
    case 0:
      return { ...everything, key: 'w/k', end: 'w/l', prevKv: true, fragment: true };
    case 1:
      return { ...everything, key: keyOf(300), end: n === 1 ? '\0' : 'w/l' };
    case 2:
      return { ...everything, key: 'w/k', end: 'w/l', noPut: true, prevKv: true };
    case 3:
      return { ...everything, key: 'w/k', end: 'w/l', noDelete: true };
    case 4:
    case 5:
      return { ...everything, key: 'w/l', end: 'w/m', prevKv: true, fragment: n % 2 === 0 };
    default:
  }
  const key = keyOf(n * 7);
  if (n % 5 === 0)
    return {
      ...everything,
      key,
      end: keyOf(Math.min(keyCount - 1, ((n * 7) % keyCount) + 5)),
      prevKv,
    };
  return { ...everything, key, end: null, prevKv, noPut: n % 13 === 0, noDelete: n % 11 === 0 };
}

export class Load {
  readonly writes: Writes;
  /** What writers were told when they were told nothing of use, and how often. */
  readonly reasons = new Map<string, number>();
  /** Puts and transactions that were begun in this `run`. */
  begun = 0;
  private readonly client: GrpcClient;
  private readonly random: Random;
  private readonly largeEvery: number;
  private underWay = new Set<Promise<void>>();

  /** One in `largeEvery` transactions is too much for one message. */
  constructor(
    client: GrpcClient,
    writes: Writes,
    { seed, largeEvery }: { readonly seed: number; readonly largeEvery: number },
  ) {
    this.client = client;
    this.writes = writes;
    this.random = new Random(seed);
    this.largeEvery = largeEvery;
  }

  /** So many puts and transactions at that rate; what a stalled service has missed is made up for. Until all have ended. */
  async run(puts: number, putsPerSecond: number, goOn: () => boolean): Promise<void> {
    const startMs = performance.now();
    this.begun = 0;
    while (this.begun < puts && goOn()) {
      const due = Math.min(puts, ((performance.now() - startMs) * putsPerSecond) / 1_000);
      while (this.begun < due && this.underWay.size < underWayMax) {
        this.begun += 1;
        this.start(this.writeNext(this.begun));
        if (this.begun % deleteEvery === 0) this.start(this.delete(this.random.pick(keys)));
      }
      await sleep(pauseMs);
    }
    await Promise.all(this.underWay);
  }

  /** One transaction that was acknowledged; its revision. */
  async writeAtLast(): Promise<number> {
    for (let n = 0; n < 20; n += 1) {
      const outcome = await this.transact(['w/l0', 'w/k000', 'w/k399'], [], '');
      if (outcome.type === 'acknowledged') return outcome.revision;
      await sleep(200);
    }
    throw new Error(`nothing is written: ${[...this.reasons.keys()].join('; ')}`);
  }

  private start(write: Promise<unknown>): void {
    const ended: Promise<void> = write.then(() => {
      this.underWay.delete(ended);
    });
    this.underWay.add(ended);
  }

  private writeNext(n: number): Promise<Outcome> {
    const { random, largeEvery } = this;
    if (n % largeEvery === Math.floor(largeEvery / 10))
      return this.transact(largeKeys, [], largeValue);
    if (n % txnEvery !== 0) return this.put(random.pick(keys));
    const at = random.integer(0, keyCount - 1);
    return this.transact([keyOf(at), keyOf(at + 1)], [keyOf(at + random.integer(2, 4))], '');
  }

  private put(key: string): Promise<Outcome> {
    return this.write([key], [], async ({ name }) => {
      const request = { key: Buffer.from(key), value: Buffer.from(`${name} `) };
      const put = [PutRequestSchema, request] as const;
      return (await this.client.call('etcdserverpb.KV/Put', put, PutResponseSchema)).header;
    });
  }

  private delete(key: string): Promise<Outcome> {
    return this.write([], [key], async () => {
      const { header, deleted } = await this.client.call(
        'etcdserverpb.KV/DeleteRange',
        [DeleteRangeRequestSchema, { key: Buffer.from(key) }],
        DeleteRangeResponseSchema,
      );
      return deleted === 0n ? null : header;
    });
  }

  private transact(
    puts: readonly string[],
    deletes: readonly string[],
    more: string,
  ): Promise<Outcome> {
    return this.write(puts, deletes, async ({ name }) => {
      const value = Buffer.from(`${name} ${more}`);
      const success = [
        ...puts.map((key) => ({
          request: { case: 'requestPut', value: { key: Buffer.from(key), value } },
        })),
        ...deletes.map((key) => ({
          request: { case: 'requestDeleteRange', value: { key: Buffer.from(key) } },
        })),
      ] as NonNullable<MessageInitShape<typeof TxnRequestSchema>['success']>;
      const txn = [TxnRequestSchema, { success }] as const;
      return (await this.client.call('etcdserverpb.KV/Txn', txn, TxnResponseSchema)).header;
    });
  }

  /** `send` resolves to the header, or to null when there was nothing to change. */
  private async write(
    puts: readonly string[],
    deletes: readonly string[],
    send: (write: Write) => Promise<{ revision: bigint } | null | undefined>,
  ): Promise<Outcome> {
    const write = this.writes.begin(puts, deletes);
    try {
      const header = await send(write);
      write.outcome = header
        ? { type: 'acknowledged', revision: Number(header.revision) }
        : { type: 'nothing' };
    } catch (error) {
      const { code, details } = error as ServiceError;
      // Beyond these words grpc-js tells times and addresses.
      const reason = `${code} ${details?.split(/ after|\. /, 1)}`;
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + 1);
      // By these words etcd's clients know that they may send it again.
      if (details?.startsWith('there is no connection available'))
        write.outcome = { type: 'unsent' };
    }
    return write.outcome;
  }
}
