/**
 * One place of the simulated tenant: its disk, alarm and clock, and the lives that run on it.
 *
 * The platform is modelled after design.md section 4. The output gate: whatever a life sends while
 * something it wrote is not durable waits for the flush. A crash loses what the gate holds back, and
 * the writes with it or not. A superseded life runs on without events of its own: timers and the
 * responses to its calls still reach it, until it touches the storage.
 */

import type { Sql } from '../../../src/kv/sql.ts';
import { newCounters } from '../../../src/node-do/counters.ts';
import { Member } from '../../../src/node-do/member.ts';
import type { CodeVersion, Platform } from '../../../src/node-do/platform.ts';
import { defaultSettings } from '../../../src/node-do/settings.ts';
import { SteadyClock } from '../../../src/node-do/steady-clock.ts';
import { Random } from '../../support/random.ts';
import type { Cancellable } from '../world.ts';
import { Disk } from './disk.ts';
import type { CrashAt } from './plan.ts';
import type { Simulation } from './simulation.ts';
import type { SimSocket } from './socket.ts';

/** Thrown into code that runs on after the end of its life; no fault of that code. */
export class LifeEnded extends Error {
  override readonly name = 'LifeEnded';
}

/** Of the first retry of an alarm; the interval doubles. */
const alarmRetryMs = 2_000;
/** The first time and the retries, after which the platform gives an alarm up. */
const alarmTriesMax = 7;

export class Place {
  readonly number: number;
  readonly disk = new Disk();
  readonly random: Random;
  life: Life | null = null;
  /** They outlive an eviction, and no other end of a life. */
  readonly sockets = new Set<SimSocket>();
  /** Lives begun here, and times that the storage was set back or wiped. */
  lives = 0;
  generation = 0;
  code: CodeVersion;
  /** Nothing runs here until then. */
  downUntil = 0;
  clockOffsetMs = 0;
  frozenAt: number | null = null;
  commitMsMax: number;
  armedCrash: {
    readonly moment: CrashAt;
    readonly keeps: boolean;
    readonly downMs: number;
  } | null = null;
  private readonly simulation: Simulation;
  private alarm: { readonly at: number; readonly event: Cancellable } | null = null;
  /** The alarm as it is durable. */
  private durableAlarmAt: number | null = null;
  /** So many times the handler of the alarm will still fail before it does anything. */
  private alarmFailures = 0;

  constructor(simulation: Simulation, number: number) {
    const { shape } = simulation.plan;
    this.simulation = simulation;
    this.number = number;
    this.random = new Random(shape.seed * 31 + number);
    this.code = shape.code;
    this.commitMsMax = shape.commitMsMax;
    this.clockOffsetMs = this.random.integer(-shape.skewMsMax, shape.skewMsMax);
  }

  get isDown(): boolean {
    return this.simulation.world.now < this.downUntil;
  }

  get hasAlarm(): boolean {
    return this.alarm !== null;
  }

  private get alarmAt(): number | null {
    return this.alarm?.at ?? null;
  }

  now(): number {
    return this.frozenAt ?? Math.floor(this.simulation.world.now + this.clockOffsetMs);
  }

  /** Its clock goes on, and what it missed it makes up for at once. */
  thaw(): void {
    if (this.frozenAt === null) return;
    const { frozenAt } = this;
    this.frozenAt = null;
    this.simulation.leases.aheadMs += Math.max(0, this.now() - frozenAt);
  }

  /** The object, which begins a life with the first event after the last one ended. */
  wake(): Life {
    this.life ??= new Life(this.simulation, this);
    return this.life;
  }

  /** The process is gone, with what it held in memory and behind the gate. */
  crash(reason: string, { keeps, downMs }: { keeps: boolean; downMs: number }): void {
    const { life, simulation } = this;
    this.armedCrash = null;
    this.downUntil = Math.max(this.downUntil, simulation.world.now + downMs);
    if (!life) return;
    if (keeps) this.flushStorage(life);
    else {
      simulation.groups.loses(life);
      this.disk.lose();
      this.setAlarmAt(this.durableAlarmAt);
    }
    this.life = null;
    life.end(reason);
    this.breakSockets(reason);
  }

  private breakSockets(why: string): void {
    for (const socket of [...this.sockets]) socket.break(why.replace(/:.*/, ''));
  }

  /** The runtime forgets an object that waits for nothing; one at work it would not evict. */
  evict(): boolean {
    const { life } = this;
    if (!life || life.isBusy) return false;
    this.flush(life);
    this.life = null;
    life.end('evicted');
    return true;
  }

  /** Another machine runs this object from now on; the old one does not know yet. */
  supersede(): Life | null {
    const { life } = this;
    if (!life) return null;
    this.flush(life);
    life.superseded = true;
    life.party = formerMachines + life.place.number;
    this.life = null;
    this.breakSockets('superseded');
    return life;
  }

  /** Makes durable what `life` has written, and lets out what waited for it. */
  flush(life: Life): void {
    this.flushStorage(life);
    life.openGate();
  }

  private flushStorage(life: Life): void {
    this.disk.flush();
    this.durableAlarmAt = this.alarmAt;
    this.simulation.groups.isDurable(life);
  }

  /** As deleteAll() and deleteAlarm() would. */
  wipe(): void {
    this.crash('wiped', { keeps: true, downMs: 0 });
    this.disk.wipe();
    this.generation += 1;
    this.setAlarmAt(null);
  }

  setAlarm(at: number | null): void {
    this.setAlarmAt(at === null ? null : at - this.now() + this.simulation.world.now);
  }

  /** In the world's time. At least once, on whatever life there is then. */
  private setAlarmAt(at: number | null): void {
    if (this.alarm) this.alarm.event.cancelled = true;
    this.alarm = null;
    const { world, lateAlarmsMs } = this.simulation;
    this.simulation.trace(() =>
      at === null
        ? `${this.number}: no alarm`
        : `${this.number}: alarm in ${Math.round(at - world.now)} ms`,
    );
    if (at === null) return;
    const late = lateAlarmsMs > 0 ? this.random.integer(0, lateAlarmsMs) : 0;
    const event = world.schedule(at + late - world.now, () => this.ring());
    this.alarm = { at, event };
  }

  /** The next alarm is dropped. */
  failAlarm(): void {
    this.alarmFailures = alarmTriesMax;
  }

  mendAlarm(): void {
    this.alarmFailures = 0;
  }

  private ringFails(): void {
    const { simulation } = this;
    simulation.count('alarm handlers failed');
    this.alarmFailures -= 1;
    const retryMs = alarmRetryMs * 2 ** (alarmTriesMax - 1 - this.alarmFailures);
    this.setAlarmAt(this.alarmFailures > 0 ? simulation.world.now + retryMs : null);
    this.durableAlarmAt = this.alarmAt;
    if (this.alarmFailures === 0) simulation.count('alarms dropped');
  }

  /** Also out of turn: the platform may ring twice. */
  ring(): void {
    const { world } = this.simulation;
    if (this.isDown) {
      this.setAlarmAt(this.downUntil + alarmRetryMs);
      return;
    }
    if (this.alarmFailures > 0) {
      this.ringFails();
      return;
    }
    // Until what the handler writes is durable the alarm counts as not yet rung.
    if (this.alarm) this.alarm.event.cancelled = true;
    this.alarm = null;
    this.simulation.count('alarm rings');
    this.simulation.runIn(this.wake(), (life) => {
      try {
        life.member.onAlarm();
      } catch (error) {
        if (!(error instanceof LifeEnded)) throw error;
        this.setAlarmAt(world.now + alarmRetryMs);
      }
    });
    if (!this.disk.isDirty) this.durableAlarmAt = this.alarmAt;
  }
}

/** Parties of superseded lives are numbered from here. */
const formerMachines = 50;

/** One incarnation of the object in memory. */
export class Life {
  readonly place: Place;
  readonly number: number;
  readonly code: CodeVersion;
  readonly member: Member;
  readonly clock: SteadyClock;
  superseded = false;
  /** Who it is in the network: a machine that runs the object no more has links of its own. */
  party: number;
  ended = false;
  /** Callers that wait for an answer of this life. */
  readonly inFlight = new Set<(error: Error) => void>();
  private readonly simulation: Simulation;
  private gated: (() => void)[] = [];
  private timer: { readonly at: number; readonly event: Cancellable } | null = null;

  constructor(simulation: Simulation, place: Place) {
    this.simulation = simulation;
    this.place = place;
    this.clock = new SteadyClock(() => place.now());
    place.lives += 1;
    this.number = place.lives;
    this.party = place.number;
    this.code = place.code;
    const { tuning } = simulation.plan.shape;
    this.member = new Member(platformOf(simulation, place, this), newCounters(), this.code, tuning);
    simulation.trace(() => `${place.number}: life ${this.number} begins, rules ${this.code.rules}`);
  }

  get name(): string {
    return `${this.place.number}#${this.number}`;
  }

  get isBusy(): boolean {
    return this.inFlight.size > 0 || this.gated.length > 0;
  }

  get waits(): boolean {
    return this.timer !== null;
  }

  end(reason: string): void {
    this.ended = true;
    this.gated = [];
    this.setTimer(null);
    this.simulation.trace(() => `${this.name} ends: ${reason}`);
    for (const reject of this.inFlight) reject(new Error(reason));
    this.inFlight.clear();
  }

  /** Sends now, or when everything that this life has written so far is durable. */
  throughGate(send: () => void): void {
    if (this.ended) return;
    if (this.isGateClosed) this.gated.push(send);
    else send();
  }

  get isGateClosed(): boolean {
    return !this.superseded && this.place.disk.isDirty;
  }

  openGate(): void {
    for (const send of this.gated.splice(0)) send();
  }

  /** As RaftNode: an earlier timer that is set already serves too. In the time of this life. */
  setTimer(at: number | null): void {
    const { timer, simulation } = this;
    if (timer && at !== null && timer.at <= at && !this.ended) return;
    if (timer) timer.event.cancelled = true;
    this.timer = null;
    if (at === null || this.ended) return;
    const event = simulation.world.schedule(at - this.clock.now(), () => {
      this.timer = null;
      simulation.runIn(this, () => this.member.onTimer());
    });
    this.timer = { at, event };
  }

  /** Every access to the storage shows a superseded life that it is one. */
  touchStorage(): Disk {
    if (this.superseded || this.ended) throw new LifeEnded(`${this.name} touched the storage`);
    return this.place.disk;
  }

  transaction(work: () => void): void {
    const { place, simulation } = this;
    const disk = this.touchStorage();
    const armed = place.armedCrash;
    if (armed?.moment === 'beforeTransaction') this.die(armed.keeps);
    disk.transaction(work);
    simulation.groups.wrote(this);
    if (armed?.moment === 'afterTransaction') this.die(armed.keeps);
    this.planFlush();
  }

  run(query: string, bindings: SqlBindings): void {
    this.touchStorage().run(query, bindings);
    this.planFlush();
  }

  private flushPlanned = false;

  private planFlush(): void {
    if (this.flushPlanned) return;
    this.flushPlanned = true;
    const { place, simulation } = this;
    const commitMs = place.random.next() * place.commitMsMax;
    simulation.world.schedule(commitMs, () => {
      this.flushPlanned = false;
      if (this.ended || this.superseded) return;
      if (place.armedCrash?.moment === 'gateOpens')
        place.crash('crash at the gate', place.armedCrash);
      else place.flush(this);
    });
  }

  private die(keeps: boolean): never {
    const { place, simulation } = this;
    const downMs = place.armedCrash?.downMs ?? 0;
    simulation.count('crashes within a turn');
    place.crash('crash within a turn', { keeps, downMs });
    throw new LifeEnded(`${this.name} crashed`);
  }
}

type SqlBindings = Parameters<Sql['run']> extends [string, ...infer Rest] ? Rest : never;

function platformOf(simulation: Simulation, place: Place, life: Life): Platform {
  const { world } = simulation;
  return {
    tenant: 'sim',
    place: place.number,
    sql: sqlOf(life),
    preferredPlaces: simulation.plan.shape.preferredPlaces,
    settings: defaultSettings,
    transaction: (work) => life.transaction(work),
    databaseBytes: () => 0,
    wallTime: () => place.now(),
    now: () => life.clock.now(),
    random: () => place.random.next(),
    randomId: () =>
      Math.floor(place.random.next() * 2 ** 52)
        .toString(16)
        .padStart(16, '0'),
    setTimer: (at) => life.setTimer(at),
    setAlarm: (at) => {
      if (!life.superseded && !life.ended) place.setAlarm(at);
    },
    yieldTurn: () =>
      new Promise((resolve) => {
        world.schedule(0, () => simulation.runIn(life, () => resolve()));
      }),
    call: (to, path, body, timeoutMs) => simulation.callBetween(life, to, path, body, timeoutMs),
    sockets: () =>
      [...place.sockets].map((socket) => {
        socket.life = life;
        return socket.atMember;
      }),
    abort: (reason) => simulation.aborts(life, reason),
  };
}

function sqlOf(life: Life): Sql {
  return {
    run: (query, ...bindings) => life.run(query, bindings),
    all: (query, ...bindings) => life.touchStorage().reader.all(query, ...bindings),
    first: (query, ...bindings) => life.touchStorage().reader.first(query, ...bindings),
    // A LIMIT bounds every such query, and rows cost far less all at once than one by one.
    iterate: (query, ...bindings) => life.touchStorage().reader.all(query, ...bindings),
  };
}
