/**
 * One stream of etcd's Watch: requests in, responses out, in etcd's words and order (recorded: exchanges
 * `watch-*`). What it watches is a WatchSession's; the ids that the client sees are given out here.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { type EtcdErrorName, etcdErrors, nameOfCode } from '../../api/errors.ts';
import type { Event } from '../../api/gen/mvcc_pb.js';
import {
  type ResponseHeader,
  ResponseHeaderSchema,
  type WatchCreateRequest,
  WatchCreateRequest_FilterType,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { maxMessageBytes } from '../../api/limits.ts';
import type { WatchHeader, WatchMessage } from '../watch/message.ts';
import type { WatchSession } from '../watch/session.ts';

interface StreamWatch {
  readonly id: bigint;
  readonly slot: number;
  readonly startRevision: bigint;
  readonly notify: boolean;
  readonly fragment: boolean;
  /** The client was told that it exists. */
  announced: boolean;
  /** Since the last tick of the clock for progress: then it needs no telling. */
  hasHeard: boolean;
}

/** etcd's: how often a watch with `progress_notify` hears of itself. */
export const notifyEveryMs = 600_000;

const { NOPUT, NODELETE } = WatchCreateRequest_FilterType;
const noWatch = -1n;
/** Ours. etcd has no such limit, and no other client of the same group to protect either. */
const watchesMax = 10_000;
const keyBytesMax = 4 * 1024 * 1024;

const emptyRange = 'mvcc: watcher range is empty';
const duplicateId = 'mvcc: duplicate watch ID provided on the WatchStream';
const compacted = 'etcdserver: mvcc: required revision has been compacted';
const tooMany = 'quorate: too many watches on one stream';
const tooLarge = 'quorate: one revision has more events than a stream holds; watch smaller ranges';

export class EtcdWatchStream {
  private readonly session: WatchSession;
  /** Those that are alive, by the client's id; an id is free again when its watch is canceled. */
  private readonly ids = new Map<bigint, StreamWatch>();
  private readonly slots = new Map<number, StreamWatch>();
  /** Reasons of refusals that wait for a header, by token: those that came in a row wait for one. */
  private readonly refusals = new Map<number, string[]>();
  /** The last of them, while nothing else was asked since. */
  private refusing: string[] | null = null;
  private nextId = 0n;
  private counter = 0;
  private keyBytes = 0;
  private manualProgress = false;

  constructor(session: WatchSession) {
    this.session = session;
  }

  /** True: some watch asked for `progress_notify`. */
  get notifies(): boolean {
    return [...this.slots.values()].some(({ notify }) => notify);
  }

  /** Whether an answer to anything is to be expected. */
  get isIdle(): boolean {
    return this.slots.size === 0 && this.refusals.size === 0;
  }

  ask({ requestUnion: request }: WatchRequest): void {
    switch (request.case) {
      case 'createRequest': {
        const fault = this.faultOf(request.value);
        if (fault !== null) {
          this.refuse(fault);
          return;
        }
        this.refusing = null;
        this.create(request.value);
        return;
      }
      case 'cancelRequest': {
        const watch = this.ids.get(request.value.watchId);
        if (!watch) return;
        this.refusing = null;
        this.ids.delete(watch.id);
        this.session.cancel(watch.slot);
        return;
      }
      case 'progressRequest':
        if (this.ids.size === 0) return;
        this.refusing = null;
        this.manualProgress = true;
        this.session.progress();
        return;
      case undefined:
        return;
      default:
        request satisfies never;
    }
  }

  /** Time to tell idle watches that asked for it how far they have come. */
  tick(): void {
    if (this.notifies) this.session.progress();
  }

  /**
   * An answer that says nothing new, in the form of etcd's progress: writing it is how a client that has
   * vanished is found out. null: there is nothing that would be true and allowed to say.
   */
  keepAlive(): WatchResponse | null {
    for (const { slot, id } of this.slots.values()) {
      const header = this.session.told(slot);
      if (header) return response(header, { watchId: id });
    }
    return null;
  }

  private refuse(fault: string): void {
    if (this.refusing !== null) {
      this.refusing.push(fault);
      return;
    }
    const token = this.counter++;
    this.refusing = [fault];
    this.refusals.set(token, this.refusing);
    this.session.locate(token);
  }

  private create(request: WatchCreateRequest): void {
    const slot = this.counter++;
    const { key, rangeEnd, startRevision, filters, prevKv, fragment, progressNotify } = request;
    const id = request.watchId === 0n ? this.freeId() : request.watchId;
    const told = { announced: false, hasHeard: false };
    const more = { startRevision, notify: progressNotify, fragment, ...told };
    const watch: StreamWatch = { id, slot, ...more };
    this.ids.set(id, watch);
    this.slots.set(slot, watch);
    this.keyBytes += key.length + rangeEnd.length;
    const noPut = filters.includes(NOPUT);
    const noDelete = filters.includes(NODELETE);
    this.session.watch(slot, { key, rangeEnd, from: startRevision, prevKv, noPut, noDelete });
  }

  private faultOf({ key, rangeEnd, startRevision, watchId }: WatchCreateRequest): string | null {
    if (startRevision < 0n) return compacted;
    if (isEmptyRange(key, rangeEnd)) return emptyRange;
    if (watchId !== 0n && this.ids.has(watchId)) return duplicateId;
    const bytes = this.keyBytes + key.length + rangeEnd.length;
    return this.slots.size >= watchesMax || bytes > keyBytesMax ? tooMany : null;
  }

  /** As etcd: counts up, and skips what the client has taken. */
  private freeId(): bigint {
    while (this.ids.has(this.nextId)) this.nextId += 1n;
    return this.nextId++;
  }

  /** What the client is told of a message. */
  responses(message: WatchMessage): WatchResponse[] {
    switch (message.type) {
      case 'created': {
        const watch = this.slots.get(message.slot);
        if (!watch) return [];
        watch.announced = true;
        return [response(message.header, { watchId: watch.id, created: true })];
      }
      case 'events':
        return this.eventResponses(message.slot, message.header, message.events);
      case 'canceled':
        return this.end(message.slot, response(message.header, { canceled: true }));
      case 'compacted': {
        // etcd says no revision here: the one that matters is that of the compaction.
        const { compactRevision } = message;
        const header = { ...message.header, revision: 0n };
        return this.end(message.slot, response(header, { canceled: true, compactRevision }));
      }
      case 'denied':
        return this.denied(message.slot, message.header, message.error);
      case 'tooLarge': {
        const more = { canceled: true, cancelReason: tooLarge };
        return this.end(message.slot, response(message.header, more));
      }
      case 'located': {
        const reasons = this.refusals.get(message.token) ?? [];
        this.refusals.delete(message.token);
        if (this.refusing === reasons) this.refusing = null;
        return reasons.map((cancelReason) => {
          const more = { watchId: noWatch, created: true, canceled: true, cancelReason };
          return response(message.header, more);
        });
      }
      case 'progress':
        return this.progressResponses(message.header, message.more);
      case 'noLeader':
      case 'overflow':
        return [];
      default:
        return message satisfies never;
    }
  }

  /** One that never began has no id in etcd. */
  private denied(slot: number, header: WatchHeader, error: EtcdErrorName): WatchResponse[] {
    const { code, message } = etcdErrors[error];
    // etcd prints the error of its own gRPC there.
    const cancelReason = `rpc error: code = ${nameOfCode(code)} desc = ${message}`;
    const watch = this.slots.get(slot);
    const isNew = watch !== undefined && !watch.announced;
    const last = response(header, { created: isNew, canceled: true, cancelReason });
    const answers = this.end(slot, last);
    if (isNew) {
      last.watchId = noWatch;
      if (watch.id === this.nextId - 1n) this.nextId -= 1n;
    }
    return answers;
  }

  private end(slot: number, last: WatchResponse): WatchResponse[] {
    const watch = this.slots.get(slot);
    if (!watch) return [];
    this.slots.delete(slot);
    if (this.ids.get(watch.id) === watch) this.ids.delete(watch.id);
    last.watchId = watch.id;
    return [last];
  }

  private eventResponses(
    slot: number,
    header: WatchHeader,
    events: readonly Event[],
  ): WatchResponse[] {
    const watch = this.slots.get(slot);
    if (!watch) return [];
    watch.hasHeard = true;
    const whole = response(header, { watchId: watch.id, events: [...events] });
    return watch.fragment ? fragments(whole) : [whole];
  }

  private progressResponses(header: WatchHeader, more: boolean): WatchResponse[] {
    const watches = [...this.slots.values()];
    const { manualProgress } = this;
    this.manualProgress &&= more;
    const notified = watches.filter(({ notify, hasHeard }) => notify && !hasHeard);
    for (const watch of watches) watch.hasHeard = false;
    // Nobody hears of a revision before the one that it waits for.
    if (watches.some(({ startRevision }) => startRevision > header.revision)) return [];
    if (manualProgress) return [response(header, { watchId: noWatch })];
    return notified.map(({ id }) => response(header, { watchId: id }));
  }
}

function response(header: WatchHeader, more: Partial<WatchResponse>): WatchResponse {
  return create(WatchResponseSchema, { ...more, header: responseHeader(header) } as never);
}

function responseHeader(header: WatchHeader): ResponseHeader {
  return create(ResponseHeaderSchema, header);
}

/** An end at or before the key, unless it is "\0"; an empty key means "\0". */
function isEmptyRange(key: Uint8Array, end: Uint8Array): boolean {
  if (end.length === 0 || (end.length === 1 && end[0] === 0)) return false;
  const start = key.length === 0 ? new Uint8Array(1) : key;
  for (let at = 0; at < Math.min(start.length, end.length); at += 1) {
    const difference = (start[at] as number) - (end[at] as number);
    if (difference !== 0) return difference > 0;
  }
  return start.length >= end.length;
}

/** As etcd splits: no part above the limit unless one event is; all but the last say `fragment`. */
function fragments(whole: WatchResponse): WatchResponse[] {
  if (whole.events.length < 2 || sizeOf(whole) < maxMessageBytes) return [whole];
  const empty = sizeOf({ ...whole, events: [], fragment: true });
  const parts: WatchResponse[] = [];
  let part: Event[] = [];
  let size = empty;
  for (const event of whole.events) {
    const added = sizeOf({ ...whole, events: [event], fragment: true }) - empty;
    if (part.length > 0 && size + added >= maxMessageBytes) {
      parts.push({ ...whole, events: part, fragment: true });
      part = [];
      size = empty;
    }
    part.push(event);
    size += added;
  }
  parts.push({ ...whole, events: part });
  return parts;
}

function sizeOf(response: WatchResponse): number {
  return toBinary(WatchResponseSchema, response).length;
}
