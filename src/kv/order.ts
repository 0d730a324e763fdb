/**
 * The orders in which a range can be asked for. Ties keep key order, in both directions: etcd's own
 * sort leaves ties open, and sorts few elements that way.
 */
import {
  type RangeRequest,
  RangeRequest_SortOrder as SortOrder,
  RangeRequest_SortTarget as SortTarget,
} from '../api/gen/rpc_pb.js';
import { compareBytes } from './bounds.ts';
import { type LiveVersion, readValue } from './scan.ts';
import type { SetSql } from './table-sets.ts';

/** A version with its place in key order. */
export interface Placed {
  readonly version: LiveVersion;
  readonly position: number;
  /** First bytes of the value, when values are what is sorted by. */
  readonly prefix: Uint8Array | null;
}

/** So much of each value is kept while sorting by value; equal prefixes are read again in full. */
export const valuePrefixBytes = 64;

/** null: the order in which keys are scanned anyway. */
export function orderOf(
  sql: SetSql,
  request: RangeRequest,
): ((a: Placed, b: Placed) => number) | null {
  const { sortTarget, sortOrder } = request;
  // Sorting by anything but the key without saying how means ascending.
  const implied = sortOrder === SortOrder.NONE && sortTarget !== SortTarget.KEY;
  const ascending = sortOrder === SortOrder.ASCEND || implied;
  if (ascending && sortTarget === SortTarget.KEY) return null;
  // No order, or one that is not known: etcd leaves the keys as they come.
  if (!ascending && sortOrder !== SortOrder.DESCEND) return null;
  const compare = comparator(sql, sortTarget);
  const sign = ascending ? 1 : -1;
  return (a, b) => sign * compare(a, b) || a.position - b.position;
}

function comparator(sql: SetSql, target: SortTarget): (a: Placed, b: Placed) => number {
  switch (target) {
    case SortTarget.KEY:
      return (a, b) => a.position - b.position;
    case SortTarget.VERSION:
      return (a, b) => a.version.version - b.version.version;
    case SortTarget.CREATE:
      return (a, b) => a.version.created - b.version.created;
    case SortTarget.MOD:
      return (a, b) => a.version.rev - b.version.rev;
    case SortTarget.VALUE:
      return (a, b) => compareValues(sql, a, b);
    default:
      return target satisfies never;
  }
}

function compareValues(sql: SetSql, a: Placed, b: Placed): number {
  const left = a.prefix as Uint8Array;
  const right = b.prefix as Uint8Array;
  const difference = compareBytes(left, right);
  if (difference !== 0 || left.length < valuePrefixBytes) return difference;
  return compareBytes(
    readValue(sql, a.version.rev, a.version.sub),
    readValue(sql, b.version.rev, b.version.sub),
  );
}
