/**
 * At which revisions the last compactions took place, and after which: etcd keeps as much in memory and
 * shows it in an answer (keys-hash.ts); here it is a record, so that all members say the same in every life.
 */
import { kinds } from './records.ts';
import type { Store } from './store.ts';

/** As many as etcd keeps. */
const keptMax = 10;
const noName = '';

/** `index`: of the log entry that compacts at `revision`, after `previous`. */
export function noteCompaction(
  store: Store,
  revision: number,
  previous: number,
  index: number,
): void {
  const noted = [...notedIn(store), `${revision}:${previous}`].slice(-keptMax);
  const data = new TextEncoder().encode(noted.join());
  store.records.put(kinds.compactions, noName, data, index);
}

/** null: none of the last ones took place there. */
export function previousCompaction(store: Store, revision: bigint): number | null {
  const found = notedIn(store).find((one) => one.startsWith(`${revision}:`));
  return found === undefined ? null : Number(found.split(':')[1]);
}

/** Oldest first. */
function notedIn({ records }: Store): string[] {
  const data = records.get(kinds.compactions, noName);
  return data ? new TextDecoder().decode(data).split(',') : [];
}
