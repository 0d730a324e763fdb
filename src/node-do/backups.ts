/**
 * Snapshots that clients take of this member's state (docs/decisions/backup.md): opened, read chunk by
 * chunk at the pace of the client, and closed. Nothing of one is in memory but when it was read last.
 *
 * While one is open no version is deleted here, so it may be neither left alone nor outrun: it ends when nobody
 * has read it for a while, or when the log has grown by as much as behind a snapshot for a member.
 * That is looked at in turns, not by a timer: a member at rest that nobody reads loses nothing by it.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  type BackupClose,
  BackupOpenedSchema,
  type BackupPart,
  BackupPartSchema,
  type BackupRead,
} from '../api/gen/backup_pb.js';
import type { Chunk, SnapshotSource } from '../kv/snapshot.ts';
import type { Counters } from './counters.ts';
import type { Platform } from './platform.ts';

/**
 * For so long a client that has gone may hold up the deletion of old versions; longer than the Worker waits
 * for one that takes nothing.
 */
export const backupIdleMs = 90_000;

export interface BackupLimits {
  readonly chunkBytesMax: number;
  readonly logGrowthMax: number;
}

/** Since when nobody has read it, and how long the log was when this life first saw it. */
interface Use {
  readAt: number;
  readonly logBytes: number;
}

export class Backups {
  private readonly platform: Platform;
  private readonly counters: Counters;
  private readonly sources: readonly SnapshotSource[];
  private readonly limits: BackupLimits;
  /** Bytes that the log has ever held. */
  private readonly logBytes: () => number;
  private readonly uses = new Map<string, Use>();

  /** Those that an earlier life opened go on from now. */
  constructor(
    platform: Platform,
    counters: Counters,
    sources: readonly SnapshotSource[],
    limits: BackupLimits,
    logBytes: () => number,
  ) {
    this.platform = platform;
    this.counters = counters;
    this.sources = sources;
    this.limits = limits;
    this.logBytes = logBytes;
    for (const { open } of sources) if (open) this.use(open.id);
  }

  /** Of what is applied now; null: as many are open as may be. */
  open(): Uint8Array | null {
    this.look();
    const source = this.sources.find(({ open }) => open === null);
    if (!source) return null;
    const id = this.platform.randomId();
    this.write(() => source.begin(id));
    this.use(id);
    const { place } = this.platform;
    const revision = BigInt(source.open?.revision ?? 0);
    const aboutBytes = BigInt(this.platform.databaseBytes());
    const opened = create(BackupOpenedSchema, { id, place, revision, aboutBytes });
    return toBinary(BackupOpenedSchema, opened);
  }

  read({ id, cursor }: BackupRead): Uint8Array {
    const use = this.uses.get(id);
    if (use) use.readAt = this.platform.now();
    return toBinary(BackupPartSchema, partOf(this.chunk(id, cursor)));
  }

  close({ id }: BackupClose): Uint8Array {
    const source = this.sourceOf(id);
    if (source) this.end(source);
    return toBinary(BackupPartSchema, create(BackupPartSchema));
  }

  /** Ends those that nobody reads, or that hold up too much. */
  look(): void {
    if (this.uses.size === 0) return;
    const now = this.platform.now();
    for (const source of this.sources) {
      const use = source.open && this.uses.get(source.open.id);
      if (!use) continue;
      const isOutrun = this.logBytes() - use.logBytes > this.limits.logGrowthMax;
      if (isOutrun || now - use.readAt > backupIdleMs) this.end(source);
    }
    // An installed snapshot has ended them all.
    for (const id of this.uses.keys()) if (!this.sourceOf(id)) this.uses.delete(id);
  }

  private chunk(id: string, cursor: string): Chunk | null {
    return this.sourceOf(id)?.read(id, cursor, this.limits.chunkBytesMax) ?? null;
  }

  private sourceOf(id: string): SnapshotSource | undefined {
    return this.sources.find(({ open }) => open?.id === id);
  }

  private use(id: string): void {
    this.uses.set(id, { readAt: this.platform.now(), logBytes: this.logBytes() });
  }

  private end(source: SnapshotSource): void {
    if (source.open) this.uses.delete(source.open.id);
    this.write(() => source.end());
  }

  private write(work: () => void): void {
    try {
      this.platform.transaction(work);
    } catch (error) {
      // What is in memory may be ahead of the rows.
      this.platform.abort(`backup: ${String(error)}`);
      throw error;
    }
    this.counters.commits += 1;
  }
}

function partOf(chunk: Chunk | null): BackupPart {
  if (!chunk) return create(BackupPartSchema);
  const { data, next } = chunk;
  const part = create(BackupPartSchema, { open: true, chunk: data });
  if (next !== null) part.next = next;
  return part;
}
