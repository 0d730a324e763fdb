/**
 * One seed: a tenant's places, its clients and its administrator in virtual time, under faults.
 *
 * Everything runs synchronously: an event is one entry into a life or a client, then all promise
 * reactions run, then the oracle looks. So a run must be started from a macrotask (see inMacrotask).
 */
import type { CodeVersion, MemberPath } from '../../../src/node-do/platform.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import { History } from '../../support/history/history.ts';
import { beginIsolate } from '../../support/isolate.ts';
import { runOnClockOf } from '../virtual-clock.ts';
import { World } from '../world.ts';
import { Admin } from './admin.ts';
import { Client } from './clients.ts';
import { Committed } from './committed.ts';
import { describeCall } from './describe.ts';
import { Faults } from './faults.ts';
import { Fingerprint } from './fingerprint.ts';
import { Groups, groupIdOf } from './groups.ts';
import { Leases } from './leases.ts';
import { Locks } from './locks.ts';
import { firstClient, Network } from './network.ts';
import { groupOf, type Oracle } from './oracle.ts';
import { type Life, LifeEnded, Place } from './place.ts';
import { type Decision, lockerNumbers, type Plan } from './plan.ts';
import { watchCores } from './probe.ts';
import { Recovery } from './recovery.ts';
import { SimSocket } from './socket.ts';

/** Runs all promise reactions and their reactions, now. Undocumented, and in every Node so far. */
const runReactions = (process as unknown as { _tickCallback(): void })._tickCallback;

/** A seed has some ten thousand. */
const eventsMax = 300_000;

export class Simulation {
  readonly plan: Plan;
  readonly world: World;
  readonly network: Network;
  readonly groups: Groups;
  readonly recovery: Recovery;
  readonly committed = new Committed();
  readonly leases: Leases;
  readonly history: History;
  readonly places = new Map<number, Place>();
  readonly clients: readonly Client[];
  /** Clients of one lock, who do nothing else. */
  readonly lockers: readonly Client[];
  readonly locks: Locks;
  readonly admin: Admin;
  readonly counts = new Map<string, number>();
  readonly fingerprint = new Fingerprint();
  /** Superseded lives that have not noticed yet. */
  readonly zombies = new Set<Life>();
  lateAlarmsMs = 0;
  newestCode: CodeVersion;
  /** The disturbance has ended: what was still to come of it does not. */
  isOver = false;
  readonly begunAt: number;
  private readonly faults: Faults;
  private readonly lines: string[] | null;
  private current: Life | null = null;
  private callsUnderWay = 0;
  private answersBetween = 0;
  events = 0;

  constructor(plan: Plan, lines: string[] | null) {
    this.plan = plan;
    this.newestCode = plan.shape.code;
    this.lines = lines;
    this.world = new World(plan.shape.seed);
    this.begunAt = this.world.now;
    runOnClockOf(this.world);
    beginIsolate();
    this.network = new Network(plan.shape, (what) => this.count(what));
    this.groups = new Groups(() => this.current);
    this.recovery = new Recovery(this);
    this.leases = new Leases(this);
    this.history = new History(() => this.nowMs);
    const { clients } = plan.shape;
    this.clients = Array.from({ length: clients }, (_, at) => new Client(this, at + 1));
    this.lockers = lockerNumbers.map((number) => new Client(this, number));
    this.locks = new Locks(this);
    this.admin = new Admin(this);
    this.faults = new Faults(this);
    watchCores({
      took: (core, effects) => {
        // What a superseded life appends, or commits alone, it can neither store nor send.
        if (!this.current?.superseded) {
          this.leases.appended(effects.append, core.role === 'leader');
          this.committed.took(effects.committed);
        }
        this.groups.took(core, effects);
      },
      steps: (core, message) => this.groups.steps(core, message),
      readBegins: (core, id) => this.groups.readBegins(core, id),
    });
  }

  get everyClient(): readonly Client[] {
    return [...this.clients, ...this.lockers];
  }

  /** Of the group that clients are to be served by. */
  get oracle(): Oracle {
    return this.groups.current;
  }

  /** Since the seed began. */
  get nowMs(): number {
    return this.world.now - this.begunAt;
  }

  /** Whether every configuration that is in force or may be soon keeps a majority without those. */
  hasQuorumWithout(isOut: (id: MemberId) => boolean): boolean {
    return this.oracle.hasQuorumWithout(isOut, this.admin.pending());
  }

  get violation(): string | null {
    return this.groups.violation;
  }

  fail(what: string): void {
    this.oracle.fail(what);
  }

  count(what: string, by = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + by);
  }

  trace(line: () => string): void {
    if (!this.lines) return;
    const at = ((this.world.now - this.begunAt) / 1_000).toFixed(3).padStart(9);
    this.lines.push(`${at}  ${line()}`);
  }

  place(number: number): Place {
    let place = this.places.get(number);
    if (!place) {
      place = new Place(this, number);
      this.places.set(number, place);
    }
    return place;
  }

  /** The place whose leader has the highest term. */
  get leaderPlace(): number | null {
    let best: { readonly term: number; readonly place: number } | null = null;
    for (const { life, number } of this.places.values()) {
      const core = life && groupOf(life)?.core;
      if (core?.role !== 'leader' || core.term <= (best?.term ?? -1)) continue;
      best = { term: core.term, place: number };
    }
    return best?.place ?? null;
  }

  /**
   * Group and name of a member by numeric ids; another one once its storage was set back. `then`: the generations when
   * it was asked. What it said before such a moment and what after may both arrive later: that is nobody’s.
   */
  serverOf(clusterId: bigint, memberId: bigint, then = this.generations): string {
    const now = this.generations;
    if (now === then) return `${clusterId}/${memberId}/${now}`;
    this.answersBetween += 1;
    return `${clusterId}/${memberId}/${then} or ${now}, answer ${this.answersBetween}`;
  }

  /** How often a storage was wiped or set back. */
  get generations(): number {
    let all = 0;
    for (const { generation } of this.places.values()) all += generation;
    return all;
  }

  /** Carries out the plan. False: a violation was found. */
  disturb(): boolean {
    const { chaosMs } = this.plan.shape;
    for (const decision of this.plan.decisions)
      this.world.schedule(decision.at, () => this.carryOut(decision));
    return this.pass(chaosMs);
  }

  private carryOut(decision: Decision): void {
    switch (decision.do) {
      case 'op':
        this.everyClient.find(({ number }) => number === decision.client)?.enqueue(decision.call);
        return;
      case 'change':
      case 'transfer':
        this.admin.carryOut(decision);
        return;
      default:
        this.faults.carryOut(decision);
    }
  }

  /** Lets virtual time pass, until `done` holds. False: a violation was found. */
  pass(ms: number, done: () => boolean = () => false): boolean {
    const ends = () => {
      this.events += 1;
      this.fingerprint.addNumbers(this.world.now);
      if (this.events > eventsMax) this.fail(`the system spins: ${eventsMax} events`);
      return this.violation !== null || done();
    };
    if (!done()) this.world.runUntil(this.world.now + ms, runReactions, ends);
    return this.violation === null;
  }

  /** Nothing is on its way, and no life waits for anything. */
  get isAtRest(): boolean {
    if (this.callsUnderWay > 0) return false;
    return [...this.places.values()].every(
      ({ life }) =>
        !life || this.isLeftBehind(life) || (!life.waits && !life.isBusy && !life.isGateClosed),
    );
  }

  /** Of the group that was given up: it looks for a quorum at growing intervals, until somebody deletes it. */
  private isLeftBehind(life: Life): boolean {
    const group = groupIdOf(life);
    return this.groups.isRecovered && group !== null && group !== this.groups.successorId;
  }

  /** One event of a life: what it does, all reactions to it, and a look at it. */
  runIn(life: Life, run: (life: Life) => void): void {
    if (life.ended) return;
    this.current = life;
    try {
      run(life);
      runReactions();
    } catch (error) {
      // A turn that throws has told the platform why it ends, and says it once more.
      if (!life.ended && !(error instanceof LifeEnded))
        this.fail(`${life.name} threw ${String(error)}`);
    }
    this.groups.afterEvent(life);
    this.current = null;
  }

  /** The code ends its own life: never without a reason that the simulation gave it. */
  aborts(life: Life, reason: string): void {
    if (life.ended) return;
    if (life.superseded) {
      life.end(`aborted: ${reason}`);
      return;
    }
    // A storage that went back in time may be found out by an invariant: fail-stop is its due.
    if (this.oracle.isAnyRestored) this.count('aborts after a restore');
    else this.fail(`${life.name} aborted: ${reason}`);
    life.place.crash(`aborted: ${reason}`, { keeps: false, downMs: 0 });
  }

  /** One member calls another. */
  callBetween(
    life: Life,
    to: number,
    path: MemberPath,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    if (life.ended) return new Promise(() => {});
    this.groups.sends(life);
    this.callsUnderWay += 1;
    return new Promise((resolve, reject) => {
      let isOver = false;
      const finish = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        this.callsUnderWay -= 1;
        timeout.cancelled = true;
        this.runIn(life, settle);
      };
      const fail = (error: Error) => finish(() => reject(error));
      const timeout = this.world.schedule(timeoutMs, () => fail(new Error('timeout')));
      life.throughGate(() =>
        this.send(life.party, to, path, body, {
          onAnswer: (answer) => finish(() => resolve(answer)),
          onError: fail,
        }),
      );
    });
  }

  /** A client's request to one member; never settles when it, or the response, is lost. */
  callOfClient(client: number, place: number, body: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const from = firstClient + client;
      this.send(from, place, 'client', body, { onAnswer: resolve, onError: reject });
    });
  }

  /** A client's router opens a socket for watches; never settles when it, or the response, is lost. */
  openSocket(client: number, number: number): Promise<SimSocket | null> {
    const party = firstClient + client;
    return new Promise((resolve, reject) => {
      const { latencyMs } = this.network.fate(party, number, false);
      this.fingerprint.addNumbers(party, number, latencyMs);
      if (latencyMs === null) return;
      this.world.schedule(latencyMs, () => {
        const place = this.place(number);
        if (place.isDown) return reject(new Error('nothing runs there'));
        this.runIn(place.wake(), (life) => {
          const socket = new SimSocket(this, party, place);
          socket.life = life;
          const isServed = life.member.onWatch(socket.atMember);
          if (isServed) place.sockets.add(socket);
          life.throughGate(() => this.world.schedule(0, () => resolve(isServed ? socket : null)));
        });
      });
    });
  }

  private send(from: number, to: number, path: MemberPath, body: Uint8Array, ends: Ends): void {
    const { latencyMs, repeatedAfterMs } = this.network.fate(from, to, false);
    this.fingerprint.addNumbers(from, to, latencyMs, repeatedAfterMs);
    this.fingerprint.add(body);
    this.trace(() => describeCall(from, to, path, body, latencyMs));
    if (latencyMs === null) return;
    const refusal = this.network.refusing.get(to);
    if (refusal) {
      this.count('calls refused');
      const error = Object.assign(new Error('refused'), refusal);
      this.world.schedule(2 * latencyMs, () => ends.onError(error));
      return;
    }
    this.world.schedule(latencyMs, () => this.arrive(from, to, path, body, ends));
    if (repeatedAfterMs === null || path !== 'peer') return;
    this.count('requests repeated');
    this.world.schedule(latencyMs + repeatedAfterMs, () =>
      this.arrive(from, to, path, body, { onAnswer: () => {}, onError: () => {} }),
    );
  }

  private arrive(from: number, to: number, path: MemberPath, body: Uint8Array, ends: Ends): void {
    const place = this.place(to);
    const back = (run: () => void) => {
      const { latencyMs } = this.network.fate(to, from, true);
      if (latencyMs !== null) this.world.schedule(latencyMs, run);
    };
    if (place.isDown) {
      this.count('calls to a place that is down');
      back(() => ends.onError(new Error('nothing runs there')));
      return;
    }
    const fail = (error: Error) => back(() => ends.onError(error));
    this.runIn(place.wake(), (life) => {
      life.inFlight.add(fail);
      handle(life, path, body).then(
        (answer) => {
          if (life.ended) return;
          if (path === 'birth') this.groups.answersBirth(life);
          this.groups.sends(life);
          life.throughGate(() => {
            life.inFlight.delete(fail);
            back(() => ends.onAnswer(answer));
          });
        },
        (error) => {
          // Of a life that has ended the caller was told already.
          if (life.inFlight.delete(fail)) fail(error);
        },
      );
    });
  }

  /** Everything of this run is forgotten. */
  close(): void {
    watchCores(null);
    for (const { disk } of this.places.values()) disk.close();
  }
}

interface Ends {
  readonly onAnswer: (answer: Uint8Array) => void;
  readonly onError: (error: Error) => void;
}

async function handle(life: Life, path: MemberPath, body: Uint8Array): Promise<Uint8Array> {
  switch (path) {
    case 'client':
      return life.member.onClient(body);
    case 'peer':
      return life.member.onPeer(body);
    case 'birth':
      return life.member.onBirth(body);
  }
}
