/**
 * etcd's calls about members. What is beside one question to the group: the client URLs of members are known
 * here alone, and a change has longer than other calls, since a new member has to get the log.
 */
import { create, type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import {
  type Member,
  MemberAddRequestSchema,
  MemberAddResponseSchema,
  MemberListRequestSchema,
  MemberListResponseSchema,
  MemberPromoteRequestSchema,
  MemberPromoteResponseSchema,
  MemberRemoveRequestSchema,
  MemberRemoveResponseSchema,
  MemberUpdateRequestSchema,
  MemberUpdateResponseSchema,
} from '../../api/gen/cluster_pb.js';
import { type Cluster, ClusterSchema } from '../../api/gen/member_pb.js';
import { maxRequestBytes } from '../../api/limits.ts';
import { type Deadline, isOver } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import type { AskKind } from '../members/call.ts';
import { namedError } from './errors.ts';
import { encodedSize } from './json-message.ts';
import { answer, type GatewayCall, readOr } from './request.ts';

/** For a change of a client that names no deadline. */
const changeTimeoutMs = 30_000;

type Service = (call: GatewayCall) => Promise<Response>;
type Request = Cluster['request'];

export const clusterServices: readonly (readonly [path: string, Service])[] = [
  [
    'cluster/member/list',
    service(MemberListRequestSchema, MemberListResponseSchema, (value) => ({
      // etcd's own default: any member tells what it knows, whether a quorum is there or not.
      kind: value.linearizable ? 'read' : 'serializable',
      request: { case: 'list', value },
    })),
  ],
  [
    'cluster/member/add',
    service(MemberAddRequestSchema, MemberAddResponseSchema, (value) =>
      change({ case: 'add', value }),
    ),
  ],
  [
    'cluster/member/remove',
    service(MemberRemoveRequestSchema, MemberRemoveResponseSchema, (value) =>
      change({ case: 'remove', value }),
    ),
  ],
  [
    'cluster/member/update',
    service(MemberUpdateRequestSchema, MemberUpdateResponseSchema, (value) =>
      change({ case: 'update', value }),
    ),
  ],
  [
    'cluster/member/promote',
    service(MemberPromoteRequestSchema, MemberPromoteResponseSchema, (value) =>
      change({ case: 'promote', value }),
    ),
  ],
];

interface Planned {
  readonly kind: AskKind;
  readonly request: Request;
}

function change(request: Request): Planned {
  return { kind: 'write', request };
}

function service<Q extends DescMessage, R extends DescMessage>(
  asked: Q,
  answered: R,
  plan: (message: MessageShape<Q>) => Planned,
): Service {
  return async (call) => {
    const message = readOr(asked, call);
    if (message instanceof Response) return message;
    const { sent, env, tenant, credentials } = call;
    if (encodedSize(asked, message, sent.length) > maxRequestBytes)
      return namedError('RequestTooLarge');
    const { kind, request } = plan(message);
    const deadline = kind === 'write' ? patient(call.deadline) : call.deadline;
    if (isOver(deadline)) return namedError('DeadlineExceeded');
    const op = { case: 'cluster', value: create(ClusterSchema, { request }) } as const;
    const served = await askGroup({ env, tenant, credentials, kind, op, deadline });
    if (!served.ok) return namedError(served.error);
    const response = fromBinary(answered, served.response);
    const { members = [] } = response as { members?: Member[] };
    for (const member of members) if (member.name !== '') member.clientURLs = [urlOf(call)];
    return answer(call, answered, response as never);
  };
}

function patient(deadline: Deadline): Deadline {
  return deadline.byClient ? deadline : { atMs: Date.now() + changeTimeoutMs, byClient: false };
}

/**
 * What a client dials, whichever member it means: where this request came to. Clients put paths behind it,
 * so a tenant's prefix may stand in it. A proxy that ends TLS says so in its header, and the gRPC bridge says where
 * it is itself. Whoever makes these up tells nobody but itself.
 */
function urlOf({ request, tenant }: GatewayCall): string {
  const bridge = request.headers.get('quorate-client-url');
  if (bridge !== null && URL.canParse(bridge)) return bridge;
  const { protocol, host, pathname } = new URL(request.url);
  const proxied = request.headers.get('x-forwarded-proto');
  const scheme = proxied === 'https' || proxied === 'http' ? `${proxied}:` : protocol;
  const prefix = pathname.startsWith('/t/') ? `/t/${tenant}` : '';
  return `${scheme}//${host}${prefix}`;
}
