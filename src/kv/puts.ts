/**
 * Runs of plain puts, applied together: the same rows, revisions and answers as one by one, in a few
 * SQL statements. A busy leader's log entry is mostly such a run, and in the object a statement costs
 * more than the row it touches.
 */
import { create } from '@bufbuild/protobuf';
import { checkPut } from '../api/checks.ts';
import type { Command } from '../api/gen/command_pb.js';
import { type PutRequest, type PutResponse, PutResponseSchema } from '../api/gen/rpc_pb.js';
import { header } from './reply.ts';
import type { SqlValue } from './sql.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { changesFault, type EntryBudget } from './write.ts';

/** Rows of one statement. The platform binds 100 parameters at most; an index row has six. */
const chunkSizes = [16, 8, 4, 2, 1] as const;

const selectNewest = perChunk(
  (rows) => `
  SELECT k.column1, i.created, i.version
  FROM (VALUES ${list(rows, (at) => `(${at}, ?)`)}) AS k
  JOIN kv_index AS i ON i.key = k.column2
    AND i.rev = (SELECT max(rev) FROM kv_index WHERE key = k.column2)`,
);
const insertIndex = perChunk(
  (rows) => `INSERT INTO kv_index VALUES ${list(rows, () => "(?, ?, 0, ?, ?, '')")}`,
);
// An empty blob may be bound as NULL, which in kv_data means a tombstone.
const insertData = perChunk(
  (rows) => `INSERT INTO kv_data VALUES ${list(rows, () => "(?, 0, ?, coalesce(?, x''))")}`,
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

export function applyPuts(
  store: Store,
  requests: readonly PutRequest[],
  entry: EntryBudget,
): Outcome<PutResponse>[] {
  const allowed = requests.slice(0, entry.changesLeft);
  entry.changesLeft -= allowed.length;
  const newest = readNewest(store, allowed);
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
      response: create(PutResponseSchema, { header: header(rev) }),
    });
  }
  inChunks(index, (rows, size) => store.sql.run(textFor(insertIndex, size), ...rows.flat()));
  inChunks(data, (rows, size) => store.sql.run(textFor(insertData, size), ...rows.flat()));
  for (let at = allowed.length; at < requests.length; at += 1)
    outcomes.push(failure(changesFault(store, entry)));
  return outcomes;
}

function readNewest(store: Store, requests: readonly PutRequest[]): Map<string, Newest> {
  const keys = new Map(requests.map(({ key }) => [keyText(key), key]));
  const newest = new Map<string, Newest>();
  inChunks([...keys], (chunk, size) => {
    const rows = store.sql.all(textFor(selectNewest, size), ...chunk.map(([, key]) => key));
    for (const [at, created, version] of rows as number[][]) {
      const name = chunk[at as number]?.[0] as string;
      newest.set(name, { created: created as number, version: version as number });
    }
  });
  return newest;
}

/** A key as text, one character a byte, to look it up in a Map. */
function keyText(key: Uint8Array): string {
  let text = '';
  for (const byte of key) text += String.fromCharCode(byte);
  return text;
}

function inChunks<T>(items: readonly T[], run: (chunk: readonly T[], size: number) => void): void {
  let from = 0;
  for (const size of chunkSizes) {
    for (; items.length - from >= size; from += size) run(items.slice(from, from + size), size);
  }
}

function perChunk(text: (rows: number) => string): ReadonlyMap<number, string> {
  return new Map(chunkSizes.map((size) => [size, text(size)]));
}

function textFor(texts: ReadonlyMap<number, string>, size: number): string {
  return texts.get(size) as string;
}

function list(rows: number, item: (at: number) => string): string {
  return Array.from({ length: rows }, (_, at) => item(at)).join(', ');
}
