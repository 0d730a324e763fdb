/**
 * Applies the commands of one log entry, in their order, to the state. Never fails: an expected error
 * is a result, equal on every member.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { checkDelete, checkPut, checkTxn } from '../api/checks.ts';
import type { MemberListResponse } from '../api/gen/cluster_pb.js';
import { type As, type Command, CommandSchema } from '../api/gen/command_pb.js';
import type { AlarmResponse, DowngradeResponse } from '../api/gen/maintenance_pb.js';
import {
  type AuthEnableResponse,
  type CompactionRequest,
  type CompactionResponse,
  CompactionResponseSchema,
  type DeleteRangeRequest,
  type DeleteRangeResponse,
  type LeaseGrantResponse,
  type LeaseRevokeResponse,
  type PutRequest,
  type PutResponse,
  type TxnRequest,
  type TxnResponse,
} from '../api/gen/rpc_pb.js';
import { maxRequestBytes } from '../api/limits.ts';
import { applyAlarm, refusedByAlarm } from './alarms.ts';
import { applyAuthChange } from './auth/commands.ts';
import { needsOfCommand } from './auth/needs.ts';
import { type Caller, permit } from './auth/permit.ts';
import {
  authRulesVersion,
  clusterRulesVersion,
  type DecodedBatch,
  leaseRulesVersion,
} from './batch.ts';
import { boundsOf } from './bounds.ts';
import { startCompaction } from './compaction.ts';
import { noteCompaction } from './compactions.ts';
import { applyDowngrade } from './downgrade.ts';
import { expireLease, grantLease, type LeaseExpired, revokeLease } from './lease-commands.ts';
import { applyMemberChange } from './members.ts';
import { applyOnce } from './once.ts';
import { applyPuts, plainPut } from './puts.ts';
import { countKeys, drain } from './range.ts';
import { header, ReplyBudget } from './reply.ts';
import { failure, type Outcome, type Store } from './store.ts';
import { checkChanges, checkPath, decide, execute } from './txn.ts';
import { Change, changesFault, type EntryBudget } from './write.ts';

export type CommandResponse =
  | { readonly case: 'put'; readonly value: PutResponse }
  | { readonly case: 'deleteRange'; readonly value: DeleteRangeResponse }
  | { readonly case: 'txn'; readonly value: TxnResponse }
  | { readonly case: 'compact'; readonly value: CompactionResponse }
  | { readonly case: 'leaseGrant'; readonly value: LeaseGrantResponse }
  | { readonly case: 'leaseRevoke'; readonly value: LeaseRevokeResponse }
  | { readonly case: 'leaseExpire'; readonly value: LeaseExpired }
  /** All changes of auth have answers of one shape. */
  | { readonly case: 'auth'; readonly value: AuthEnableResponse }
  | { readonly case: 'alarm'; readonly value: AlarmResponse }
  | { readonly case: 'downgrade'; readonly value: DowngradeResponse }
  /** What the client is told is more than the state machine knows. */
  | { readonly case: 'member'; readonly value: MemberListResponse };

export type CommandResult = Outcome<CommandResponse>;
/**
 * A Command wraps a request of at most maxRequestBytes in a tag and a length, Once in some more, and As in
 * a token of at most 2 KiB.
 */
const commandBytesMax = [maxRequestBytes + 64, maxRequestBytes + 128, maxRequestBytes + 4_096];

/** `index`: of the entry in the log. Its commands are Command messages; one result each. */
export function applyCommands(store: Store, batch: DecodedBatch, index: number): CommandResult[] {
  const { limits } = store;
  const { rulesVersion } = batch;
  const entry: EntryBudget = {
    changesLeft: limits.changes,
    replyBytesLeft: limits.entryReplyBytes,
    visitsLeft: limits.visits,
  };
  const results: CommandResult[] = [];
  const bytesMax = commandBytesMax[Math.min(rulesVersion, commandBytesMax.length) - 1] ?? 0;
  const commands = batch.commands.map((data) => decodeCommand(data, bytesMax));
  for (let at = 0; at < commands.length; ) {
    // What may be refused is looked at one by one: nobody's puts while auth is enabled, and under an alarm.
    const isLookedAt = store.auth.enabled || store.alarms.raised.length > 0;
    const puts = isLookedAt ? [] : plainPuts(commands, at);
    if (puts.length > 1) {
      for (const outcome of applyPuts(store, puts, entry)) {
        results.push(tagged('put', outcome));
      }
      at += puts.length;
    } else {
      const command = commands[at] as Outcome<Command>;
      if (!command.ok) results.push(command);
      else if (rulesVersion < rulesOf(command.response)) results.push(failure('NotCapable'));
      else results.push(applyCommand(store, command.response, entry, index));
      at += 1;
    }
  }
  return results;
}

/** As whoever it is of. The expiry of a lease is nobody's. */
function applyCommand(
  store: Store,
  outer: Command,
  entry: EntryBudget,
  index: number,
): CommandResult {
  const { op } = outer;
  if (op.case === 'leaseExpire') return applyOne(store, outer, entry, index);
  const command = op.case === 'as' ? op.value.command : outer;
  if (!command) return failure('NotCapable');
  const caller = op.case === 'as' ? callerOf(op.value) : null;
  const refused = store.auth.enabled ? permit(store, caller, needsOfCommand(command), entry) : null;
  return refused ? failure(refused) : applyOne(store, command, entry, index);
}

function callerOf({ operator, token, user }: As): Caller {
  if (operator) return { kind: 'operator' };
  return user === '' ? { kind: 'token', token } : { kind: 'named', name: user };
}

function applyOne(
  store: Store,
  command: Command,
  entry: EntryBudget,
  index: number,
): CommandResult {
  const refused = refusedByAlarm(store, command);
  if (refused) return failure(refused);
  const { op } = command;
  switch (op.case) {
    case 'put':
      return tagged('put', put(store, op.value, entry));
    case 'deleteRange':
      return tagged('deleteRange', deleteRange(store, op.value, entry));
    case 'txn':
      return tagged('txn', checkedTxn(op.value) ?? txn(store, op.value, entry));
    case 'compact':
      return tagged('compact', compact(store, op.value, index));
    case 'leaseGrant':
      return tagged('leaseGrant', grantLease(store, op.value, index));
    case 'leaseRevoke':
      return tagged('leaseRevoke', revokeLease(store, op.value, entry, index));
    case 'leaseExpire':
      return tagged('leaseExpire', expireLease(store, op.value, entry, index));
    case 'once':
      return applyOnce(store, op.value, entry, (narrowed, within) =>
        applyOne(narrowed, within, entry, index),
      );
    case 'auth':
      return tagged('auth', applyAuthChange(store, op.value, index));
    case 'alarm':
      return tagged('alarm', applyAlarm(store, op.value, index));
    case 'downgrade':
      return tagged('downgrade', applyDowngrade(store, op.value, index));
    case 'member':
      return tagged('member', applyMemberChange(store, op.value, index));
    case 'as':
      // Only the outermost command says whose it is.
      return failure('NotCapable');
    default:
      op satisfies { case: undefined };
      return failure('NotCapable');
  }
}

/** The first rules that know the command. */
function rulesOf({ op }: Command): number {
  switch (op.case) {
    case 'leaseGrant':
    case 'leaseRevoke':
    case 'leaseExpire':
    case 'once':
      return leaseRulesVersion;
    case 'auth':
      return authRulesVersion;
    case 'as':
      return op.value.user === '' ? authRulesVersion : clusterRulesVersion;
    case 'alarm':
    case 'downgrade':
    case 'member':
      return clusterRulesVersion;
    default:
      return 1;
  }
}

function put(store: Store, request: PutRequest, entry: EntryBudget): Outcome<PutResponse> {
  const fault = checkPut(request);
  if (fault) return failure(fault);
  return runChange(store, entry, false, (change) => change.put(request));
}

function deleteRange(
  store: Store,
  request: DeleteRangeRequest,
  entry: EntryBudget,
): Outcome<DeleteRangeResponse> {
  const fault = checkDelete(request);
  if (fault) return failure(fault);
  const bounds = boundsOf(request.key, request.rangeEnd);
  const atMost = entry.changesLeft;
  const count = bounds.single
    ? 1
    : drain(countKeys(store, bounds, store.progress.revision, atMost));
  if (count > atMost) return failure(changesFault(store, entry));
  return runChange(store, entry, false, (change) => change.deleteRange(request));
}

function txn(store: Store, request: TxnRequest, entry: EntryBudget): Outcome<TxnResponse> {
  const isAlone = entry.visitsLeft === store.limits.visits;
  const outcome = txnWithin(store, request, entry);
  // With less work before it in the entry it might have passed.
  const shared = !outcome.ok && outcome.error === 'TooManyVisits' && !isAlone;
  return shared ? failure('TooManyRequests') : outcome;
}

function txnWithin(store: Store, request: TxnRequest, entry: EntryBudget): Outcome<TxnResponse> {
  const path = drain(decide(store, request, store.progress.revision, entry));
  if (path === 'TooManyVisits') return failure(path);
  const fault = checkPath(store, path) ?? checkChanges(store, path, entry);
  if (fault) return failure(fault);
  return runChange(store, entry, true, (change, reply) => {
    const outcome = execute(store, path, change, reply, entry);
    if (outcome.ok) outcome.response.header = header(change.revision);
    return outcome;
  });
}

function compact(
  store: Store,
  { revision }: CompactionRequest,
  index: number,
): Outcome<CompactionResponse> {
  const { progress } = store;
  if (revision <= progress.compactRevision) return failure('Compacted');
  if (revision > progress.revision) return failure('FutureRev');
  if (progress.rulesVersion >= clusterRulesVersion)
    noteCompaction(store, Number(revision), progress.compactRevision, index);
  startCompaction(progress, Number(revision));
  const response = create(CompactionResponseSchema, { header: header(progress.revision) });
  return { ok: true, response };
}

/** Runs one command's change; either all of it counts or none. */
function runChange<T>(
  store: Store,
  entry: EntryBudget,
  undoable: boolean,
  run: (change: Change, reply: ReplyBudget) => Outcome<T>,
): Outcome<T> {
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

function decodeCommand(data: Uint8Array, bytesMax: number): Outcome<Command> {
  if (data.length > bytesMax) return failure('RequestTooLarge');
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
