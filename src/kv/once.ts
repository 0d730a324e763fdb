/**
 * Commands that take effect once, however often they are in the log: what each was answered is kept by
 * the hash of its key, and whoever comes again gets that answer.
 *
 * The log orders them, so one is never "in flight" here: the second finds what the first has left. The
 * records are a queue, numbered without gaps; the oldest go first, a few with each new one. One that
 * a client or a router may still repeat is not let go for want of room: the new command is refused.
 *
 * Time is what the commands carry, from the clocks of the routers. It only tells old from new: a wrong
 * clock can let records go too early or late, and members still agree.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type EtcdErrorName, isEtcdErrorName } from '../api/errors.ts';
import type { Command, Once } from '../api/gen/command_pb.js';
import { type OnceResult, OnceResultSchema } from '../api/gen/once_pb.js';
import { onceKeptMs, onceRepeatedMs } from '../api/limits.ts';
import type { CommandResult } from './apply.ts';
import { compareBytes } from './bounds.ts';
import { failure, type Store } from './store.ts';
import { perSet, type SetSql } from './table-sets.ts';
import type { EntryBudget } from './write.ts';

/** Bytes of either hash. */
const hashBytes = 16;
/** Records that one command lets go: more than it adds, so that the queue shrinks when it may. */
const letGoMax = 4;
/** Rows that nobody needs any more and that one command deletes. */
const sweptMax = 16;

const selectByKey = perSet(
  ({ once }) => `
  SELECT request, time, result FROM ${once} WHERE key = ? AND seq >= ? ORDER BY seq DESC LIMIT 1`,
);
const selectOldest = perSet(
  ({ once }) => `SELECT time FROM ${once} WHERE seq >= ? ORDER BY seq LIMIT ?`,
);
const insertRecord = perSet(({ once }) => `INSERT INTO ${once} VALUES (?, ?, ?, ?, ?)`);
const selectPage = perSet(
  ({ once }) => `
  SELECT seq, key, request, time, result FROM ${once} WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`,
);
const sweepRows = perSet(
  ({ once }) => `
  DELETE FROM ${once} WHERE seq IN (SELECT seq FROM ${once} WHERE seq < ? ORDER BY seq LIMIT ?)`,
);

export interface OnceRecord {
  readonly seq: number;
  readonly key: Uint8Array;
  readonly request: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** An encoded OnceResult. */
  readonly result: Uint8Array;
}

/** `run` applies the command within; it is given a store whose replies are small enough to be kept. */
export function applyOnce(
  store: Store,
  once: Once,
  entry: EntryBudget,
  run: (store: Store, command: Command) => CommandResult,
): CommandResult {
  const { command, keyHash, requestHash, timeMs } = once;
  if (!isReadable(once) || !command) return failure('NotCapable');
  const time = Number(timeMs);
  const [request, since, kept] =
    store.sql.first(selectByKey, keyHash, store.progress.onceFirst) ?? [];
  if (request && time - (since as number) <= onceKeptMs) {
    if (compareBytes(request as Uint8Array, requestHash) !== 0)
      return failure('IdempotencyMismatch');
    return repeated(kept as Uint8Array, entry);
  }
  if (isFull(store, time)) return failure('TooManyRequests');
  const { limits } = store;
  const replyBytes = Math.min(limits.replyBytes, limits.onceReplyBytes);
  const result = run({ ...store, limits: { ...limits, replyBytes } }, command);
  if (result.ok || isFinal(result.error)) {
    remember(store, { key: keyHash, request: requestHash, time, result: encode(result) });
  }
  return result;
}

/** Made by a router of ours; the commands within are those that a client may repeat. */
function isReadable({ command, keyHash, requestHash, timeMs }: Once): boolean {
  const hashed = keyHash.length === hashBytes && requestHash.length === hashBytes;
  if (!hashed || timeMs > Number.MAX_SAFE_INTEGER) return false;
  switch (command?.op.case) {
    case 'put':
    case 'deleteRange':
    case 'txn':
    case 'leaseGrant':
      return true;
    default:
      return false;
  }
}

/** Another time it might have passed, or other code might know it: nothing to be kept. */
const passing: ReadonlySet<EtcdErrorName> = new Set<EtcdErrorName>([
  'TooManyRequests',
  'NotCapable',
  'NoSpace',
  'Corrupt',
]);

function isFinal(error: EtcdErrorName): boolean {
  return !passing.has(error);
}

function repeated(kept: Uint8Array, entry: EntryBudget): CommandResult {
  if (kept.length > entry.replyBytesLeft) return failure('TooManyRequests');
  entry.replyBytesLeft -= kept.length;
  return decode(kept);
}

/** No room, and the oldest may still be repeated: letting it go could make it take effect twice. */
function isFull({ sql, progress, limits }: Store, time: number): boolean {
  const { onceFirst, onceLast } = progress;
  if (onceLast - onceFirst + 1 < limits.onceRecords) return false;
  const [oldest] = sql.first(selectOldest, onceFirst, 1) ?? [];
  // One that is from far in the future was stamped by a wrong clock, and must not stop everything.
  return Math.abs(time - (oldest as number)) < onceRepeatedMs;
}

function remember(store: Store, { key, request, time, result }: Omit<OnceRecord, 'seq'>): void {
  const { sql, progress, limits, snapshots } = store;
  for (const [since] of sql.all(selectOldest, progress.onceFirst, letGoMax)) {
    const count = progress.onceLast - progress.onceFirst + 1;
    if (count < limits.onceRecords && time - (since as number) <= onceKeptMs) break;
    progress.onceFirst += 1;
  }
  progress.onceLast += 1;
  sql.run(insertRecord, progress.onceLast, key, request, time, result);
  // An open snapshot may have to read what has been let go since.
  if (progress.onceFirst > 1 && !snapshots.any) sql.run(sweepRows, progress.onceFirst, sweptMax);
}

/** In their order, from `seq` to `last`; at most `rowsMax`. */
export function oncePage(sql: SetSql, seq: number, last: number, rowsMax: number): OnceRecord[] {
  return sql.all(selectPage, seq, last, rowsMax).map((row) => ({
    seq: row[0] as number,
    key: row[1] as Uint8Array,
    request: row[2] as Uint8Array,
    time: row[3] as number,
    result: row[4] as Uint8Array,
  }));
}

function encode(result: CommandResult): Uint8Array {
  const outcome = result.ok ? result.response : { case: 'error', value: result.error };
  return toBinary(
    OnceResultSchema,
    create(OnceResultSchema, { outcome: outcome as OnceResult['outcome'] }),
  );
}

function decode(data: Uint8Array): CommandResult {
  const { outcome } = fromBinary(OnceResultSchema, data);
  if (outcome.case === 'error') {
    return failure(isEtcdErrorName(outcome.value) ? outcome.value : 'NotCapable');
  }
  if (outcome.case === undefined) return failure('NotCapable');
  return { ok: true, response: outcome };
}
