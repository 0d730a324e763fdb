/**
 * The sender's side of a snapshot: a view of the state machine as it was when it was opened, read in
 * chunks. Opening it writes one row and copies nothing: the versions up to its revision never change,
 * and while it is open none is deleted. So every chunk can be made again at any time, by any life.
 */
import type { SnapshotHeader, SnapshotVersion } from '../api/gen/snapshot_pb.js';
import { beginning, historyPage, type Position } from './history.ts';
import {
  decodeHeader,
  encodeChunk,
  encodeHeader,
  headerBytesMax,
  headerOf,
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

/** However small they are: each costs a seek here, and two rows where it is received. */
export const versionsPerChunkMax = 1_000;

const selectSnapshot = 'SELECT id, header FROM kv_snapshot';
const insertSnapshot = 'INSERT INTO kv_snapshot VALUES (1, ?, ?)';
const deleteSnapshot = 'DELETE FROM kv_snapshot';
const selectVersions = historyPage();

export class SnapshotSource {
  private readonly store: Store;
  private header: SnapshotHeader | null = null;
  private meta: SnapshotMeta | null = null;

  constructor(store: Store) {
    this.store = store;
    const row = store.sql.common.first(selectSnapshot);
    if (row) this.remember(row[0] as string, decodeHeader(row[1] as Uint8Array));
  }

  get open(): SnapshotMeta | null {
    return this.meta;
  }

  /** Fixes the view at what is applied now. One at a time: closing the other is the caller's. */
  begin(id: string): SnapshotMeta {
    if (this.meta) throw new Error(`kv: snapshot ${this.meta.id} is still open`);
    const header = headerOf(this.store.progress);
    this.store.sql.common.run(insertSnapshot, id, encodeHeader(header));
    return this.remember(id, header);
  }

  end(): void {
    if (!this.meta) return;
    this.store.sql.common.run(deleteSnapshot);
    this.meta = null;
    this.header = null;
    this.store.leases.snapshotIndex = null;
  }

  read(id: string, cursor: string, maxBytes: number): Chunk | null {
    const { meta, header } = this;
    const after = cursor === '' ? beginning : parseCursor(cursor);
    if (!meta || !header || meta.id !== id || !after) return null;
    const { versions, next } = this.versions(after, meta.revision, maxBytes);
    return { data: encodeChunk(cursor === '' ? header : null, versions), next };
  }

  private versions(after: Position, lastRev: number, maxBytes: number) {
    const versions: SnapshotVersion[] = [];
    let bytes = headerBytesMax;
    let last = after;
    const { sql } = this.store;
    const rows = sql.iterate(selectVersions, after.rev, after.sub, lastRev, versionsPerChunkMax);
    for (const row of rows) {
      const version = versionOf(row);
      bytes += version.key.length + (version.value?.length ?? 0) + versionOverheadBytes;
      if (bytes > maxBytes && versions.length > 0) return { versions, next: cursorAfter(last) };
      versions.push(version);
      last = { rev: row[0] as number, sub: row[1] as number };
    }
    const full = versions.length === versionsPerChunkMax;
    return { versions, next: full ? cursorAfter(last) : null };
  }

  private remember(id: string, header: SnapshotHeader): SnapshotMeta {
    this.header = header;
    this.meta = {
      id,
      appliedIndex: Number(header.appliedIndex),
      revision: Number(header.revision),
    };
    this.store.leases.snapshotIndex = this.meta.appliedIndex;
    return this.meta;
  }
}

function cursorAfter({ rev, sub }: Position): string {
  return `${rev}.${sub}`;
}

/** It has travelled to the receiver and back, perhaps to other code than that which made it. */
function parseCursor(cursor: string): Position | null {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(cursor);
  return match ? { rev: Number(match[1]), sub: Number(match[2]) } : null;
}
