/**
 * The watches of one client, as the Worker holds them: each knows the next revision that the client
 * has not been given. Whatever happens to the member at the other end of the socket, another socket
 * goes on from there (docs/decisions/watch.md): the reader of a session sees neither gap nor repeat.
 *
 * What is held for a reader that does not read is bounded. Beyond it the socket is closed, and opened
 * again when the reader has taken what there was; or, if the session is told to, it ends and says so.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { isEtcdErrorName } from '../../api/errors.ts';
import type { AuthCaller } from '../../api/gen/member_pb.js';
import { EventSchema } from '../../api/gen/mvcc_pb.js';
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
import { hasLeader } from '../members/leader.ts';
import { openMemberSocket } from './member-socket.ts';
import type { WatchHeader, WatchMessage, WatchSpec } from './message.ts';
import { MessageQueue } from './queue.ts';
import { type Held, Watch } from './watch.ts';

export interface SessionOptions {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  /** End with `overflow` instead of going on when the reader has caught up. */
  readonly endOnOverflow?: boolean;
  readonly queueBytesMax?: number;
  /** End with `noLeader` when nobody leads the group. */
  readonly requireLeader?: boolean;
}

/** What is kept for a slow reader (one message may be larger). */
const queueBytesDefault = 4 * 1024 * 1024;
/** Pages of history are joined up to this many revisions, as etcd does. */
const joinedRevisionsMax = 1_000;
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
  private readonly queue: MessageQueue;
  private readonly held: Held = { bytes: 0 };
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
    this.queue = new MessageQueue(this.queueBytesMax);
    this.pinger = setInterval(() => this.ping(), pingEveryMs);
  }

  /** Watches that are neither canceled nor compacted. */
  get size(): number {
    return this.watches.size;
  }

  /** Begins a watch; `slot` must be free. Answered by `created`. */
  watch(slot: number, spec: WatchSpec): void {
    if (this.watches.has(slot)) throw new Error(`slot ${slot} is taken`);
    const watch = new Watch(slot, spec, this.held);
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
    const message = await this.queue.take();
    if (message === null) return null;
    if (this.paused && this.queue.isEmpty) {
      this.paused = false;
      this.connect();
    }
    this.feed();
    return message;
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
    this.queue.clear();
    this.end();
  }

  private end(): void {
    if (this.ended) return;
    this.ended = true;
    clearInterval(this.pinger);
    this.leave();
    this.queue.end();
  }

  private push(message: WatchMessage, bytes = 0): void {
    this.queue.push(message, bytes);
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
      if (this.options.requireLeader && !(await hasLeader(env, tenant))) {
        this.endWith({ type: 'noLeader' });
        return;
      }
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
      watch.forget();
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
      case 'noLeader':
        if (this.options.requireLeader) this.endWith({ type: 'noLeader' });
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
    watch.forget();
    this.push(message);
    this.fed(watch.slot);
  }

  private onProgress(asked: boolean): void {
    for (const watch of this.watches.values()) if (watch.created) watch.pass(this.revision);
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
    for (const encoded of events) watch.takeIn(fromBinary(EventSchema, encoded));
    watch.through = through;
    if (live) this.flushLive(watch);
    else if (through >= this.revision || this.isPageFull(watch)) this.flush(watch, through);
    if (watch.bytes > maxReplyBytes && more) {
      this.ask({ case: 'cancel', value: slot });
      this.finish(watch, { type: 'tooLarge', slot, header: this.header() });
      return;
    }
    if (more) this.hungry.push(slot);
    this.fed(slot);
    if (live && this.queue.isFull) this.overflow();
  }

  private isPageFull(watch: Watch): boolean {
    if (watch.firstHeld === null) return false;
    const bytes = this.held.bytes + this.queue.bytes;
    return bytes >= this.queueBytesMax || watch.revisionsHeld >= joinedRevisionsMax;
  }

  /** Each revision by itself, as etcd tells what has just happened. */
  private flushLive(watch: Watch): void {
    for (let revision = watch.firstHeld; revision !== null; revision = watch.firstHeld)
      this.flush(watch, revision, { ...this.header(), revision });
    watch.pass(watch.through);
  }

  /** What lies at or before `through` becomes a message; it is the reader's from now on. */
  private flush(watch: Watch, through: bigint, header = this.header()): void {
    const { events, bytes } = watch.giveOut(through);
    if (events.length > 0) this.push({ type: 'events', slot: watch.slot, header, events }, bytes);
  }

  private fed(slot: number): void {
    if (this.feeding === slot) this.feeding = null;
    this.feed();
  }

  /** Asks for the next page of history when there is room for it. */
  private feed(): void {
    if (this.feeding !== null || this.queue.bytes > this.queueBytesMax / 2) return;
    const slot = this.hungry.shift();
    if (slot === undefined) return;
    this.feeding = slot;
    this.ask({ case: 'more', value: slot });
  }

  private overflow(): void {
    this.paused = true;
    this.leave();
    if (this.options.endOnOverflow) this.endWith({ type: 'overflow' });
  }

  private endWith(message: WatchMessage): void {
    this.push(message);
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
