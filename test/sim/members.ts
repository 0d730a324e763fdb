/** etcd's calls about members, in the words of the tests. */
import { create, fromBinary } from '@bufbuild/protobuf';
import {
  type Member as Listed,
  MemberAddResponseSchema,
  MemberListResponseSchema,
} from '../../src/api/gen/cluster_pb.js';
import {
  type Cluster as Call,
  ClusterSchema,
  type MemberReply,
  type MemberRequest,
} from '../../src/api/gen/member_pb.js';
import type { Cluster } from './cluster.ts';
import { responseOf } from './support.ts';

type Options = Partial<MemberRequest>;

export function opOf(request: Call['request']): MemberRequest['op'] {
  return { case: 'cluster', value: create(ClusterSchema, { request }) };
}

/** As the router does it: whoever does not lead names who does. */
export async function askMembers(
  cluster: Cluster,
  request: Call['request'],
  options: Options = {},
): Promise<MemberReply> {
  const op = opOf(request);
  let place = cluster.leader() ?? 1;
  for (let attempt = 0; ; attempt += 1) {
    const asked = cluster.ask(place, op, { timeoutMs: 10_000, ...options });
    const reply = await cluster.world.settle(asked);
    const { outcome } = reply;
    if (outcome.case !== 'redirect' || attempt === 9) return reply;
    place = outcome.value.leaderPlace || (outcome.value.places[attempt % 2] ?? 1);
    await cluster.world.pass(100);
  }
}

export const add = (
  cluster: Cluster,
  urls: string | string[],
  isLearner = false,
  options?: Options,
) =>
  askMembers(
    cluster,
    { case: 'add', value: { peerURLs: [urls].flat(), isLearner } as never },
    options,
  );
export const remove = (cluster: Cluster, ID: bigint, options?: Options) =>
  askMembers(cluster, { case: 'remove', value: { ID } as never }, options);
export const update = (cluster: Cluster, ID: bigint, urls: string | string[], options?: Options) =>
  askMembers(cluster, { case: 'update', value: { ID, peerURLs: [urls].flat() } as never }, options);
export const promote = (cluster: Cluster, ID: bigint, options?: Options) =>
  askMembers(cluster, { case: 'promote', value: { ID } as never }, options);

export async function list(cluster: Cluster, options: Options = {}): Promise<Listed[]> {
  const reply = await askMembers(cluster, { case: 'list', value: {} as never }, options);
  return fromBinary(MemberListResponseSchema, responseOf(reply)).members;
}

/** What is told of members, without their ids: `place-1`, `place-2 learner`, `- http://a:1`. */
export async function told(cluster: Cluster): Promise<string[]> {
  const members = await list(cluster);
  return members
    .map(({ name, isLearner, peerURLs }) =>
      [name || `- ${peerURLs.join(' ')}`, ...(isLearner ? ['learner'] : [])].join(' '),
    )
    .sort();
}

export async function idOf(cluster: Cluster, what: string): Promise<bigint> {
  const found = (await list(cluster)).find(
    ({ name, peerURLs }) => name === what || peerURLs.includes(what),
  );
  if (!found) throw new Error(`${what} is no member`);
  return found.ID;
}

/** The error's name; 'unknown': nobody can say; 'ok'. */
export function errorIn({ outcome }: MemberReply): string {
  if (outcome.case !== 'failure') return outcome.case === 'response' ? 'ok' : `${outcome.case}`;
  return outcome.value.outcomeUnknown ? 'unknown' : outcome.value.error;
}

/** The member that was added, as the answer shows it. */
export function addedIn(reply: MemberReply): Listed {
  const { member } = fromBinary(MemberAddResponseSchema, responseOf(reply));
  if (!member) throw new Error('no member in the answer');
  return member;
}

export const urlOf = (place: number) => `http://place-${place}:2380`;
