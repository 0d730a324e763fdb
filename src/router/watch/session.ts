/**
 * The watches of one client, as the Worker holds them: each knows the next revision that the client
 * has not been given. Whatever happens to the member at the other end of the socket, another socket
 * goes on from there (docs/decisions/watch.md): the reader of a session sees neither gap nor repeat.
 *
 * What is held for a reader that does not read is bounded. Beyond it the socket is closed, and opened
 * again when the reader has taken what there was; or, if the session is told to, it ends and says so.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type EtcdErrorName, isEtcdErrorName } from '../../api/errors.ts';
import type { AuthCaller } from '../../api/gen/member_pb.js';
import { type Event, EventSchema } from '../../api/gen/mvcc_pb.js';
import {
  type WatchAsk,
  WatchAskSchema,
  type WatchCanceled,
  WatchCreateSchema,
  type WatchEvents,
  type WatchTell,
  WatchTellSchema,
} from '../../api/gen/watch_pb.js';
import { maxReplyBytes } from '../../api/limits.ts';
import { watchPing } from '../../api/member.ts';
import type { Credentials } from '../auth/credentials.ts';
import { watcherOf } from '../auth/watcher.ts';
import type { RouterEnv } from '../env.ts';
import { openMemberSocket } from './member-socket.ts';

/** In etcd's notation; an empty key means the first one. */
export interface WatchSpec {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** First revision that is wanted; 0: the one after the member's. */
  readonly from: bigint;
  readonly prevKv?: boolean;
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
}

/** Who says so: what etcd puts into the header of a response. */
export interface WatchHeader {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: bigint;
  readonly raftTerm: bigint;
}

/** `slot` is the number that `watch` was given. */
export type WatchMessage =
  | { readonly type: 'created'; readonly slot: number; readonly header: WatchHeader }
  | {
      readonly type: 'events';
      readonly slot: number;
      readonly header: WatchHeader;
      /** Whole revisions: one when it has just happened, several of the history. */
      readonly events: readonly Event[];
    }
  /** As the reader asked; nothing of that watch follows. */
  | { readonly type: 'canceled'; readonly slot: number; readonly header: WatchHeader }
  /** What was asked for is gone; history begins at `compactRevision`. Nothing follows. */
  | {
      readonly type: 'compacted';
      readonly slot: number;
      readonly header: WatchHeader;
      readonly compactRevision: bigint;
    }
  /** Its caller may not see that, or not any more. Nothing of that watch follows. */
  | {
      readonly type: 'denied';
      readonly slot: number;
      readonly header: WatchHeader;
      readonly error: EtcdErrorName;
    }
  /** One revision has more events than can be held. Nothing of that watch follows. */
  | { readonly type: 'tooLarge'; readonly slot: number; readonly header: WatchHeader }
  /** Every watch has been told everything up to the header's revision. `more`: it was asked for again since. */
  | { readonly type: 'progress'; readonly header: WatchHeader; readonly more: boolean }
  | { readonly type: 'located'; readonly token: number; readonly header: WatchHeader }
  /** The reader is too slow, and the session ends. */
  | { readonly type: 'overflow' };

export interface SessionOptions {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  /** End with `overflow` instead of going on when the reader has caught up. */
  readonly endOnOverflow?: boolean;
  readonly queueBytesMax?: number;
}

interface Watch {
  readonly slot: number;
  readonly spec: WatchSpec;
  /** First revision that the reader has not been given; 0: not created yet, from now on. */
  next: bigint;
  /** The reader was told that it exists. */
  announced: boolean;
  /** It exists at the other end of the present socket. */
  created: boolean;
  canceling: boolean;
  /** Of the history: taken in, but not yet a message. */
  page: Event[];
  pageBytes: number;
  /** The last event of `page` may belong to a revision that goes on. */
  through: bigint;
}

/** What is kept for a slow reader (one message may be larger). */
const queueBytesDefault = 4 * 1024 * 1024;
/** Pages of history are joined up to this many revisions, as etcd does. */
const joinedRevisionsMax = 1_000;
/** What is kept for all slow readers of an isolate, whose memory they share; and each one's part of it. */
const allQueuedMax = 48 * 1024 * 1024;
const ownQueuedMin = 256 * 1024;
let allQueued = 0;
const messageOverheadBytes = 128;
const pingEveryMs = 30_000;
/** A socket that lived for less was not worth having: the next attempt waits. */
const quickLossMs = 1_000;
const retryFirstMs = 50;
const retryMaxMs = 2_000;

export class WatchSession {
  private readonly options: SessionOptions;
  private readonly queueBytesMax: number;
  private readonly watches = new Map<number, Watch>();
  private readonly tokens = new Set<number>();
  private progressWanted = false;
  /** It was asked for again while an answer was under way, which may say less. */
  private progressAgain = false;
  private socket: WebSocket | null = null;
  private connecting = false;
  private awaitsPong = false;
  /** What was asked before there was a first socket, in order; null from then on. */
  private outbox: WatchAsk['ask'][] | null = [];
  private openedAt = 0;
  /** Sockets in a row that were lost as soon as they were open. */
  private quickLosses = 0;
  /** The queue was full: no socket until it is empty. */
  private paused = false;
  private ended = false;
  private readonly queue: { readonly message: WatchMessage; readonly bytes: number }[] = [];
  private queuedBytes = 0;
  private heldBytes = 0;
  private wake: (() => void) | null = null;
  /** Slots whose next page of history is to be asked for, one at a time. */
  private readonly hungry: number[] = [];
  private feeding: number | null = null;
  private readonly pinger: ReturnType<typeof setInterval>;
  /** Who watches, once it is known: on later sockets too, when the token may have expired. */
  private caller: AuthCaller | null = null;
  private clusterId = 0n;
  private memberId = 0n;
  private term = 0n;
  private revision = 0n;

  constructor(options: SessionOptions) {
    this.options = options;
    this.queueBytesMax = options.queueBytesMax ?? queueBytesDefault;
    this.pinger = setInterval(() => this.ping(), pingEveryMs);
  }

  /** Watches that are neither canceled nor compacted. */
  get size(): number {
    return this.watches.size;
  }

  /** Begins a watch; `slot` must be free. Answered by `created`. */
  watch(slot: number, spec: WatchSpec): void {
    if (this.watches.has(slot)) throw new Error(`slot ${slot} is taken`);
    const flags = { announced: false, created: false, canceling: false };
    const history = { page: [], pageBytes: 0, through: 0n };
    const watch: Watch = { slot, spec, next: spec.from, ...flags, ...history };
    this.watches.set(slot, watch);
    this.askCreate(watch);
    this.connect();
  }

  /** Answered by `canceled`, unless the watch has ended by itself. */
  cancel(slot: number): void {
    const watch = this.watches.get(slot);
    if (!watch || watch.canceling) return;
    watch.canceling = true;
    this.ask({ case: 'cancel', value: slot });
  }

  /**
   * Answered by `progress` once all watches have been told everything. One question is under way at a time,
   * and one more answers all that have come meanwhile.
   */
  progress(): void {
    this.progressAgain = this.progressWanted;
    if (this.progressWanted) return;
    this.progressWanted = true;
    this.ask({ case: 'progress', value: true });
  }

  /** Where does the store stand? Answered by `located`, in order with what else was asked. */
  locate(token: number): void {
    this.tokens.add(token);
    this.ask({ case: 'locate', value: token });
    this.connect();
  }

  /** The next message; null when the session has ended. One reader. */
  async next(): Promise<WatchMessage | null> {
    while (this.queue.length === 0) {
      if (this.ended) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.take();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchMessage, void> {
    for (let message = await this.next(); message; message = await this.next()) yield message;
  }

  /** Up to where a watch has been told everything; null: it has not reached what it asks for. */
  told(slot: number): WatchHeader | null {
    const watch = this.watches.get(slot);
    const revision = (watch?.next ?? 0n) - 1n;
    if (!watch?.announced || revision < watch.spec.from) return null;
    return { ...this.header(), revision };
  }

  /** What has not been read is dropped. */
  close(): void {
    allQueued -= this.queuedBytes;
    this.queuedBytes = 0;
    this.queue.length = 0;
    this.end();
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.pinger);
    this.leave();
    this.wake?.();
  }

  private take(): WatchMessage | null {
    const first = this.queue.shift();
    if (!first) return null;
    this.queuedBytes -= first.bytes;
    allQueued -= first.bytes;
    if (this.paused && this.queue.length === 0) {
      this.paused = false;
      this.connect();
    }
    this.feed();
    return first.message;
  }

  private push(message: WatchMessage, bytes = 0): void {
    // Closed, with a message still on its way: nobody reads any more.
    if (this.ended) return;
    this.queue.push({ message, bytes: bytes + messageOverheadBytes });
    this.queuedBytes += bytes + messageOverheadBytes;
    allQueued += bytes + messageOverheadBytes;
    this.wake?.();
    this.wake = null;
  }

  private connect(): void {
    if (this.socket || this.connecting || this.paused || this.ended) return;
    if (this.watches.size === 0 && this.tokens.size === 0) return;
    this.connecting = true;
    void this.keepTrying();
  }

  private async keepTrying(): Promise<void> {
    const { env, tenant, credentials } = this.options;
    for (let failures = this.quickLosses; !this.ended; failures += 1) {
      // The first loss may be an object that has just ended, and is there again at once.
      if (failures > 0) await pause(failures);
      if (this.ended) return;
      this.caller ??= await watcherOf(env, tenant, credentials);
      if (!this.caller) continue;
      const socket = await openMemberSocket(env, tenant, failures > 0).catch(() => null);
      if (!socket) continue;
      this.connecting = false;
      this.enter(socket);
      return;
    }
  }

  private enter(socket: WebSocket): void {
    socket.binaryType = 'arraybuffer';
    const lost = () => {
      if (this.socket !== socket) return;
      const isQuick = Date.now() - this.openedAt < quickLossMs;
      this.quickLosses = isQuick ? this.quickLosses + 1 : 0;
      this.leave();
      this.connect();
    };
    socket.addEventListener('message', ({ data }) => {
      if (this.socket !== socket) return;
      if (typeof data === 'string') this.awaitsPong = false;
      else this.hear(fromBinary(WatchTellSchema, new Uint8Array(data as ArrayBuffer)));
    });
    socket.addEventListener('close', lost);
    socket.addEventListener('error', lost);
    socket.accept();
    if (this.ended) {
      socket.close(1000, 'the client is gone');
      return;
    }
    this.socket = socket;
    this.openedAt = Date.now();
    this.awaitsPong = false;
    const { outbox } = this;
    this.outbox = null;
    if (outbox) {
      for (const ask of outbox) this.ask(ask);
      return;
    }
    for (const watch of [...this.watches.values()]) this.resume(watch);
    for (const token of this.tokens) this.ask({ case: 'locate', value: token });
    if (this.progressWanted) this.ask({ case: 'progress', value: true });
  }

  private resume(watch: Watch): void {
    if (watch.canceling && watch.announced) {
      this.finish(watch, { type: 'canceled', slot: watch.slot, header: this.header() });
      return;
    }
    this.askCreate(watch);
    if (watch.canceling) this.ask({ case: 'cancel', value: watch.slot });
  }

  /** Away from the present socket, and from all that was under way on it. */
  private leave(): void {
    const { socket } = this;
    this.socket = null;
    try {
      socket?.close(1000, 'left');
    } catch {
      // Closed already.
    }
    this.hungry.length = 0;
    this.feeding = null;
    for (const watch of this.watches.values()) {
      watch.created = false;
      // Whole revisions are the reader's already; the rest comes again.
      this.flush(watch, watch.through);
      this.heldBytes -= watch.pageBytes;
      watch.page = [];
      watch.pageBytes = 0;
    }
  }

  private ping(): void {
    if (!this.socket) return;
    if (this.awaitsPong) {
      this.leave();
      this.connect();
      return;
    }
    this.awaitsPong = true;
    try {
      this.socket.send(watchPing);
    } catch {
      // Its close event is on the way.
    }
  }

  private ask(ask: WatchAsk['ask']): void {
    this.outbox?.push(ask);
    if (ask.case === 'create' && this.caller) ask.value.caller = this.caller;
    try {
      this.socket?.send(toBinary(WatchAskSchema, create(WatchAskSchema, { ask })));
    } catch {
      // Closed meanwhile: what is asked for is remembered, and asked again on the next socket.
    }
  }

  private askCreate({ slot, spec, next }: Watch): void {
    const value = create(WatchCreateSchema, { ...spec, slot, from: next });
    this.ask({ case: 'create', value });
  }

  private hear({ revision, term, tell }: WatchTell): void {
    this.revision = revision;
    this.term = term;
    switch (tell.case) {
      case 'hello':
        this.clusterId = tell.value.clusterId;
        this.memberId = tell.value.memberId;
        return;
      case 'created':
        this.onCreated(tell.value);
        return;
      case 'events':
        this.onEvents(tell.value);
        return;
      case 'canceled':
        this.onCanceled(tell.value);
        return;
      case 'progress':
        this.onProgress(tell.value);
        return;
      case 'located':
        if (!this.tokens.delete(tell.value)) return;
        this.push({ type: 'located', token: tell.value, header: this.header() });
        return;
      case undefined:
        // Of newer code.
        return;
      default:
        tell satisfies never;
    }
  }

  private onCreated(slot: number): void {
    const watch = this.watches.get(slot);
    if (!watch) return;
    watch.created = true;
    if (watch.announced) return;
    watch.announced = true;
    if (watch.next === 0n) watch.next = this.revision + 1n;
    this.push({ type: 'created', slot, header: this.header() });
  }

  private onCanceled({ slot, compactRevision, error }: WatchCanceled): void {
    const watch = this.watches.get(slot);
    if (!watch) return;
    this.flush(watch, watch.through);
    const header = this.header();
    if (isEtcdErrorName(error)) this.finish(watch, { type: 'denied', slot, header, error });
    else if (compactRevision === undefined) this.finish(watch, { type: 'canceled', slot, header });
    else this.finish(watch, { type: 'compacted', slot, header, compactRevision });
  }

  private finish(watch: Watch, message: WatchMessage): void {
    this.watches.delete(watch.slot);
    this.heldBytes -= watch.pageBytes;
    this.push(message);
    this.fed(watch.slot);
  }

  private onProgress(asked: boolean): void {
    for (const watch of this.watches.values()) if (watch.created) pass(watch, this.revision);
    if (!asked || !this.progressWanted) return;
    const more = this.progressAgain;
    this.progressWanted = false;
    this.progressAgain = false;
    this.push({ type: 'progress', header: this.header(), more });
    if (more) this.progress();
  }

  private onEvents({ slot, events, live, more, through }: WatchEvents): void {
    const watch = this.watches.get(slot);
    if (!watch) return;
    for (const encoded of events) {
      const event = fromBinary(EventSchema, encoded);
      // Never, of a member that keeps its promise; a repeat would be the reader's fault to us.
      if (revisionOf(event) < watch.next) continue;
      watch.page.push(event);
      watch.pageBytes += encoded.length;
      this.heldBytes += encoded.length;
    }
    watch.through = through;
    if (live) this.flushLive(watch);
    else if (through >= this.revision || this.isPageFull(watch)) this.flush(watch, through);
    if (watch.pageBytes > maxReplyBytes && more) {
      this.ask({ case: 'cancel', value: slot });
      this.finish(watch, { type: 'tooLarge', slot, header: this.header() });
      return;
    }
    if (more) this.hungry.push(slot);
    this.fed(slot);
    if (live && this.isFull) this.overflow();
  }

  private isPageFull({ page }: Watch): boolean {
    const [first, last] = [page[0], page.at(-1)];
    if (!first || !last) return false;
    if (this.heldBytes + this.queuedBytes >= this.queueBytesMax) return true;
    return revisionOf(last) - revisionOf(first) >= joinedRevisionsMax;
  }

  /** Each revision by itself, as etcd tells what has just happened. */
  private flushLive(watch: Watch): void {
    for (let first = watch.page[0]; first; first = watch.page[0]) {
      const revision = revisionOf(first);
      this.flush(watch, revision, { ...this.header(), revision });
    }
    pass(watch, watch.through);
  }

  /** What lies at or before `through` becomes a message; it is the reader's from now on. */
  private flush(watch: Watch, through: bigint, header = this.header()): void {
    const { page, slot } = watch;
    let count = 0;
    let bytes = 0;
    while (count < page.length && revisionOf(page[count] as Event) <= through) {
      bytes += sizeOf(page[count] as Event);
      count += 1;
    }
    pass(watch, through);
    if (count === 0) return;
    watch.page = page.slice(count);
    const left = watch.page.reduce((sum, event) => sum + sizeOf(event), 0);
    this.heldBytes += left - watch.pageBytes;
    watch.pageBytes = left;
    this.push({ type: 'events', slot, header, events: page.slice(0, count) }, bytes);
  }

  private fed(slot: number): void {
    if (this.feeding === slot) this.feeding = null;
    this.feed();
  }

  /** Asks for the next page of history when there is room for it. */
  private feed(): void {
    if (this.feeding !== null || this.queuedBytes > this.queueBytesMax / 2) return;
    const slot = this.hungry.shift();
    if (slot === undefined) return;
    this.feeding = slot;
    this.ask({ case: 'more', value: slot });
  }

  private get isFull(): boolean {
    if (this.queuedBytes > this.queueBytesMax) return true;
    return allQueued > allQueuedMax && this.queuedBytes > ownQueuedMin;
  }

  private overflow(): void {
    this.paused = true;
    this.leave();
    if (this.options.endOnOverflow !== true) return;
    this.push({ type: 'overflow' });
    this.end();
  }

  private header(): WatchHeader {
    const { clusterId, memberId, revision, term } = this;
    return { clusterId, memberId, revision, raftTerm: term };
  }
}

function pause(failures: number): Promise<void> {
  const full = Math.min(retryMaxMs, retryFirstMs * 2 ** (failures - 1));
  return new Promise((resolve) => setTimeout(resolve, full * (0.5 + Math.random() / 2)));
}

function pass(watch: Watch, revision: bigint): void {
  if (watch.announced && revision >= watch.next) watch.next = revision + 1n;
}

function revisionOf({ kv }: Event): bigint {
  return kv?.modRevision ?? 0n;
}

/** About what it takes on the wire. */
function sizeOf({ kv, prevKv }: Event): number {
  let size = 32;
  for (const one of [kv, prevKv]) if (one) size += one.key.length + one.value.length;
  return size;
}
