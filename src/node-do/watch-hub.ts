/**
 * Tells the watches at one member of what was applied here (docs/decisions/watch.md).
 *
 * One number, `told`: every synchronised watch has been told everything up to it. It equals the
 * state's revision at the end of each turn, so an object that hibernates has nothing to remember of
 * those watches but that they are synchronised. The others read history, page by page as their
 * clients ask for it, until they reach `told`. Nothing here waits, holds a timer or writes a row.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import {
  type AttachedWatch,
  AttachedWatchSchema,
  type WatchAsk,
  WatchAskSchema,
  WatchAttachmentSchema,
  type WatchCreate,
  type WatchTell,
  WatchTellSchema,
} from '../api/gen/watch_pb.js';
import { binaryString } from '../api/intervals.ts';
import { maxReplyBytes } from '../api/limits.ts';
import { type Needs, needsOfRead } from '../kv/auth/needs.ts';
import type { Caller } from '../kv/auth/permit.ts';
import type { Bounds } from '../kv/bounds.ts';
import { type Change, type ChangePage, endOf, watchBounds } from '../kv/events.ts';
import type { Position } from '../kv/history.ts';
import { callerOf } from './auth/callers.ts';
import { IntervalIndex } from './interval-index.ts';

/** The member's end of the socket of one client's watches. */
export interface WatchSocket {
  /** What `attach` was last given, in this life or an earlier one; null: nothing. */
  readonly attachment: Uint8Array | null;
  /** Held back until what was written before is durable. */
  send(message: Uint8Array): void;
  close(code: number, reason: string): void;
  /** At most `attachmentBytesMax`. */
  attach(data: Uint8Array): void;
}

/** What the hub needs of the member that it belongs to. */
export interface HubHome {
  readonly source: {
    readonly revision: number;
    readonly compactRevision: number;
    changes(after: Position, to: number, bytesMax: number, bounds?: Bounds | null): ChangePage;
    event(change: Change, withPrevious: boolean): Uint8Array;
    readonly auth: { readonly changeCount: number };
    permit(caller: Caller | null, needs: Needs): EtcdErrorName | null;
  };
  readonly clusterId: bigint;
  readonly memberId: bigint;
  term(): number;
  yieldTurn(): Promise<void>;
  /** So many events have been sent. */
  onEvents(count: number): void;
}

/** The socket ends; the router comes back, to whichever member serves it. */
export const closeCode = { again: 1012, overloaded: 1013, misunderstood: 1007 } as const;

export const attachmentBytesMax = 16_000;
/** More than these are not worth encoding at each change: an attachment would hardly hold them. */
const attachedMax = 200;
const socketsMax = 32_000;
const watchesMax = 200_000;
/** Pages of history are read, sent and taken one at a time. */
const pageBytes = 256 * 1024;
/** Beside key and value: an event of a few bytes is not free either. */
const eventOverheadBytes = 32;
/** What one turn sends on one socket; beyond it the client has to come back and read history. */
const turnBytesMax = maxReplyBytes;

interface Client {
  readonly socket: WatchSocket;
  readonly watches: Map<number, Watch>;
  wantsProgress: boolean;
  /** Bytes of history sent since the client last asked for more. */
  unasked: number;
  tooManyAttached: boolean;
  /** Bytes sent in the turn of that number. */
  turn: number;
  turnBytes: number;
}

interface Watch {
  readonly client: Client;
  readonly wanted: WatchCreate;
  readonly bounds: Bounds;
  /** null: it still reads history. */
  cohort: Cohort | null;
  /** Told up to here, while it reads history. */
  after: Position;
  awaitsMore: boolean;
}

/** Synchronised watches that are told the same in the same bytes. */
interface Cohort {
  readonly audience: Audience;
  readonly key: string;
  readonly wanted: WatchCreate;
  readonly clients: Set<Client>;
  /** First revision that is wanted, when it is yet to come. */
  readonly from: number;
  events: Uint8Array[];
}

/** Everybody who watches one interval. */
interface Audience {
  readonly begin: string;
  readonly end: string | null;
  readonly cohorts: Map<string, Cohort>;
}

export class WatchHub {
  private readonly home: HubHome;
  private readonly clients = new Map<WatchSocket, Client>();
  private readonly index = new IntervalIndex<Audience>();
  /** Watches that read history and wait for nothing; `pump` serves them in turn. */
  private readonly readers = new Set<Watch>();
  private pumping = false;
  private told: number;
  private compacted: number;
  private authChanges: number;
  private turn = 0;
  private watchCount = 0;

  /** `sockets`: those that have outlived an earlier life of the object. */
  constructor(home: HubHome, sockets: readonly WatchSocket[]) {
    this.home = home;
    this.told = home.source.revision;
    this.compacted = home.source.compactRevision;
    this.authChanges = home.source.auth.changeCount;
    for (const socket of sockets) this.restore(socket);
  }

  get sizes(): { readonly sockets: number; readonly watches: number } {
    return { sockets: this.clients.size, watches: this.watchCount };
  }

  /** Watches that read history. Looks at each of them. */
  get behind(): number {
    let count = 0;
    for (const { watches } of this.clients.values())
      for (const { cohort } of watches.values()) if (!cohort) count += 1;
    return count;
  }

  get isFull(): boolean {
    return this.clients.size >= socketsMax;
  }

  open(socket: WatchSocket): void {
    this.clients.set(socket, newClient(socket));
    const { clusterId, memberId } = this.home;
    this.tellOne(socket, { case: 'hello', value: hello(clusterId, memberId) });
  }

  /** Whatever the other end has sent: nonsense ends the socket and hurts nobody else. */
  hear(socket: WatchSocket, data: Uint8Array | null): void {
    const client = this.clients.get(socket);
    if (!client) return;
    const ask = data && decodeAsk(data);
    if (ask?.case) this.answer(client, ask);
    else this.drop(client, closeCode.misunderstood, 'not understood');
  }

  private answer(client: Client, ask: WatchAsk['ask']): void {
    switch (ask.case) {
      case 'create':
        this.create(client, ask.value);
        return;
      case 'cancel':
        this.cancel(client, ask.value);
        return;
      case 'more': {
        const watch = client.watches.get(ask.value);
        if (!watch || watch.cohort) return;
        watch.awaitsMore = false;
        client.unasked = 0;
        this.read(watch);
        return;
      }
      case 'progress':
        client.wantsProgress = true;
        this.answerProgress(client);
        return;
      case 'locate':
        this.tellOne(client.socket, { case: 'located', value: ask.value });
        return;
      case undefined:
        return;
      default:
        ask satisfies never;
    }
  }

  /** The other end is gone. */
  closed(socket: WatchSocket): void {
    const client = this.clients.get(socket);
    if (client) this.forget(client);
  }

  /**
   * After a turn that may have raised the state's revision, when its writes are done: tells what is
   * new to whom it concerns.
   */
  advance(): void {
    const { revision, compactRevision } = this.home.source;
    this.endRefused();
    if (this.clients.size > 0) {
      this.turn += 1;
      if (revision > this.told) this.tell(revision);
      // Who is told that will not be told later that what lies below is gone.
      if (compactRevision > this.compacted)
        for (const client of this.clients.values()) this.tellProgress(client, false);
    }
    this.told = revision;
    this.compacted = compactRevision;
  }

  /** The state has jumped: whoever watches comes back and reads what lies between as history. */
  resync(): void {
    for (const client of [...this.clients.values()])
      this.drop(client, closeCode.again, 'the state was replaced');
    this.told = this.home.source.revision;
    this.compacted = this.home.source.compactRevision;
  }

  /** This member is one no more. */
  end(): void {
    for (const client of [...this.clients.values()])
      this.drop(client, closeCode.again, 'no member of the group any more');
  }

  /** What users and roles do not allow any more, before anything else is told. */
  private endRefused(): void {
    const { changeCount } = this.home.source.auth;
    if (changeCount === this.authChanges) return;
    this.authChanges = changeCount;
    for (const client of [...this.clients.values()])
      for (const watch of [...client.watches.values()]) this.endIfRefused(watch);
  }

  private refusal(wanted: WatchCreate): EtcdErrorName | null {
    return this.home.source.permit(callerOf(wanted.caller), needsOfRead(wanted));
  }

  private endIfRefused(watch: Watch): boolean {
    const { client, wanted } = watch;
    const refused = this.refusal(wanted);
    if (!refused) return false;
    this.removeWatch(watch);
    this.tellCanceled(client, wanted.slot, { error: refused });
    this.save(client);
    return true;
  }

  private tell(to: number): void {
    const touched = this.gather(to);
    if (!touched) {
      this.resync();
      return;
    }
    for (const cohort of touched) {
      const { slot } = cohort.wanted;
      const value = { slot, events: cohort.events, live: true, more: false, through: BigInt(to) };
      const message = this.encode({ case: 'events', value: { ...emptyEvents, ...value } });
      this.home.onEvents(cohort.events.length * cohort.clients.size);
      cohort.events = [];
      for (const client of [...cohort.clients]) this.deliver(client, message);
    }
    for (const client of this.clients.values())
      if (client.wantsProgress) this.answerProgress(client);
  }

  /** The cohorts that what is new concerns, with their events; null: it is too much for one turn. */
  private gather(to: number): Set<Cohort> | null {
    const touched = new Set<Cohort>();
    let bytesLeft = turnBytesMax;
    // A page may end within the last revision.
    for (let after = endOf(this.told); wholeUpTo(after) < to; ) {
      const { changes, end } = this.home.source.changes(after, to, pageBytes);
      after = end;
      for (const change of changes) {
        const encoded: [Uint8Array | null, Uint8Array | null] = [null, null];
        this.index.visit(binaryString(change.key), ({ cohorts }) => {
          for (const cohort of cohorts.values()) {
            if (!wants(cohort, change)) continue;
            const variant = cohort.wanted.prevKv ? 1 : 0;
            let event = encoded[variant];
            if (!event) {
              event = this.home.source.event(change, variant === 1);
              encoded[variant] = event;
              bytesLeft -= event.length;
            }
            cohort.events.push(event);
            touched.add(cohort);
          }
        });
        if (bytesLeft < 0) {
          for (const cohort of touched) cohort.events = [];
          return null;
        }
      }
    }
    return touched;
  }

  private deliver(client: Client, message: Uint8Array): void {
    if (client.turn !== this.turn) client.turnBytes = 0;
    client.turn = this.turn;
    client.turnBytes += message.length;
    if (client.turnBytes > turnBytesMax && client.turnBytes > message.length)
      this.drop(client, closeCode.again, 'too much at once');
    else this.send(client, message);
  }

  private create(client: Client, wanted: WatchCreate): void {
    const { slot } = wanted;
    if (client.watches.has(slot) || this.watchCount >= watchesMax) {
      const full = this.watchCount >= watchesMax;
      this.drop(client, full ? closeCode.overloaded : closeCode.misunderstood, 'no such watch');
      return;
    }
    const { compactRevision } = this.home.source;
    const refused = this.refusal(wanted);
    if (refused) {
      this.tellCanceled(client, slot, { error: refused });
      return;
    }
    this.tellOne(client.socket, { case: 'created', value: slot });
    const from = Number(wanted.from);
    if (from > 0 && from < compactRevision) {
      this.tellCanceled(client, slot, { compactRevision });
      return;
    }
    const after = endOf(from === 0 ? this.told : from - 1);
    const watch = this.addWatch(client, wanted, after);
    if (after.rev >= this.told) this.synchronise(watch);
    else this.read(watch);
    this.save(client);
  }

  private addWatch(client: Client, wanted: WatchCreate, after: Position): Watch {
    const bounds = watchBounds(wanted.key, wanted.rangeEnd);
    const state = { cohort: null, after, awaitsMore: false };
    const watch: Watch = { client, wanted, bounds, ...state };
    client.watches.set(wanted.slot, watch);
    this.watchCount += 1;
    return watch;
  }

  private cancel(client: Client, slot: number): void {
    const watch = client.watches.get(slot);
    if (watch) {
      this.removeWatch(watch);
      this.save(client);
    }
    this.tellCanceled(client, slot, {});
    if (client.wantsProgress) this.answerProgress(client);
  }

  private tellCanceled(
    client: Client,
    slot: number,
    { compactRevision, error = '' }: { compactRevision?: number; error?: EtcdErrorName | '' },
  ): void {
    const revision =
      compactRevision === undefined ? {} : { compactRevision: BigInt(compactRevision) };
    const value = { $typeName: 'quorate.v1.WatchCanceled', slot, error, ...revision } as const;
    this.tellOne(client.socket, { case: 'canceled', value });
  }

  /** From now on it is told what happens when it happens. */
  private synchronise(watch: Watch): void {
    const { client, wanted, bounds } = watch;
    const begin = binaryString(bounds.start);
    const end = bounds.end && binaryString(bounds.end);
    const audience = this.index.at(begin, end, () => ({ begin, end, cohorts: new Map() }));
    const from = Number(wanted.from) > this.told + 1 ? Number(wanted.from) : 0;
    const { slot, prevKv, noPut, noDelete } = wanted;
    const key = `${slot} ${prevKv} ${noPut} ${noDelete} ${from}`;
    let cohort = audience.cohorts.get(key);
    if (!cohort) {
      cohort = { audience, key, wanted, clients: new Set(), from, events: [] };
      audience.cohorts.set(key, cohort);
    }
    cohort.clients.add(client);
    watch.cohort = cohort;
  }

  /** One page of history. In the turn that reaches `told` the watch is synchronised. */
  private read(watch: Watch): void {
    const { client, wanted, bounds } = watch;
    const { source } = this.home;
    this.readers.delete(watch);
    // What comes next may be gone by now.
    if (wholeUpTo(watch.after) + 1 < source.compactRevision) {
      this.removeWatch(watch);
      this.tellCanceled(client, wanted.slot, { compactRevision: source.compactRevision });
      this.save(client);
      return;
    }
    // Many watches begin in the past on one socket: the client takes their pages one by one.
    if (client.unasked >= pageBytes) {
      watch.awaitsMore = true;
      this.tellPage(watch, [], false);
      this.save(client);
      return;
    }
    const { changes, end } = source.changes(watch.after, this.told, pageBytes, bounds);
    const events = changes
      .filter((change) => passes(wanted, change))
      .map((change) => source.event(change, wanted.prevKv));
    watch.after = end;
    const done = end.rev >= this.told && end.sub === endOf(0).sub;
    for (const event of events) client.unasked += event.length + eventOverheadBytes;
    watch.awaitsMore = !done && client.unasked >= pageBytes;
    if (done) this.synchronise(watch);
    else if (!watch.awaitsMore) this.readLater(watch);
    if (done || events.length > 0) this.tellPage(watch, events, done);
    this.save(client);
    if (done && client.wantsProgress) this.answerProgress(client);
  }

  private tellPage(watch: Watch, events: Uint8Array[], done: boolean): void {
    const through = BigInt(done ? this.told : wholeUpTo(watch.after));
    const { slot } = watch.wanted;
    this.home.onEvents(events.length);
    const value = { ...emptyEvents, slot, events, more: watch.awaitsMore, through };
    this.tellOne(watch.client.socket, { case: 'events', value });
  }

  private readLater(watch: Watch): void {
    this.readers.add(watch);
    if (!this.pumping) void this.pump();
  }

  /** One page, then everybody else's turn. */
  private async pump(): Promise<void> {
    this.pumping = true;
    while (this.readers.size > 0) {
      await this.home.yieldTurn();
      const [next] = this.readers;
      if (next) this.read(next);
    }
    this.pumping = false;
  }

  private answerProgress(client: Client): void {
    if (!this.tellProgress(client, true)) return;
    client.wantsProgress = false;
  }

  /** False: some watch has not been told everything, or begins later than now. */
  private tellProgress(client: Client, asked: boolean): boolean {
    for (const { cohort } of client.watches.values())
      if (!cohort || cohort.from > this.home.source.revision + 1) return false;
    this.tellOne(client.socket, { case: 'progress', value: asked });
    return true;
  }

  private restore(socket: WatchSocket): void {
    const client = newClient(socket);
    this.clients.set(socket, client);
    if (socket.attachment === null) return;
    const { watches, tooMany } = fromBinary(WatchAttachmentSchema, socket.attachment);
    if (tooMany) {
      this.drop(client, closeCode.again, 'more watches than the object remembers');
      return;
    }
    for (const attached of watches) this.restoreWatch(client, attached);
    // Users and roles may have changed in the last turn of the life before.
    for (const watch of [...client.watches.values()]) this.endIfRefused(watch);
  }

  private restoreWatch(client: Client, attached: AttachedWatch): void {
    if (!attached.watch) return;
    const { afterRevision, afterSub, synchronised, awaitsMore } = attached;
    const after = { rev: Number(afterRevision), sub: Number(afterSub) };
    const watch = this.addWatch(client, attached.watch, after);
    watch.awaitsMore = awaitsMore;
    if (synchronised) this.synchronise(watch);
    else if (!awaitsMore) this.readLater(watch);
  }

  private save(client: Client): void {
    // It may have been dropped meanwhile, and then has no watches any more.
    if (client.tooManyAttached || !this.clients.has(client.socket)) return;
    const message = create(WatchAttachmentSchema);
    if (client.watches.size > attachedMax) message.tooMany = true;
    else for (const watch of client.watches.values()) message.watches.push(attachedWatch(watch));
    let data = toBinary(WatchAttachmentSchema, message);
    if (data.length > attachmentBytesMax) {
      message.tooMany = true;
      message.watches = [];
      data = toBinary(WatchAttachmentSchema, message);
    }
    client.tooManyAttached = message.tooMany;
    client.socket.attach(data);
  }

  private removeWatch(watch: Watch): void {
    const { client, cohort } = watch;
    this.readers.delete(watch);
    client.watches.delete(watch.wanted.slot);
    this.watchCount -= 1;
    if (!cohort) return;
    cohort.clients.delete(client);
    if (cohort.clients.size > 0) return;
    const { audience } = cohort;
    audience.cohorts.delete(cohort.key);
    if (audience.cohorts.size === 0) this.index.remove(audience.begin, audience.end);
  }

  private drop(client: Client, code: number, reason: string): void {
    this.forget(client);
    client.socket.close(code, reason);
  }

  private forget(client: Client): void {
    this.clients.delete(client.socket);
    for (const watch of [...client.watches.values()]) this.removeWatch(watch);
  }

  /** Nobody leads: whoever must not wait for one is to go. */
  tellNoLeader(): void {
    for (const { socket } of this.clients.values())
      this.tellOne(socket, { case: 'noLeader', value: true });
  }

  private tellOne(socket: WatchSocket, tell: WatchTell['tell']): void {
    const client = this.clients.get(socket);
    if (client) this.send(client, this.encode(tell));
  }

  private send(client: Client, message: Uint8Array): void {
    try {
      client.socket.send(message);
    } catch {
      // Closed by the other end, and its event is still to come.
      this.forget(client);
    }
  }

  private encode(tell: WatchTell['tell']): Uint8Array {
    const revision = BigInt(this.home.source.revision);
    const term = BigInt(this.home.term());
    return toBinary(WatchTellSchema, create(WatchTellSchema, { revision, term, tell }));
  }
}

const emptyEvents = {
  $typeName: 'quorate.v1.WatchEvents',
  live: false,
  more: false,
  events: [] as Uint8Array[],
} as const;

function hello(clusterId: bigint, memberId: bigint) {
  return { $typeName: 'quorate.v1.WatchHello', clusterId, memberId } as const;
}

function newClient(socket: WatchSocket): Client {
  const watches = new Map<number, Watch>();
  const none = { wantsProgress: false, unasked: 0, tooManyAttached: false };
  return { socket, watches, turn: 0, turnBytes: 0, ...none };
}

function decodeAsk(data: Uint8Array): WatchAsk['ask'] | null {
  try {
    return fromBinary(WatchAskSchema, data).ask;
  } catch {
    return null;
  }
}

function wants({ wanted, from }: Cohort, change: Change): boolean {
  return change.rev >= from && passes(wanted, change);
}

function passes({ noPut, noDelete }: WatchCreate, { version }: Change): boolean {
  return !(version === 0 ? noDelete : noPut);
}

/** The last revision of which nothing lies after that place. */
function wholeUpTo({ rev, sub }: Position): number {
  return sub === endOf(0).sub ? rev : rev - 1;
}

function attachedWatch({ wanted, cohort, after, awaitsMore }: Watch): AttachedWatch {
  return create(AttachedWatchSchema, {
    watch: wanted,
    synchronised: cohort !== null,
    afterRevision: BigInt(after.rev),
    afterSub: BigInt(after.sub),
    awaitsMore,
  });
}
