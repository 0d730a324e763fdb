/**
 * One tenant's places in virtual time: the real Member, core and state machine on SQLite, under a
 * modelled platform. Each place keeps its database; what runs on it is a life that can be ended.
 *
 * The output gate is modelled by order: a turn commits before its calls and answers are scheduled,
 * and the end of a life drops whatever it had not sent. With `commitMs` it is modelled in time too:
 * commits of one life are made durable one after another, and whatever leaves waits for those
 * before it. (What was committed counts as durable when the life ends, whatever the gate still
 * held: nobody has been told.)
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type MemberReply,
  MemberReplySchema,
  type MemberRequest,
  MemberRequestSchema,
} from '../../src/api/gen/member_pb.js';
import { type Envelope, EnvelopeSchema } from '../../src/api/gen/peer_pb.js';
import { protocolVersion } from '../../src/api/limits.ts';
import type { LocationHint } from '../../src/api/location-hints.ts';
import type { MemberStatus } from '../../src/api/member.ts';
import { newCounters } from '../../src/node-do/counters.ts';
import type { Tuning } from '../../src/node-do/group-member.ts';
import { Member } from '../../src/node-do/member.ts';
import {
  type CodeVersion,
  type MemberPath,
  type Platform,
  thisCode,
} from '../../src/node-do/platform.ts';
import { defaultSettings, type MemberSettings } from '../../src/node-do/settings.ts';
import { SteadyClock } from '../../src/node-do/steady-clock.ts';
import { NodeSql } from '../support/node-sql.ts';
import type { SimSocket } from './watch/sim-socket.ts';
import { type Cancellable, World } from './world.ts';

export interface Traffic {
  readonly from: number;
  readonly to: number;
  readonly path: MemberPath;
  readonly envelope: Envelope | null;
  /** Where the object is to be created, should it not be there. */
  readonly hint?: LocationHint;
}

export interface ClusterOptions {
  readonly seed?: number;
  readonly size?: 1 | 3 | 5;
  /** One way. `from` is a place, or whatever number the sender of a client's request goes by. */
  readonly latencyMs?: (from: number, to: number) => number;
  /** How long a commit takes to be durable. */
  readonly commitMs?: number;
  /** The code that a place runs when its next life begins. */
  readonly codeOf?: (place: number) => CodeVersion;
  readonly preferredPlaces?: readonly number[];
  readonly settings?: Partial<MemberSettings>;
  readonly tuning?: Tuning;
}

/** What alarms a place has set since a test looked last, and how often one rang. */
export interface AlarmLog {
  readonly set: number[];
  rung: number;
}

/** The platform gives up after six attempts, at doubling intervals. */
const alarmRetryMs = 2_000;

class Place {
  readonly sql = new NodeSql();
  life: Life | null = null;
  /** They outlive an eviction. */
  sockets: SimSocket[] = [];
  /** Outlives the lives. */
  alarm: Cancellable | null = null;
  /** In the world's time. */
  alarmAt = 0;
  readonly alarms: AlarmLog = { set: [], rung: 0 };
  /** How far its clock is ahead. */
  skewMs = 0;
}

/** One incarnation of the object in memory. */
class Life {
  readonly member: Member;
  readonly clock: SteadyClock;
  ended = false;
  /** When all that this life has committed is durable. */
  durableAt = 0;
  timer: Cancellable | null = null;
  readonly inFlight = new Set<(error: Error) => void>();

  constructor(cluster: Cluster, place: number, sql: NodeSql) {
    this.clock = new SteadyClock(() => cluster.now(place));
    const counters = newCounters();
    const code = cluster.codeOf(place);
    this.member = new Member(platformOf(cluster, place, sql, this), counters, code, cluster.tuning);
  }

  end(reason: string): void {
    this.ended = true;
    if (this.timer) this.timer.cancelled = true;
    for (const reject of this.inFlight) reject(new Error(reason));
    this.inFlight.clear();
  }
}

export class Cluster {
  readonly world: World;
  readonly size: 1 | 3 | 5;
  /** Every call between members, in order of sending; tests count it and clear it. */
  readonly traffic: Traffic[] = [];
  readonly aborts: string[] = [];
  /** What the responses of calls between members carried, e.g. "1>2 readReply". */
  readonly responses: string[] = [];
  private readonly places = new Map<number, Place>();
  readonly codeOf: (place: number) => CodeVersion;
  readonly preferredPlaces: readonly number[];
  readonly settings: MemberSettings;
  readonly tuning: Tuning;
  private readonly latencyMs: (from: number, to: number) => number;
  readonly commitMs: number;
  /** True: the call is lost. */
  drop: (call: Traffic) => boolean = () => false;
  /** True: the call arrives, its response is lost. */
  dropResponse: (call: Traffic) => boolean = () => false;
  /** True: the alarm of that place is lost. */
  dropAlarm: (place: number) => boolean = () => false;
  /** True: nothing runs at that place, and the caller learns so after a round trip. */
  refuse: (call: Traffic) => boolean = () => false;

  constructor(options: ClusterOptions = {}) {
    this.world = new World(options.seed ?? 1);
    this.size = options.size ?? 3;
    this.latencyMs = options.latencyMs ?? (() => 1);
    this.commitMs = options.commitMs ?? 0;
    this.codeOf = options.codeOf ?? (() => thisCode);
    this.preferredPlaces = options.preferredPlaces ?? [];
    this.tuning = options.tuning ?? {};
    this.settings = { ...defaultSettings, ...options.settings };
  }

  /** The object of a place: a life begins with its first event, as on the platform. */
  life(place: number): Life {
    const here = this.place(place);
    here.life ??= new Life(this, place, here.sql);
    return here.life;
  }

  /** Eviction and crash look alike to storage: what was committed stays, memory goes. */
  end(place: number, reason = 'evicted'): void {
    const here = this.place(place);
    here.life?.end(reason);
    here.life = null;
    if (reason !== 'evicted') for (const socket of here.sockets.splice(0)) socket.cut();
  }

  /** A socket for watches, open at once; false: nobody serves it there. */
  openWatch(number: number, socket: SimSocket): boolean {
    const life = this.life(number);
    const here = this.place(number);
    socket.attachTo({
      send: (run) => this.throughGate(life, () => this.world.schedule(1, run)),
      ask: (data) => {
        this.world.schedule(1, () => {
          if (here.sockets.includes(socket)) this.life(number).member.onWatchMessage(socket, data);
        });
      },
      left: () => {
        here.sockets = here.sockets.filter((one) => one !== socket);
      },
    });
    here.sockets.push(socket);
    return life.member.onWatch(socket);
  }

  socketsAt(number: number, life: Life): readonly SimSocket[] {
    const { sockets } = this.place(number);
    for (const socket of sockets)
      socket.sendThrough((run) => this.throughGate(life, () => this.world.schedule(1, run)));
    return sockets;
  }

  /** As the runtime does with an object that waits for nothing. Begins no life to find out. */
  evictResting(): void {
    for (const [place, { life }] of this.places) if (life?.member.status().atRest) this.end(place);
  }

  endAll(): void {
    for (const place of this.places.keys()) this.end(place);
  }

  /** As deleteAll() would: the place forgets that it ever was. */
  wipe(place: number): void {
    this.end(place, 'wiped');
    this.places.set(place, new Place());
  }

  status(place: number, withMetrics = false): MemberStatus {
    return this.life(place).member.status(withMetrics);
  }

  sql(place: number): NodeSql {
    return this.place(place).sql;
  }

  leader(): number | null {
    for (const [place, { life }] of this.places)
      if (life && life.member.status().role === 'leader') return place;
    return null;
  }

  /** What the router sends, to one member; settles in virtual time. */
  ask(
    place: number,
    op: MemberRequest['op'],
    options: Partial<MemberRequest> = {},
    from = 0,
  ): Promise<MemberReply> {
    const request = Object.assign(create(MemberRequestSchema), {
      protocol: protocolVersion,
      op,
      groupSize: this.size,
      mayPropose: true,
      timeoutMs: 5_000,
      ...options,
    });
    const body = toBinary(MemberRequestSchema, request);
    return this.deliver(from, place, 'client', body).then((bytes) =>
      fromBinary(MemberReplySchema, bytes),
    );
  }

  deliver(
    from: number,
    to: number,
    path: MemberPath,
    body: Uint8Array,
    hint: LocationHint | null = null,
  ): Promise<Uint8Array> {
    const envelope = path === 'peer' ? fromBinary(EnvelopeSchema, body) : null;
    const call = { from, to, path, envelope, ...(hint && { hint }) };
    this.traffic.push(call);
    return new Promise((resolve, reject) => {
      if (this.drop(call)) return;
      const way = this.latencyMs(from, to);
      const fail = (error: Error) => this.world.schedule(way, () => reject(error));
      if (this.refuse(call)) {
        this.world.schedule(way, () => fail(new Error('nothing runs there')));
        return;
      }
      this.world.schedule(way, () => {
        // What was on its way when the object ended begins no new life there either.
        if (this.refuse(call)) return fail(new Error('nothing runs there'));
        const life = this.life(to);
        life.inFlight.add(fail);
        this.handle(life, path, body).then(
          (answer) => {
            life.inFlight.delete(fail);
            if (path === 'peer')
              for (const { body } of fromBinary(EnvelopeSchema, answer).messages)
                this.responses.push(`${to}>${from} ${body.case}`);
            if (this.dropResponse(call)) return;
            this.throughGate(life, () => this.world.schedule(way, () => resolve(answer)));
          },
          (error) => fail(error),
        );
      });
    });
  }

  /** A life that has ended sends nothing any more, not even what it had decided. */
  throughGate(life: Life, send: () => void): void {
    const closedMs = life.durableAt - this.world.now;
    if (life.ended) return;
    if (closedMs <= 0) send();
    else this.world.schedule(closedMs, () => !life.ended && send());
  }

  private async handle(life: Life, path: MemberPath, body: Uint8Array): Promise<Uint8Array> {
    switch (path) {
      case 'client':
        return life.member.onClient(body);
      case 'peer':
        return life.member.onPeer(body);
      case 'birth':
        return life.member.onBirth(body);
    }
  }

  /** At least once, on whatever life there is then. */
  setAlarm(number: number, at: number | null): void {
    const place = this.place(number);
    if (place.alarm) place.alarm.cancelled = true;
    place.alarm = null;
    if (at === null) return;
    place.alarms.set.push(at - this.now(number));
    place.alarmAt = this.world.now + Math.max(0, at - this.now(number));
    place.alarm = this.world.schedule(at - this.now(number), () => {
      place.alarm = null;
      if (this.dropAlarm(number)) return;
      place.alarms.rung += 1;
      this.ring(number);
    });
  }

  /** The alarm may ring at any time, and more than once; a handler that throws is called again. */
  ring(number: number): void {
    try {
      this.life(number).member.onAlarm();
    } catch {
      this.setAlarm(number, this.now(number) + alarmRetryMs);
    }
  }

  /** How long until the alarm of a place rings; null: none is set. */
  alarmIn(number: number): number | null {
    const { alarm, alarmAt } = this.place(number);
    return alarm && alarmAt - this.world.now;
  }

  alarms(number: number): AlarmLog {
    return this.place(number).alarms;
  }

  /** The wall clock of a place: whole milliseconds, as the platform's. */
  now(number: number): number {
    return Math.floor(this.world.now + this.place(number).skewMs);
  }

  /** Sets the clock of a place ahead, or back. */
  skew(number: number, ms: number): void {
    this.place(number).skewMs = ms;
  }

  hasAlarm(number: number): boolean {
    return this.place(number).alarm !== null;
  }

  private place(number: number): Place {
    let place = this.places.get(number);
    if (!place) {
      place = new Place();
      this.places.set(number, place);
    }
    return place;
  }
}

function platformOf(cluster: Cluster, place: number, sql: NodeSql, life: Life): Platform {
  const { world } = cluster;
  return {
    tenant: 'sim',
    place,
    sql,
    preferredPlaces: cluster.preferredPlaces,
    settings: cluster.settings,
    setAlarm: (at) => {
      if (!life.ended) cluster.setAlarm(place, at);
    },
    transaction: (work) => {
      if (life.ended) throw new Error('an ended life wrote');
      sql.transaction(work);
      life.durableAt = Math.max(life.durableAt, world.now) + cluster.commitMs;
    },
    databaseBytes: () => sql.bytesInUse,
    wallTime: () => cluster.now(place),
    now: () => life.clock.now(),
    random: () => world.random(),
    randomId: () =>
      Math.floor(world.random() * 2 ** 52)
        .toString(16)
        .padStart(16, '0'),
    setTimer: (at) => {
      if (life.timer) life.timer.cancelled = true;
      life.timer = null;
      if (at === null || life.ended) return;
      life.timer = world.schedule(at - life.clock.now(), () => {
        life.timer = null;
        if (!life.ended) life.member.onTimer();
      });
    },
    yieldTurn: () => new Promise((resolve) => world.schedule(0, () => resolve())),
    call: (to, path, body, timeoutMs, hint) =>
      new Promise((resolve, reject) => {
        if (life.ended) return;
        const timeout = world.schedule(timeoutMs, () => reject(new Error('timeout')));
        const done =
          <T>(settle: (value: T) => void) =>
          (value: T) => {
            timeout.cancelled = true;
            if (!life.ended) settle(value);
          };
        cluster.throughGate(life, () => {
          cluster.deliver(place, to, path, body, hint).then(done(resolve), done(reject));
        });
      }),
    sockets: () => cluster.socketsAt(place, life),
    abort: (reason) => {
      cluster.aborts.push(`${place}: ${reason}`);
      cluster.end(place, reason);
    },
  };
}
