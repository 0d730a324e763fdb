/**
 * One watch stream as etcd's clientv3 keeps it: it carries many watches, asks for them one at a time, puts fragments
 * together, and when it ends with a code after which there is hope it begins again, with every watch at its next
 * revision.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { GrpcCode } from '../../../../src/api/errors.ts';
import type { Event } from '../../../../src/api/gen/mvcc_pb.js';
import {
  type WatchCreateRequest,
  WatchCreateRequest_FilterType,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '../../../../src/api/gen/rpc_pb.js';
import type { GrpcClient } from '../../bridge.ts';
import type { WatchJudge } from './judge.ts';

type Bytes = Uint8Array;

/** clientv3 goes on after these, and gives up its watches after any other. */
const hopeful: ReadonlySet<number> = new Set([GrpcCode.Unavailable, GrpcCode.Internal]);
const retryMs = 50;
const forAllWatches = -1n;

/** A watch that is served, and what it was told of a message that is not complete. */
interface Served {
  readonly judge: WatchJudge;
  fragments: Event[];
}

export class KeptStream {
  readonly judges: readonly WatchJudge[];
  /** How often it ended after it had been told something. */
  ends = 0;
  messages = 0;
  fragments = 0;
  progressHeard = 0;
  /** The highest revision up to which all watches were said to have heard everything. */
  progressThrough = 0;
  private readonly client: GrpcClient;
  private readonly fail: (what: string) => void;
  private stream: ClientDuplexStream<Bytes, Bytes> | null = null;
  private waiting: WatchJudge[] = [];
  private served = new Map<bigint, Served>();
  private isOpen = true;
  private readonly log: (what: string) => void;

  constructor(
    client: GrpcClient,
    judges: readonly WatchJudge[],
    { fail, log }: { readonly fail: (what: string) => void; readonly log: (what: string) => void },
  ) {
    this.client = client;
    this.judges = judges;
    this.fail = fail;
    this.log = log;
  }

  /** Watches that are not served now. */
  get unserved(): number {
    return this.judges.length - this.served.size;
  }

  open(): void {
    const stream = this.client.duplex('etcdserverpb.Watch/Watch');
    this.stream = stream;
    this.waiting = [...this.judges];
    this.served = new Map();
    let hasHeard = false;
    stream.on('data', (data: Bytes) => {
      hasHeard = true;
      this.hear(fromBinary(WatchResponseSchema, data));
    });
    stream.on('error', () => {}); // Its status says the same.
    stream.on('status', (status: StatusObject) => void this.ended(status, hasHeard));
    this.askForNext();
  }

  askProgress(): void {
    if (this.unserved === 0) this.ask({ case: 'progressRequest', value: {} });
  }

  close(): void {
    this.isOpen = false;
    this.stream?.cancel();
  }

  private async ended({ code, details }: StatusObject, hasHeard: boolean): Promise<void> {
    if (!this.isOpen) return;
    this.log(`a stream of ${this.served.size} watches has ended with ${code}: ${details}`);
    this.served = new Map();
    if (hasHeard) this.ends += 1;
    if (this.ends > 1) this.fail(`a stream has ended again with ${code}: ${details}`);
    if (!hopeful.has(code)) {
      this.fail(`a stream has ended with ${code}: ${details}`);
      return;
    }
    await sleep(retryMs);
    if (this.isOpen) this.open();
  }

  private ask(requestUnion: MessageInitShape<typeof WatchRequestSchema>['requestUnion']): void {
    const request = create(WatchRequestSchema, { requestUnion } as never);
    this.stream?.write(toBinary(WatchRequestSchema, request));
  }

  private askForNext(): void {
    const [judge] = this.waiting;
    if (judge) this.ask({ case: 'createRequest', value: this.creation(judge) as never });
  }

  private creation(judge: WatchJudge): Partial<WatchCreateRequest> {
    const { key, end, prevKv, noPut, noDelete, fragment } = judge.scope;
    const { NOPUT, NODELETE } = WatchCreateRequest_FilterType;
    return {
      key: Buffer.from(key),
      rangeEnd: Buffer.from(end ?? ''),
      startRevision: BigInt(judge.next ?? 0),
      filters: [...(noPut ? [NOPUT] : []), ...(noDelete ? [NODELETE] : [])],
      prevKv,
      fragment,
    };
  }

  private hear(response: WatchResponse): void {
    this.messages += 1;
    const { header, watchId, events } = response;
    const revision = Number(header?.revision ?? 0n);
    if (response.canceled) {
      this.fail(`a watch was canceled: ${response.cancelReason} ${response.compactRevision}`);
      return;
    }
    if (response.created) {
      const judge = this.waiting.shift();
      if (judge === undefined || this.served.has(watchId)) {
        this.fail(`watch ${watchId} was created, and not asked for`);
        return;
      }
      judge.created(revision);
      this.served.set(watchId, { judge, fragments: [] });
      this.askForNext();
      return;
    }
    if (events.length === 0) this.hearProgress(watchId, revision);
    else this.hearEvents(response, revision);
  }

  private hearProgress(watchId: bigint, revision: number): void {
    this.progressHeard += 1;
    if (watchId !== forAllWatches) {
      this.served.get(watchId)?.judge.progress(revision);
      return;
    }
    for (const { judge } of this.served.values()) judge.progress(revision);
    this.progressThrough = Math.max(this.progressThrough, revision);
  }

  private hearEvents({ watchId, events, fragment }: WatchResponse, revision: number): void {
    const served = this.served.get(watchId);
    if (served === undefined) {
      this.fail(`events of watch ${watchId}, which there is not`);
      return;
    }
    const { judge } = served;
    if (fragment) {
      this.fragments += 1;
      if (!judge.scope.fragment) judge.complain('was told a fragment');
      served.fragments.push(...events);
      return;
    }
    judge.hear(revision, [...served.fragments, ...events]);
    served.fragments = [];
  }
}
