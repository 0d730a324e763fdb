/**
 * The compares of a transaction, against the state before it. A compare over a range must hold for
 * every key in it; over no key at all it is made once against a record of zeros, except that a
 * VALUE compare is then false whatever it says.
 */
import {
  type Compare,
  Compare_CompareResult as CompareResult,
  Compare_CompareTarget as CompareTarget,
} from '../api/gen/rpc_pb.js';
import { boundsOf, compareBytes } from './bounds.ts';
import type { Visits } from './range.ts';
import { type LiveVersion, readLive, Scan } from './scan.ts';
import type { Store } from './store.ts';

const nothing: LiveVersion = {
  key: new Uint8Array(0),
  rev: 0,
  sub: 0,
  created: 0,
  version: 0,
  lease: '',
  value: null,
};

const noBytes = new Uint8Array(0);

/** Yields between pages; the caller looks for a compaction that has passed `rev` meanwhile. */
export function* holds(
  store: Store,
  compare: Compare,
  rev: number,
  visits: Visits,
): Generator<void, boolean | 'TooManyVisits'> {
  const bounds = boundsOf(compare.key, compare.rangeEnd);
  if (bounds.single) {
    const version = readLive(store.sql, bounds.start, rev);
    return version ? matches(compare, version) : holdsForNothing(compare);
  }
  const byValue = compare.target === CompareTarget.VALUE;
  const scan = new Scan(store.sql, bounds, rev, store.limits.pages);
  let empty = true;
  while (!scan.done) {
    const page = byValue ? scan.valuePage(Number.POSITIVE_INFINITY) : scan.indexPage();
    for (const version of page) {
      visits.visitsLeft -= 1;
      if (visits.visitsLeft < 0) return 'TooManyVisits';
      if (!matches(compare, version)) return false;
      empty = false;
    }
    if (!scan.done) yield;
  }
  return !empty || holdsForNothing(compare);
}

function holdsForNothing(compare: Compare): boolean {
  return compare.target !== CompareTarget.VALUE && matches(compare, nothing);
}

/** An unknown result always holds, as in etcd. */
function matches(compare: Compare, version: LiveVersion): boolean {
  const difference = compareTarget(compare, version);
  switch (compare.result) {
    case CompareResult.EQUAL:
      return difference === 0;
    case CompareResult.NOT_EQUAL:
      return difference !== 0;
    case CompareResult.GREATER:
      return difference > 0;
    case CompareResult.LESS:
      return difference < 0;
    default:
      compare.result satisfies never;
      return true;
  }
}

/** Positive when the record is above the operand. An unknown target compares as equal, as in etcd. */
function compareTarget(compare: Compare, version: LiveVersion): number {
  switch (compare.target) {
    case CompareTarget.VERSION:
      return compareNumbers(BigInt(version.version), operand(compare, 'version'));
    case CompareTarget.CREATE:
      return compareNumbers(BigInt(version.created), operand(compare, 'createRevision'));
    case CompareTarget.MOD:
      return compareNumbers(BigInt(version.rev), operand(compare, 'modRevision'));
    case CompareTarget.LEASE:
      return compareNumbers(BigInt(version.lease), operand(compare, 'lease'));
    case CompareTarget.VALUE: {
      const { targetUnion } = compare;
      const value = targetUnion.case === 'value' ? targetUnion.value : noBytes;
      return compareBytes(version.value ?? noBytes, value);
    }
    default:
      compare.target satisfies never;
      return 0;
  }
}

/** 0 when the request carries the operand of another target. */
function operand(
  { targetUnion }: Compare,
  name: 'version' | 'createRevision' | 'modRevision' | 'lease',
): bigint {
  return targetUnion.case === name ? targetUnion.value : 0n;
}

function compareNumbers(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
