/**
 * What etcd's maintenance service asks of a member or of its group, but for the commands
 * (docs/decisions/maintenance.md). Some of it a member tells of itself, as it is, whoever leads: that
 * is what an operator wants to see of one that lags, or that has no leader.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../api/errors.ts';
import { etcdErrors } from '../api/errors.ts';
import {
  type AlarmMember,
  AlarmResponseSchema,
  AlarmType,
  DefragmentResponseSchema,
  DowngradeRequest_DowngradeAction,
  DowngradeResponseSchema,
  HashKVResponseSchema,
  HashResponseSchema,
  MoveLeaderResponseSchema,
  StatusResponseSchema,
} from '../api/gen/maintenance_pb.js';
import {
  HistoryHashSchema,
  type MaintenanceQuery,
  type MemberReply,
} from '../api/gen/member_pb.js';
import { etcdVersions } from '../api/version.ts';
import { anyUser, type Needs, rootOnly } from '../kv/auth/needs.ts';
import { folded } from '../kv/hash.ts';
import { allMembers } from '../raft/configuration.ts';
import type { Shown } from './auth/callers.ts';
import type { GroupMember } from './group-member.ts';
import type { Hashed } from './hashing.ts';
import { placeOf } from './identity.ts';
import type { Platform } from './platform.ts';
import { failure, type Replies, reply } from './replies.ts';
import { roleOf } from './status.ts';

type Query = MaintenanceQuery['query'];

/** The member that is asked tells it, whether it leads or not. `serializable`: as it is, without a quorum. */
export function isOfMember({ query }: MaintenanceQuery, serializable: boolean): boolean {
  switch (query.case) {
    case 'status':
    case 'hash':
    case 'hashKv':
    case 'defragment':
    case 'historyHash':
      return true;
    case 'health':
      return serializable;
    default:
      return false;
  }
}

export class MaintenanceService {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly replies: Replies;

  constructor(platform: Platform, group: GroupMember, replies: Replies) {
    this.platform = platform;
    this.group = group;
    this.replies = replies;
  }

  /** Of this member; or of the group, at a read point. */
  async answer(
    { query }: MaintenanceQuery,
    shown: Shown | null,
    deadline: number,
  ): Promise<MemberReply> {
    const refused = this.group.machine.permit(shown, needsOf(query));
    if (refused && !isOpen(query)) return failure(refused);
    switch (query.case) {
      case 'status':
        return this.status();
      case 'hash':
        return this.hash(deadline);
      case 'hashKv':
        return this.hashKv(query.value.revision, deadline);
      case 'defragment':
        return reply(toBinary(DefragmentResponseSchema, create(DefragmentResponseSchema)));
      case 'alarms':
        return this.alarms(query.value.alarm);
      case 'health':
        return this.alarms(AlarmType.NONE);
      case 'downgrade':
        return this.downgrade(query.value.action, query.value.version);
      case 'historyHash':
        return this.historyHash(Number(query.value.revision));
      default:
        return failure('NotCapable');
    }
  }

  private status(): MemberReply {
    const { core, machine } = this.group;
    const leader = core.leaderHint;
    const errors = leader === null ? [etcdErrors.NoLeader.message] : [];
    return this.replies.current(
      StatusResponseSchema,
      create(StatusResponseSchema, {
        version: etcdVersions.etcdserver,
        // The log is in it. What is free in the file is not to be seen from here.
        dbSize: BigInt(this.platform.databaseBytes()),
        dbSizeInUse: BigInt(this.group.stateBytes),
        leader: leader === null ? 0n : this.group.roster.idOf(leader),
        raftIndex: BigInt(core.commitIndex),
        raftTerm: BigInt(core.term),
        raftAppliedIndex: BigInt(machine.appliedIndex),
        errors: [...errors, ...machine.alarms.raised.map(textOf)],
        isLearner: roleOf(this.group) === 'learner',
      }),
    );
  }

  private async hash(deadline: number): Promise<MemberReply> {
    const { machine } = this.group;
    const hashed = await this.group.hashing.run(
      () => machine.logicalHash(),
      this.isWaitedFor(deadline),
    );
    if (hashed.type !== 'done') return failure(whyNot(hashed));
    const hash = folded(hashed.value);
    return this.replies.current(HashResponseSchema, create(HashResponseSchema, { hash }));
  }

  private async hashKv(revision: bigint, deadline: number): Promise<MemberReply> {
    const { machine } = this.group;
    const hashed = await this.group.hashing.run(
      () => machine.keysHash(revision),
      this.isWaitedFor(deadline),
    );
    if (hashed.type !== 'done') return failure(whyNot(hashed));
    const outcome = hashed.value;
    if (!outcome.ok) return failure(outcome.error);
    const { hash } = outcome.response;
    const response = create(HashKVResponseSchema, {
      hash,
      compactRevision: BigInt(outcome.response.compactRevision),
    });
    return this.replies.current(HashKVResponseSchema, response);
  }

  /** What the leader compares with its own. */
  private historyHash(revision: number): MemberReply {
    const hash = this.group.hashCheck.answer(revision);
    if (typeof hash !== 'string') return reply(toBinary(HistoryHashSchema, hash));
    return failure(hash === 'not yet' ? 'TooStale' : 'Compacted');
  }

  private isWaitedFor(deadline: number): () => boolean {
    return () => this.platform.now() < deadline;
  }

  private alarms(type: AlarmType): MemberReply {
    const alarms = this.group.machine.alarms.list(type);
    return this.replies.current(AlarmResponseSchema, create(AlarmResponseSchema, { alarms }));
  }

  private downgrade(action: DowngradeRequest_DowngradeAction, version: string): MemberReply {
    const isKnown = action === DowngradeRequest_DowngradeAction.VALIDATE;
    const refused = isKnown ? this.group.machine.downgradeRefusal(version) : 'UnknownMethod';
    if (refused) return failure(refused);
    const response = create(DowngradeResponseSchema, { version: etcdVersions.etcdcluster });
    return this.replies.current(DowngradeResponseSchema, response);
  }

  /** null: nobody of that id is a member. */
  placeOfMember(id: bigint): number | null {
    const members = allMembers(this.group.core.configuration);
    const found = members.find((member) => this.group.roster.idOf(member) === id);
    return found === undefined ? null : placeOf(found);
  }

  /** etcd's answer has no header. */
  moved(): MemberReply {
    return reply(toBinary(MoveLeaderResponseSchema, create(MoveLeaderResponseSchema)));
  }
}

/** etcd 3.5.30: whoever is a user may see the alarms; the rest is root's. */
function needsOf(query: Query): Needs {
  return query.case === 'alarms' ? anyUser : rootOnly;
}

/** Asked by the router or by a member, for nobody. */
function isOpen({ case: name }: Query): boolean {
  return name === 'health' || name === 'historyHash';
}

/** As Go prints the message. */
function textOf({ memberID, alarm }: AlarmMember): string {
  const member = memberID === 0n ? '' : `memberID:${memberID} `;
  return `${member}alarm:${AlarmType[alarm]} `;
}

function whyNot({ type }: Exclude<Hashed<unknown>, { type: 'done' }>): EtcdErrorName {
  return type === 'overloaded' ? 'TooManyRequests' : 'Timeout';
}
