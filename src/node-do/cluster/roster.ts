/**
 * The members as clients know them: those of the Raft configuration, and those that were added and live
 * nowhere yet, with the ids, names and URLs that etcd would give them (docs/decisions/cluster.md).
 */
import type { MemberRecord } from '../../api/gen/command_pb.js';
import { parsePeerUrls, urlOfPlace } from '../../api/peer-urls.ts';
import type { StateMachine } from '../../kv/state-machine.ts';
import { allMembers, type Configuration, isVoter } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/types.ts';
import { incarnationOf, numericId, placeOf } from '../identity.ts';

export interface Listed {
  readonly id: bigint;
  /** In the Raft configuration; null: it is not there, and counts for no quorum. */
  readonly member: MemberId | null;
  /** It belongs to the group, and is what it was added as: one that is to vote does. */
  readonly isStarted: boolean;
  readonly isLearner: boolean;
  readonly peerUrls: readonly string[];
  /** Where it lives, or is to live; null: nowhere of ours. */
  readonly place: number | null;
}

export class Roster {
  private readonly machine: Pick<StateMachine, 'members' | 'recordChanges'>;
  private readonly groupId: string;
  private records: ReadonlyMap<bigint, MemberRecord> = new Map();
  private others: readonly bigint[] = [];
  private readAt = -1;

  constructor(machine: Pick<StateMachine, 'members' | 'recordChanges'>, groupId: string) {
    this.machine = machine;
    this.groupId = groupId;
  }

  /**
   * Of its incarnation, but for a member that was added before it had a place: that keeps the id which it
   * got then.
   */
  idOf(member: MemberId): bigint {
    return this.recordOf(member)?.[0] ?? numericId(incarnationOf(member));
  }

  /** In the order of their ids, as etcd tells of them. */
  list(configuration: Configuration): Listed[] {
    const present = allMembers(configuration).map((member) => this.present(member, configuration));
    const linked = new Set(present.map(({ id }) => id));
    const others = [...this.all].filter(([id]) => !linked.has(id));
    const absent = others.map(([id, { isLearner, peerUrls }]): Listed => {
      const place = parsePeerUrls(peerUrls)?.place ?? null;
      return { id, member: null, isStarted: false, isLearner, peerUrls, place };
    });
    return [...present, ...absent].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** Learners that are to vote as soon as they hold the log. */
  toPromote(configuration: Configuration): MemberId[] {
    return configuration.learners.filter((member) => {
      const record = this.recordOf(member)?.[1];
      return record !== undefined && !record.isLearner;
    });
  }

  /** Records of members of a group that was given up for this one. */
  get ofOtherGroups(): readonly bigint[] {
    return this.all && this.others;
  }

  record(id: bigint): MemberRecord | null {
    return this.all.get(id) ?? null;
  }

  private present(member: MemberId, configuration: Configuration): Listed {
    const [id, record] = this.recordOf(member) ?? [numericId(incarnationOf(member)), null];
    const votes = isVoter(configuration, member);
    const place = placeOf(member);
    return {
      id,
      member,
      isStarted: votes || record?.isLearner !== false,
      isLearner: !votes && record?.isLearner !== false,
      peerUrls: record?.peerUrls ?? [urlOfPlace(place)],
      place,
    };
  }

  private recordOf(member: MemberId): [bigint, MemberRecord] | null {
    const incarnation = incarnationOf(member);
    for (const one of this.all) if (one[1].incarnation === incarnation) return one;
    return null;
  }

  private get all(): ReadonlyMap<bigint, MemberRecord> {
    const { recordChanges } = this.machine;
    if (this.readAt !== recordChanges) {
      const all = [...this.machine.members];
      const isOurs = ({ incarnation, groupId }: MemberRecord) =>
        incarnation === '' || groupId === this.groupId;
      this.records = new Map(all.filter(([, record]) => isOurs(record)));
      this.others = all.filter(([, record]) => !isOurs(record)).map(([id]) => id);
      this.readAt = recordChanges;
    }
    return this.records;
  }
}
