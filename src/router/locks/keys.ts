/**
 * The keys of a lock or an election, as etcd's concurrency package names them, so that its clients and ours
 * exclude each other: below `{name}/` everybody who holds it or waits for it has a key, called after a
 * lease in hex. The one that was created first holds.
 */
import { create } from '@bufbuild/protobuf';
import {
  type RangeRequest,
  RangeRequestSchema,
  RangeRequest_SortOrder as SortOrder,
  RangeRequest_SortTarget as SortTarget,
} from '../../api/gen/rpc_pb.js';

export interface Prefix {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
}

const slash = 0x2f;
const encoder = new TextEncoder();

export function prefixOf(name: Uint8Array): Prefix {
  const key = joined(name, Uint8Array.of(slash));
  const rangeEnd = key.slice();
  rangeEnd[name.length] = slash + 1;
  return { key, rangeEnd };
}

/** In hex as Go prints it: a negative id has a minus sign. */
export function keyOf({ key }: Prefix, lease: bigint): Uint8Array {
  return joined(key, encoder.encode(lease.toString(16)));
}

/** Who holds it. */
export function firstOf(prefix: Prefix): RangeRequest {
  return byCreation(prefix, SortOrder.ASCEND, 0n);
}

/** The last of those that were created before `createRevision`. */
export function lastBefore(prefix: Prefix, createRevision: bigint): RangeRequest {
  return byCreation(prefix, SortOrder.DESCEND, createRevision - 1n);
}

function byCreation(prefix: Prefix, sortOrder: SortOrder, maxCreateRevision: bigint): RangeRequest {
  return create(RangeRequestSchema, {
    ...prefix,
    sortTarget: SortTarget.CREATE,
    sortOrder,
    limit: 1n,
    maxCreateRevision,
  });
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}
