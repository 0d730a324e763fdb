/**
 * One change in the making: the rows of the next revision, written as its operations run.
 *
 * Every version it writes carries the new revision and no older one is touched, so a change that
 * cannot be finished is taken back by deleting exactly its rows (`undo`) and attaching again what it has
 * detached from leases. It becomes visible when the state machine raises the revision, which
 * happens in the same turn and SQL transaction.
 */
import { create } from '@bufbuild/protobuf';
import type { KeyValue } from '../api/gen/mvcc_pb.js';
import {
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  DeleteRangeResponseSchema,
  type PutRequest,
  type PutResponse,
} from '../api/gen/rpc_pb.js';
import { type Attachment, attach, detach } from './attachments.ts';
import { boundsOf } from './bounds.ts';
import { list, perChunk, runInChunks } from './bulk.ts';
import { header, keyValue, putResponse, type ReplyBudget } from './reply.ts';
import { type LiveVersion, readLive, readValue, Scan } from './scan.ts';
import type { SqlValue } from './sql.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { perSet } from './table-sets.ts';

const selectNewest = perSet(
  ({ index }) => `
  SELECT rev, sub, created, version, lease FROM ${index} WHERE key = ? ORDER BY rev DESC LIMIT 1`,
);
const insertIndex = perSet(({ index }) => `INSERT INTO ${index} VALUES (?, ?, ?, ?, ?, ?)`);
const replaceIndex = perSet(({ index }) => `REPLACE INTO ${index} VALUES (?, ?, ?, ?, ?, ?)`);
// An empty blob may be bound as NULL, which in kv_data means a tombstone.
const insertValue = perSet(({ data }) => `INSERT INTO ${data} VALUES (?, ?, ?, coalesce(?, x''))`);
const insertTombstone = perSet(({ data }) => `INSERT INTO ${data} VALUES (?, ?, ?, NULL)`);
const insertTombstoneIndex = perChunk(
  (rows, { index }) => `INSERT INTO ${index} VALUES ${list(rows, () => "(?, ?, ?, 0, 0, '')")}`,
);
const insertTombstones = perChunk(
  (rows, { data }) => `INSERT INTO ${data} VALUES ${list(rows, () => '(?, ?, ?, NULL)')}`,
);
const undoIndex = perSet(({ index }) => `DELETE FROM ${index} WHERE key = ? AND rev = ?`);
const undoData = perSet(({ data }) => `DELETE FROM ${data} WHERE rev = ?`);

/** What the commands of one log entry share. */
export interface EntryBudget {
  /** Rows of history that the entry may still add. */
  changesLeft: number;
  /** Bytes of replies that the entry may still make. */
  replyBytesLeft: number;
  /** Keys that compares and ranges of its transactions may still look at. */
  visitsLeft: number;
}

export class Change {
  private readonly store: Store;
  private readonly entry: EntryBudget;
  private readonly reply: ReplyBudget;
  /** The revision that is being made. */
  private readonly rev: number;
  private written = 0;
  /** Keys written so far, for `undo`; null when the caller can do without it. */
  private readonly undoable: Uint8Array[] | null;
  /** What it has detached from leases so far, for `undo`. */
  private readonly detached: Attachment[] = [];

  constructor(store: Store, entry: EntryBudget, reply: ReplyBudget, undoable: boolean) {
    this.store = store;
    this.entry = entry;
    this.reply = reply;
    this.rev = store.progress.revision + 1;
    this.undoable = undoable ? [] : null;
  }

  /** The newest revision that a read inside this change sees and reports. */
  get revision(): number {
    return this.written > 0 ? this.rev : this.rev - 1;
  }

  /** Refuses before it writes. The caller has made the static checks. */
  put(request: PutRequest): Outcome<PutResponse> {
    const { key, ignoreValue, ignoreLease } = request;
    const { sql } = this.store;
    const fault = checkLease(this.store, request);
    if (fault) return failure(fault);
    if (this.entry.changesLeft < 1) return failure(changesFault(this.store, this.entry));
    const newest = sql.first(selectNewest, key);
    const version = newest ? (newest[3] as number) : 0;
    if (version === 0 && (ignoreValue || ignoreLease)) return failure('KeyNotFound');
    let { value } = request;
    let prevKv: KeyValue | undefined;
    if (newest && version > 0 && (ignoreValue || request.prevKv)) {
      const previous = {
        key,
        rev: newest[0] as number,
        sub: newest[1] as number,
        created: newest[2] as number,
        version,
        lease: newest[4] as string,
        value: null,
      } satisfies LiveVersion;
      const oldValue = readValue(sql, previous.rev, previous.sub);
      if (ignoreValue) value = oldValue;
      if (request.prevKv) {
        if (!this.reply.takeRecord(key.length, oldValue.length)) return failure('ReplyTooLarge');
        prevKv = keyValue(previous, oldValue);
      }
    }
    const lease = ignoreLease ? (newest?.[4] as string) : leaseText(request.lease);
    const created = version > 0 ? (newest?.[2] as number) : this.rev;
    // A key that this change has already written keeps one index row: the last one counts.
    const write = newest?.[0] === this.rev ? replaceIndex : insertIndex;
    const sub = this.nextSub(key);
    sql.run(write, key, this.rev, sub, created, version + 1, lease);
    sql.run(insertValue, this.rev, sub, key, value);
    this.moveKey(key, version > 0 ? (newest?.[4] as string) : '', lease);
    return { ok: true, response: putResponse(this.rev, prevKv) };
  }

  /**
   * In pages: reads some keys, writes their tombstones, reads on. The caller has made sure that the
   * entry may change so many keys; running out here means that this change made some of them.
   */
  deleteRange(request: DeleteRangeRequest): Outcome<DeleteRangeResponse> {
    const prevKvs: KeyValue[] = [];
    if (request.prevKv) {
      // All previous values first: a reply that is too large is refused with nothing written.
      for (const version of this.live(request, true)) {
        const value = version.value as Uint8Array;
        if (!this.reply.takeRecord(version.key.length, value.length)) {
          return failure('ReplyTooLarge');
        }
        prevKvs.push(keyValue(version, value));
      }
    }
    let deleted = 0;
    for (const { key, rev, lease } of this.live(request, false)) {
      if (this.entry.changesLeft < 1) return failure('TooManyChanges');
      const write = rev === this.rev ? replaceIndex : insertIndex;
      const sub = this.nextSub(key);
      this.store.sql.run(write, key, this.rev, sub, 0, 0, '');
      this.store.sql.run(insertTombstone, this.rev, sub, key);
      this.moveKey(key, lease, '');
      deleted += 1;
    }
    const response = create(DeleteRangeResponseSchema, {
      header: header(this.revision),
      deleted: BigInt(deleted),
      prevKvs,
    });
    return { ok: true, response };
  }

  /**
   * Deletes keys that are known to exist, of a lease whose rows of attachments the caller deletes. At
   * most as many as the entry still may change, each once.
   */
  deleteKeys(keys: readonly Uint8Array[]): void {
    const { sql } = this.store;
    const rows = keys.map((key) => [key, this.rev, this.nextSub(key)]);
    runInChunks(sql, insertTombstoneIndex, rows);
    runInChunks(
      sql,
      insertTombstones,
      rows.map(([key, rev, sub]) => [rev, sub, key] as SqlValue[]),
    );
  }

  /** Takes back every row written so far. The change must not be used afterwards. */
  undo(): void {
    if (this.written === 0) return;
    if (!this.undoable) throw new Error('kv: a change that cannot be undone has failed');
    for (const key of this.undoable) this.store.sql.run(undoIndex, key, this.rev);
    this.store.sql.run(undoData, this.rev);
    // What it has attached itself may stay: the versions tell that it does not count.
    for (const attachment of this.detached) attach(this.store.sql, attachment);
    this.entry.changesLeft += this.written;
    this.written = 0;
  }

  private *live(request: DeleteRangeRequest, withValues: boolean): Generator<LiveVersion, void> {
    const { sql, limits } = this.store;
    const bounds = boundsOf(request.key, request.rangeEnd);
    if (bounds.single) {
      const version = readLive(sql, bounds.start, this.rev);
      if (version) yield version;
      return;
    }
    const scan = new Scan(sql, bounds, this.rev, limits.pages);
    while (!scan.done) {
      yield* withValues ? scan.valuePage(Number.POSITIVE_INFINITY) : scan.indexPage();
    }
  }

  private moveKey(key: Uint8Array, from: string, to: string): void {
    if (from === to) return;
    const { sql } = this.store;
    if (from !== '') {
      detach(sql, { lease: from, key });
      if (this.undoable) this.detached.push({ lease: from, key });
    }
    if (to !== '') attach(sql, { lease: to, key });
  }

  private nextSub(key: Uint8Array): number {
    this.undoable?.push(key);
    this.entry.changesLeft -= 1;
    return this.written++;
  }
}

/**
 * Too many changes for what the entry may still make. If other commands of the entry have used some
 * of it, the command might fit into another one: then it is worth trying again.
 */
export function changesFault(
  store: Store,
  entry: EntryBudget,
): 'TooManyChanges' | 'TooManyRequests' {
  return entry.changesLeft < store.limits.changes ? 'TooManyRequests' : 'TooManyChanges';
}

/** Any non-zero lease, a negative one too, must exist. */
export function checkLease(store: Store, { lease }: PutRequest): 'LeaseNotFound' | null {
  if (lease === 0n) return null;
  // One that is ending (ttl 0) exists for nobody.
  return (store.leases.find(lease)?.ttl ?? 0) > 0 ? null : 'LeaseNotFound';
}

function leaseText(lease: bigint): string {
  return lease === 0n ? '' : lease.toString();
}
