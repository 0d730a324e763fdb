/**
 * The one alarm of a member: for repair, for leases, and as a keep-alive (design.md section 6).
 *
 * Repair: at rest with something unfinished (a member that did not answer, a tail that nobody has
 * resolved) it looks again at growing intervals, which survive this life. Leases: the leader wakes
 * when the first one ends, everybody else to see whether somebody does (lease-watchdog.ts).
 * Keep-alive: the runtime evicts an object that only sends, after about 70 s without an event, so a
 * member that has had work for a while gives itself one. With nothing to come there is no alarm.
 *
 * An alarm that is set already and rings earlier serves too: it only has another look taken. So what
 * moves later (a lease that is kept alive) costs nothing, and nothing but a grant, which is a new
 * thing to wait for, moves an alarm earlier on the way of a write.
 */
import { type AlarmPlan, savePlan } from './identity.ts';
import type { Platform } from './platform.ts';

const repairFirstMs = 60_000;
const repairMaxMs = 3_600_000;
/** Work of less than this needs no keep-alive. */
const workMs = 20_000;
const keepAliveMs = 25_000;
/** A watchdog that has got no answer; doubles up to the maximum. */
const watchFirstMs = 10_000;
const watchMaxMs = 3_600_000;
/** If the life in which the watchdog asks ends before it has an answer. */
const watchAgainMs = 60_000;

export interface Duties {
  /** Nothing is waited for here. */
  readonly atRest: boolean;
  readonly needsRepair: boolean;
  /** At the leader: when the first lease ends. null: no lease. Undefined: this is not the leader. */
  readonly leaseEndsAt: number | null | undefined;
}

/** What an alarm is for. */
export interface Rung {
  readonly repair: boolean;
  readonly keepAlive: boolean;
  readonly watch: boolean;
}

export class Alarms {
  private readonly platform: Platform;
  private plan: AlarmPlan;
  /** As it is durable. */
  private saved: AlarmPlan;
  /** When the alarm is set for, or earlier; null: none that this life knows of. */
  private at: number | null;
  /** The same in the time of this life: a clock that is set back does not put off that it has failed to ring. */
  private ringsBy = 0;
  private workSince: number | null = null;
  private keepAliveAt: number | null = null;
  /** This life has tried what was to be repaired. */
  private repairTried = false;
  /** While the watchdog asks: when it is to ring again if this life ends meanwhile. */
  private asksAgainAt: number | null = null;
  /** What the alarm is set for has come about already. */
  private isForNothing = false;

  constructor(platform: Platform, plan: AlarmPlan) {
    this.platform = platform;
    this.plan = plan;
    this.saved = plan;
    // Plan and alarm became durable together: what is still ahead need not be set again by each life.
    const now = platform.wallTime();
    const isAhead = [plan.repairAt, plan.watchAt].filter((at) => at > now);
    this.at = isAhead.length > 0 ? Math.min(...isAhead) : null;
    this.expect();
  }

  /** It has rung, maybe early or for nothing: what is due? */
  rung(): Rung {
    const now = this.platform.wallTime();
    const { watchAt } = this.plan;
    const repair = isPast(this.repairAt(now), now);
    const keepAlive = isPast(this.keepAliveAt, now);
    this.at = null;
    if (keepAlive) this.keepAliveAt = null;
    this.repairTried ||= repair;
    // Its clock was set ahead, say: what is past would ring at once, for as long as this life asks.
    if (isPast(this.asksAgainAt, now)) this.asksAgainAt = now + watchAgainMs;
    const watch = watchAt > 0 && watchAt <= now && this.asksAgainAt === null;
    return { repair, keepAlive, watch };
  }

  /**
   * What begins now may outlive this life (a newcomer that has to get everything): if this life ends
   * in the middle, the alarm has the next one look at it.
   */
  expectLongWork(): void {
    if (this.plan.repairAt === 0)
      this.change({ repairAt: this.platform.wallTime() + repairFirstMs });
  }

  get isWatching(): boolean {
    return this.plan.watchAt > 0;
  }

  /** The watchdog looks at `at`, or earlier if it was to. */
  watchFrom(at: number): void {
    const { watchAt } = this.plan;
    if (watchAt === 0 || at < watchAt) this.change({ watchAt: at });
  }

  /** The watchdog asks. Nothing is written before it has an answer. */
  watchAsks(): void {
    this.asksAgainAt = this.platform.wallTime() + watchAgainMs;
  }

  /** A leader has said when to look next; null: it has no lease, and there is nothing to watch. */
  watchNext(at: number | null): void {
    this.watchAsked();
    this.change({ watchMs: 0, watchAt: at ?? 0 });
  }

  /** Nobody has: the interval grows (consensus-rules.md 14). */
  watchUnanswered(): void {
    const watchMs = Math.min(watchMaxMs, Math.max(watchFirstMs, 2 * this.plan.watchMs));
    this.watchAsked();
    this.change({ watchMs, watchAt: this.platform.wallTime() + watchMs });
  }

  private watchAsked(): void {
    this.isForNothing = this.at === this.asksAgainAt;
    this.asksAgainAt = null;
  }

  /** Within a transaction: what has changed in the plan. */
  save(): void {
    if (this.plan === this.saved) return;
    savePlan(this.platform.sql, this.plan);
    this.saved = this.plan;
  }

  /** After each turn. */
  arrange({ atRest, needsRepair, leaseEndsAt }: Duties): void {
    const now = this.platform.wallTime();
    this.planKeepAlive(atRest, now);
    this.planRepair(atRest, needsRepair, now);
    if (this.plan !== this.saved) this.platform.transaction(() => this.save());
    const watchAt = this.asksAgainAt ?? (this.plan.watchAt || null);
    const leaseAt = leaseEndsAt === undefined ? watchAt : leaseEndsAt;
    this.wait(earliest(leaseAt, earliest(this.keepAliveAt, this.repairAt(now))), now);
  }

  private planKeepAlive(atRest: boolean, now: number): void {
    if (atRest) {
      this.workSince = null;
      this.keepAliveAt = null;
      return;
    }
    this.workSince ??= now;
    if (now - this.workSince >= workMs) this.keepAliveAt ??= now + keepAliveMs;
  }

  private planRepair(atRest: boolean, needsRepair: boolean, now: number): void {
    // Whoever works tries to reach everybody.
    if (!atRest) this.repairTried = true;
    else if (needsRepair && this.repairAt(now) === null) {
      const repairMs = Math.min(repairMaxMs, Math.max(repairFirstMs, 2 * this.plan.repairMs));
      this.change({ repairMs, repairAt: now + repairMs });
      this.repairTried = false;
    } else if (!needsRepair && this.repairTried) this.change({ repairMs: 0, repairAt: 0 });
  }

  /** null: it is not planned, or was tried at its time. */
  private repairAt(now: number): number | null {
    const { repairAt } = this.plan;
    return repairAt === 0 || (repairAt <= now && this.repairTried) ? null : repairAt;
  }

  private wait(until: number | null, now: number): void {
    const { at } = this;
    if (until === null) {
      if (at !== null) this.set(null);
    } else if (at === null || until < at || this.isForNothing || (this.isMissed && until > now))
      this.set(until);
  }

  /** It was to have rung by now: the platform has dropped it. */
  private get isMissed(): boolean {
    return this.ringsBy <= this.platform.now();
  }

  private expect(): void {
    const { at, platform } = this;
    if (at !== null) this.ringsBy = platform.now() + at - platform.wallTime();
  }

  private change(fields: Partial<AlarmPlan>): void {
    const plan = { ...this.plan, ...fields };
    const names = Object.keys(fields) as (keyof AlarmPlan)[];
    if (names.some((name) => plan[name] !== this.plan[name])) this.plan = plan;
  }

  private set(at: number | null): void {
    this.at = at;
    this.expect();
    this.isForNothing = false;
    this.platform.setAlarm(at);
  }
}

function isPast(at: number | null, now: number): boolean {
  return at !== null && at <= now;
}

function earliest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}
