/**
 * Two sets of the tables that hold keys, leases, answers and small records. The active one is what everything reads and applies to; the
 * other one is filled by a snapshot that is being received, and emptied when it is of no use. Which
 * is active stands in kv_meta, so that one row switches all of it.
 *
 * A query over the tables of a set is written once and exists as two constant texts, since what
 * caches prepared statements looks them up by text.
 */
import type { Row, Sql, SqlValue } from './sql.ts';

export type SetNumber = 0 | 1;

export interface SetTables {
  readonly index: string;
  readonly data: string;
  readonly lease: string;
  readonly leaseKey: string;
  readonly once: string;
  readonly record: string;
}

export const tableSets: readonly [SetTables, SetTables] = [tablesOf(''), tablesOf('_1')];

function tablesOf(suffix: string): SetTables {
  return {
    index: `kv_index${suffix}`,
    data: `kv_data${suffix}`,
    lease: `kv_lease${suffix}`,
    leaseKey: `kv_lease_key${suffix}`,
    once: `kv_once${suffix}`,
    record: `kv_record${suffix}`,
  };
}

/** The text for each set. */
export type SetQuery = readonly [string, string];

export function perSet(text: (tables: SetTables) => string): SetQuery {
  return [text(tableSets[0]), text(tableSets[1])];
}

/** The Sql interface on one set of tables. */
export class SetSql {
  /** For the tables that belong to no set. */
  readonly common: Sql;
  private current: SetNumber;

  constructor(common: Sql, set: SetNumber) {
    this.common = common;
    this.current = set;
  }

  get set(): SetNumber {
    return this.current;
  }

  /** The set that is not this one. */
  other(): SetSql {
    return new SetSql(this.common, this.current === 0 ? 1 : 0);
  }

  /** From here on everybody who holds this object works on the other set. */
  switchSet(): void {
    this.current = this.current === 0 ? 1 : 0;
  }

  run(query: SetQuery, ...bindings: SqlValue[]): void {
    this.common.run(query[this.current], ...bindings);
  }

  all(query: SetQuery, ...bindings: SqlValue[]): Row[] {
    return this.common.all(query[this.current], ...bindings);
  }

  first(query: SetQuery, ...bindings: SqlValue[]): Row | undefined {
    return this.common.first(query[this.current], ...bindings);
  }

  iterate(query: SetQuery, ...bindings: SqlValue[]): Iterable<Row> {
    return this.common.iterate(query[this.current], ...bindings);
  }
}
