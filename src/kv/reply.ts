/**
 * Replies: how much of one may be held in memory, and the messages that all kinds share.
 */
import type { KeyValue } from '../api/gen/mvcc_pb.js';
import type { PutResponse, ResponseHeader } from '../api/gen/rpc_pb.js';
import type { LiveVersion } from './scan.ts';

/**
 * Charged per record beside its key and value. A record in memory is several objects, whatever its
 * length: without this a reply of a million tiny keys would pass and fill the isolate.
 */
export const recordOverheadBytes = 128;

/** Counts down what a reply may still hold. Deterministic: members must refuse the same commands. */
export class ReplyBudget {
  private left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }

  get spent(): boolean {
    return this.left < 0;
  }

  get bytesLeft(): number {
    return this.left;
  }

  /** False when the record does not fit; the reply is then refused as a whole. */
  takeRecord(keyBytes: number, valueBytes: number): boolean {
    this.left -= recordOverheadBytes + keyBytes + valueBytes;
    return this.left >= 0;
  }

  giveBack(keyBytes: number, valueBytes: number): void {
    this.left += recordOverheadBytes + keyBytes + valueBytes;
  }
}

const noValue = new Uint8Array(0);

export function keyValue(version: LiveVersion, value: Uint8Array = noValue): KeyValue {
  return {
    $typeName: 'mvccpb.KeyValue',
    key: version.key,
    createRevision: BigInt(version.created),
    modRevision: BigInt(version.rev),
    version: BigInt(version.version),
    value,
    lease: version.lease === '' ? 0n : BigInt(version.lease),
  };
}

/** The host adds cluster, member and term to the header of a whole response. */
export function header(revision: number): ResponseHeader {
  return {
    $typeName: 'etcdserverpb.ResponseHeader',
    clusterId: 0n,
    memberId: 0n,
    revision: BigInt(revision),
    raftTerm: 0n,
  };
}

export function putResponse(revision: number, prevKv?: KeyValue): PutResponse {
  return { $typeName: 'etcdserverpb.PutResponse', header: header(revision), prevKv };
}
