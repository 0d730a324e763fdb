/** Builds MemberReply messages: etcd responses with their header filled in, failures, redirects. */
import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { MemberListResponseSchema } from '../api/gen/cluster_pb.js';
import { AlarmResponseSchema, DowngradeResponseSchema } from '../api/gen/maintenance_pb.js';
import {
  type MemberReply,
  MemberReplySchema,
  type RedirectSchema,
  ServerSchema,
} from '../api/gen/member_pb.js';
import {
  AuthEnableResponseSchema,
  CompactionResponseSchema,
  DeleteRangeResponseSchema,
  LeaseGrantResponseSchema,
  LeaseRevokeResponseSchema,
  PutResponseSchema,
  type RangeResponse,
  RangeResponseSchema,
  type ResponseHeader,
  ResponseHeaderSchema,
  type TxnResponse,
  TxnResponseSchema,
} from '../api/gen/rpc_pb.js';
import { protocolVersion } from '../api/limits.ts';
import type { CommandResponse } from '../kv/state-machine.ts';
import type { GroupMember } from './group-member.ts';
import { numericId, placeOf } from './identity.ts';
import { roleOf } from './status.ts';

/** Of one request. */
export interface Measured {
  /** How long it waited for the quorum; null: it did not. */
  quorumMs: number | null;
  /** Of the state that a serializable read saw; null: unknown, or another kind of request. */
  stalenessMs: number | null;
  namesPlaces: boolean;
}

interface Headed {
  header?: ResponseHeader | undefined;
}

export class Replies {
  private readonly group: GroupMember;
  private readonly place: number;
  private readonly clusterId: bigint;

  constructor(group: GroupMember, place: number) {
    this.group = group;
    this.place = place;
    this.clusterId = numericId(group.birth.groupId);
  }

  command(response: CommandResponse): MemberReply {
    // The leader's own command: no client waits for it.
    if (response.case === 'leaseExpire') return reply(new Uint8Array());
    this.fill(response.value);
    switch (response.case) {
      case 'put':
        return reply(toBinary(PutResponseSchema, response.value));
      case 'deleteRange':
        return reply(toBinary(DeleteRangeResponseSchema, response.value));
      case 'txn':
        return reply(toBinary(TxnResponseSchema, response.value));
      case 'compact':
        return reply(toBinary(CompactionResponseSchema, response.value));
      case 'leaseGrant':
        return reply(toBinary(LeaseGrantResponseSchema, response.value));
      case 'leaseRevoke':
        return reply(toBinary(LeaseRevokeResponseSchema, response.value));
      case 'auth':
        return reply(toBinary(AuthEnableResponseSchema, response.value));
      case 'alarm':
        return reply(toBinary(AlarmResponseSchema, response.value));
      case 'downgrade':
        return reply(toBinary(DowngradeResponseSchema, response.value));
      case 'member':
        return reply(toBinary(MemberListResponseSchema, response.value));
    }
  }

  range(response: RangeResponse): MemberReply {
    this.fill(response);
    return reply(toBinary(RangeResponseSchema, response));
  }

  txn(response: TxnResponse): MemberReply {
    this.fill(response);
    return reply(toBinary(TxnResponseSchema, response));
  }

  /** A ping is answered like an empty range: its header says the revision. */
  ping(): MemberReply {
    return this.current(RangeResponseSchema, create(RangeResponseSchema));
  }

  /** Says who answered, and what was measured meanwhile. */
  sign(message: MemberReply, { quorumMs, stalenessMs, namesPlaces }: Measured): MemberReply {
    const { core } = this.group;
    const { voters, learners } = core.configuration;
    const server = create(ServerSchema, {
      place: this.place,
      role: roleOf(this.group),
      term: BigInt(core.term),
    });
    if (quorumMs !== null) server.quorumMs = quorumMs;
    if (stalenessMs !== null) server.stalenessMs = BigInt(stalenessMs);
    if (namesPlaces) server.places = [...voters, ...learners].map(placeOf);
    message.servedBy = server;
    const { outcome } = message;
    if (outcome.case === 'failure' && outcome.value.error === 'Compacted')
      outcome.value.compactRevision = BigInt(this.group.machine.compactRevision);
    return message;
  }

  /** A response that says the revision at which it was made. */
  current<Desc extends DescMessage>(
    schema: Desc,
    response: MessageShape<Desc> & Headed,
  ): MemberReply {
    return reply(toBinary(schema, this.atRevision(response)));
  }

  /** What etcd says of members is of no revision. */
  withoutRevision<Desc extends DescMessage>(
    schema: Desc,
    response: MessageShape<Desc> & Headed,
  ): MemberReply {
    this.fill(response);
    return reply(toBinary(schema, response));
  }

  atRevision<T extends Headed>(response: T): T {
    const revision = BigInt(this.group.machine.revision);
    response.header = create(ResponseHeaderSchema, { revision });
    this.fill(response);
    return response;
  }

  private fill(response: Headed): void {
    const header = response.header ?? create(ResponseHeaderSchema);
    header.clusterId = this.clusterId;
    header.memberId = this.group.roster.idOf(this.group.self);
    header.raftTerm = BigInt(this.group.core.term);
    response.header = header;
  }
}

export function reply(response: Uint8Array): MemberReply {
  return {
    $typeName: 'quorate.v1.MemberReply',
    protocol: protocolVersion,
    outcome: { case: 'response', value: response },
  };
}

export function failure(error: EtcdErrorName, outcomeUnknown = false, detail = ''): MemberReply {
  return create(MemberReplySchema, {
    protocol: protocolVersion,
    outcome: { case: 'failure', value: { error, outcomeUnknown, detail } },
  });
}

export function redirect(value: MessageInitShape<typeof RedirectSchema>): MemberReply {
  return create(MemberReplySchema, {
    protocol: protocolVersion,
    outcome: { case: 'redirect', value },
  });
}
