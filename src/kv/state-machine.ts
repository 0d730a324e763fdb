/**
 * The replicated state machine: etcd's keys, revisions and transactions on SQLite.
 *
 * A pure function of (state, entry): members that apply the same entries hold the same rows and
 * give the same results, however the entries are spread over turns and lives. Apply never fails; an
 * expected error is a result. It opens no transaction: the host wraps a turn in one, calls
 * `saveProgress` at its end, and drops this object together with the transaction when one throws.
 */
import { checkRange, checkTxn, isReadOnlyTxn } from '../api/checks.ts';
import type { EtcdErrorName } from '../api/errors.ts';
import type { MemberRecord } from '../api/gen/command_pb.js';
import type { RangeRequest, RangeResponse, TxnRequest, TxnResponse } from '../api/gen/rpc_pb.js';
import { Alarms } from './alarms.ts';
import { applyCommands, type CommandResult } from './apply.ts';
import { attachedKeys } from './attachments.ts';
import { Auth } from './auth/auth.ts';
import type { Needs } from './auth/needs.ts';
import { type Caller, permit } from './auth/permit.ts';
import { currentRulesVersion, decodeBatch } from './batch.ts';
import type { Bounds } from './bounds.ts';
import { compactionPending, compactStep } from './compaction.ts';
import { downgradeRefusal } from './downgrade.ts';
import { type Change, type ChangePage, changePage, encodeEvent, previousOf } from './events.ts';
import { logicalHash } from './hash.ts';
import type { Position } from './history.ts';
import { type HashedHistory, type HashedKeys, historyHash, keysHash } from './keys-hash.ts';
import { type Lease, type LeaseChanges, Leases } from './leases.ts';
import { memberRecords } from './members.ts';
import { OpenSnapshots } from './open-snapshots.ts';
import { rangeAt, unboundedVisits } from './range.ts';
import { type Receipt, type Receiving, Reception } from './reception.ts';
import { Records } from './records.ts';
import { header, ReplyBudget } from './reply.ts';
import {
  createTables,
  dropTables,
  loadStored,
  type Progress,
  storeProgress,
  tablesExist,
} from './schema.ts';
import { type Chunk, type SnapshotMeta, SnapshotSource } from './snapshot.ts';
import type { Sql } from './sql.ts';
import { defaultLimits, failure, type Limits, type Outcome, type Store } from './store.ts';
import { SetSql } from './table-sets.ts';
import { checkPath, decide, executeRead } from './txn.ts';

export type { CommandResponse, CommandResult } from './apply.ts';
export type { Lease, LeaseChanges } from './leases.ts';
export type RangeResult = Outcome<RangeResponse>;
export type TxnResult = Outcome<TxnResponse>;

export type Applied =
  | { readonly ok: true; readonly results: readonly CommandResult[] }
  /** The entry needs newer code. Nothing was applied, and nothing after it may be. */
  | { readonly ok: false; readonly unknownVersion: number };

/** Rows of kv_snapshot. */
const memberSlot = 1;
const backupSlots = [2, 3, 4, 5] as const;

export class StateMachine {
  private readonly store: Store;
  private readonly source: SnapshotSource;
  /** Snapshots for clients (docs/decisions/backup.md), each open or not: as many as may be at a time. */
  readonly backups: readonly SnapshotSource[];
  private readonly reception: Reception;
  private readonly newestRules: number;
  private saved: Progress;

  private constructor(store: Store, newestRules: number) {
    this.store = store;
    this.newestRules = newestRules;
    this.source = new SnapshotSource(store, memberSlot);
    this.backups = backupSlots.map((slot) => new SnapshotSource(store, slot));
    this.reception = new Reception(store);
    this.saved = { ...store.progress };
  }

  /** Whether `create` has ever been called here. Reads only. */
  static exists(sql: Sql): boolean {
    return tablesExist(sql);
  }

  /** The empty state: revision 1, nothing applied. */
  static create(sql: Sql): void {
    createTables(sql);
  }

  /** Forgets the state, so that `create` can begin another one. */
  static destroy(sql: Sql): void {
    dropTables(sql);
  }

  /** Reads a few rows and writes nothing. Throws when the storage was written by newer code. */
  static open(
    sql: Sql,
    limits: Partial<Limits> = {},
    rulesVersion = currentRulesVersion,
  ): StateMachine {
    const { progress, activeSet } = loadStored(sql);
    const setSql = new SetSql(sql, activeSet);
    const snapshots = new OpenSnapshots();
    const records = new Records(setSql, snapshots);
    const store = {
      sql: setSql,
      leases: new Leases(setSql, snapshots),
      records,
      snapshots,
      auth: new Auth(records, progress),
      alarms: new Alarms(records),
      progress,
      limits: { ...defaultLimits, ...limits },
    };
    return new StateMachine(store, rulesVersion);
  }

  /** Version of the rules of the last entry applied; 0 before the first. */
  get rulesVersion(): number {
    return this.store.progress.rulesVersion;
  }

  get appliedIndex(): number {
    return this.store.progress.appliedIndex;
  }

  get revision(): number {
    return this.store.progress.revision;
  }

  /** -1 before the first compaction. */
  get compactRevision(): number {
    return this.store.progress.compactRevision;
  }

  /**
   * Applies the entry at `index`, the one after `appliedIndex`. `data` is an encoded EntryBatch;
   * empty for an entry that carries no commands (a new leader's, a change of membership).
   */
  apply(index: number, data: Uint8Array): Applied {
    const { progress } = this.store;
    if (index !== progress.appliedIndex + 1) {
      throw new Error(`kv: entry ${index} does not follow ${progress.appliedIndex}`);
    }
    let results: readonly CommandResult[] = [];
    if (data.length > 0) {
      const batch = decodeBatch(data);
      const { rulesVersion } = batch;
      if (rulesVersion < 1 || rulesVersion > this.newestRules)
        return { ok: false, unknownVersion: rulesVersion };
      progress.rulesVersion = rulesVersion;
      results = applyCommands(this.store, batch, index);
    }
    progress.appliedIndex = index;
    return { ok: true, results };
  }

  /** Writes the row of progress if anything has moved. Once per turn, in its transaction. */
  saveProgress(): void {
    const { sql, progress } = this.store;
    if (!moved(this.saved, progress)) return;
    storeProgress(sql.common, progress);
    this.saved = { ...progress };
  }

  /**
   * Reads at the revision at which the first step runs. Yields between pages; whoever drives it may
   * apply entries and compact in between. Simply dropping it is fine. Without count, the count is
   * that of the keys that had to be read anyway, and a page of many keys costs a page.
   */
  *range(request: RangeRequest, withCount = true): Generator<void, RangeResult> {
    const fault = checkRange(request);
    if (fault) return failure(fault);
    const { limits, progress } = this.store;
    const reply = new ReplyBudget(limits.replyBytes);
    const { store } = this;
    const visits = unboundedVisits();
    return yield* rangeAt(store, request, progress.revision, reply, visits, withCount);
  }

  /** A transaction that only reads, without a log entry; all of it at one revision, like `range`. */
  *readTxn(request: TxnRequest): Generator<void, TxnResult> {
    const fault = checkTxn(request);
    if (fault) return failure(fault);
    if (!isReadOnlyTxn(request)) throw new Error('kv: readTxn was given one that writes');
    const { store } = this;
    const rev = store.progress.revision;
    const path = yield* decide(store, request, rev, unboundedVisits());
    if (path === 'TooManyVisits') return failure(path);
    // The compares looked at this revision: was it all there until now?
    if (rev < store.progress.compactRevision) return failure('Compacted');
    const refused = checkPath(store, path);
    if (refused) return failure(refused);
    const reply = new ReplyBudget(store.limits.replyBytes);
    const outcome = yield* executeRead(store, path, rev, reply);
    if (outcome.ok) outcome.response.header = header(rev);
    return outcome;
  }

  /** Users and roles, for whoever tells of them. */
  get auth(): Auth {
    return this.store.auth;
  }

  get alarms(): Alarms {
    return this.store.alarms;
  }

  /** Whether going back to this version could be announced now; null: it could. */
  downgradeRefusal(version: string): EtcdErrorName | null {
    return downgradeRefusal(this.store, version);
  }

  /** Null: this caller may, in the state as it is; nobody is a caller of his own kind. */
  permit(caller: Caller | null, needs: Needs): EtcdErrorName | null {
    return permit(this.store, caller, needs, { visitsLeft: this.store.limits.visits });
  }

  /** What is known of members beside the Raft configuration, by id. */
  get members(): ReadonlyMap<bigint, MemberRecord> {
    return memberRecords(this.store.records);
  }

  /** Rises with every change of a small record in this life. */
  get recordChanges(): number {
    return this.store.records.changeCount;
  }

  /** null: it is not there. */
  lease(id: bigint): Lease | null {
    return this.store.leases.find(id);
  }

  /** Every lease is on one page: `after` is the last id of the page before, null for the first. */
  leasePage(after: bigint | null, limit: number): Lease[] {
    return this.store.leases.page(after, limit);
  }

  /**
   * The keys that are attached to it, in their order; all of them in memory. Yields between pages, and
   * a page is of the moment at which it is read.
   */
  *leaseKeys(id: bigint): Generator<void, Uint8Array[]> {
    const keys: Uint8Array[] = [];
    let isFirst = true;
    for (const page of attachedKeys(this.store.sql, id.toString())) {
      if (!isFirst) yield;
      isFirst = false;
      for (const key of page) keys.push(key);
    }
    return keys;
  }

  /** What has become of the leases since the last call in this life; of the lives before nothing. */
  takeLeaseChanges(): LeaseChanges {
    return this.store.leases.takeChanges();
  }

  /** Changes after a place of the history up to revision `to` (events.ts). */
  changes(after: Position, to: number, bytesMax: number, bounds: Bounds | null = null): ChangePage {
    return changePage(this.store, after, to, bytesMax, bounds);
  }

  /** A change as an encoded mvccpb.Event. */
  event(change: Change, withPrevious: boolean): Uint8Array {
    return encodeEvent(change, withPrevious ? previousOf(this.store, change) : undefined);
  }

  /** The same on members that hold the same logical state: see hash.ts. Yields between pages. */
  logicalHash(): Generator<void, string> {
    return logicalHash(this.store);
  }

  /** Of the keys at `revision` (0: the present one): see keys-hash.ts. Yields between pages. */
  keysHash(revision: bigint): Generator<void, Outcome<HashedKeys>> {
    return keysHash(this.store, revision);
  }

  /** Of the history up to `revision`: see keys-hash.ts. Yields between pages. */
  historyHash(revision: number): Generator<void, Outcome<HashedHistory>> {
    return historyHash(this.store, revision);
  }

  /**
   * Whether rows that nobody reads any more may go: versions below the compact revision, leases and
   * records that only snapshots still needed. Not while one is open.
   */
  compactionPending(): boolean {
    const { leases, records, progress } = this.store;
    const isSwept = !leases.sweepPending && !records.sweepPending;
    return !this.store.snapshots.any && (compactionPending(progress) || !isSwept);
  }

  /** Deletes up to about `maxRows` rows; returns how many. Then call `saveProgress`. */
  compactStep(maxRows: number): number {
    if (!this.compactionPending()) return 0;
    const { leases, records } = this.store;
    if (leases.sweepPending) return leases.sweep(maxRows);
    return records.sweepPending ? records.sweep(maxRows) : compactStep(this.store, maxRows);
  }

  /** The one that is open here for another member, also if an earlier life opened it. */
  get snapshot(): SnapshotMeta | null {
    return this.source.open;
  }

  /** Fixes a snapshot of what is applied now, in one row. Throws while another is open. */
  openSnapshot(id: string): SnapshotMeta {
    return this.source.begin(id);
  }

  /**
   * The chunk at `cursor` ('' for the first), any number of times: at most `maxBytes`, or one
   * version if that alone is larger. null: this snapshot is not open, or the cursor is not one of ours.
   */
  readChunk(id: string, cursor: string, maxBytes: number): Chunk | null {
    return this.source.read(id, cursor, maxBytes);
  }

  /** Does nothing when none is open. Physical compaction may go on afterwards. */
  closeSnapshot(): void {
    this.source.end();
  }

  /** The snapshot that is being received here, also if an earlier life began. */
  get receiving(): Receiving | null {
    return this.reception.current;
  }

  /** Whether `beginReceive` would begin one: none is being received, and its tables are empty. */
  get canReceive(): boolean {
    return this.reception.canBegin;
  }

  /**
   * True: chunks of `id` are expected, from `receiving.cursor` on. False: the tables are not empty,
   * `clearStep` first. A reception of another snapshot is abandoned either way.
   */
  beginReceive(id: string): boolean {
    return this.reception.begin(id);
  }

  /**
   * Writes the chunk that `readChunk` made at `cursor` into tables that nobody reads, and remembers
   * `next`. Only what is 'received' was written.
   */
  receiveChunk(id: string, cursor: string, data: Uint8Array, next: string | null): Receipt {
    return this.reception.receive(id, cursor, data, next);
  }

  /** All chunks are here: of a snapshot whose chunks were received with the next one's cursor each. */
  completeReceive(): void {
    this.reception.complete();
  }

  /** Does nothing when none is being received. What it leaves is to be cleared. */
  abandonReceive(): void {
    this.reception.abandon();
  }

  /**
   * Makes the snapshot, all of which has been received, the state. It must be ahead of what is applied
   * here. Snapshots that are open here end; reads that are under way go on in the new state. With `bump`
   * the revision becomes higher by so much, and what is below counts as compacted.
   */
  install(bump = 0): void {
    for (const source of [this.source, ...this.backups]) source.end();
    Object.assign(this.store.progress, this.reception.install(bump));
    this.store.leases.installed();
    this.store.records.installed();
    this.saved = { ...this.store.progress };
  }

  /** Whether there are rows of an earlier state or of an abandoned reception. */
  clearPending(): boolean {
    return this.reception.clearPending;
  }

  /** Deletes up to about `maxRows` of them; returns how many at most. Needs no `saveProgress`. */
  clearStep(maxRows: number): number {
    return this.reception.clearStep(maxRows);
  }
}

function moved(before: Progress, now: Progress): boolean {
  return (
    before.appliedIndex !== now.appliedIndex ||
    before.compactRevision !== now.compactRevision ||
    before.purgedRevision !== now.purgedRevision ||
    before.scanRevision !== now.scanRevision ||
    before.scanSub !== now.scanSub
  );
}
