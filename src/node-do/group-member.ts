/**
 * One living member of a group: the core, the log, the state machine, and the turn that joins them.
 *
 * A turn is synchronous: core input -> take() -> SQL -> send -> answer (design.md section 4). All
 * its writes are one transaction, and everything visible is created after them, so the platform's
 * output gate holds it back until they are durable. A turn that throws ends this life.
 */
import { fromBinary } from '@bufbuild/protobuf';
import type { BackupClose } from '../api/gen/backup_pb.js';
import { type BirthRecord, type Envelope, EnvelopeSchema } from '../api/gen/peer_pb.js';
import { authRulesVersion, encodeBatch } from '../kv/batch.ts';
import type { StateMachine } from '../kv/state-machine.ts';
import { allMembers, type Configuration, isVoter } from '../raft/configuration.ts';
import { RaftCore } from '../raft/core.ts';
import { joinEffects } from '../raft/effects.ts';
import type { Settings } from '../raft/state.ts';
import type { Effects, Entry, MemberId, Message, Snapshot } from '../raft/types.ts';
import { Alarms } from './alarms.ts';
import { AutoCompaction } from './auto-compaction.ts';
import type { Backups } from './backups.ts';
import { Roster } from './cluster/roster.ts';
import { fromWire, fromWireConfiguration, fromWireMember } from './codec.ts';
import { Compactor } from './compactor.ts';
import { Conditions } from './conditions.ts';
import type { Counters } from './counters.ts';
import { Envelopes } from './envelopes.ts';
import { HashCheck } from './hash-check.ts';
import { Hashing } from './hashing.ts';
import { type Identity, memberId, numericId, placeOf } from './identity.ts';
import type { KeepAliveOutcome } from './keep-alives.ts';
import { Leaderless } from './leaderless.ts';
import type { Office } from './lease-clock.ts';
import { LeaseWatchdog } from './lease-watchdog.ts';
import { Leases } from './leases.ts';
import { MemberStorage, type Results, type StorageLimits } from './member-storage.ts';
import { Peers } from './peers.ts';
import type { CodeVersion, Platform } from './platform.ts';
import { type Proposal, Proposals } from './proposals.ts';
import { type ReadOutcome, Reads } from './reads.ts';
import { type ProposeOutcome, Requests } from './requests.ts';
import { countCommand } from './totals.ts';
import { Versions } from './versions.ts';
import { WaitingRoom } from './waiting.ts';
import { WatchHub } from './watch-hub.ts';

/** Why a member is one no more. */
export type Fate = 'removed' | 'lost';

/** What differs in simulations, so that rare paths are common in them. */
export interface Tuning {
  readonly core?: Partial<Settings>;
  readonly storage?: Partial<StorageLimits>;
  readonly revisionsPerHashCheck?: number;
}

/** What a group's member needs from the place that it lives at. */
export interface Home {
  readonly platform: Platform;
  readonly counters: Counters;
  readonly code: CodeVersion;
  readonly tuning: Tuning;
  /** Inside the last transaction of a member that ends: leaves a tombstone. */
  bury(member: GroupMember, fate: Fate): void;
  /** The member has ended, and its tombstone is written. */
  onEnd(): void;
}

export class GroupMember {
  readonly self: MemberId;
  readonly birth: BirthRecord;
  readonly boot: number;
  readonly core: RaftCore;
  readonly machine: StateMachine;
  readonly backups: Backups;
  /** What clients call the members. */
  readonly roster: Roster;
  private readonly home: Home;
  private readonly platform: Platform;
  readonly counters: Counters;
  private readonly storage: MemberStorage;
  readonly peers: Peers;
  readonly watches: WatchHub;
  readonly hashing: Hashing;
  readonly hashCheck: HashCheck;
  private readonly proposals = new Proposals();
  private readonly room = new WaitingRoom();
  private readonly conditions = new Conditions(this.room);
  private readonly reads = new Reads();
  private readonly requests: Requests;
  private readonly envelopes: Envelopes;
  private readonly compactor: Compactor;
  private readonly autoCompaction: AutoCompaction;
  private readonly alarms: Alarms;
  readonly leases: Leases;
  private readonly watchdog: LeaseWatchdog;
  private readonly versions: Versions;
  /** The last term in which this life voted for itself, to count elections. */
  private electionTerm: number;
  /** Who led when that was last looked at, to count changes. */
  private lastLeader: MemberId | null;
  private readonly leaderless = new Leaderless();
  private ended = false;

  constructor(home: Home, identity: Identity, birth: BirthRecord) {
    const { platform, counters, code, tuning } = home;
    this.home = home;
    this.platform = platform;
    this.counters = counters;
    this.birth = birth;
    this.self = memberId(platform.place, identity.incarnation);
    this.boot = identity.boot + 1;
    this.envelopes = new Envelopes(this, code);
    this.storage = new MemberStorage(platform, counters, code, this.boot, tuning.storage);
    this.machine = this.storage.machine;
    this.backups = this.storage.newBackups();
    this.roster = new Roster(this.machine, birth.groupId);
    const bootState = this.storage.bootState();
    this.electionTerm = bootState.hardState.term;
    const { log } = this.storage;
    const random = () => platform.random();
    const settings = tuning.core ?? {};
    const config = { self: this.self, bootState, log, settings };
    this.core = new RaftCore(config, this.boot, random, platform.now());
    this.core.preferLeaders(this.preferredMembers());
    this.lastLeader = this.core.leaderHint;
    const { founding, rulesVersion } = birth;
    const members = founding ? allMembers(fromWireConfiguration(founding)) : [];
    this.versions = new Versions(code, { members, rules: rulesVersion });
    this.peers = new Peers(platform, counters, {
      encode: (to, messages) => this.envelopes.encode(to, messages),
      onAnswer: (from, body) => this.onAnswer(from, body),
      onSilence: (peer) => this.turn(() => this.core.peerUnreachable(peer, platform.now())),
      group: () => this.groupAround(),
    });
    this.watches = new WatchHub(this.hubHome(), platform.sockets());
    this.hashing = new Hashing(platform);
    this.hashCheck = new HashCheck(platform, this, tuning.revisionsPerHashCheck);
    this.alarms = new Alarms(platform, identity.plan);
    this.leases = new Leases(platform, this.machine, this.proposals, () => this.turn(nothing));
    const { room, proposals, reads } = this;
    const { keepAlives } = this.leases;
    this.requests = new Requests(this, platform, counters, { room, proposals, reads, keepAlives });
    this.autoCompaction = new AutoCompaction(platform, this.machine, this.proposals);
    this.watchdog = this.newWatchdog();
    this.armTimer();
    this.compactor = new Compactor(platform, this.machine, counters);
    this.compact();
  }

  private hubHome() {
    const { roster, self } = this;
    return {
      source: this.machine,
      clusterId: numericId(this.birth.groupId),
      get memberId() {
        return roster.idOf(self);
      },
      term: () => this.core.term,
      yieldTurn: () => this.platform.yieldTurn(),
      onEvents: (count: number) => {
        this.counters.totals.watchEvents += count;
      },
    };
  }

  private newWatchdog(): LeaseWatchdog {
    const { core, platform, self, peers } = this;
    return new LeaseWatchdog(platform, this.alarms, this.machine, {
      self,
      peers,
      rank: () => {
        const { voters } = core.configuration;
        return voters.includes(self) ? voters.indexOf(self) : voters.length;
      },
      leaderHint: () => (core.leaderHint === self ? null : core.leaderHint),
      findLeader: (deadline) => this.findLeader(core.term, deadline),
      onAnswer: () => this.turn(nothing),
    });
  }

  private groupAround() {
    const { configuration } = this.core;
    const { voters, learners } = configuration;
    return {
      others: Math.max(1, voters.length + learners.length - 1),
      otherVoters: voters.filter((id) => id !== this.self).length,
      answersNeeded: Math.max(1, Math.floor(voters.length / 2)),
      isVoter: (id: MemberId) => isVoter(configuration, id),
    };
  }

  /** Takes a peer's envelope of `size` bytes in and answers with what this turn says to that peer. */
  onEnvelope(envelope: Envelope, size: number): Uint8Array {
    const { from } = envelope;
    if (!from) return this.envelopes.encode(this.self, []);
    const sender = fromWireMember(from);
    const replies = this.stepAll(envelope, sender, sender);
    const reply = this.envelopes.encode(sender, replies);
    this.peers.heard(sender, size, reply.length);
    return reply;
  }

  /** Replicates one command. Resolves when it is applied here, or its deadline has passed. */
  propose(command: Uint8Array, deadline: number): Promise<ProposeOutcome> {
    return this.requests.propose(command, deadline);
  }

  /**
   * Resolves 'ready' when the state here is at least as new as everything acknowledged before the
   * call. Must be called in an event that arrived on this life (design.md section 4).
   */
  readPoint(deadline: number): Promise<ReadOutcome> {
    return this.requests.readPoint(deadline);
  }

  /** Gives these leases their whole TTL again, confirmed like a linearizable read. Only the leader does it. */
  keepAlive(ids: readonly bigint[], deadline: number): Promise<KeepAliveOutcome> {
    return this.requests.keepAlive(ids, deadline);
  }

  /** Whatever was acknowledged before is in the state here; null: nothing shows it. */
  get freshAt(): number | null {
    return this.reads.freshAt;
  }

  /**
   * Has the leader checked, and replaced if no quorum confirms it. Resolves with the leader then,
   * this member included, or null if there is none within the deadline.
   */
  async findLeader(suspectTerm: number, deadline: number): Promise<MemberId | null> {
    this.turn(() => this.core.suspectLeader(suspectTerm, this.platform.now()));
    const found = await this.until(() => !this.core.isSuspecting, deadline);
    return found && !this.ended ? this.core.leader : null;
  }

  askLeader(leader: MemberId): void {
    this.turn(() => this.core.askLeader(leader, this.platform.now()));
  }

  /** Whether a quorum stands behind some leader. */
  async hasQuorum(deadline: number): Promise<boolean> {
    if (this.core.role === 'leader') {
      if ((await this.readPoint(deadline)) === 'ready') return true;
      if (this.core.role === 'leader') return false;
    }
    // One that has just stepped down looks for the next like everybody.
    return (await this.findLeader(0, deadline)) !== null;
  }

  /** A turn that asks the core for something; null: this is a member no more, and takes none. */
  async ask<T>(input: (core: RaftCore, now: number) => T): Promise<T | null> {
    let result: T | null = null;
    this.turn(() => {
      result = input(this.core, this.platform.now());
    });
    return result;
  }

  /** Resolves true when `holds` does, which is looked at after every turn; false at the deadline. */
  until(holds: () => boolean, deadline: number): Promise<boolean> {
    const waiting = this.conditions.wait(() => this.ended || holds(), deadline);
    this.armTimer();
    return waiting.then((done) => done && holds());
  }

  /** Resolves when what compactions have dropped is gone from disk here, or at the deadline. */
  compacted(deadline: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.ended) {
        resolve();
        return;
      }
      const waiter = { deadline, expire: resolve };
      this.room.add(waiter);
      void this.compactor.finished().then(() => {
        this.room.remove(waiter);
        resolve();
      });
      this.armTimer();
    });
  }

  /** What deletion has waited for goes on. */
  closeBackup(asked: BackupClose): Uint8Array {
    const answer = this.backups.close(asked);
    this.turn(nothing);
    return answer;
  }

  onTimer(): void {
    const now = this.platform.now();
    this.turn(() => this.core.tick(now));
    this.room.sweep(now);
    this.rearrange();
  }

  /** Late, twice or for nothing: it only has another look taken. */
  onAlarm(): void {
    const due = this.alarms.rung();
    const leads = this.core.role === 'leader';
    if (!leads) this.watchdog.look(due.watch);
    // A follower at work that has kept itself alive would doubt for ever what it doubts.
    const repairs = due.repair || (due.keepAlive && leads);
    this.turn(() => repairs && this.core.repair(this.platform.now()));
  }

  get atRest(): boolean {
    return this.nextDeadline() === null && !this.isBusy;
  }

  /** With work of its own, which waits for nothing. */
  private get isBusy(): boolean {
    const isReading = this.leases.clock.isLoading || this.hashCheck.isRunning;
    return this.compactor.isRunning || isReading;
  }

  /** What of the database is not log; see the quota. */
  get stateBytes(): number {
    const { firstIndex, lastIndex } = this.core;
    return this.storage.stateBytes(Math.max(0, lastIndex - firstIndex + 1));
  }

  get canServe(): boolean {
    return this.storage.canServe;
  }

  /** It has ended, and so has all that it does. */
  get isOver(): boolean {
    return this.ended;
  }

  /** Work that was no turn is done: only now is this member at rest, perhaps. */
  rest(): void {
    this.turn(nothing);
  }

  /** That of the last entry that is applied here: committed, for whoever reads. */
  get appliedConfiguration(): Configuration {
    return this.storage.log.configurationAt(this.machine.appliedIndex);
  }

  private onAnswer(from: MemberId, body: Uint8Array): void {
    const envelope = decodeEnvelope(body);
    if (!envelope || !this.envelopes.isAnswerOf(from, envelope)) {
      // Nonsense, another incarnation, or none answers at that place: our peer is not there.
      this.turn(() => this.core.peerUnreachable(from, this.platform.now()));
      return;
    }
    this.envelopes.answered(from);
    this.versions.hear(from, envelope.rulesVersion);
    // There is nothing to answer a response with: what it causes travels as calls.
    if (envelope.messages.length > 0) this.stepAll(envelope, from, null);
  }

  private stepAll(envelope: Envelope, from: MemberId, replyTo: MemberId | null): Message[] {
    const route = { from, to: this.self, boot: Number(envelope.boot) };
    const now = this.platform.now();
    this.versions.hear(from, envelope.rulesVersion);
    return this.turn(() => {
      for (const wire of envelope.messages) {
        const message = fromWire(wire, route);
        if (message) this.core.step(this.receivable(message), now);
      }
    }, replyTo);
  }

  /** A first chunk that could not be stored now is asked for again later. */
  private receivable(message: Message): Message {
    if (message.type !== 'snapshot' || message.cursor !== '') return message;
    return this.storage.canReceive ? message : { ...message, chunk: null };
  }

  isForUs(envelope: Envelope): boolean {
    return this.envelopes.isForUs(envelope);
  }

  /** Returns the messages to `replyTo`; all others are sent. */
  private turn(input: () => void, replyTo: MemberId | null = null): Message[] {
    if (this.ended) return [];
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
    this.holdOffice();
    input();
    const effects = this.takeEffects();
    if (effects.lost) {
      this.end('lost');
      return [];
    }
    const results = this.carryOut(effects);
    const replies = this.route(effects.messages, replyTo);
    this.answer(effects, results);
    if (effects.removed) this.endAfterBurial();
    else this.rearrange();
    this.noteLeader();
    return replies;
  }

  private noteLeader(): void {
    const leader = this.core.leaderHint;
    if (leader !== null && leader !== this.lastLeader) this.counters.totals.leaderChanges += 1;
    this.lastLeader = leader;
    if (this.leaderless.look(this.core, this.platform.now())) this.watches.tellNoLeader();
  }

  /** Two takes: the first may commit what the pipeline waits for, so that the queues can leave. */
  private takeEffects(): Effects {
    const first = this.core.take();
    const now = this.platform.now();
    const leads = this.core.role === 'leader';
    if (leads) {
      this.proposals.appended(first.append);
      this.leases.proposeDue();
      this.autoCompaction.proposeDue(() => this.rules >= authRulesVersion);
    } else this.proposals.failQueue();
    if (!this.mayRead) this.reads.failQueue();
    const flushed = [leads && this.flushProposals(now), this.flushReads(now)];
    if (!flushed.includes(true)) return first;
    const second = this.core.take();
    this.proposals.appended(second.append);
    return joinEffects(first, second);
  }

  get pendingProposals(): number {
    return this.proposals.size;
  }

  /** A member that does not lead asks who does; one that doubts it has nobody to ask. */
  get mayRead(): boolean {
    const { core } = this;
    if (this.ended) return false;
    if (core.role === 'leader') return true;
    return core.role === 'follower' && !core.isSuspecting && core.leaderHint !== null;
  }

  private flushProposals(now: number): boolean {
    const at = this.proposals.leavesAt(this.core.uncommittedEntries, now);
    if (at === null || now < at || this.core.isTransferring) return false;
    const batch = this.proposals.takeBatch();
    const result = this.core.propose(this.encodeCommands(batch), now);
    if (result.ok) this.proposals.track(result.index, result.term, batch, now);
    else this.proposals.putBack(batch, this.core.uncommittedEntries);
    return result.ok;
  }

  private encodeCommands(batch: readonly Proposal[]): Uint8Array {
    return encodeBatch(
      batch.map(({ command }) => command),
      this.rules,
    );
  }

  /** The newest that this member may write as the leader. */
  get rules(): number {
    return this.versions.inUse(this.core.configuration, this.self, this.storage.rulesFloor);
  }

  private flushReads(now: number): boolean {
    const at = this.reads.leavesAt(now);
    if (at === null || now < at) return false;
    const batch = this.reads.takeBatch(now, this.platform.wallTime());
    if (!this.core.readIndex(batch, now)) this.reads.drop(batch);
    return true;
  }

  private carryOut(effects: Effects): Results {
    const { hardState, chunks, append, openSnapshot, removed } = effects;
    if (hardState?.vote === this.self && hardState.term > this.electionTerm) {
      this.electionTerm = hardState.term;
      this.counters.elections += 1;
    }
    const bury = removed ? () => this.home.bury(this, 'removed') : null;
    const results = this.storage.carryOut(effects, bury, () => this.followLeases());
    const leads = this.core.role === 'leader';
    for (const answers of results.values())
      for (const result of answers) countCommand(this.counters.totals, result, leads);
    this.holdOffice();
    this.core.applied(this.machine.appliedIndex);
    const { canApply } = this.storage;
    if (canApply !== this.core.canLead) canApply ? this.core.standUp() : this.core.standDown();
    if (append.some(isConfiguration) || chunks.length > 0)
      this.core.preferLeaders(this.preferredMembers());
    const isLongWork = openSnapshot || append.some(isConfiguration);
    if (isLongWork && this.core.role === 'leader') this.alarms.expectLongWork();
    const installed = chunks.findLast(({ install }) => install)?.install;
    if (installed) this.proposals.abandon(installed.index);
    if (installed) this.watches.resync();
    if (openSnapshot && !removed) this.openSnapshot();
    return results;
  }

  /** Within the turn's transaction. */
  private followLeases(): void {
    this.holdOffice();
    const changes = this.machine.takeLeaseChanges();
    this.counters.totals.leasesEnded += changes.ended.length;
    if (this.leases.clock.isRunning) this.leases.clock.follow(changes);
    else this.watchdog.follow(changes);
    this.autoCompaction.note();
  }

  /** The clock of leases runs while this member leads, from when its mark is durable. */
  private holdOffice(): void {
    const { clock } = this.leases;
    const led = clock.isRunning;
    clock.hold(this.office);
    if (led && !clock.isRunning) this.watchdog.lookSoon();
    // The alarm is the clock's from now on.
    if (!led && clock.isRunning) this.alarms.watchNext(null);
  }

  private get office(): Office | null {
    const { term, leader, at } = this.storage.log.mark;
    const leads = this.core.role === 'leader' && leader === this.self && term === this.core.term;
    return leads ? { term, beganAt: at } : null;
  }

  private openSnapshot(): void {
    const term = this.core.termAt(this.machine.appliedIndex);
    this.core.snapshotOpened(this.storage.openSnapshot(this.platform.randomId(), term));
  }

  private route(messages: readonly Message[], replyTo: MemberId | null): Message[] {
    const replies: Message[] = [];
    const others: Message[] = [];
    for (const message of messages)
      if (message.type === 'snapshot') void this.sendChunk(message);
      else (message.to === replyTo && isReply(message) ? replies : others).push(message);
    if (others.length > 0) this.peers.send(others);
    return replies;
  }

  /**
   * A chunk is read and sent in an event of its own: from reply to chunk to reply without a pause, a
   * large snapshot would let nothing else happen in a process that runs both members.
   */
  private async sendChunk(message: Message & Snapshot): Promise<void> {
    await this.platform.yieldTurn();
    if (this.ended) return;
    // Not open any more: nothing of it leaves (consensus-rules.md 5).
    const chunk = this.storage.readChunk(message.snapshot.id, message.cursor);
    if (chunk) this.peers.send([{ ...message, chunk }]);
  }

  private answer(effects: Effects, results: Results): void {
    const now = this.platform.now();
    for (const { index, term } of effects.committed)
      this.proposals.settle(index, term, results.get(index) ?? [], now);
    for (const { id, index } of effects.reads) this.reads.confirm(id, index, now);
    for (const id of effects.droppedReads) this.reads.drop(id);
    this.reads.settleUpTo(this.machine.appliedIndex);
    this.tellWatches();
    this.leases.keepAlives.look();
    this.conditions.look();
    this.hashCheck.look();
    this.backups.look();
    this.compact();
    this.cutLog();
  }

  private tellWatches(): void {
    if (this.storage.canServe) this.watches.advance();
    else this.watches.end();
  }

  /** The log is forgotten as far as its size asks for it and nobody needs it. */
  private cutLog(): void {
    if (this.storage.isSnapshotTooOld(this.core.lastIndex)) this.core.giveUpSnapshot();
    const wanted = this.storage.wantsCutTo(this.core.firstIndex, this.core.lastIndex);
    const start = wanted === null ? null : this.core.compactTo(wanted);
    if (start) this.storage.cutLog(start);
  }

  /** This member is one no more: nothing of it may be used or seen from now on. */
  private end(fate: Fate): void {
    this.platform.transaction(() => this.home.bury(this, fate));
    this.endAfterBurial();
  }

  private endAfterBurial(): void {
    this.stop();
    this.home.onEnd();
  }

  /** Whoever waits here is told so; nothing happens here any more. */
  stop(): void {
    this.ended = true;
    this.platform.setTimer(null);
    this.platform.setAlarm(null);
    this.proposals.failQueue();
    this.proposals.abandon();
    this.reads.abandon();
    this.watches.end();
    this.leases.stop();
    this.conditions.look();
    // No timer will look at them any more.
    this.room.sweep(Number.POSITIVE_INFINITY);
  }

  /** Those of the preferred places that are voters now. */
  private preferredMembers(): MemberId[] {
    const { voters } = this.core.configuration;
    return this.platform.preferredPlaces.flatMap((place) =>
      voters.filter((id) => placeOf(id) === place),
    );
  }

  private compact(): void {
    this.compactor.start(
      () => !this.ended,
      () => this.rest(),
    );
  }

  /** Timer and alarm, after whatever has happened. */
  private rearrange(): void {
    const at = this.nextDeadline();
    this.armTimer(at);
    const atRest = at === null && !this.isBusy;
    const { clock } = this.leases;
    this.alarms.arrange({
      atRest,
      needsRepair: atRest && this.core.needsRepair,
      leaseEndsAt: clock.isRunning ? this.leases.alarmAt() : undefined,
    });
  }

  private armTimer(at = this.nextDeadline()): void {
    if (!this.ended) this.platform.setTimer(at);
  }

  private nextDeadline(): number | null {
    const leads = this.core.role === 'leader';
    const now = this.platform.now();
    let earliest: number | null = null;
    for (const at of [
      this.core.nextDeadline(),
      this.room.nextDeadline,
      leads && !this.core.isTransferring
        ? this.proposals.leavesAt(this.core.uncommittedEntries, now)
        : null,
      this.reads.leavesAt(now),
      this.leases.nextDeadline(),
    ])
      if (at !== null && (earliest === null || at < earliest)) earliest = at;
    return earliest;
  }
}

function nothing(): void {}

function isConfiguration({ payload }: Entry): boolean {
  return payload.type === 'configuration';
}

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
