/**
 * Reads the changes that watches are told of: rows of the history in its order, in bounded pages.
 *
 * A change belongs to one key and one revision. Where one transaction has written a key twice, only
 * the last write counts, as in every read. Nothing here knows who watches.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { Event_EventType, EventSchema, type KeyValue } from '../api/gen/mvcc_pb.js';
import { type Bounds, keyAfter } from './bounds.ts';
import { historyPage, type Position } from './history.ts';
import { keyValue } from './reply.ts';
import { readLive } from './scan.ts';
import type { Row } from './sql.ts';
import type { Store } from './store.ts';
import { perSet, type SetQuery } from './table-sets.ts';

export interface Change extends Position {
  readonly key: Uint8Array;
  /** null: the key was deleted. */
  readonly value: Uint8Array | null;
  readonly created: number;
  readonly version: number;
  readonly lease: string;
}

export interface ChangePage {
  readonly changes: readonly Change[];
  /** Everything up to here has been looked at: where the next page begins. */
  readonly end: Position;
}

/** After every row of that revision. */
export function endOf(rev: number): Position {
  return { rev, sub: Number.MAX_SAFE_INTEGER };
}

/** Rows of one page; a page of one interval looks at so many, whether they lie in it or not. */
const rowsMax = 2_000;

const everything = historyPage();
const pageEnd = perSet(
  ({ data }) => `
  SELECT rev, sub FROM ${data} WHERE (rev, sub) > (?1, ?2) AND rev <= ?3
  ORDER BY rev, sub LIMIT 1 OFFSET ?4`,
);

// The unary plus keeps the planner on the order of history: the rows up to the page's end are few.
const within = (bounded: boolean): SetQuery =>
  perSet(
    ({ index, data }) => `
    SELECT d.rev, d.sub, d.key, d.value, i.created, i.version, i.lease
    FROM ${data} d LEFT JOIN ${index} i ON i.key = d.key AND i.rev = d.rev AND i.sub = d.sub
    WHERE (d.rev, d.sub) > (?1, ?2) AND (d.rev, d.sub) <= (?3, ?4)
      AND +d.key >= ?5 ${bounded ? 'AND +d.key < ?6' : ''} ORDER BY d.rev, d.sub`,
  );
const withinBounded = within(true);
const withinOpen = within(false);

// By the key: a seek for a change, however many changes of other keys lie between.
const ofOneKey = perSet(
  ({ index, data }) => `
  SELECT i.rev, i.sub, i.key, d.value, i.created, i.version, i.lease
  FROM ${index} i JOIN ${data} d ON d.rev = i.rev AND d.sub = i.sub
  WHERE i.key = ?1 AND i.rev > ?2 AND i.rev <= ?3 ORDER BY i.rev LIMIT ?4`,
);

/**
 * Changes after `after` up to revision `to`, all of them or those within `bounds`, of about
 * `bytesMax` bytes at most (one change may be larger).
 */
export function changePage(
  { sql }: Store,
  after: Position,
  to: number,
  bytesMax: number,
  bounds: Bounds | null = null,
): ChangePage {
  if (bounds === null) {
    const rows = sql.iterate(everything, after.rev, after.sub, to, rowsMax);
    return collect(rows, bytesMax, rowsMax, endOf(to));
  }
  if (bounds.single) {
    const rows = sql.iterate(ofOneKey, bounds.start, after.rev, to, rowsMax);
    const { changes, end } = collect(rows, bytesMax, rowsMax, endOf(to));
    // One key has one change in a revision.
    return { changes, end: endOf(end.rev) };
  }
  const last = sql.first(pageEnd, after.rev, after.sub, to, rowsMax - 1);
  const end = last ? { rev: last[0] as number, sub: last[1] as number } : endOf(to);
  const window = [after.rev, after.sub, end.rev, end.sub, bounds.start] as const;
  const rows =
    bounds.end === null
      ? sql.iterate(withinOpen, ...window)
      : sql.iterate(withinBounded, ...window, bounds.end);
  return collect(rows, bytesMax, Number.POSITIVE_INFINITY, end);
}

function collect(rows: Iterable<Row>, bytesMax: number, countMax: number, end: Position) {
  const changes: Change[] = [];
  let bytes = 0;
  let count = 0;
  for (const row of rows) {
    const [rev, sub, key, value, created, version, lease] = row;
    count += 1;
    const at = { rev: rev as number, sub: sub as number };
    // A later write of the same revision has replaced it.
    if (version !== null) {
      const kv = { key: key as Uint8Array, value: value as Uint8Array | null };
      const rest = { created: created as number, version: version as number };
      changes.push({ ...at, ...kv, ...rest, lease: lease as string });
      bytes += kv.key.length + (kv.value?.length ?? 0);
    }
    if (bytes >= bytesMax || count === countMax) return { changes, end: at };
  }
  return { changes, end };
}

/** The encoded mvccpb.Event. `previous` is what etcd calls prev_kv. */
export function encodeEvent(change: Change, previous?: KeyValue): Uint8Array {
  const { rev, key, value, version } = change;
  const deleted = version === 0;
  const event = create(EventSchema, {
    type: deleted ? Event_EventType.DELETE : Event_EventType.PUT,
    // Of a tombstone etcd tells the key and the revision only.
    kv: deleted ? { key, modRevision: BigInt(rev) } : keyValue(change, value ?? undefined),
  });
  if (previous) event.prevKv = previous;
  return toBinary(EventSchema, event);
}

/** The key as it was before the change; undefined when it did not exist or that is compacted. */
export function previousOf({ sql, progress }: Store, { key, rev }: Change): KeyValue | undefined {
  if (rev - 1 < progress.compactRevision) return undefined;
  const version = readLive(sql, key, rev - 1);
  return version && keyValue(version, version.value ?? undefined);
}

/** The interval that a watch names: an empty key means "\0" there, that is, the first one. */
export function watchBounds(key: Uint8Array, rangeEnd: Uint8Array): Bounds {
  const start = key.length === 0 ? new Uint8Array(1) : key;
  if (rangeEnd.length === 0) return { start, end: keyAfter(start), single: true };
  const unbounded = rangeEnd.length === 1 && rangeEnd[0] === 0;
  return { start, end: unbounded ? null : rangeEnd, single: false };
}
