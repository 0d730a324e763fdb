/**
 * Bad input for leases, locks, elections, watches, members and maintenance, and etcd's answer to each: recorded from
 * 3.5.30 where the recordings have it, else learnt from 3.4.23 (test/etcd/bad-input.test.ts asks it again where it is installed).
 *
 * Each row stands alone, but for the lease that all of them may use, and for those of `edges`.
 */
import type { Row } from './answers.ts';
import { edges } from './edges.ts';
import { maintenance } from './maintenance.ts';
import { missing, paths, ttls, unknown } from './meanings.ts';
import { members } from './members.ts';
import { sizes } from './sizes.ts';
import { streams } from './streams.ts';
import { wrongTypes } from './wrong-types.ts';

/** Granted before the first row, for longer than all of them take. */
export const sharedLease = 779;

export const rows: readonly Row[] = [
  ...[...wrongTypes, ...missing, ...unknown, ...ttls, ...edges],
  ...[...streams, ...sizes, ...paths, ...members, ...maintenance],
];
