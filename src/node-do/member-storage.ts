/**
 * The durable part of a turn: what the core's effects mean for the rows of a member.
 *
 * One transaction holds all of it (design.md section 4): hard state, a snapshot's chunks, the log, the
 * effects of committed entries, and whatever the turn leaves beside. A throw leaves the core ahead of
 * the disk, so it ends this life.
 */
import { rulesVersionOf } from '../kv/batch.ts';
import { type CommandResult, StateMachine } from '../kv/state-machine.ts';
import type {
  BootState,
  Chunk,
  Effects,
  Entry,
  LogIndex,
  SnapshotMeta,
  Term,
} from '../raft/types.ts';
import { Backups } from './backups.ts';
import type { Counters } from './counters.ts';
import { saveBoot } from './identity.ts';
import { LogStore } from './log-store.ts';
import type { CodeVersion, Platform } from './platform.ts';

/** What the commands of each applied entry have answered. */
export type Results = ReadonlyMap<LogIndex, readonly CommandResult[]>;

/** Sizes that no other member has to agree on; simulations make them small. */
export interface StorageLimits {
  readonly chunkBytesMax: number;
  readonly logAfterSnapshotMax: number;
  readonly keptEntries: number;
  readonly keptBytes: number;
  readonly entriesPerCheck: number;
  readonly entriesPerCut: number;
}

const defaultLimits: StorageLimits = {
  /** A chunk is read, sent and stored within one turn on each side. */
  chunkBytesMax: 256 * 1024,
  /** A snapshot behind which the log has grown by so much is given up. */
  logAfterSnapshotMax: 256 * 1024 * 1024,
  /** The log is cut back to what is to be kept when it has twice as much. */
  keptEntries: 2_048,
  keptBytes: 8 * 1024 * 1024,
  entriesPerCheck: 16,
  /** Rows that one turn deletes at most. */
  entriesPerCut: 4_096,
};

/** Beside its data, about. */
const bytesPerLogRow = 32;

export class MemberStorage {
  readonly machine: StateMachine;
  readonly log: LogStore;
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly boot: number;
  private readonly newestRules: number;
  private readonly limits: StorageLimits;
  private bootSaved = false;
  private cutCheckedAt = 0;
  /** Set when a committed entry needs a rules version that this code does not know. */
  private unknownVersion: number | null = null;
  /** The rules version of the last entry in the log that has one; 0: none is known. */
  private tailVersion: number;

  constructor(
    platform: Platform,
    counters: Counters,
    code: CodeVersion,
    boot: number,
    limits: Partial<StorageLimits> = {},
  ) {
    this.platform = platform;
    this.limits = { ...defaultLimits, ...limits };
    this.counters = counters;
    this.boot = boot;
    this.newestRules = code.rules;
    this.machine = StateMachine.open(platform.sql, {}, code.rules);
    this.log = new LogStore(platform.sql);
    this.tailVersion = this.readTailVersion();
  }

  newBackups(): Backups {
    const { chunkBytesMax, logAfterSnapshotMax: logGrowthMax } = this.limits;
    const limits = { chunkBytesMax, logGrowthMax };
    const { platform, counters, machine, log } = this;
    return new Backups(platform, counters, machine.backups, limits, () => log.bytesEver);
  }

  bootState(): BootState {
    const { receiving } = this.machine;
    return {
      ...this.log.boot(),
      applied: this.machine.appliedIndex,
      receiving: receiving && { id: receiving.id, cursor: receiving.cursor ?? '' },
      canApply: this.canApply,
    };
  }

  /**
   * Versions in a log never fall, so its last entry tells for all; and who leads must not write a
   * lower one than its state has, so it has to know that one too (consensus-rules.md 8).
   */
  get canApply(): boolean {
    return this.unknownVersion === null && this.rulesFloor <= this.newestRules;
  }

  /** False once something committed could not be applied: what is read here would be old. */
  get canServe(): boolean {
    return this.unknownVersion === null;
  }

  /** Below this version a leader must not write: its log, or its state, has it already. */
  get rulesFloor(): number {
    return Math.max(1, this.machine.rulesVersion, this.tailVersion);
  }

  /** `beside` is what else the turn has to write; null: nothing. `onApplied` goes with what is applied. */
  carryOut(effects: Effects, beside: (() => void) | null, onApplied: () => void): Results {
    const results = new Map<LogIndex, readonly CommandResult[]>();
    const savesBoot = !this.bootSaved && (effects.messages.length > 0 || effects.append.length > 0);
    if (!savesBoot && !beside && !this.writes(effects)) return results;
    this.platform.transaction(() => {
      // A boot number is durable before the first message of its life.
      if (savesBoot) saveBoot(this.platform.sql, this.boot);
      if (effects.abandonReception) this.machine.abandonReceive();
      this.receive(effects);
      this.log.persist(effects, this.platform.wallTime());
      this.apply(effects.committed, results);
      onApplied();
      if (effects.closeSnapshot) this.closeSnapshot();
      beside?.();
    });
    if (savesBoot) this.bootSaved = true;
    this.judgeTail(effects);
    this.counters.commits += 1;
    return results;
  }

  private writes(effects: Effects): boolean {
    const { hardState, chunks, truncateFrom, append, committed, closeSnapshot } = effects;
    const applies = committed.length > 0 && this.unknownVersion === null;
    const changesLog = truncateFrom !== null || append.length > 0;
    if (effects.abandonReception) return true;
    return hardState !== null || chunks.length > 0 || changesLog || applies || closeSnapshot;
  }

  private receive({ chunks }: Effects): void {
    for (const { id, first, data, next, install } of chunks) {
      const { machine } = this;
      const ready = !first || machine.beginReceive(id);
      const cursor = machine.receiving?.cursor ?? '';
      const receipt = ready ? machine.receiveChunk(id, cursor, data, next) : 'not ready';
      if (receipt !== 'received') throw new Error(`chunk of snapshot ${id}: ${receipt}`);
      if (!install) continue;
      machine.install();
      this.log.reset(install);
      this.log.forgetSnapshot();
      const { rulesVersion } = machine;
      this.unknownVersion = rulesVersion > this.newestRules ? rulesVersion : null;
    }
  }

  private apply(entries: readonly Entry[], results: Map<LogIndex, readonly CommandResult[]>): void {
    if (this.unknownVersion !== null) return;
    for (const { index, payload } of entries) {
      const data = payload.type === 'data' ? payload.data : new Uint8Array();
      const outcome = this.machine.apply(index, data);
      if (!outcome.ok) {
        this.unknownVersion = outcome.unknownVersion;
        break;
      }
      results.set(index, outcome.results);
      this.counters.entriesApplied += 1;
    }
    this.machine.saveProgress();
  }

  private judgeTail({ append, truncateFrom, chunks }: Effects): void {
    const last = append.findLast(({ payload }) => payload.type === 'data')?.payload;
    if (last?.type === 'data') this.tailVersion = rulesVersionOf(last.data);
    else if (truncateFrom !== null || chunks.length > 0) this.tailVersion = this.readTailVersion();
  }

  private readTailVersion(): number {
    const data = this.log.lastData(this.machine.appliedIndex + 1);
    return data ? rulesVersionOf(data) : 0;
  }

  /** Whether the first chunk of a snapshot could be stored now: nothing is left of another one. */
  get canReceive(): boolean {
    return this.machine.canReceive;
  }

  /** A snapshot of what is applied now. */
  openSnapshot(id: string, term: Term): SnapshotMeta {
    const index = this.machine.appliedIndex;
    const meta = { id, index, term, configuration: this.log.configurationAt(index) };
    this.platform.transaction(() => {
      this.closeSnapshot();
      this.machine.openSnapshot(id);
      this.log.saveSnapshot(meta);
    });
    this.counters.commits += 1;
    return meta;
  }

  private closeSnapshot(): void {
    this.machine.closeSnapshot();
    this.log.forgetSnapshot();
  }

  /** The log after an open snapshot stays, and so do old versions: bounded, as its age is. */
  isSnapshotTooOld(lastIndex: LogIndex): boolean {
    const { snapshot } = this.machine;
    const { entriesPerCheck, logAfterSnapshotMax } = this.limits;
    if (!snapshot || lastIndex < this.cutCheckedAt + entriesPerCheck) return false;
    return this.log.bytesAfter(snapshot.appliedIndex) > logAfterSnapshotMax;
  }

  /** null: the snapshot is not open any more. */
  readChunk(id: string, cursor: string): Chunk | null {
    return this.machine.readChunk(id, cursor, this.limits.chunkBytesMax);
  }

  /**
   * What the quota counts: the database without the log, which is bounded by itself. About that: a page
   * that both have rows in is nobody's.
   */
  stateBytes(entries: number): number {
    const logBytes = this.log.bytes() + entries * bytesPerLogRow;
    return Math.max(0, this.platform.databaseBytes() - logBytes);
  }

  /** Up to where the log may be forgotten as far as its size goes; null: it is small enough. */
  wantsCutTo(firstIndex: LogIndex, lastIndex: LogIndex): LogIndex | null {
    const { entriesPerCheck, entriesPerCut, keptBytes, keptEntries } = this.limits;
    // Looking costs two rows, so not in every turn.
    if (lastIndex < this.cutCheckedAt + entriesPerCheck && lastIndex >= this.cutCheckedAt)
      return null;
    this.cutCheckedAt = lastIndex;
    const { appliedIndex } = this.machine;
    const count = lastIndex - firstIndex + 1;
    if (count <= 2 * keptEntries && this.log.bytesAfter(firstIndex - 1) <= 2 * keptBytes)
      return null;
    const byCount = lastIndex - keptEntries;
    // By bytes: half of what is applied, so that a few cuts come close without a search.
    const byBytes = firstIndex + Math.floor((appliedIndex - firstIndex) / 2);
    const target = count > 2 * keptEntries ? byCount : byBytes;
    return Math.min(target, appliedIndex, firstIndex - 1 + entriesPerCut);
  }

  cutLog(start: BootState['logStart']): void {
    this.platform.transaction(() => this.log.compact(start));
    this.counters.commits += 1;
  }
}
