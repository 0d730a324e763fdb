/**
 * One number for the logical state: equal on members that hold the same at the same revision,
 * however far physical compaction has come on each.
 *
 * It covers the revision, the compact revision, and all that a read or a watch from the compact
 * revision on can see: every write above it; of the ones at or below it, per key the one that is
 * current there; of the deletes those exactly at it, since others leave nothing behind. And every lease;
 * which keys are attached to it stands in their versions. The answers kept of commands that take effect once, and
 * the records. Of a tenant that never had auth nothing is said of it.
 */

import { beginning, historyPage, type Position } from './history.ts';
import type { Lease } from './leases.ts';
import { oncePage } from './once.ts';
import type { RecordPosition } from './records.ts';
import type { Row } from './sql.ts';
import type { Store } from './store.ts';

// ?5 is the compact revision. The newest version of a key at or below it is one seek away.
const selectPage = historyPage(
  (index) => `, CASE WHEN d.rev > ?5 THEN 1
    WHEN i.version > 0 OR (i.version = 0 AND d.rev = ?5) THEN NOT EXISTS (
      SELECT 1 FROM ${index} n WHERE n.key = d.key AND n.rev > d.rev AND n.rev <= ?5)
    ELSE 0 END`,
);

/**
 * 16 hex digits. Fixed at the revision at which it has read the leases, most often the one at which it
 * begins; a compaction that comes in between two pages may delete what it has not seen yet, so then
 * it begins again, as it does when a lease changes between two pages of leases. Entries may be
 * applied too.
 */
export function* logicalHash(store: Store): Generator<void, string> {
  for (;;) {
    const hash = yield* hashNow(store);
    if (hash !== null) return hash;
  }
}

function* hashNow(store: Store): Generator<void, string | null> {
  const { progress } = store;
  const hash = new Fnv64();
  if (!(yield* addLeases(hash, store))) return null;
  const { revision, compactRevision, onceFirst, onceLast } = progress;
  hash.addText(`${revision} ${compactRevision}`);
  if (!(yield* addKeys(hash, store, revision, compactRevision))) return null;
  if (!(yield* addOnces(hash, store, onceFirst, onceLast))) return null;
  return (yield* addRecords(hash, store)) ? hash.digest() : null;
}

/**
 * What a read or a watch from `compactRevision`, the present one, on can see up to `revision`. False:
 * a compaction came in between two pages.
 */
export function* addKeys(
  hash: Fnv64,
  { sql, progress, limits }: Store,
  revision: number,
  compactRevision: number,
): Generator<void, boolean> {
  const { rowsMax, bytesMax } = limits.pages;
  let after: Position | null = beginning;
  while (after) {
    const { rev, sub }: Position = after;
    after = null;
    let rows = 0;
    let bytes = 0;
    for (const row of sql.iterate(selectPage, rev, sub, revision, rowsMax, compactRevision)) {
      bytes += addVersion(hash, row);
      rows += 1;
      if (rows < rowsMax && bytes <= bytesMax) continue;
      after = { rev: row[0] as number, sub: row[1] as number };
      break;
    }
    if (!after) break;
    yield;
    if (progress.compactRevision !== compactRevision) return false;
  }
  return true;
}

/** False: a lease has changed between two pages. */
function* addLeases(hash: Fnv64, { leases, limits }: Store): Generator<void, boolean> {
  const { changeCount } = leases;
  for (let after: bigint | null = null; ; ) {
    const page: Lease[] = leases.page(after, limits.pages.rowsMax);
    for (const { id, grant, ttl } of page) hash.addText(`|lease ${id} ${grant} ${ttl} `);
    if (page.length < limits.pages.rowsMax) return true;
    after = (page[page.length - 1] as Lease).id;
    yield;
    if (leases.changeCount !== changeCount) return false;
  }
}

/** False: one of them has been let go meanwhile. Their numbers do not count, only their order. */
function* addOnces(
  hash: Fnv64,
  { sql, progress, limits }: Store,
  first: number,
  last: number,
): Generator<void, boolean> {
  for (let seq = first; seq <= last; ) {
    if (progress.onceFirst > seq) return false;
    const page = oncePage(sql, seq, last, limits.pages.rowsMax);
    if (page[0]?.seq !== seq) throw new Error(`kv: answer ${seq} is missing`);
    for (const { key, request, time, result } of page) {
      hash.addText(`|once ${time} ${result.length} `);
      for (const bytes of [key, request, result]) hash.addBytes(bytes);
    }
    seq += page.length;
    yield;
  }
  return true;
}

/** False: one of them has changed between two pages. */
function* addRecords(hash: Fnv64, { auth, records, limits }: Store): Generator<void, boolean> {
  const { revision, enabled } = auth;
  const { changeCount } = records;
  if (revision > 1) hash.addText(`|auth ${revision} ${enabled} `);
  for (let after: RecordPosition = { kind: -1, name: '', since: 0 }; ; ) {
    const page = records.page(after, limits.pages.rowsMax);
    for (const { kind, name, since, data } of page) {
      const bytes = new TextEncoder().encode(name);
      hash.addText(`|record ${kind} ${since} ${bytes.length} ${data.length} `);
      for (const part of [bytes, data]) hash.addBytes(part);
    }
    const last = page[limits.pages.rowsMax - 1];
    if (!last) return true;
    after = last;
    yield;
    if (records.changeCount !== changeCount) return false;
  }
}

/** Bytes looked at. */
function addVersion(hash: Fnv64, row: Row): number {
  const [rev, sub, key, value, created, version, lease, counts] = row;
  const name = key as Uint8Array;
  const bytes = value as Uint8Array | null;
  if (counts === 1) {
    const lengths = `${name.length} ${bytes ? bytes.length : -1}`;
    hash.addText(`|${rev} ${sub} ${created} ${version} ${lease} ${lengths} `);
    hash.addBytes(name);
    if (bytes) hash.addBytes(bytes);
  }
  return name.length + (bytes?.length ?? 0);
}

/** A digest in 32 bits, and never 0, which etcd's JSON leaves out. */
export function folded(digest: string): number {
  const half = (from: number) => Number.parseInt(digest.slice(from, from + 8), 16);
  return (half(0) ^ half(8)) >>> 0 || 1;
}

const twoTo32 = 2 ** 32;

/** FNV-1a, 64 bits, in two halves: no product here reaches 2^53. */
export class Fnv64 {
  private high = 0xcbf29ce4;
  private low = 0x84222325;

  addBytes(data: Uint8Array): void {
    let { high, low } = this;
    for (let at = 0; at < data.length; at += 1) {
      // Times 2^40 + 0x1b3, modulo 2^64.
      low = (low ^ (data[at] as number)) >>> 0;
      const product = low * 0x1b3;
      high = (Math.imul(high, 0x1b3) + Math.floor(product / twoTo32) + (low << 8)) >>> 0;
      low = product >>> 0;
    }
    this.high = high;
    this.low = low;
  }

  /** ASCII only. */
  addText(text: string): void {
    let { high, low } = this;
    for (let at = 0; at < text.length; at += 1) {
      low = (low ^ text.charCodeAt(at)) >>> 0;
      const product = low * 0x1b3;
      high = (Math.imul(high, 0x1b3) + Math.floor(product / twoTo32) + (low << 8)) >>> 0;
      low = product >>> 0;
    }
    this.high = high;
    this.low = low;
  }

  digest(): string {
    return this.high.toString(16).padStart(8, '0') + this.low.toString(16).padStart(8, '0');
  }
}
