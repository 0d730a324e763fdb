/**
 * The sender's side of a snapshot: a view of the state machine as it was when it was opened, read in
 * chunks. Opening it writes one row and copies nothing: the versions up to its revision never change,
 * and while it is open none is deleted; a lease that ends and a user that changes keep their rows, and
 * no answer goes. So every chunk can be made again at any time, by any life.
 *
 * Several may be open, each in a slot of its own: one for another member, the others for clients.
 */
import type { SnapshotHeader, SnapshotVersion } from '../api/gen/snapshot_pb.js';
import { beginning, historyPage, type Position } from './history.ts';
import type { LeasePosition } from './leases.ts';
import { type OnceRecord, oncePage } from './once.ts';
import type { RecordPosition, StateRecord } from './records.ts';
import {
  decodeHeader,
  encodeChunk,
  encodeHeader,
  encodeRecordChunk,
  formats,
  headerBytesMax,
  headerOf,
  leaseBytesMax,
  onceOverheadBytes,
  recordOverheadBytes,
  versionOf,
  versionOverheadBytes,
} from './snapshot-format.ts';
import type { Store } from './store.ts';

/** The state after the entry at `appliedIndex`. */
export interface SnapshotMeta {
  readonly id: string;
  readonly appliedIndex: number;
  readonly revision: number;
}

export interface Chunk {
  readonly data: Uint8Array;
  /** The cursor of the chunk that follows; null: this is the last one. */
  readonly next: string | null;
}

/** Versions and leases, however small: each costs a seek here, and rows where it is received. */
export const recordsPerChunkMax = 1_000;

const selectSnapshot = 'SELECT id, header FROM kv_snapshot WHERE one = ?';
const insertSnapshot = 'INSERT INTO kv_snapshot VALUES (?, ?, ?)';
const deleteSnapshot = 'DELETE FROM kv_snapshot WHERE one = ?';
/** Its last column: whether the key was attached to the lease of this version. */
const selectVersions = historyPage(
  (index) => `, CASE WHEN i.lease <> '' THEN NOT EXISTS (
    SELECT 1 FROM ${index} n WHERE n.key = d.key AND n.rev > d.rev AND n.rev <= ?3) END`,
);

/** Each may have a result of some kilobytes, and the page is read whole. */
const oncesPerChunkMax = 250;
const recordsPerPageMax = 250;

const firstLease: LeasePosition = { id: '', grant: 0 };
const firstRecord: RecordPosition = { kind: -1, name: '', since: 0 };

export class SnapshotSource {
  private readonly store: Store;
  private readonly slot: number;
  private header: SnapshotHeader | null = null;
  private meta: SnapshotMeta | null = null;

  constructor(store: Store, slot: number) {
    this.store = store;
    this.slot = slot;
    const row = store.sql.common.first(selectSnapshot, slot);
    if (row) this.remember(row[0] as string, decodeHeader(row[1] as Uint8Array));
  }

  get open(): SnapshotMeta | null {
    return this.meta;
  }

  /** Fixes the view at what is applied now. One at a time in a slot: closing the other is the caller's. */
  begin(id: string): SnapshotMeta {
    if (this.meta) throw new Error(`kv: snapshot ${this.meta.id} is still open`);
    const header = headerOf(this.store.progress);
    this.store.sql.common.run(insertSnapshot, this.slot, id, encodeHeader(header));
    return this.remember(id, header);
  }

  end(): void {
    if (!this.meta) return;
    this.store.sql.common.run(deleteSnapshot, this.slot);
    this.meta = null;
    this.header = null;
    this.store.snapshots.set(this.slot, null);
  }

  read(id: string, cursor: string, maxBytes: number): Chunk | null {
    const { meta, header } = this;
    const after = cursor === '' ? beginning : parseCursor(cursor);
    if (!meta || !header || meta.id !== id || !after) return null;
    const first = cursor === '' ? header : null;
    if ('kind' in after) return this.recordChunk(after, maxBytes - headerBytesMax);
    if ('once' in after) return this.onceChunk(after.once, maxBytes - headerBytesMax);
    if ('grant' in after) return this.leaseChunk(first, [], after, maxBytes - headerBytesMax);
    return this.versionChunk(first, after, maxBytes - headerBytesMax);
  }

  /** The leases come after all versions, so the chunk of the last versions may hold some too. */
  private versionChunk(first: SnapshotHeader | null, after: Position, maxBytes: number): Chunk {
    const versions: SnapshotVersion[] = [];
    let bytesLeft = maxBytes;
    let last = after;
    const { sql } = this.store;
    const lastRev = (this.meta as SnapshotMeta).revision;
    const rows = sql.iterate(selectVersions, after.rev, after.sub, lastRev, recordsPerChunkMax);
    for (const row of rows) {
      const version = versionOf(row);
      bytesLeft -= version.key.length + (version.value?.length ?? 0) + versionOverheadBytes;
      if (bytesLeft < 0 && versions.length > 0)
        return { data: encodeChunk(first, versions, []), next: versionCursor(last) };
      versions.push(version);
      last = { rev: row[0] as number, sub: row[1] as number };
    }
    if (versions.length === recordsPerChunkMax)
      return { data: encodeChunk(first, versions, []), next: versionCursor(last) };
    return this.leaseChunk(first, versions, firstLease, bytesLeft);
  }

  private leaseChunk(
    first: SnapshotHeader | null,
    versions: SnapshotVersion[],
    after: LeasePosition,
    maxBytes: number,
  ): Chunk {
    const room = Math.floor(Math.max(0, maxBytes) / leaseBytesMax);
    const rowsMax = Math.min(room, recordsPerChunkMax - versions.length);
    const { leases, next } = this.store.leases.seenPage(this.index, after, Math.max(1, rowsMax));
    // None fits beside the versions: if there are any, the next chunk begins with them.
    const isFull = rowsMax === 0 && versions.length > 0;
    if (isFull && (leases.length > 0 || next))
      return { data: encodeChunk(first, versions, []), next: leaseCursor(after) };
    const data = encodeChunk(first, versions, leases);
    return { data, next: next ? leaseCursor(next) : this.firstOnce() };
  }

  /** Then come the answers of commands that take effect once, in chunks of their own. */
  private firstOnce(): string | null {
    const { onceFirst, onceLast } = this.header as SnapshotHeader;
    return onceFirst <= onceLast ? onceCursor(Number(onceFirst)) : this.firstRecord();
  }

  /** The small records come last, in chunks of their own. */
  private firstRecord(): string | null {
    if ((this.header as SnapshotHeader).format < formats.records) return null;
    const { rows, next } = this.store.records.seenPage(this.index, firstRecord, 1);
    return rows.length === 0 && next === null ? null : recordCursor(firstRecord);
  }

  private recordChunk(after: RecordPosition, maxBytes: number): Chunk {
    const { rows, next } = this.store.records.seenPage(this.index, after, recordsPerPageMax);
    const fitting: StateRecord[] = [];
    let bytesLeft = maxBytes;
    for (const row of rows) {
      bytesLeft -= row.data.length + 3 * row.name.length + recordOverheadBytes;
      const last = fitting.at(-1);
      if (bytesLeft < 0 && last)
        return { data: encodeRecordChunk(fitting), next: recordCursor(last) };
      fitting.push(row);
    }
    return { data: encodeRecordChunk(fitting), next: next && recordCursor(next) };
  }

  private get index(): number {
    return (this.meta as SnapshotMeta).appliedIndex;
  }

  private onceChunk(from: number, maxBytes: number): Chunk {
    const last = Number((this.header as SnapshotHeader).onceLast);
    const onces: OnceRecord[] = [];
    let bytesLeft = maxBytes;
    for (const record of oncePage(this.store.sql, from, last, oncesPerChunkMax)) {
      bytesLeft -= record.result.length + onceOverheadBytes;
      if (bytesLeft < 0 && onces.length > 0) break;
      onces.push(record);
    }
    const next = (onces.at(-1)?.seq ?? last) + 1;
    return {
      data: encodeChunk(null, [], [], onces),
      next: next <= last ? onceCursor(next) : this.firstRecord(),
    };
  }

  private remember(id: string, header: SnapshotHeader): SnapshotMeta {
    this.header = header;
    this.meta = {
      id,
      appliedIndex: Number(header.appliedIndex),
      revision: Number(header.revision),
    };
    this.store.snapshots.set(this.slot, this.meta.appliedIndex);
    return this.meta;
  }
}

function versionCursor({ rev, sub }: Position): string {
  return `${rev}.${sub}`;
}

function leaseCursor({ id, grant }: LeasePosition): string {
  return `${id}/${grant}`;
}

function onceCursor(seq: number): string {
  return `#${seq}`;
}

interface OncePosition {
  /** Number of the next answer. */
  readonly once: number;
}

function recordCursor({ kind, name, since }: RecordPosition): string {
  return `@${kind}.${since}.${name}`;
}

/** It has travelled to the receiver and back, perhaps to other code than that which made it. */
function parseCursor(
  cursor: string,
): Position | LeasePosition | OncePosition | RecordPosition | null {
  const [, kind, since, name] = /^@(-?\d)\.(\d{1,15})\.(.*)$/s.exec(cursor) ?? [];
  if (kind !== undefined && name !== undefined)
    return { kind: Number(kind), name, since: Number(since) };
  const [, seq] = /^#(\d{1,15})$/.exec(cursor) ?? [];
  if (seq !== undefined) return { once: Number(seq) };
  const [, rev, sub] = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor) ?? [];
  if (rev !== undefined && sub !== undefined) return { rev: Number(rev), sub: Number(sub) };
  const [, id, grant] = /^(-?\d{0,19})\/(\d{1,15})$/.exec(cursor) ?? [];
  return id === undefined || grant === undefined ? null : { id, grant: Number(grant) };
}
