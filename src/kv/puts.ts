/**
 * Runs of plain puts, applied together: the same rows, revisions and answers as one by one, in a few
 * SQL statements. A busy leader's log entry is mostly such a run, and in the object a statement costs
 * more than the row it touches.
 */
import { checkPut } from '../api/checks.ts';
import type { Command } from '../api/gen/command_pb.js';
import type { PutRequest, PutResponse } from '../api/gen/rpc_pb.js';
import { type Attachment, detachAll } from './attachments.ts';
import { inChunks, list, perChunk, queryFor, runInChunks } from './bulk.ts';
import { putResponse } from './reply.ts';
import type { SqlValue } from './sql.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { changesFault, type EntryBudget } from './write.ts';

const selectNewest = perChunk(
  (rows, { index }) => `
  SELECT k.column1, i.created, i.version, i.lease
  FROM (VALUES ${list(rows, (at) => `(${at}, ?)`)}) AS k
  JOIN ${index} AS i ON i.key = k.column2
    AND i.rev = (SELECT max(rev) FROM ${index} WHERE key = k.column2)`,
);
const insertIndex = perChunk(
  (rows, { index }) => `INSERT INTO ${index} VALUES ${list(rows, () => "(?, ?, 0, ?, ?, '')")}`,
);
// An empty blob may be bound as NULL, which in kv_data means a tombstone.
const insertData = perChunk(
  (rows, { data }) =>
    `INSERT INTO ${data} VALUES ${list(rows, () => "(?, 0, ?, coalesce(?, x''))")}`,
);

/** The put of a command that needs nothing of the previous version but its numbers, or null. */
export function plainPut({ op }: Command): PutRequest | null {
  if (op.case !== 'put') return null;
  const { prevKv, ignoreValue, ignoreLease, lease } = op.value;
  if (prevKv || ignoreValue || ignoreLease || lease !== 0n) return null;
  return checkPut(op.value) === null ? op.value : null;
}

interface Newest {
  created: number;
  version: number;
}

interface NewestVersions {
  /** By `keyText`. */
  readonly byKey: Map<string, Newest>;
  /** Of the keys that have a lease. */
  readonly attached: readonly Attachment[];
}

export function applyPuts(
  store: Store,
  requests: readonly PutRequest[],
  entry: EntryBudget,
): Outcome<PutResponse>[] {
  const allowed = requests.slice(0, entry.changesLeft);
  entry.changesLeft -= allowed.length;
  const { byKey: newest, attached } = readNewest(store, allowed);
  const index: SqlValue[][] = [];
  const data: SqlValue[][] = [];
  const outcomes: Outcome<PutResponse>[] = [];
  for (const { key, value } of allowed) {
    store.progress.revision += 1;
    const rev = store.progress.revision;
    const name = keyText(key);
    const previous = newest.get(name);
    const lives = previous !== undefined && previous.version > 0;
    const next = lives
      ? { created: previous.created, version: previous.version + 1 }
      : { created: rev, version: 1 };
    newest.set(name, next);
    index.push([key, rev, next.created, next.version]);
    data.push([rev, key, value]);
    outcomes.push({
      ok: true,
      response: putResponse(rev),
    });
  }
  runInChunks(store.sql, insertIndex, index);
  runInChunks(store.sql, insertData, data);
  if (attached.length > 0) detachAll(store.sql, attached);
  for (let at = allowed.length; at < requests.length; at += 1)
    outcomes.push(failure(changesFault(store, entry)));
  return outcomes;
}

function readNewest(store: Store, requests: readonly PutRequest[]): NewestVersions {
  const keys = new Map(requests.map(({ key }) => [keyText(key), key]));
  const byKey = new Map<string, Newest>();
  const attached: Attachment[] = [];
  inChunks([...keys], (chunk, size) => {
    const rows = store.sql.all(queryFor(selectNewest, size), ...chunk.map(([, key]) => key));
    for (const [at, created, version, lease] of rows) {
      const [name, key] = chunk[at as number] as [string, Uint8Array];
      byKey.set(name, { created: created as number, version: version as number });
      if (lease !== '') attached.push({ lease: lease as string, key });
    }
  });
  return { byKey, attached };
}

/** A key as text, one character a byte, to look it up in a Map. */
function keyText(key: Uint8Array): string {
  let text = '';
  for (const byte of key) text += String.fromCharCode(byte);
  return text;
}
