/**
 * The one alarm of a member: for repair, and as a keep-alive (design.md section 6).
 *
 * Repair: at rest with something unfinished (a member that did not answer, a tail that nobody has
 * resolved) it looks again at growing intervals, which survive this life. Keep-alive: the runtime
 * evicts an object that only sends, after about 70 s without an event, so a member that has had
 * work for a while gives itself one. At rest with nothing to repair there is no alarm.
 */
import { saveRepair } from './identity.ts';
import type { Platform } from './platform.ts';

const repairFirstMs = 60_000;
const repairMaxMs = 3_600_000;
/** Work of less than this needs no keep-alive. */
const workMs = 20_000;
const keepAliveMs = 25_000;

export interface Duties {
  /** Nothing is waited for here. */
  readonly atRest: boolean;
  readonly needsRepair: boolean;
}

export class Alarms {
  private readonly platform: Platform;
  private repairMs: number;
  /** When the alarm is set for; null: none that this life knows of. */
  private at: number | null = null;
  private workSince: number | null = null;
  /** The alarm is there to keep this life, and is too soon for anything else. */
  private isKeepAlive = false;

  constructor(platform: Platform, repairMs: number) {
    this.platform = platform;
    this.repairMs = repairMs;
  }

  /** It has rung: what it was set for is looked at again. */
  rung(): void {
    this.at = null;
  }

  /**
   * What begins now may outlive this life (a newcomer that has to get everything): if this life ends
   * in the middle, the alarm has the next one look at it.
   */
  expectLongWork(): void {
    if (this.at === null) this.set(this.platform.now() + repairFirstMs);
  }

  /** After each turn. */
  arrange({ atRest, needsRepair }: Duties): void {
    const now = this.platform.now();
    if (!atRest) {
      this.keepAlive(now);
      return;
    }
    this.workSince = null;
    if (needsRepair) this.planRepair(now);
    else this.nothingToDo();
  }

  private keepAlive(now: number): void {
    this.workSince ??= now;
    if (now - this.workSince < workMs) return;
    // Only ever moved later while it is ahead: an earlier alarm would hold up this turn's commit.
    if (this.at === null || this.at - now < keepAliveMs - workMs) {
      this.set(now + keepAliveMs);
      this.isKeepAlive = true;
    }
  }

  private planRepair(now: number): void {
    // As a repair alarm a keep-alive would begin the work again that has just been given up.
    if (this.at !== null && this.at > now && !this.isKeepAlive) return;
    this.repairMs = Math.min(repairMaxMs, Math.max(repairFirstMs, 2 * this.repairMs));
    this.platform.transaction(() => saveRepair(this.platform.sql, this.repairMs));
    this.set(now + this.repairMs);
  }

  private nothingToDo(): void {
    if (this.repairMs > 0) {
      this.repairMs = 0;
      this.platform.transaction(() => saveRepair(this.platform.sql, 0));
    }
    if (this.at !== null) this.set(null);
  }

  private set(at: number | null): void {
    this.at = at;
    this.isKeepAlive = false;
    this.platform.setAlarm(at);
  }
}
