/** A socket of watches in a simulated cluster, and the client at its other end, who comes back. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  WatchAskSchema,
  WatchCreateSchema,
  WatchTellSchema,
} from '../../../src/api/gen/watch_pb.js';
import type { WatchSocket } from '../../../src/node-do/watch-hub.ts';
import { bytes } from '../../kv/support.ts';
import type { Cluster } from '../cluster.ts';
import { eventText } from './hub-client.ts';

interface Ends {
  /** Through the output gate of the life that sends. */
  send(run: () => void): void;
  ask(data: Uint8Array): void;
  /** The member's end is closed. */
  left(): void;
}

export class SimSocket implements WatchSocket {
  attachment: Uint8Array | null = null;
  isOpen = true;
  private ends: Ends | null = null;
  private readonly hear: (message: Uint8Array) => void;
  private readonly closed: () => void;

  constructor(hear: (message: Uint8Array) => void, closed: () => void) {
    this.hear = hear;
    this.closed = closed;
  }

  attachTo(ends: Ends): void {
    this.ends = ends;
  }

  /** Another life sends on it from now on. */
  sendThrough(send: Ends['send']): void {
    if (this.ends) this.ends = { ...this.ends, send };
  }

  send(message: Uint8Array): void {
    this.ends?.send(() => this.isOpen && this.hear(message));
  }

  close(): void {
    this.ends?.left();
    this.ends?.send(() => this.cut());
  }

  attach(data: Uint8Array): void {
    this.attachment = data;
  }

  ask(data: Uint8Array): void {
    this.ends?.ask(data);
  }

  cut(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.closed();
  }
}

/** Watches every key; when its socket is closed it goes on at the next place, as the router would. */
export class SimWatcher {
  readonly events: string[] = [];
  place: number;
  /** First revision that it has not been told of. */
  next: number;
  sockets = 0;
  /** How often it was told that nobody leads. */
  leaderless = 0;
  private readonly cluster: Cluster;

  constructor(cluster: Cluster, place: number, from: number) {
    this.cluster = cluster;
    this.place = place;
    this.next = from;
    this.open();
  }

  private open(): void {
    this.sockets += 1;
    const socket = new SimSocket(
      (message) => this.hear(message),
      () => {
        this.place = (this.place % this.cluster.size) + 1;
        this.cluster.world.schedule(10, () => this.open());
      },
    );
    if (!this.cluster.openWatch(this.place, socket)) {
      socket.cut();
      return;
    }
    const wanted = { slot: 0, key: bytes('\0'), rangeEnd: bytes('\0'), from: BigInt(this.next) };
    const ask = { case: 'create', value: create(WatchCreateSchema, wanted) } as const;
    socket.ask(toBinary(WatchAskSchema, create(WatchAskSchema, { ask })));
  }

  private hear(message: Uint8Array): void {
    const { tell } = fromBinary(WatchTellSchema, message);
    if (tell.case === 'noLeader') this.leaderless += 1;
    if (tell.case !== 'events') return;
    this.events.push(...tell.value.events.map(eventText));
    this.next = Math.max(this.next, Number(tell.value.through) + 1);
  }
}
