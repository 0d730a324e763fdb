/**
 * Hashes that members compare. Both are the same before, during and after physical compaction.
 *
 * `keysHash` is etcd's HashKV: of the keys as they are at a revision, as a read of all of them sees them. So
 * it is the same whatever has been compacted at or below that revision, also at a member that has yet
 * to apply that. `historyHash` is of all that a read or a watch from the compact revision on can see, up to
 * a revision: members can compare it if they have the same compact revision.
 */
import { boundsOf } from './bounds.ts';
import { previousCompaction } from './compactions.ts';
import { addKeys, Fnv64, folded } from './hash.ts';
import { Scan } from './scan.ts';
import { failure, type Outcome, type Store } from './store.ts';

export interface HashedKeys {
  /** 32 bits, never 0. */
  readonly hash: number;
  /**
   * As etcd says it: of a revision at which one of the last compactions took place the one before that, since
   * etcd then answers with the hash that it made when it compacted. 0 as a request is such a revision too.
   */
  readonly compactRevision: number;
}

export interface HashedHistory {
  /** 16 hex digits. */
  readonly digest: string;
  readonly compactRevision: number;
}

/** To be raised when `historyHash` gives another number for the same history. */
export const historyHashAlgorithm = 1;

const zero = new Uint8Array(1);
/** A tenant that is compacted so often meanwhile is hashed another time. */
const beginningsMax = 16;

/** `asked`: 0 or less is the revision at which it begins. */
export function* keysHash(store: Store, asked: bigint): Generator<void, Outcome<HashedKeys>> {
  const { progress, limits, sql } = store;
  if (asked > progress.revision) return failure('FutureRev');
  const revision = asked > 0n ? Number(asked) : progress.revision;
  const compactRevision = previousCompaction(store, asked) ?? progress.compactRevision;
  const hash = new Fnv64();
  hash.addText(String(revision));
  const scan = new Scan(sql, boundsOf(zero, zero), revision, limits.pages);
  for (;;) {
    if (revision < progress.compactRevision) return failure('Compacted');
    for (const { key, value, rev, sub, created, version, lease } of scan.valuePage(
      limits.pages.rowsMax,
    )) {
      const lengths = `${key.length} ${value ? value.length : -1}`;
      hash.addText(`|${rev} ${sub} ${created} ${version} ${lease} ${lengths} `);
      hash.addBytes(key);
      if (value) hash.addBytes(value);
    }
    if (scan.done) break;
    yield;
  }
  return { ok: true, response: { hash: folded(hash.digest()), compactRevision } };
}

/** Begins again when a compaction comes in between. */
export function* historyHash(
  store: Store,
  revision: number,
): Generator<void, Outcome<HashedHistory>> {
  const { progress } = store;
  if (revision > progress.revision) return failure('FutureRev');
  for (let beginning = 0; beginning < beginningsMax; beginning += 1) {
    const { compactRevision } = progress;
    if (revision < compactRevision) return failure('Compacted');
    const hash = new Fnv64();
    hash.addText(`${revision} ${compactRevision}`);
    if (yield* addKeys(hash, store, revision, compactRevision))
      return { ok: true, response: { digest: hash.digest(), compactRevision } };
  }
  return failure('TooManyRequests');
}
