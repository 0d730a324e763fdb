/** A member that leads and serves from a real state machine, so that routes can be tested whole. */
import { create, toBinary } from '@bufbuild/protobuf';
import { MemberListResponseSchema } from '../../../src/api/gen/cluster_pb.js';
import {
  AlarmResponseSchema,
  DowngradeResponseSchema,
} from '../../../src/api/gen/maintenance_pb.js';
import type { MemberReply } from '../../../src/api/gen/member_pb.js';
import {
  AuthEnableResponseSchema,
  CompactionResponseSchema,
  DeleteRangeResponseSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeResponseSchema,
  PutResponseSchema,
  RangeResponseSchema,
  ResponseHeaderSchema,
  TxnResponseSchema,
} from '../../../src/api/gen/rpc_pb.js';
import { drain } from '../../../src/kv/range.ts';
import type { CommandResponse } from '../../../src/kv/state-machine.ts';
import { Machine } from '../../kv/support.ts';
import { leaseResponse } from './leases.ts';
import { failure, respondWith, type Script } from './members.ts';

/** Answers whoever is asked; a serializable read is answered the same way. */
export function storeLeader(machine = new Machine()): { machine: Machine; script: Script } {
  const script: Script = ({ request: { op }, place }): MemberReply => {
    switch (op.case) {
      case 'command': {
        const [result] = machine.apply(op.value);
        if (result === undefined) throw new Error('one command has one result');
        return result.ok ? respondWith(encode(result.response), place) : failure(result.error);
      }
      case 'range': {
        const result = drain(machine.machine.range(op.value));
        if (!result.ok) return failure(result.error);
        return respondWith(toBinary(RangeResponseSchema, result.response), place);
      }
      case 'readTxn': {
        const result = drain(machine.machine.readTxn(op.value));
        if (!result.ok) return failure(result.error);
        return respondWith(toBinary(TxnResponseSchema, result.response), place);
      }
      default: {
        const ofLeases = leaseResponse(machine.machine, op);
        if (ofLeases !== null) return respondWith(ofLeases, place);
        const header = create(ResponseHeaderSchema, { revision: BigInt(machine.machine.revision) });
        const response = create(RangeResponseSchema, { header });
        return respondWith(toBinary(RangeResponseSchema, response), place);
      }
    }
  };
  return { machine, script };
}

function encode(response: CommandResponse): Uint8Array {
  switch (response.case) {
    case 'put':
      return toBinary(PutResponseSchema, response.value);
    case 'deleteRange':
      return toBinary(DeleteRangeResponseSchema, response.value);
    case 'txn':
      return toBinary(TxnResponseSchema, response.value);
    case 'compact':
      return toBinary(CompactionResponseSchema, response.value);
    case 'leaseGrant':
      return toBinary(LeaseGrantResponseSchema, response.value);
    case 'leaseRevoke':
      return toBinary(LeaseRevokeResponseSchema, response.value);
    case 'leaseExpire':
      return new Uint8Array();
    case 'auth':
      return toBinary(AuthEnableResponseSchema, response.value);
    case 'alarm':
      return toBinary(AlarmResponseSchema, response.value);
    case 'downgrade':
      return toBinary(DowngradeResponseSchema, response.value);
    case 'member':
      return toBinary(MemberListResponseSchema, response.value);
    default:
      return response satisfies never;
  }
}
