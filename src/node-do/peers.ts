/**
 * Calls to the other members: one envelope per peer and turn, few calls at a time; and relays.
 *
 * The platform lets six calls of an object wait for headers. Relays of clients' requests take two of
 * them at most (consensus-rules.md 14), and whatever else is under way each peer can be called: a
 * hung leader must not keep this member from campaigning. Nor may many members that are gone, or many
 * learners, take all calls, for the quorum is reached by what is left: so each kind has a bound of its
 * own, and whoever was not called for longest comes first. What cannot leave yet waits in the peer's
 * outbox and leaves with the next envelope; the core bounds how much that is.
 */
import { roundTripBoundsMs } from '../api/member.ts';
import type { MemberId, Message } from '../raft/types.ts';
import type { Counters } from './counters.ts';
import { placeOf } from './identity.ts';
import { farMs } from './pacing.ts';
import type { Platform } from './platform.ts';

const callsMax = 6;
const relaysMax = 2;
/** To those that did not answer the last time, together. */
const silentCallsMax = 3;
/** Calls that learners leave to the voters: one for each other voter, so many at most. */
const votersCallsMax = 3;
/** To a peer that is near: more would be more work for the same, as every call has its price. */
const nearCallsMax = 2;
/** Raft repeats what is lost, so an overfull outbox drops its oldest message. */
const outboxMax = 64;
const callTimeoutMs = 1_000;

interface Peer {
  readonly id: MemberId;
  readonly outbox: Message[];
  calls: number;
  answering: boolean;
  /** How long the last answered call took; 0: none yet. */
  roundTripMs: number;
  /** The quickest answered call: the way alone, without the work. */
  quickestMs: number;
  readonly traffic: Traffic;
}

/** Of this life, with one peer. */
export interface Traffic {
  bytesSent: number;
  bytesReceived: number;
  failures: number;
  readonly roundTrips: number[];
  roundTripMs: number;
}

export interface PeerEvents {
  encode(to: MemberId, messages: readonly Message[]): Uint8Array;
  onAnswer(from: MemberId, body: Uint8Array): void;
  onSilence(peer: MemberId): void;
  group(): GroupAround;
}

/** The other members. */
export interface GroupAround {
  readonly others: number;
  readonly otherVoters: number;
  /** How many of them complete a majority with this one. */
  readonly answersNeeded: number;
  isVoter(id: MemberId): boolean;
}

export class Peers {
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly events: PeerEvents;
  private readonly peers = new Map<MemberId, Peer>();
  private calls = 0;
  private relays = 0;

  constructor(platform: Platform, counters: Counters, events: PeerEvents) {
    this.platform = platform;
    this.counters = counters;
    this.events = events;
  }

  /** Sends what may be sent now; called after the writes of the turn, so that the gate holds it. */
  send(messages: readonly Message[]): void {
    const touched = new Set<MemberId>();
    for (const message of messages) {
      const { outbox } = this.peer(message.to);
      outbox.push(message);
      if (outbox.length > outboxMax) outbox.shift();
      touched.add(message.to);
    }
    for (const id of touched) this.flush(id);
  }

  /** A call of that peer, answered. */
  heard(id: MemberId, received: number, sent: number): void {
    const { traffic } = this.peer(id);
    traffic.bytesReceived += received;
    traffic.bytesSent += sent;
  }

  get traffic(): readonly (readonly [MemberId, Traffic])[] {
    return [...this.peers].map(([id, { traffic }]) => [id, traffic]);
  }

  get mayRelay(): boolean {
    return this.relays < relaysMax;
  }

  /** Hands a client's request on to the leader; rejects when no answer came in time. */
  async relay(place: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    this.relays += 1;
    this.counters.requestsOut.relay += 1;
    try {
      return await this.platform.call(place, 'client', body, timeoutMs);
    } finally {
      this.relays -= 1;
      this.flushAll();
    }
  }

  private flush(id: MemberId): void {
    const peer = this.peer(id);
    // A client waits for a reply at once; it must not wait for the round that it has set off itself.
    const extra = peer.outbox.some(isReply) ? 1 : 0;
    if (peer.outbox.length === 0 || peer.calls >= this.limitOf(peer) + extra) return;
    if (this.calls >= this.callsLeft || this.isCrowded(peer)) return;
    // Behind all others: a Map goes through its keys in the order in which they were set.
    this.peers.delete(id);
    this.peers.set(id, peer);
    const body = this.events.encode(id, peer.outbox.splice(0));
    const calledAt = this.platform.now();
    peer.calls += 1;
    this.calls += 1;
    peer.traffic.bytesSent += body.length;
    this.counters.requestsOut.peer += 1;
    this.platform
      .call(placeOf(id), 'peer', body, callTimeoutMs)
      .then(
        (answer) => {
          peer.roundTripMs = this.platform.now() - calledAt;
          peer.quickestMs = Math.min(peer.quickestMs, peer.roundTripMs);
          countRoundTrip(peer.traffic, peer.roundTripMs, answer.length);
          this.ended(peer, true);
          this.events.onAnswer(id, answer);
          this.flushAll();
        },
        () => {
          peer.traffic.failures += 1;
          this.ended(peer, false);
          this.events.onSilence(id);
          this.flushAll();
        },
      )
      // Nobody waits for this promise. A turn that threw has ended this life and said why.
      .catch(() => {});
  }

  private get callsLeft(): number {
    return callsMax - this.relays;
  }

  /** Peers of its kind have as many calls as they may have together. */
  private isCrowded({ answering, id }: Peer): boolean {
    const { isVoter, otherVoters } = this.events.group();
    const isSilent = (peer: Peer) => !peer.answering;
    const isLearner = (peer: Peer) => !isVoter(peer.id);
    if (!answering && this.callsOf(isSilent) >= silentCallsMax) return true;
    if (isVoter(id)) return false;
    const most = Math.max(1, this.callsLeft - Math.min(otherVoters, votersCallsMax));
    if (this.callsOf(isLearner) >= most) return true;
    // The last one is for a learner that answers.
    const silent = this.callsOf((peer) => isLearner(peer) && isSilent(peer));
    return !answering && silent > 0 && silent >= most - 1;
  }

  private callsOf(isCounted: (peer: Peer) => boolean): number {
    let count = 0;
    for (const peer of this.peers.values())
      if (peer.calls > 0 && isCounted(peer)) count += peer.calls;
    return count;
  }

  /**
   * One for each peer; what is left is for those that answer fastest, as many as complete a
   * majority: what a client waits for goes through them. A far peer would hold its calls for its whole
   * round trip, and gets no less with one, only later: everything that has come meanwhile.
   */
  private limitOf(peer: Peer): number {
    const { others, answersNeeded } = this.events.group();
    if (!peer.answering || this.fasterThan(peer) >= answersNeeded) return 1;
    const shared = this.callsLeft - (others - answersNeeded);
    const most = peer.quickestMs < farMs ? nearCallsMax : callsMax;
    return Math.min(most, Math.max(1, Math.floor(shared / answersNeeded)));
  }

  private fasterThan(peer: Peer): number {
    let count = 0;
    for (const other of this.peers.values())
      if (other.answering && other.roundTripMs < peer.roundTripMs) count += 1;
    return count;
  }

  private flushAll(): void {
    for (const id of [...this.peers.keys()]) this.flush(id);
  }

  private ended(peer: Peer, answered: boolean): void {
    peer.calls -= 1;
    this.calls -= 1;
    peer.answering = answered;
  }

  private peer(id: MemberId): Peer {
    let peer = this.peers.get(id);
    if (!peer) {
      const times = { roundTripMs: 0, quickestMs: farMs };
      peer = { id, outbox: [], calls: 0, answering: true, ...times, traffic: newTraffic() };
      this.peers.set(id, peer);
    }
    return peer;
  }
}

function newTraffic(): Traffic {
  const roundTrips = new Array<number>(roundTripBoundsMs.length + 1).fill(0);
  return { bytesSent: 0, bytesReceived: 0, failures: 0, roundTrips, roundTripMs: 0 };
}

function countRoundTrip(traffic: Traffic, tookMs: number, bytes: number): void {
  const at = roundTripBoundsMs.findIndex((bound) => tookMs <= bound);
  const place = at < 0 ? roundTripBoundsMs.length : at;
  traffic.roundTrips[place] = (traffic.roundTrips[place] ?? 0) + 1;
  traffic.roundTripMs += tookMs;
  traffic.bytesReceived += bytes;
}

function isReply({ type }: Message): boolean {
  return type === 'readReply';
}
