/**
 * What the state knows of the group's members beside the Raft configuration: their URLs, and those that
 * were added and live nowhere yet (docs/decisions/cluster.md). The configuration itself is not the
 * state machine's: what depends on it was looked at by the leader that proposed the command.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type MemberListResponse, MemberListResponseSchema } from '../api/gen/cluster_pb.js';
import { type MemberChange, type MemberRecord, MemberRecordSchema } from '../api/gen/command_pb.js';
import { learnersMax } from '../api/limits.ts';
import { kinds, type Records } from './records.ts';
import { failure, type Outcome, type Store } from './store.ts';

/** `index`: of the log entry. The answer is empty: only the leader can tell who the members are. */
export function applyMemberChange(
  { records }: Store,
  command: MemberChange,
  index: number,
): Outcome<MemberListResponse> {
  const { id, change } = command;
  const name = nameOf(id);
  const known = records.get(kinds.member, name) !== null;
  switch (change.case) {
    case 'put': {
      const others = [...memberRecords(records)].filter(([other]) => other !== id);
      if (command.fresh && known) return failure('MemberExist');
      if (others.some(([, other]) => sharesUrl(other, change.value)))
        return failure('PeerURLExist');
      const learners = others.filter(([, { isLearner, incarnation }]) => isLearner && !incarnation);
      const all = learners.length + command.startedLearners + 1;
      if (command.fresh && change.value.isLearner && all > learnersMax)
        return failure('TooManyLearners');
      records.put(kinds.member, name, toBinary(MemberRecordSchema, change.value), index);
      break;
    }
    case 'gone':
      if (!known) return failure('MemberNotFound');
      records.delete(kinds.member, name, index);
      break;
    default:
      change satisfies { case: undefined };
      return failure('NotCapable');
  }
  return { ok: true, response: create(MemberListResponseSchema) };
}

/** In the order of their ids. */
export function memberRecords(records: Records): ReadonlyMap<bigint, MemberRecord> {
  const found = new Map<bigint, MemberRecord>();
  for (const name of records.names(kinds.member)) {
    const data = records.get(kinds.member, name);
    if (data) found.set(BigInt(`0x${name}`), fromBinary(MemberRecordSchema, data));
  }
  return found;
}

/** Hex digits of fixed length: their order is that of the ids. */
function nameOf(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}

function sharesUrl({ peerUrls }: MemberRecord, other: MemberRecord): boolean {
  return other.peerUrls.some((url) => peerUrls.includes(url));
}
