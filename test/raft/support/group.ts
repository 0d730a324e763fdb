/**
 * A group of cores in virtual time: storage that survives, lives that end, messages in a pool.
 *
 * A turn is what the host does (design.md section 4): one input, take(), persist, apply, and only
 * then do messages become sendable. Nothing is delivered and no time passes unless a test says so.
 */
import type { Configuration } from '../../../src/raft/configuration.ts';
import { allMembers } from '../../../src/raft/configuration.ts';
import { type ProposeResult, RaftCore } from '../../../src/raft/core.ts';
import { joinEffects } from '../../../src/raft/effects.ts';
import type { TransferResult } from '../../../src/raft/leadership.ts';
import type { MembershipResult } from '../../../src/raft/membership.ts';
import type { Settings } from '../../../src/raft/state.ts';
import type { Effects, Entry, LogIndex, MemberId, Message } from '../../../src/raft/types.ts';
import { Random } from '../../support/random.ts';
import { Checks, describe } from './checks.ts';
import { writes } from './effects.ts';
import { Network } from './network.ts';
import { ownedReader, type Start, type Storage, startingStorage } from './storage.ts';

export interface GroupOptions {
  readonly start?: Readonly<Record<string, Start>>;
  readonly voters?: string;
  readonly outgoing?: string;
  readonly learners?: string;
  readonly settings?: Partial<Settings>;
  readonly seed?: number;
  /** Where the members' random waits come from, in place of the seed. */
  readonly random?: Random;
  /** How long each message takes in pass() and settle(). */
  readonly latencyMs?: number;
}

/** One life of a member: memory that ends with it. */
export interface Life {
  readonly id: MemberId;
  readonly boot: number;
  readonly core: RaftCore;
  /** A newer life has begun: this one can persist nothing any more. */
  superseded: boolean;
  ended: boolean;
  /** Its boot number is durable; it is written with the first message of the life. */
  bootSaved: boolean;
  /** It cannot apply, so it must never lead again in this life. */
  stoodDown: boolean;
}

export interface GrantedRead {
  readonly by: MemberId;
  readonly id: number;
  readonly index: LogIndex;
}

// biome-ignore lint/suspicious/noConfusingVoidType: most inputs return nothing, and say so.
type Input = (core: RaftCore) => Effects | void;

/** More of them without time passing: somebody spins. */
const turnsPerInstantMax = 5_000;

/** 'ABC' is a group of three. */
export function members(names: string): MemberId[] {
  return [...names] as MemberId[];
}

export class Group extends Network {
  now = 1_000;
  readonly configuration: Configuration;
  readonly granted: GrantedRead[] = [];
  readonly dropped: number[] = [];
  readonly zombies: Life[] = [];
  readonly checks: Checks;
  /** False: the test itself breaks an invariant, by taking storage back in time. */
  isChecked = true;
  /** Told of every turn when it is durable, before its messages leave. */
  onTurn: (life: Life, effects: Effects) => void = () => {};
  readonly random: Random;
  private readonly lives = new Map<MemberId, Life>();
  private readonly storages = new Map<MemberId, Storage>();
  private readonly settings: Partial<Settings>;
  private readonly latencyMs: number;
  private nextReadId = 1;

  constructor(options: GroupOptions = {}) {
    const configuration = {
      voters: members(options.voters ?? 'ABC'),
      outgoing: members(options.outgoing ?? ''),
      learners: members(options.learners ?? ''),
    };
    super(allMembers(configuration));
    this.configuration = configuration;
    this.checks = new Checks(configuration);
    this.settings = options.settings ?? {};
    this.latencyMs = options.latencyMs ?? 0;
    this.random = options.random ?? new Random(options.seed ?? 1);
    for (const id of this.ids) {
      this.storages.set(id, startingStorage(this.configuration, options.start?.[id] ?? {}, id));
      this.begin(id);
    }
  }

  life(name: string): Life {
    const life = this.lives.get(name as MemberId);
    if (!life) throw new Error(`no member ${name}`);
    return life;
  }

  core(name: string): RaftCore {
    return this.life(name).core;
  }

  storage(name: string): Storage {
    const storage = this.storages.get(name as MemberId);
    if (!storage) throw new Error(`no member ${name}`);
    return storage;
  }

  /** The durable log as text, entries apart by a space: '1:' is a no-op of term 1, '2:x' is data. */
  logOf(name: string): string {
    return this.storage(name)
      .log.map(({ term, payload }) => `${term}:${describe(payload)}`)
      .join(' ');
  }

  // Inputs, each a turn of its own.

  propose(name: string, text = 'x'): ProposeResult {
    let result: ProposeResult | null = null;
    const data = new TextEncoder().encode(text);
    this.turn(this.life(name), (core) => {
      // As the host does: the first take() may commit what makes room for this one.
      const effects = core.take();
      result = core.propose(data, this.now);
      return effects;
    });
    return result ?? { ok: false, reason: 'notLeader' };
  }

  /** The id of the read, or null when it was refused. */
  read(name: string): number | null {
    const id = this.nextReadId;
    this.nextReadId += 1;
    const life = this.life(name);
    let taken = false;
    this.checks.readBegins(`${id}`);
    this.turn(life, (core) => {
      taken = core.readIndex(id, this.now);
    });
    return taken ? id : null;
  }

  /** 'ABC' are the voters that are wanted. */
  change(name: string, voters: string, learners = ''): MembershipResult {
    let result: MembershipResult = { ok: false, reason: 'notLeader' };
    const target = { voters: members(voters), learners: members(learners) };
    this.turn(this.life(name), (core) => {
      result = core.changeMembership(target, this.now);
    });
    return result;
  }

  transfer(name: string, to: string): TransferResult {
    let result: TransferResult = 'notLeader';
    this.turn(this.life(name), (core) => {
      result = core.transferLeader(to as MemberId, this.now);
    });
    return result;
  }

  /** True when the log became shorter. */
  compact(name: string, index: number): boolean {
    const life = this.life(name);
    const start = life.ended ? null : life.core.compactTo(index);
    if (start) this.storage(name).compact(start);
    return start !== null;
  }

  repair(name: string): void {
    this.turn(this.life(name), (core) => core.repair(this.now));
  }

  suspect(name: string): void {
    this.turn(this.life(name), (core) => core.suspectLeader(core.term, this.now));
  }

  unreachable(at: string, peer: string): void {
    this.turn(this.life(at), (core) => core.peerUnreachable(peer as MemberId, this.now));
  }

  /** As the host does it: while it applies, after take() and before the next turn. */
  standDown(name: string): void {
    const life = this.life(name);
    life.core.standDown();
    life.stoodDown = true;
  }

  tick(name: string): void {
    this.turn(this.life(name), (core) => core.tick(this.now));
  }

  /** Gives messages to the life they are meant for, in one turn; the pool does not matter. */
  step(...messages: Message[]): void {
    const [first] = messages;
    const life = first && this.receiver(first);
    if (!life) return;
    // The record that adopts a fresh incarnation comes with a leader's message.
    if (messages.some(({ type }) => type === 'append' || type === 'snapshot'))
      this.storage(life.id).isAdopted = true;
    this.turn(life, (core) => {
      for (const message of messages) {
        if (this.receiver(message) !== life) continue;
        this.checks.readReplyArrives(life, message);
        core.step(message, this.now);
      }
    });
  }

  // The network.

  /** Delivers everything in the pool, and what that brings forth, as far as `matches`. */
  settle(matches: (message: Message) => boolean = () => true): void {
    for (let count = 0; count < turnsPerInstantMax; count += 1) {
      const at = this.pool.findIndex(matches);
      const message = this.pool[at];
      if (!message) return;
      this.pool.splice(at, 1);
      this.step(message);
    }
    throw new Error('messages without end');
  }

  // Time.

  /** Lets time pass: deadlines fire in order, messages arrive after their latency. */
  pass(ms: number, isDone: () => boolean = () => false): boolean {
    const until = this.now + ms;
    for (let turns = 0; ; turns += 1) {
      if (isDone()) return true;
      if (turns > turnsPerInstantMax * 10) throw new Error('turns without end');
      if (this.fireDue()) continue;
      if (this.pool.length > 0) {
        const generation = this.pool.splice(0);
        this.now = Math.min(until, this.now + this.latencyMs);
        for (const message of generation) this.step(message);
        continue;
      }
      const next = this.nextDeadline();
      if (next === null || next > until) break;
      this.now = next;
    }
    this.now = until;
    return isDone();
  }

  /** The earliest deadline of a living member; null: all are at rest. */
  nextDeadline(names: readonly string[] = this.ids): number | null {
    const deadlines = names
      .map((name) => this.life(name))
      .map(({ core, ended }) => (ended ? null : core.nextDeadline()))
      .filter((at) => at !== null);
    return deadlines.length > 0 ? Math.min(...deadlines) : null;
  }

  get isAtRest(): boolean {
    return this.pool.length === 0 && this.nextDeadline() === null;
  }

  private fireDue(): boolean {
    let fired = false;
    for (const id of this.ids) {
      for (let times = 0; (this.nextDeadline([id]) ?? Infinity) <= this.now; times += 1) {
        if (times > turnsPerInstantMax) throw new Error(`${id}: a deadline that does not move`);
        this.tick(id);
        fired = true;
      }
    }
    return fired;
  }

  // Lives.

  /** A place with a fresh incarnation: it knows the founding configuration and nothing else. */
  join(name: string): void {
    const id = name as MemberId;
    this.ids.push(id);
    const storage = startingStorage(this.configuration, {}, id);
    storage.isAdopted = false;
    this.storages.set(id, storage);
    this.begin(id);
  }

  /** Memory is lost, storage stays. */
  restart(...names: string[]): void {
    for (const name of names) {
      this.life(name).ended = true;
      if (this.storage(name).fate === null) this.begin(name as MemberId);
    }
  }

  /** The object ends in the middle of a turn: nothing of it was persisted, nothing was sent. */
  crashDuring(name: string, input: (core: RaftCore) => void): void {
    const life = this.life(name);
    input(life.core);
    life.core.take();
    this.restart(name);
  }

  /** A new life begins while the old one still runs; returns the old one. */
  supersede(name: string): Life {
    const old = this.life(name);
    old.superseded = true;
    this.zombies.push(old);
    this.begin(name as MemberId);
    return old;
  }

  /** The input may return effects that it took itself: they belong to the same turn. */
  turn(life: Life, input: Input): void {
    const storage = this.storage(life.id);
    if (life.ended || !storage.isAdopted) return;
    const before = this.checks.before(life);
    const effects = this.runCore(life, input);
    if (!effects) return;
    if (effects.lost) {
      this.checks.loses(life, storage);
      this.retire(life, 'lost');
      return;
    }
    if (this.isChecked) this.checks.persists(life.id, storage, effects);
    storage.persist(effects);
    if (effects.messages.length > 0 && !life.bootSaved) {
      storage.boot = life.boot;
      life.bootSaved = true;
    }
    if (effects.committed.length > 0) this.apply(life, storage, effects.committed);
    if (effects.closeSnapshot) storage.snapshot = null;
    if (effects.openSnapshot) life.core.snapshotOpened(storage.openSnapshot());
    if (this.isChecked) this.checks.after(life, storage, effects, before);
    if (this.isChecked && !life.superseded)
      this.checks.checkProgress(life, (id) => this.storage(id));
    this.onTurn(life, effects);
    for (const message of effects.messages) this.fillAndPost(life, storage, message);
    if (effects.removed) {
      this.checks.leaves(life, storage);
      this.retire(life, 'removed');
    }
    for (const { id, index } of effects.reads) {
      this.checks.readGranted(`${id}`, index);
      this.granted.push({ by: life.id, id, index });
    }
    this.dropped.push(...effects.droppedReads);
  }

  /** Null when the turn of a superseded life touched storage: it ends, and the turn never was. */
  private runCore(life: Life, input: Input): Effects | null {
    try {
      const first = input(life.core);
      const last = life.core.take();
      const effects = first ? joinEffects(first, last) : last;
      if (!life.superseded || !writes(effects, life)) return effects;
    } catch (error) {
      if (!life.superseded) throw error;
    }
    life.ended = true;
    return null;
  }

  private retire(life: Life, fate: 'lost' | 'removed'): void {
    this.storage(life.id).fate = fate;
    life.ended = true;
  }

  /** A snapshot message gets its content where it is sent; of a closed snapshot nothing leaves. */
  private fillAndPost(life: Life, storage: Storage, message: Message): void {
    if (message.type !== 'snapshot') this.post(message);
    else if (!life.superseded) {
      const chunk = storage.chunk(message.snapshot.id, message.cursor);
      if (chunk) this.post({ ...message, chunk });
    }
  }

  private apply(life: Life, storage: Storage, committed: readonly Entry[]): void {
    for (const { index, term } of committed) {
      if (index !== storage.applied + 1 || storage.term(index) !== term)
        throw new Error(`${life.id} applies ${index} after ${storage.applied}`);
      storage.applied = index;
    }
    life.core.applied(storage.applied);
  }

  /** Answers go to the life that asked, everything else begins an event: at the newest life. */
  private receiver(message: Message): Life | undefined {
    if ('toBoot' in message) {
      const asker = this.zombies.find(
        ({ id, boot, bootSaved, ended }) =>
          id === message.to && boot === message.toBoot && bootSaved && !ended,
      );
      if (asker) return asker;
    }
    return this.lives.get(message.to);
  }

  private begin(id: MemberId): void {
    const storage = this.storage(id);
    const boot = storage.boot + 1;
    const owner = { superseded: false };
    const config = {
      self: id,
      bootState: storage.bootState(),
      log: ownedReader(storage, owner),
      settings: this.settings,
    };
    const core = new RaftCore(config, boot, () => this.random.next(), this.now);
    const flags = { ended: false, bootSaved: false, stoodDown: false };
    this.lives.set(id, Object.assign(owner, { id, boot, core, ...flags }));
  }
}

/** A group at rest with this member as leader, and an empty record of what was sent. */
export function groupLedBy(name: string, options: GroupOptions = {}): Group {
  const group = new Group(options);
  group.suspect(name);
  if (!group.pass(20_000, () => group.core(name).role === 'leader'))
    throw new Error(`${name} does not lead`);
  group.pass(20_000, () => group.isAtRest);
  // Long enough ago that nobody trusts it for having heard of it.
  group.now += 1_000;
  group.sent = [];
  return group;
}

/** A leads; `backup` is what its storage was three lives ago, of which all have heard. */
export function withOldBackup(): { readonly group: Group; readonly backup: Storage } {
  const group = groupLedBy('A');
  const backup = group.storage('A').copy();
  for (let time = 0; time < 3; time += 1) {
    group.restart('A');
    group.propose('A');
    group.pass(1_000);
  }
  return { group, backup };
}
