/**
 * Alarms: that a member's space is used up (NOSPACE), or that its data differ from the others'
 * (CORRUPT). They are records of the state, raised and cleared by entries, so all members refuse the
 * same commands (semantics of etcd 3.5's server/etcdserver/apply.go and corrupt.go).
 */
import { create } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import type { Command } from '../api/gen/command_pb.js';
import {
  AlarmRequest_AlarmAction as Action,
  type AlarmMember,
  AlarmMemberSchema,
  type AlarmRequest,
  type AlarmResponse,
  AlarmResponseSchema,
  AlarmType,
} from '../api/gen/maintenance_pb.js';
import type { RequestOp, TxnRequest } from '../api/gen/rpc_pb.js';
import { kinds, type Records } from './records.ts';
import { header } from './reply.ts';
import { failure, type Outcome, type Store } from './store.ts';

/** Anybody who may raise alarms may name members that are none: etcd has no bound. */
export const alarmsMax = 256;

const raisable: ReadonlySet<number> = new Set([AlarmType.NOSPACE, AlarmType.CORRUPT]);
const noData = new Uint8Array();
const idDigits = 16;

export class Alarms {
  private readonly records: Records;
  private cached: readonly AlarmMember[];
  private cachedAt: number;

  /** Reads them: a life that begins does it at once, and no command has to. */
  constructor(records: Records) {
    this.records = records;
    this.cachedAt = records.changeCount;
    this.cached = this.read();
  }

  /** By type, then by member. In memory until any record changes. */
  get raised(): readonly AlarmMember[] {
    const { changeCount } = this.records;
    if (this.cachedAt !== changeCount) {
      this.cached = this.read();
      this.cachedAt = changeCount;
    }
    return this.cached;
  }

  private read(): AlarmMember[] {
    return this.records.names(kinds.alarm).map(alarmOf);
  }

  isRaised(type: AlarmType): boolean {
    return this.raised.some(({ alarm }) => alarm === type);
  }

  find(type: AlarmType, memberId: bigint): AlarmMember | undefined {
    return this.raised.find(({ alarm, memberID }) => alarm === type && memberID === memberId);
  }

  /** All of them, or those of one type. */
  list(type: AlarmType): AlarmMember[] {
    return this.raised.filter(({ alarm }) => type === AlarmType.NONE || alarm === type);
  }

  raise(alarm: AlarmMember, index: number): void {
    this.records.put(kinds.alarm, nameOf(alarm), noData, index);
  }

  clear(alarm: AlarmMember, index: number): void {
    this.records.delete(kinds.alarm, nameOf(alarm), index);
  }
}

/** The type, then the member in hexadecimal digits: the order of the names is that of the numbers. */
function nameOf({ alarm, memberID }: AlarmMember): string {
  return `${alarm}/${memberID.toString(16).padStart(idDigits, '0')}`;
}

function alarmOf(name: string): AlarmMember {
  const [alarm, memberID] = name.split('/');
  return create(AlarmMemberSchema, { alarm: Number(alarm), memberID: BigInt(`0x${memberID}`) });
}

/** `index`: of the log entry. What there is no such alarm of, or no such type, is answered with none. */
export function applyAlarm(
  { alarms, progress }: Store,
  { action, memberID, alarm: type }: AlarmRequest,
  index: number,
): Outcome<AlarmResponse> {
  const response = create(AlarmResponseSchema, { header: header(progress.revision) });
  const known = alarms.find(type, memberID);
  switch (action) {
    case Action.GET:
      response.alarms = alarms.list(type);
      break;
    case Action.ACTIVATE: {
      if (!raisable.has(type)) break;
      if (!known && alarms.raised.length >= alarmsMax) return failure('TooManyRequests');
      const alarm = known ?? create(AlarmMemberSchema, { alarm: type, memberID });
      if (!known) alarms.raise(alarm, index);
      response.alarms = [alarm];
      break;
    }
    case Action.DEACTIVATE:
      if (!known) break;
      alarms.clear(known, index);
      response.alarms = [known];
      break;
    default:
      // etcd dies of a number that it does not know.
      action satisfies never;
  }
  return { ok: true, response };
}

/**
 * Null: the alarms that are raised do not stand against it; or it takes effect once, and has its answer
 * perhaps: then what is within is looked at before it is applied. An expiry is nobody's request: a lease ends
 * when it was said to, and what holds a lock is gone, also while clients are refused.
 */
export function refusedByAlarm(
  { alarms }: Pick<Store, 'alarms'>,
  command: Command,
): EtcdErrorName | null {
  if (alarms.raised.length === 0 || command.op.case === 'once') return null;
  if (alarms.isRaised(AlarmType.CORRUPT) && changesKeys(command)) return 'Corrupt';
  return alarms.isRaised(AlarmType.NOSPACE) && bytesAdded(command) > 0 ? 'NoSpace' : null;
}

function changesKeys({ op }: Command): boolean {
  switch (op.case) {
    case 'put':
    case 'deleteRange':
    case 'txn':
    case 'compact':
    case 'leaseGrant':
    case 'leaseRevoke':
      return true;
    default:
      return false;
  }
}

/** What etcd's quota counts beside key and value, or for a lease. */
const putOverheadBytes = 256;
const leaseOverheadBytes = 64;

/** What the command, within whatever envelope, can add to the database, as etcd's quota counts it; 0: nothing. */
export function bytesAdded({ op }: Command): number {
  switch (op.case) {
    case 'put':
      return putOverheadBytes + op.value.key.length + op.value.value.length;
    case 'txn':
      return ofTxn(op.value);
    case 'leaseGrant':
      return leaseOverheadBytes;
    case 'once':
    case 'as':
      return op.value.command ? bytesAdded(op.value.command) : 0;
    default:
      return 0;
  }
}

/** Of the branch that can add more, since nobody knows which one will run. */
function ofTxn({ success, failure: otherwise }: TxnRequest): number {
  return Math.max(ofOps(success), ofOps(otherwise));
}

function ofOps(ops: readonly RequestOp[]): number {
  let bytes = 0;
  for (const { request } of ops) {
    if (request.case === 'requestPut')
      bytes += putOverheadBytes + request.value.key.length + request.value.value.length;
    else if (request.case === 'requestTxn') bytes += ofTxn(request.value);
  }
  return bytes;
}
