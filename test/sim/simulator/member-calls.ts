/** A step of the administrator as one of etcd's calls about members, where it is one. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { MemberAddResponseSchema } from '../../../src/api/gen/cluster_pb.js';
import { type Cluster, ClusterSchema } from '../../../src/api/gen/member_pb.js';
import { urlOfPlace } from '../../../src/api/peer-urls.ts';
import { incarnationOf, numericId, placeOf } from '../../../src/node-do/identity.ts';
import { allMembers, type Configuration } from '../../../src/raft/configuration.ts';
import type { MemberOp } from '../../../src/router/members/call.ts';
import type { Wanted } from './admin.ts';
import type { ChangeKind } from './plan.ts';

/** Null: it takes more than one call, or etcd has none for it. */
export function callOf(kind: ChangeKind, wanted: Wanted, present: Configuration): MemberOp | null {
  const places = [...wanted.voters, ...wanted.learners];
  const members = allMembers(present);
  const come = places.find((place) => !members.some((id) => placeOf(id) === place));
  const goes = members.find((id) => !places.includes(placeOf(id)));
  const rises = present.learners.find((id) => wanted.voters.includes(placeOf(id)));
  switch (kind) {
    case 'add':
    case 'grow':
      return come === undefined ? null : add(urlOfPlace(come), kind === 'add');
    case 'promote':
      return rises === undefined ? null : promote(numericId(incarnationOf(rises)));
    case 'remove':
      return goes === undefined ? null : remove(numericId(incarnationOf(goes)));
    default:
      return null;
  }
}

export function add(url: string, isLearner: boolean): MemberOp {
  const value = { peerURLs: [url], isLearner };
  return clusterOp({ case: 'add', value: value as never });
}

export function remove(ID: bigint): MemberOp {
  return clusterOp({ case: 'remove', value: { ID } as never });
}

/** The id that was given out. */
export function idIn(response: Uint8Array): bigint {
  return fromBinary(MemberAddResponseSchema, response).member?.ID ?? 0n;
}

function promote(ID: bigint): MemberOp {
  return clusterOp({ case: 'promote', value: { ID } as never });
}

function clusterOp(request: Cluster['request']): MemberOp {
  return { case: 'cluster', value: create(ClusterSchema, { request }) };
}
