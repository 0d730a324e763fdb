/**
 * What permissions cover: intervals of keys that may be read, and that may be written. Adjacent and
 * overlapping ones are joined, whichever roles they come from, as in etcd's range_perm_cache.go.
 */
import { type Permission, Permission_Type } from '../../api/gen/auth_pb.js';
import { binaryString, endOfKeys, IntervalSet } from '../../api/intervals.ts';

export type Access = 'read' | 'write';

export interface Grants {
  readonly read: IntervalSet;
  readonly write: IntervalSet;
}

type Interval = readonly [begin: string, end: string];

/**
 * As etcd's requests and permissions name keys: no end is the key alone, "\0" the end of all keys. Watches
 * may leave out the key, which then is the first one that there can be.
 */
export function intervalOf(key: Uint8Array, rangeEnd: Uint8Array): Interval {
  const begin = key.length === 0 ? '\0' : binaryString(key);
  if (rangeEnd.length === 0) return [begin, `${begin}\0`];
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) return [begin, endOfKeys];
  return [begin, binaryString(rangeEnd)];
}

/** A permission has to name a key, and an end behind it if it names one. */
export function isGrantable({ key, rangeEnd }: Permission): boolean {
  const [begin, end] = intervalOf(key, rangeEnd);
  return key.length > 0 && begin < end;
}

/** A type that is none of the three grants nothing: any number may be granted, in etcd too. */
export function grantsOf(permissions: readonly Permission[]): Grants {
  return {
    read: joined(permissions, Permission_Type.READ),
    write: joined(permissions, Permission_Type.WRITE),
  };
}

function joined(permissions: readonly Permission[], access: Permission_Type): IntervalSet {
  const counting = permissions.filter(
    ({ permType }) => permType === access || permType === Permission_Type.READWRITE,
  );
  return IntervalSet.of(counting.map(({ key, rangeEnd }) => intervalOf(key, rangeEnd)));
}
