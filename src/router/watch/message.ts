/** What is asked of a session of watches, and what its reader is told. */
import type { EtcdErrorName } from '../../api/errors.ts';
import type { Event } from '../../api/gen/mvcc_pb.js';

/** In etcd's notation; an empty key means the first one. */
export interface WatchSpec {
  readonly key: Uint8Array;
  readonly rangeEnd: Uint8Array;
  /** First revision that is wanted; 0: the one after the member's. */
  readonly from: bigint;
  readonly prevKv?: boolean;
  readonly noPut?: boolean;
  readonly noDelete?: boolean;
}

/** Who says so: what etcd puts into the header of a response. */
export interface WatchHeader {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly revision: bigint;
  readonly raftTerm: bigint;
}

/** `slot` is the number that `watch` was given. */
export type WatchMessage =
  | { readonly type: 'created'; readonly slot: number; readonly header: WatchHeader }
  | {
      readonly type: 'events';
      readonly slot: number;
      readonly header: WatchHeader;
      /** Whole revisions: one when it has just happened, several of the history. */
      readonly events: readonly Event[];
    }
  /** As the reader asked; nothing of that watch follows. */
  | { readonly type: 'canceled'; readonly slot: number; readonly header: WatchHeader }
  /** What was asked for is gone; history begins at `compactRevision`. Nothing follows. */
  | {
      readonly type: 'compacted';
      readonly slot: number;
      readonly header: WatchHeader;
      readonly compactRevision: bigint;
    }
  /** Its caller may not see that, or not any more. Nothing of that watch follows. */
  | {
      readonly type: 'denied';
      readonly slot: number;
      readonly header: WatchHeader;
      readonly error: EtcdErrorName;
    }
  /** One revision has more events than can be held. Nothing of that watch follows. */
  | { readonly type: 'tooLarge'; readonly slot: number; readonly header: WatchHeader }
  /** Every watch has been told everything up to the header's revision. `more`: it was asked for again since. */
  | { readonly type: 'progress'; readonly header: WatchHeader; readonly more: boolean }
  | { readonly type: 'located'; readonly token: number; readonly header: WatchHeader }
  /** Nobody leads the group, and the session, which requires that somebody does, ends. */
  | { readonly type: 'noLeader' }
  /** The reader is too slow, and the session ends. */
  | { readonly type: 'overflow' };
