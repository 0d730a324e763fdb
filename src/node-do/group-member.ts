/**
 * One living member of a group: the core, the log, the state machine, and the turn that joins them.
 *
 * A turn is synchronous: core input -> take() -> SQL -> send -> answer (design.md section 4). All
 * its writes are one transaction, and everything visible is created after them, so the platform's
 * output gate holds it back until they are durable. A turn that throws ends this life.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { type BirthRecord, type Envelope, EnvelopeSchema } from '../api/gen/peer_pb.js';
import { protocolVersion } from '../api/limits.ts';
import { encodeBatch } from '../kv/batch.ts';
import type { CommandResult } from '../kv/state-machine.ts';
import { StateMachine } from '../kv/state-machine.ts';
import { RaftCore } from '../raft/core.ts';
import { joinEffects } from '../raft/effects.ts';
import type { Effects, Entry, LogIndex, MemberId, Message } from '../raft/types.ts';
import { fromWire, fromWireMember, toWire, toWireMember } from './codec.ts';
import { Compactor } from './compactor.ts';
import type { Counters } from './counters.ts';
import { type Identity, memberId, saveBoot } from './identity.ts';
import { loadBoot, persist, SqlLogReader } from './log-store.ts';
import { Peers } from './peers.ts';
import type { Platform } from './platform.ts';
import { type Proposal, type ProposalOutcome, Proposals } from './proposals.ts';
import { type Read, type ReadOutcome, Reads } from './reads.ts';
import { WaitingRoom } from './waiting.ts';

export type ProposeOutcome =
  | { readonly type: 'applied'; readonly result: CommandResult }
  | { readonly type: 'notProposed' }
  | { readonly type: 'unknown' }
  | { readonly type: 'refused'; readonly error: EtcdErrorName };

export class GroupMember {
  readonly self: MemberId;
  readonly birth: BirthRecord;
  readonly boot: number;
  readonly core: RaftCore;
  readonly machine: StateMachine;
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly peers: Peers;
  private readonly proposals = new Proposals();
  private readonly room = new WaitingRoom();
  private readonly reads = new Reads();
  private readonly leaderWaiters = new Set<() => void>();
  private readonly compactor: Compactor;
  /** Peers that have answered in this life: they need no birth record any more. */
  private readonly acquainted = new Set<MemberId>();
  private bootSaved = false;
  /** The last term in which this life voted for itself, to count elections. */
  private electionTerm: number;
  private ended = false;
  /** Set when the log holds a rules version that this code does not know: it applies no more. */
  private unknownVersion: number | null = null;

  constructor(platform: Platform, counters: Counters, identity: Identity, birth: BirthRecord) {
    this.platform = platform;
    this.counters = counters;
    this.birth = birth;
    this.self = memberId(platform.place, identity.incarnation);
    this.boot = identity.boot + 1;
    this.machine = StateMachine.open(platform.sql);
    const bootState = loadBoot(platform.sql, this.machine.appliedIndex);
    this.electionTerm = bootState.hardState.term;
    const log = new SqlLogReader(platform.sql);
    const random = () => platform.random();
    this.core = new RaftCore(
      { self: this.self, bootState, log },
      this.boot,
      random,
      platform.now(),
    );
    this.peers = new Peers(platform, counters, {
      encode: (to, messages) => this.encode(to, messages),
      onAnswer: (from, body) => this.onAnswer(from, body),
      onSilence: (peer) => this.turn(() => this.core.peerUnreachable(peer, platform.now())),
    });
    this.armTimer();
    this.compactor = new Compactor(platform, this.machine, counters);
    this.compact();
  }

  /** Takes a peer's envelope in and answers with what this turn says to that peer. */
  onEnvelope(envelope: Envelope): Uint8Array {
    const { from } = envelope;
    if (!from) return this.encode(this.self, []);
    const sender = fromWireMember(from);
    const replies = this.stepAll(envelope, sender, sender);
    return this.encode(sender, replies);
  }

  /** Replicates one command. Resolves when it is applied here, or its deadline has passed. */
  propose(command: Uint8Array, deadline: number): Promise<ProposeOutcome> {
    return new Promise((resolve) => {
      const waiter = {
        deadline,
        expire: () => {
          if (!proposal.proposed) this.proposals.withdraw(proposal);
          resolve(proposal.proposed ? { type: 'unknown' } : { type: 'refused', error: 'Timeout' });
        },
      };
      const proposal: Proposal = {
        command,
        queuedAt: this.platform.now(),
        proposed: false,
        settle: (outcome) => {
          this.room.remove(waiter);
          resolve(toProposeOutcome(outcome));
        },
      };
      if (this.unknownVersion !== null) resolve({ type: 'refused', error: 'NotCapable' });
      else if (this.core.role !== 'leader') resolve({ type: 'notProposed' });
      else if (!this.proposals.enqueue(proposal))
        resolve({ type: 'refused', error: 'TooManyRequests' });
      else {
        this.counters.proposals += 1;
        this.room.add(waiter);
        this.turn(nothing);
      }
    });
  }

  /**
   * Resolves 'ready' when the state here is at least as new as everything acknowledged before the
   * call. Must be called in an event that arrived on this life (design.md section 4).
   */
  readPoint(deadline: number): Promise<ReadOutcome> {
    return new Promise((resolve) => {
      const waiter = {
        deadline,
        expire: () => {
          this.reads.withdraw(read);
          resolve('timeout');
        },
      };
      const read: Read = {
        queuedAt: this.platform.now(),
        settle: (outcome) => {
          this.room.remove(waiter);
          resolve(outcome);
        },
      };
      if (this.core.role !== 'leader') resolve('notLeader');
      else if (!this.reads.enqueue(read)) resolve('overloaded');
      else {
        this.counters.reads += 1;
        this.room.add(waiter);
        this.turn(nothing);
      }
    });
  }

  /**
   * Has the leader checked, and replaced if no quorum confirms it. Resolves with the leader then,
   * this member included, or null if there is none within the deadline.
   */
  findLeader(suspectTerm: number, deadline: number): Promise<MemberId | null> {
    return new Promise((resolve) => {
      const settle = () => {
        if (this.core.isSuspecting) return;
        this.room.remove(waiter);
        this.leaderWaiters.delete(settle);
        resolve(this.core.leader);
      };
      const waiter = {
        deadline,
        expire: () => {
          this.leaderWaiters.delete(settle);
          resolve(null);
        },
      };
      this.room.add(waiter);
      this.leaderWaiters.add(settle);
      this.turn(() => this.core.suspectLeader(suspectTerm, this.platform.now()));
    });
  }

  /** Resolves when what compactions have dropped is gone from disk here, or at the deadline. */
  compacted(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = { deadline, expire: resolve };
      this.room.add(waiter);
      void this.compactor.finished().then(() => {
        this.room.remove(waiter);
        resolve();
      });
      this.armTimer();
    });
  }

  onTimer(): void {
    const now = this.platform.now();
    this.turn(() => this.core.tick(now));
    this.room.sweep(now);
    this.armTimer();
  }

  get atRest(): boolean {
    return this.nextDeadline() === null && !this.compactor.isRunning;
  }

  get canServe(): boolean {
    return this.unknownVersion === null;
  }

  private onAnswer(from: MemberId, body: Uint8Array): void {
    const envelope = decodeEnvelope(body);
    if (!envelope?.from || !this.isForUs(envelope) || fromWireMember(envelope.from) !== from) {
      // Nonsense, another incarnation, or none answers at that place: our peer is not there.
      this.turn(() => this.core.peerUnreachable(from, this.platform.now()));
      return;
    }
    this.acquainted.add(from);
    // There is nothing to answer a response with: what it causes travels as calls.
    if (envelope.messages.length > 0) this.stepAll(envelope, from, null);
  }

  private stepAll(envelope: Envelope, from: MemberId, replyTo: MemberId | null): Message[] {
    const route = { from, to: this.self, boot: Number(envelope.boot) };
    const now = this.platform.now();
    return this.turn(() => {
      for (const wire of envelope.messages) {
        const message = fromWire(wire, route);
        if (message) this.core.step(message, now);
      }
    }, replyTo);
  }

  /** Every envelope names the group and the target's incarnation (design.md section 4). */
  isForUs(envelope: Envelope): boolean {
    const { groupId, to } = envelope;
    return groupId === this.birth.groupId && to !== undefined && fromWireMember(to) === this.self;
  }

  private encode(to: MemberId, messages: readonly Message[]): Uint8Array {
    const envelope = create(EnvelopeSchema, {
      protocol: protocolVersion,
      groupId: this.birth.groupId,
      from: toWireMember(this.self),
      to: toWireMember(to),
      boot: BigInt(this.boot),
      messages: messages.map(toWire),
    });
    if (!this.acquainted.has(to)) envelope.birth = this.birth;
    return toBinary(EnvelopeSchema, envelope);
  }

  /** Returns the messages to `replyTo`; all others are sent. */
  private turn(input: () => void, replyTo: MemberId | null = null): Message[] {
    if (this.ended) throw new Error('this life of the member has ended');
    try {
      return this.runTurn(input, replyTo);
    } catch (error) {
      // The core may be ahead of the disk now: nothing of it may be used or seen.
      this.ended = true;
      this.platform.abort(error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  private runTurn(input: () => void, replyTo: MemberId | null): Message[] {
    input();
    const effects = this.takeEffects();
    if (effects.lost) throw new Error('the storage of this member has gone back in time');
    const results = this.write(effects);
    const replies = this.route(effects.messages, replyTo);
    this.answer(effects, results);
    this.armTimer();
    return replies;
  }

  /** Two takes: the first may commit what the pipeline waits for, so that the queues can leave. */
  private takeEffects(): Effects {
    const first = this.core.take();
    if (this.core.role !== 'leader') {
      this.proposals.failQueue();
      this.reads.failQueue();
      return first;
    }
    const now = this.platform.now();
    const flushed = [this.flushProposals(now), this.flushReads(now)];
    return flushed.includes(true) ? joinEffects(first, this.core.take()) : first;
  }

  private flushProposals(now: number): boolean {
    const at = this.proposals.leavesAt(this.core.uncommittedEntries, now);
    if (at === null || now < at) return false;
    const batch = this.proposals.takeBatch();
    const result = this.core.propose(encodeBatch(batch.map(({ command }) => command)), now);
    if (result.ok) this.proposals.track(result.index, result.term, batch);
    else this.proposals.putBack(batch);
    return result.ok;
  }

  private flushReads(now: number): boolean {
    const at = this.reads.leavesAt(now);
    if (at === null || now < at) return false;
    const batch = this.reads.takeBatch();
    if (!this.core.readIndex(batch, now)) this.reads.drop(batch);
    return true;
  }

  private write(effects: Effects): Map<LogIndex, readonly CommandResult[]> {
    const results = new Map<LogIndex, readonly CommandResult[]>();
    const { hardState, truncateFrom, append, committed, messages } = effects;
    if (hardState?.vote === this.self && hardState.term > this.electionTerm) {
      this.electionTerm = hardState.term;
      this.counters.elections += 1;
    }
    // A boot number is durable before the first message of its life.
    const saveBootNow = !this.bootSaved && (messages.length > 0 || append.length > 0);
    const applying = committed.length > 0 && this.unknownVersion === null;
    if (!hardState && truncateFrom === null && append.length === 0 && !applying && !saveBootNow)
      return results;
    this.platform.transaction(() => {
      if (saveBootNow) saveBoot(this.platform.sql, this.boot);
      persist(this.platform.sql, effects);
      if (applying) this.apply(committed, results);
    });
    if (saveBootNow) this.bootSaved = true;
    this.counters.commits += 1;
    return results;
  }

  private apply(entries: readonly Entry[], results: Map<LogIndex, readonly CommandResult[]>): void {
    for (const { index, payload } of entries) {
      const data = payload.type === 'data' ? payload.data : new Uint8Array();
      const outcome = this.machine.apply(index, data);
      if (!outcome.ok) {
        this.unknownVersion = outcome.unknownVersion;
        this.core.standDown();
        break;
      }
      results.set(index, outcome.results);
      this.counters.entriesApplied += 1;
    }
    this.machine.saveProgress();
    this.core.applied(this.machine.appliedIndex);
  }

  private route(messages: readonly Message[], replyTo: MemberId | null): Message[] {
    const replies: Message[] = [];
    const others: Message[] = [];
    for (const message of messages)
      (message.to === replyTo && isReply(message) ? replies : others).push(message);
    if (others.length > 0) this.peers.send(others);
    return replies;
  }

  private answer(effects: Effects, results: Map<LogIndex, readonly CommandResult[]>): void {
    for (const { index, term } of effects.committed)
      this.proposals.settle(index, term, results.get(index) ?? []);
    for (const { id, index } of effects.reads) this.reads.confirm(id, index);
    for (const id of effects.droppedReads) this.reads.drop(id);
    this.reads.settleUpTo(this.machine.appliedIndex);
    if (this.leaderWaiters.size > 0) for (const settle of [...this.leaderWaiters]) settle();
    this.compact();
  }

  private compact(): void {
    this.compactor.start(() => !this.ended);
  }

  private armTimer(): void {
    this.platform.setTimer(this.nextDeadline());
  }

  private nextDeadline(): number | null {
    const leads = this.core.role === 'leader';
    const now = this.platform.now();
    let earliest: number | null = null;
    for (const at of [
      this.core.nextDeadline(),
      this.room.nextDeadline,
      leads ? this.proposals.leavesAt(this.core.uncommittedEntries, now) : null,
      leads ? this.reads.leavesAt(now) : null,
    ])
      if (at !== null && (earliest === null || at < earliest)) earliest = at;
    return earliest;
  }
}

function nothing(): void {}

function decodeEnvelope(body: Uint8Array): Envelope | null {
  try {
    return fromBinary(EnvelopeSchema, body);
  } catch {
    return null;
  }
}

/**
 * Only replies may ride the response of a call. A response is no new event, so it also reaches a
 * life of the caller that is superseded; an append on it would be acknowledged by that life, and
 * a deposed leader could take the acknowledgement for its quorum and grant a stale read.
 */
function isReply(message: Message): boolean {
  return 'toBoot' in message;
}

function toProposeOutcome(outcome: ProposalOutcome): ProposeOutcome {
  if (outcome.type !== 'applied') return outcome;
  const result = outcome.results[outcome.at] as CommandResult | undefined;
  // Committed, but this member could not apply it: others may have.
  return result ? { type: 'applied', result } : { type: 'unknown' };
}
