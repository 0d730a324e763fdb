/**
 * The replicated state machine: etcd's keys, revisions and transactions on SQLite.
 *
 * A pure function of (state, entry): members that apply the same entries hold the same rows and
 * give the same results, however the entries are spread over turns and lives. Apply never fails; an
 * expected error is a result. It opens no transaction: the host wraps a turn in one, calls
 * `saveProgress` at its end, and drops this object together with the transaction when one throws.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { checkDelete, checkPut, checkRange, checkTxn, isReadOnlyTxn } from '../api/checks.ts';
import { type Command, CommandSchema } from '../api/gen/command_pb.js';
import {
  type CompactionRequest,
  type CompactionResponse,
  CompactionResponseSchema,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type PutRequest,
  type PutResponse,
  type RangeRequest,
  type RangeResponse,
  type TxnRequest,
  type TxnResponse,
} from '../api/gen/rpc_pb.js';
import { maxRequestBytes } from '../api/limits.ts';
import { currentRulesVersion, decodeBatch } from './batch.ts';
import { boundsOf } from './bounds.ts';
import { compactionPending, compactStep, startCompaction } from './compaction.ts';
import { applyPuts, plainPut } from './puts.ts';
import { countKeys, drain, rangeAt, unboundedVisits } from './range.ts';
import { header, ReplyBudget } from './reply.ts';
import { createTables, loadProgress, type Progress, storeProgress, tablesExist } from './schema.ts';
import type { Sql } from './sql.ts';
import { defaultLimits, failure, type Limits, type Outcome, type Store } from './store.ts';
import { checkChanges, checkPath, decide, execute, executeRead } from './txn.ts';
import { Change, changesFault, type EntryBudget } from './write.ts';

export type CommandResponse =
  | { readonly case: 'put'; readonly value: PutResponse }
  | { readonly case: 'deleteRange'; readonly value: DeleteRangeResponse }
  | { readonly case: 'txn'; readonly value: TxnResponse }
  | { readonly case: 'compact'; readonly value: CompactionResponse };

export type CommandResult = Outcome<CommandResponse>;
export type RangeResult = Outcome<RangeResponse>;
export type TxnResult = Outcome<TxnResponse>;

export type Applied =
  | { readonly ok: true; readonly results: readonly CommandResult[] }
  /** The entry needs newer code. Nothing was applied, and nothing after it may be. */
  | { readonly ok: false; readonly unknownVersion: number };

/** A Command wraps a request of at most maxRequestBytes in a tag and a length. */
const commandBytesMax = maxRequestBytes + 64;

export class StateMachine {
  private readonly store: Store;
  private saved: Progress;

  private constructor(store: Store) {
    this.store = store;
    this.saved = { ...store.progress };
  }

  /** Whether `create` has ever been called here. Reads only. */
  static exists(sql: Sql): boolean {
    return tablesExist(sql);
  }

  /** The empty state: revision 1, nothing applied. */
  static create(sql: Sql): void {
    createTables(sql);
  }

  /** Reads one row and writes nothing. Throws when the storage was written by newer code. */
  static open(sql: Sql, limits: Partial<Limits> = {}): StateMachine {
    return new StateMachine({
      sql,
      progress: loadProgress(sql),
      limits: { ...defaultLimits, ...limits },
    });
  }

  get appliedIndex(): number {
    return this.store.progress.appliedIndex;
  }

  get revision(): number {
    return this.store.progress.revision;
  }

  /** -1 before the first compaction. */
  get compactRevision(): number {
    return this.store.progress.compactRevision;
  }

  /**
   * Applies the entry at `index`, the one after `appliedIndex`. `data` is an encoded EntryBatch;
   * empty for an entry that carries no commands (a new leader's, a change of membership).
   */
  apply(index: number, data: Uint8Array): Applied {
    const { progress, limits } = this.store;
    if (index !== progress.appliedIndex + 1) {
      throw new Error(`kv: entry ${index} does not follow ${progress.appliedIndex}`);
    }
    const results: CommandResult[] = [];
    if (data.length > 0) {
      const { rulesVersion, commands } = decodeBatch(data);
      if (rulesVersion !== currentRulesVersion) return { ok: false, unknownVersion: rulesVersion };
      const entry: EntryBudget = {
        changesLeft: limits.changes,
        replyBytesLeft: limits.entryReplyBytes,
        visitsLeft: limits.visits,
      };
      this.applyAll(commands, entry, results);
      progress.rulesVersion = rulesVersion;
    }
    progress.appliedIndex = index;
    return { ok: true, results };
  }

  /** Writes the row of progress if anything has moved. Once per turn, in its transaction. */
  saveProgress(): void {
    const { sql, progress } = this.store;
    if (!moved(this.saved, progress)) return;
    storeProgress(sql, progress);
    this.saved = { ...progress };
  }

  /**
   * Reads at the revision at which the first step runs. Yields between pages; whoever drives it may
   * apply entries and compact in between. Simply dropping it is fine. Without count, the count is
   * that of the keys that had to be read anyway, and a page of many keys costs a page.
   */
  *range(request: RangeRequest, withCount = true): Generator<void, RangeResult> {
    const fault = checkRange(request);
    if (fault) return failure(fault);
    const { limits, progress } = this.store;
    const reply = new ReplyBudget(limits.replyBytes);
    const { store } = this;
    const visits = unboundedVisits();
    return yield* rangeAt(store, request, progress.revision, reply, visits, withCount);
  }

  /** A transaction that only reads, without a log entry; all of it at one revision, like `range`. */
  *readTxn(request: TxnRequest): Generator<void, TxnResult> {
    const fault = checkTxn(request);
    if (fault) return failure(fault);
    if (!isReadOnlyTxn(request)) throw new Error('kv: readTxn was given one that writes');
    const { store } = this;
    const rev = store.progress.revision;
    const path = yield* decide(store, request, rev, unboundedVisits());
    if (path === 'TooManyVisits') return failure(path);
    // The compares looked at this revision: was it all there until now?
    if (rev < store.progress.compactRevision) return failure('Compacted');
    const refused = checkPath(store, path);
    if (refused) return failure(refused);
    const reply = new ReplyBudget(store.limits.replyBytes);
    const outcome = yield* executeRead(store, path, rev, reply);
    if (outcome.ok) outcome.response.header = header(rev);
    return outcome;
  }

  /** Whether versions below the compact revision are still on disk. */
  compactionPending(): boolean {
    return compactionPending(this.store.progress);
  }

  /** Deletes up to about `maxRows` rows; returns how many. Then call `saveProgress`. */
  compactStep(maxRows: number): number {
    return compactStep(this.store, maxRows);
  }

  private applyAll(
    encoded: readonly Uint8Array[],
    entry: EntryBudget,
    results: CommandResult[],
  ): void {
    const commands = encoded.map(decodeCommand);
    for (let at = 0; at < commands.length; ) {
      const puts = plainPuts(commands, at);
      if (puts.length > 1) {
        for (const outcome of applyPuts(this.store, puts, entry)) {
          results.push(tagged('put', outcome));
        }
        at += puts.length;
      } else {
        const command = commands[at] as Outcome<Command>;
        results.push(command.ok ? this.applyOne(command.response, entry) : command);
        at += 1;
      }
    }
  }

  private applyOne(command: Command, entry: EntryBudget): CommandResult {
    const { op } = command;
    switch (op.case) {
      case 'put':
        return tagged('put', this.put(op.value, entry));
      case 'deleteRange':
        return tagged('deleteRange', this.deleteRange(op.value, entry));
      case 'txn':
        return tagged('txn', checkedTxn(op.value) ?? this.txn(op.value, entry));
      case 'compact':
        return tagged('compact', this.compact(op.value));
      default:
        op satisfies { case: undefined };
        return failure('NotCapable');
    }
  }

  private put(request: PutRequest, entry: EntryBudget): Outcome<PutResponse> {
    const fault = checkPut(request);
    if (fault) return failure(fault);
    return this.change(entry, false, (change) => change.put(request));
  }

  private deleteRange(
    request: DeleteRangeRequest,
    entry: EntryBudget,
  ): Outcome<DeleteRangeResponse> {
    const fault = checkDelete(request);
    if (fault) return failure(fault);
    const bounds = boundsOf(request.key, request.rangeEnd);
    const atMost = entry.changesLeft;
    const count = bounds.single
      ? 1
      : drain(countKeys(this.store, bounds, this.store.progress.revision, atMost));
    if (count > atMost) return failure(changesFault(this.store, entry));
    return this.change(entry, false, (change) => change.deleteRange(request));
  }

  private txn(request: TxnRequest, entry: EntryBudget): Outcome<TxnResponse> {
    const isAlone = entry.visitsLeft === this.store.limits.visits;
    const outcome = this.txnWithin(request, entry);
    // With less work before it in the entry it might have passed.
    const shared = !outcome.ok && outcome.error === 'TooManyVisits' && !isAlone;
    return shared ? failure('TooManyRequests') : outcome;
  }

  private txnWithin(request: TxnRequest, entry: EntryBudget): Outcome<TxnResponse> {
    const { store } = this;
    const path = drain(decide(store, request, store.progress.revision, entry));
    if (path === 'TooManyVisits') return failure(path);
    const fault = checkPath(store, path) ?? checkChanges(store, path, entry);
    if (fault) return failure(fault);
    return this.change(entry, true, (change, reply) => {
      const outcome = execute(store, path, change, reply, entry);
      if (outcome.ok) outcome.response.header = header(change.revision);
      return outcome;
    });
  }

  private compact({ revision }: CompactionRequest): Outcome<CompactionResponse> {
    const { progress } = this.store;
    if (revision <= progress.compactRevision) return failure('Compacted');
    if (revision > progress.revision) return failure('FutureRev');
    startCompaction(progress, Number(revision));
    const response = create(CompactionResponseSchema, { header: header(progress.revision) });
    return { ok: true, response };
  }

  /** Runs one command's change; either all of it counts or none. */
  private change<T>(
    entry: EntryBudget,
    undoable: boolean,
    run: (change: Change, reply: ReplyBudget) => Outcome<T>,
  ): Outcome<T> {
    const { store } = this;
    const allowance = Math.min(store.limits.replyBytes, entry.replyBytesLeft);
    const reply = new ReplyBudget(allowance);
    const change = new Change(store, entry, reply, undoable);
    const outcome = run(change, reply);
    if (!outcome.ok) {
      change.undo();
      // It might have fitted if the commands before it in the entry had answered less.
      const shared = outcome.error === 'ReplyTooLarge' && allowance < store.limits.replyBytes;
      return shared ? failure('TooManyRequests') : outcome;
    }
    store.progress.revision = change.revision;
    entry.replyBytesLeft -= allowance - reply.bytesLeft;
    return outcome;
  }
}

function decodeCommand(data: Uint8Array): Outcome<Command> {
  if (data.length > commandBytesMax) return failure('RequestTooLarge');
  try {
    return { ok: true, response: fromBinary(CommandSchema, data) };
  } catch {
    return failure('NotCapable');
  }
}

/** The plain puts that follow each other from `from` on. */
function plainPuts(commands: readonly Outcome<Command>[], from: number): PutRequest[] {
  const puts: PutRequest[] = [];
  for (let at = from; at < commands.length; at += 1) {
    const command = commands[at];
    const put = command?.ok ? plainPut(command.response) : null;
    if (!put) break;
    puts.push(put);
  }
  return puts;
}

function checkedTxn(request: TxnRequest): Outcome<TxnResponse> | null {
  const fault = checkTxn(request);
  return fault ? failure(fault) : null;
}

function tagged<Case extends CommandResponse['case']>(
  name: Case,
  outcome: Outcome<Extract<CommandResponse, { case: Case }>['value']>,
): CommandResult {
  if (!outcome.ok) return outcome;
  return { ok: true, response: { case: name, value: outcome.response } as CommandResponse };
}

function moved(before: Progress, now: Progress): boolean {
  return (
    before.appliedIndex !== now.appliedIndex ||
    before.compactRevision !== now.compactRevision ||
    before.purgedRevision !== now.purgedRevision ||
    before.scanRevision !== now.scanRevision ||
    before.scanSub !== now.scanSub
  );
}
