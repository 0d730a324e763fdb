/**
 * Walks the history in its order, (rev, sub), each row of kv_data with its row of kv_index, in pages
 * that a seek begins: what a page costs does not depend on what lies before it.
 */
import type { SetQuery } from './table-sets.ts';
import { perSet } from './table-sets.ts';

/** A place between two rows; both 0: before the first. */
export interface Position {
  readonly rev: number;
  readonly sub: number;
}

export const beginning: Position = { rev: 0, sub: 0 };

/**
 * rev, sub, key, value, created, version, lease; the last three are NULL when a later write of the
 * same revision has replaced the row in the index. `more` adds columns over d and i.
 * Bindings: rev and sub after which to begin, the last revision, rows at most; then those of `more`.
 */
export function historyPage(more: (index: string) => string = () => ''): SetQuery {
  return perSet(
    ({ index, data }) => `
    SELECT d.rev, d.sub, d.key, d.value, i.created, i.version, i.lease ${more(index)}
    FROM ${data} d LEFT JOIN ${index} i ON i.key = d.key AND i.rev = d.rev AND i.sub = d.sub
    WHERE (d.rev, d.sub) > (?1, ?2) AND d.rev <= ?3 ORDER BY d.rev, d.sub LIMIT ?4`,
  );
}
