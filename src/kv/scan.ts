/**
 * Walks the keys of an interval as they were at one revision, in key order, in pages of bounded
 * work. No statement stays open between pages, so writes and other reads may come in between.
 *
 * Two ways to make a page. `dense` reads rows of kv_index in order and keeps, per key, the newest
 * at or below the revision: cheapest while keys have few versions. `sparse` seeks from key to key:
 * dearer per key, but a key with a million versions costs no more than one with a single version.
 * A scan starts dense and takes a sparse page whenever a dense one found mostly superseded rows.
 */
import { type Bounds, keyAfter } from './bounds.ts';
import type { Row } from './sql.ts';
import { perSet, type SetQuery, type SetSql } from './table-sets.ts';

/** The version of a key that is live at the revision of the read. */
export interface LiveVersion {
  readonly key: Uint8Array;
  readonly rev: number;
  readonly sub: number;
  readonly created: number;
  readonly version: number;
  readonly lease: string;
  /** null when the scan was not asked for values. */
  readonly value: Uint8Array | null;
}

export interface PageLimits {
  /** Rows of kv_index in a dense page. */
  readonly rowsMax: number;
  /** The same for a count, of which nothing leaves SQLite. */
  readonly countRowsMax: number;
  /** Bytes of keys and values in a page (one record more may be read). */
  readonly bytesMax: number;
}

export const defaultPageLimits: PageLimits = {
  rowsMax: 1000,
  countRowsMax: 8000,
  bytesMax: 256 * 1024,
};

/** A dense page with fewer keys than a `1/sparseRatio` of its rows is followed by a sparse one. */
const sparseRatio = 8;

/** The first dense page of a scan; most ranges end within it, and a larger one would waste reads. */
const firstPageRows = 64;

const dense = (index: string, bounded: boolean): string => `
  SELECT key, max(CASE WHEN rev <= ?1 THEN rev END) AS live, sub, created, version, lease, count(*) AS n
  FROM (
    SELECT key, rev, sub, created, version, lease FROM ${index}
    WHERE key >= ?2 ${bounded ? 'AND key < ?4' : ''} ORDER BY key, rev DESC LIMIT ?3
  ) GROUP BY key`;

const sparse = (index: string, bounded: boolean): string => `
  SELECT k.key AS key, i.rev AS live, i.sub AS sub, i.created AS created, i.version AS version,
    i.lease AS lease, 1 AS n
  FROM (
    WITH RECURSIVE seek(key) AS (
      SELECT * FROM (
        SELECT key FROM ${index} WHERE key >= ?2 ${bounded ? 'AND key < ?4' : ''} ORDER BY key LIMIT 1)
      UNION ALL
      SELECT (
        SELECT next.key FROM ${index} next
        WHERE next.key > seek.key ${bounded ? 'AND next.key < ?4' : ''} ORDER BY next.key LIMIT 1)
      FROM seek WHERE seek.key IS NOT NULL
    )
    SELECT key FROM seek WHERE key IS NOT NULL LIMIT ?3
  ) k LEFT JOIN ${index} i ON i.key = k.key AND i.rev = (
    SELECT at.rev FROM ${index} at WHERE at.key = k.key AND at.rev <= ?1 ORDER BY at.rev DESC LIMIT 1)`;

const withoutValue = (page: string): string =>
  `SELECT key, live, sub, created, version, lease, n, NULL FROM (${page})`;

const withValue = (page: string, data: string): string => `
  SELECT p.key, p.live, p.sub, p.created, p.version, p.lease, p.n, d.value
  FROM (${page}) p LEFT JOIN ${data} d ON d.rev = p.live AND d.sub = p.sub`;

// max(key) is the only aggregate of its kind here, so `live` and `version` are those of that key.
const counted = (page: string): string => `
  SELECT count(*) FILTER (WHERE live IS NOT NULL AND version > 0), sum(n), count(*), max(key), live
  FROM (${page})`;

interface PageQueries {
  readonly dense: SetQuery;
  readonly sparse: SetQuery;
}

const pageQueries = (
  bounded: boolean,
  wrap: (page: string, data: string) => string,
): PageQueries => ({
  dense: perSet(({ index, data }) => wrap(dense(index, bounded), data)),
  sparse: perSet(({ index, data }) => wrap(sparse(index, bounded), data)),
});

/** [unbounded, bounded] */
const both = (
  wrap: (page: string, data: string) => string,
): readonly [PageQueries, PageQueries] => [pageQueries(false, wrap), pageQueries(true, wrap)];

const indexPages = both(withoutValue);
const valuePages = both(withValue);
const countPages = both(counted);

const selectLive = perSet(
  ({ index, data }) => `
  SELECT i.rev, i.sub, i.created, i.version, i.lease, d.value
  FROM ${index} i LEFT JOIN ${data} d ON d.rev = i.rev AND d.sub = i.sub
  WHERE i.key = ? AND i.rev <= ? ORDER BY i.rev DESC LIMIT 1`,
);

const selectValue = perSet(({ data }) => `SELECT value FROM ${data} WHERE rev = ? AND sub = ?`);

/** One key with its value, as it was at `rev`; undefined when it did not exist. */
export function readLive(sql: SetSql, key: Uint8Array, rev: number): LiveVersion | undefined {
  const row = sql.first(selectLive, key, rev);
  if (!row || row[3] === 0) return undefined;
  return {
    key,
    rev: row[0] as number,
    sub: row[1] as number,
    created: row[2] as number,
    version: row[3] as number,
    lease: row[4] as string,
    value: row[5] as Uint8Array,
  };
}

/** The value of a version that an index page named. */
export function readValue(sql: SetSql, rev: number, sub: number): Uint8Array {
  const row = sql.first(selectValue, rev, sub);
  if (!(row?.[0] instanceof Uint8Array)) throw new Error(`kv: no value at ${rev}.${sub}`);
  return row[0];
}

export class Scan {
  private readonly sql: SetSql;
  private readonly bounds: Bounds;
  private readonly rev: number;
  private readonly limits: PageLimits;
  private next: Uint8Array | null;
  private rows = firstPageRows;
  private sparseNext = false;

  constructor(sql: SetSql, bounds: Bounds, rev: number, limits: PageLimits = defaultPageLimits) {
    this.sql = sql;
    this.bounds = bounds;
    this.rev = rev;
    this.limits = limits;
    this.next = bounds.start;
  }

  get done(): boolean {
    return this.next === null;
  }

  /** Live versions without values; may be empty although the scan is not done. */
  indexPage(): LiveVersion[] {
    return this.page(indexPages, this.limits.rowsMax);
  }

  /**
   * Live versions with their values, at most about `keysMax` keys of them: a caller that needs only
   * a few says so, and nothing is read for the rest.
   */
  valuePage(keysMax: number): LiveVersion[] {
    return this.page(valuePages, Math.min(this.limits.rowsMax, Math.max(keysMax, 1)));
  }

  /** How many keys of the next page are live; nothing is read into memory. */
  countPage(): number {
    const { queries, limit, isSparse, start } = this.plan(countPages, this.limits.countRowsMax);
    const row = this.first(queries, start, limit);
    const [live, rows, keys, last, lastLive] = row;
    if (last === null || last === undefined) {
      this.next = null;
      return 0;
    }
    const read = isSparse ? (keys as number) : (rows as number);
    let count = live as number;
    if (!isSparse && read === limit && lastLive === null) {
      // The page may have ended among versions of the last key that are all too new.
      if (this.readIndex(last as Uint8Array)) count += 1;
    }
    this.advance(last as Uint8Array, read === limit, isSparse, rows as number, keys as number);
    return count;
  }

  private page(variants: readonly [PageQueries, PageQueries], rowsMax: number): LiveVersion[] {
    const { queries, limit, isSparse, start } = this.plan(variants, rowsMax);
    const versions: LiveVersion[] = [];
    let rows = 0;
    let keys = 0;
    let bytes = 0;
    let last: Uint8Array | null = null;
    let lastUndecided = false;
    let cut = false;
    for (const row of this.iterate(queries, start, limit)) {
      last = row[0] as Uint8Array;
      rows += row[6] as number;
      keys += 1;
      lastUndecided = row[1] === null;
      if (lastUndecided || row[4] === 0) continue;
      const version = liveVersion(last, row);
      versions.push(version);
      bytes += last.length + (version.value?.length ?? 0);
      if (bytes > this.limits.bytesMax) {
        cut = true;
        break;
      }
    }
    if (last === null) {
      this.next = null;
      return versions;
    }
    const full = (isSparse ? keys : rows) === limit;
    if (!cut && !isSparse && full && lastUndecided) {
      const version = this.readIndex(last, variants === valuePages);
      if (version) versions.push(version);
    }
    this.advance(last, cut || full, isSparse, rows, keys);
    return versions;
  }

  private plan(variants: readonly [PageQueries, PageQueries], rowsMax: number) {
    if (this.next === null) throw new Error('kv: the scan is done');
    const isSparse = this.sparseNext;
    const limit = Math.min(this.rows, rowsMax);
    const { dense, sparse } = variants[this.bounds.end === null ? 0 : 1];
    return { queries: isSparse ? sparse : dense, limit, isSparse, start: this.next };
  }

  /** Where and how the next page is read. */
  private advance(
    last: Uint8Array,
    more: boolean,
    wasSparse: boolean,
    rows: number,
    keys: number,
  ): void {
    this.next = more ? keyAfter(last) : null;
    // After a sparse page a small dense one tells whether keys still have long histories.
    this.sparseNext = !wasSparse && rows > keys * sparseRatio;
    const mayGrow = !wasSparse && !this.sparseNext;
    this.rows = mayGrow ? this.rows * 4 : firstPageRows;
  }

  private readIndex(key: Uint8Array, needsValue = false): LiveVersion | undefined {
    const version = readLive(this.sql, key, this.rev);
    return version && !needsValue ? { ...version, value: null } : version;
  }

  private iterate(query: SetQuery, start: Uint8Array, limit: number): Iterable<Row> {
    const { end } = this.bounds;
    return end === null
      ? this.sql.iterate(query, this.rev, start, limit)
      : this.sql.iterate(query, this.rev, start, limit, end);
  }

  private first(query: SetQuery, start: Uint8Array, limit: number): Row {
    const { end } = this.bounds;
    const row =
      end === null
        ? this.sql.first(query, this.rev, start, limit)
        : this.sql.first(query, this.rev, start, limit, end);
    return row as Row;
  }
}

function liveVersion(key: Uint8Array, row: Row): LiveVersion {
  return {
    key,
    rev: row[1] as number,
    sub: row[2] as number,
    created: row[3] as number,
    version: row[4] as number,
    lease: row[5] as string,
    value: row[7] as Uint8Array | null,
  };
}
