/**
 * A WebSocket between a client's router and a member, as the platform keeps it: messages arrive in order or
 * the connection breaks; it outlives an eviction of the member, and no other end of a life.
 */
import { watchPing, watchPong } from '../../../src/api/member.ts';
import type { WatchSocket } from '../../../src/node-do/watch-hub.ts';
import type { Life, Place } from './place.ts';
import type { Simulation } from './simulation.ts';

type Handler = (event: { readonly data: unknown }) => void;

/** What a router finds out about a connection that broke somewhere on the way. */
const silenceMs = 10_000;

export class SimSocket {
  binaryType = 'blob';
  /** The life that sends at the member's end. */
  life: Life | null = null;
  readonly atMember: WatchSocket;
  private readonly simulation: Simulation;
  private readonly party: number;
  private readonly place: Place;
  private readonly handlers = new Map<string, Handler[]>();
  private isOpen = true;
  /** No message overtakes another. */
  private readonly arrivals = { toMember: 0, toRouter: 0 };
  private attached: Uint8Array | null = null;

  constructor(simulation: Simulation, party: number, place: Place) {
    this.simulation = simulation;
    this.party = party;
    this.place = place;
    const socket = this;
    this.atMember = {
      get attachment() {
        return socket.attached;
      },
      attach: (data) => {
        socket.attached = data;
      },
      send: (message) => socket.throughGate(() => socket.tell(message.slice().buffer)),
      close: () => socket.throughGate(() => socket.break('closed by the member')),
    };
  }

  addEventListener(type: string, handler: Handler): void {
    this.handlers.set(type, [...(this.handlers.get(type) ?? []), handler]);
  }

  accept(): void {}

  /** What a router says. */
  send(data: string | Uint8Array): void {
    if (!this.isOpen) throw new Error('closed');
    this.travel('toMember', () => {
      // The runtime answers this by itself.
      if (data === watchPing) this.tell(watchPong);
      else if (typeof data !== 'string')
        this.simulation.runIn(this.place.wake(), ({ member }) =>
          member.onWatchMessage(this.atMember, data),
        );
    });
  }

  /** By the router. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.place.sockets.delete(this);
    if (this.place.life)
      this.simulation.runIn(this.place.life, ({ member }) => member.onWatchClosed(this.atMember));
  }

  /** Nothing arrives any more, on either side. */
  break(why: string): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.place.sockets.delete(this);
    this.simulation.count(`socket ${why}`);
    this.simulation.world.schedule(0, () => this.emit('close', null));
  }

  private tell(data: ArrayBuffer | string): void {
    this.travel('toRouter', () => this.emit('message', data));
  }

  private emit(type: string, data: unknown): void {
    for (const handler of this.handlers.get(type) ?? []) handler({ data });
  }

  private throughGate(run: () => void): void {
    if (this.life && !this.life.superseded) this.life.throughGate(run);
  }

  private travel(way: 'toMember' | 'toRouter', arrive: () => void): void {
    const { fingerprint, network, world } = this.simulation;
    const ends = [this.party, this.place.number] as const;
    const [from, to] = way === 'toMember' ? ends : ([ends[1], ends[0]] as const);
    const { latencyMs } = network.fate(from, to, way === 'toRouter');
    fingerprint.addNumbers(from, to, latencyMs);
    if (latencyMs === null) {
      world.schedule(silenceMs, () => this.break('lost on the way'));
      // What comes after it cannot overtake it.
      this.arrivals[way] = Number.POSITIVE_INFINITY;
      return;
    }
    this.arrivals[way] = Math.max(this.arrivals[way], world.now + latencyMs);
    if (this.arrivals[way] === Number.POSITIVE_INFINITY) return;
    world.schedule(this.arrivals[way] - world.now, () => {
      if (!this.isOpen) return;
      if (this.place.isDown) this.break('to a place that is down');
      else arrive();
    });
  }
}
