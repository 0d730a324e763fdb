/**
 * Calls to the other members: one envelope per peer and turn, few calls at a time.
 *
 * The platform limits calls that wait for headers to six an object. Two go to one peer, one to a
 * peer that is not answering, four to all peers; the rest is left to relays. What cannot leave yet
 * waits in the peer's outbox and leaves with the next envelope; the core bounds how much that is.
 */
import type { MemberId, Message } from '../raft/types.ts';
import type { Counters } from './counters.ts';
import { placeOf } from './identity.ts';
import type { Platform } from './platform.ts';

const callsPerPeerMax = 2;
const callsMax = 4;
/** Raft repeats what is lost, so an overfull outbox drops its oldest message. */
const outboxMax = 64;
const callTimeoutMs = 1_000;

interface Peer {
  readonly outbox: Message[];
  calls: number;
  answering: boolean;
}

export interface PeerEvents {
  encode(to: MemberId, messages: readonly Message[]): Uint8Array;
  onAnswer(from: MemberId, body: Uint8Array): void;
  onSilence(peer: MemberId): void;
}

export class Peers {
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly events: PeerEvents;
  private readonly peers = new Map<MemberId, Peer>();
  private calls = 0;

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

  private flush(id: MemberId): void {
    const peer = this.peer(id);
    const limit = peer.answering ? callsPerPeerMax : 1;
    if (peer.outbox.length === 0 || peer.calls >= limit || this.calls >= callsMax) return;
    const body = this.events.encode(id, peer.outbox.splice(0));
    peer.calls += 1;
    this.calls += 1;
    this.counters.requestsOut.peer += 1;
    this.platform
      .call(placeOf(id), 'peer', body, callTimeoutMs)
      .then(
        (answer) => {
          this.ended(peer, true);
          this.events.onAnswer(id, answer);
          this.flushAll();
        },
        () => {
          this.ended(peer, false);
          this.events.onSilence(id);
          this.flushAll();
        },
      )
      // Nobody waits for this promise. A turn that threw has ended this life and said why.
      .catch(() => {});
  }

  private flushAll(): void {
    for (const id of this.peers.keys()) this.flush(id);
  }

  private ended(peer: Peer, answered: boolean): void {
    peer.calls -= 1;
    this.calls -= 1;
    peer.answering = answered;
  }

  private peer(id: MemberId): Peer {
    let peer = this.peers.get(id);
    if (!peer) {
      peer = { outbox: [], calls: 0, answering: true };
      this.peers.set(id, peer);
    }
    return peer;
  }
}
