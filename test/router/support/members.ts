/**
 * A fake namespace of members, scripted per test: each member is a function from a decoded request
 * to what it does. Records everything that was sent, so that a test can say what was not.
 */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../../../src/api/errors.ts';
import { MemberRepliesSchema, MemberRequestsSchema } from '../../../src/api/gen/batch_pb.js';
import { CommandSchema } from '../../../src/api/gen/command_pb.js';
import {
  type MemberReply,
  MemberReplySchema,
  type MemberRequest,
  MemberRequestSchema,
  type Redirect_Reason,
} from '../../../src/api/gen/member_pb.js';
import {
  DeleteRangeResponseSchema,
  PutResponseSchema,
  RangeResponseSchema,
  type RequestOp,
  type ResponseOp,
  TxnResponseSchema,
} from '../../../src/api/gen/rpc_pb.js';
import { memberPaths, parseMemberName } from '../../../src/api/member.ts';
import type { RouterEnv } from '../../../src/router/env.ts';

export interface Sent {
  readonly tenant: string;
  readonly place: number;
  readonly request: MemberRequest;
}

export type Script = (sent: Sent) => MemberReply | Promise<MemberReply>;

export interface Fake {
  readonly env: RouterEnv;
  readonly sent: Sent[];
  /** How many came together, each time that several did. */
  readonly together: number[];
  /** Requests to other paths than the client's. */
  readonly others: string[];
  script: Script;
  /** False: of code that takes one request at a time. */
  takesSeveral: boolean;
  /** Answers to other paths. */
  other: (name: string, url: string, body: Uint8Array) => Response;
}

/** All members do what `script` says; `vars` are the variables of the deployment. */
export function fakeMembers(script: Script, vars: Partial<RouterEnv> = {}): Fake {
  const sent: Sent[] = [];
  const together: number[] = [];
  const others: string[] = [];
  const fake: Fake = {
    sent,
    together,
    others,
    script,
    takesSeveral: true,
    other: () => new Response('nothing here', { status: 404 }),
    env: { OPEN_DEFAULT: 'true', OPEN_TENANTS: 'true', ...vars, RAFT_NODE: namespace() },
  };
  function namespace(): DurableObjectNamespace {
    const stubOf = (name: string) => ({
      fetch: async (url: string, init: RequestInit) => {
        const who = parseMemberName(name);
        if (who === null) throw new Error(`no member is called ${name}`);
        const body = init.body as Uint8Array;
        const replyTo = async (encoded: Uint8Array) => {
          const one = { ...who, request: fromBinary(MemberRequestSchema, encoded) };
          sent.push(one);
          return toBinary(MemberReplySchema, await fake.script(one));
        };
        if (url === memberPaths.client) return bytes(await replyTo(body));
        if (url === memberPaths.clients && fake.takesSeveral) {
          const { requests } = fromBinary(MemberRequestsSchema, body);
          together.push(requests.length);
          const replies = await Promise.all(requests.map(replyTo));
          return bytes(toBinary(MemberRepliesSchema, create(MemberRepliesSchema, { replies })));
        }
        others.push(`${name} ${url}`);
        return fake.other(name, url, body);
      },
    });
    return {
      idFromName: (name: string) => name,
      get: (id: string) => stubOf(id),
    } as unknown as DurableObjectNamespace;
  }
  return fake;
}

const bytes = (data: Uint8Array) => new Response(data as Uint8Array<ArrayBuffer>);

export function places(fake: Fake): number[] {
  return fake.sent.map(({ place }) => place);
}

export function reply(init: MessageInitShape<typeof MemberReplySchema>): MemberReply {
  return create(MemberReplySchema, { protocol: 1, ...init });
}

export function redirect(
  reason: Redirect_Reason,
  leaderPlace = 0,
  more: { term?: bigint; confirmed?: boolean; places?: number[] } = {},
): MemberReply {
  return reply({ outcome: { case: 'redirect', value: { reason, leaderPlace, ...more } } });
}

export function failure(error: EtcdErrorName | string, outcomeUnknown = false): MemberReply {
  return reply({ outcome: { case: 'failure', value: { error, outcomeUnknown } } });
}

export function lost(flags: Record<string, boolean> = { retryable: true }): never {
  throw Object.assign(new Error('Network connection lost.'), flags);
}

/** Never answers: the router has to give up by itself. */
export function hang(): Promise<never> {
  return new Promise(() => {});
}

const header = { clusterId: 1n, memberId: 2n, revision: 7n, raftTerm: 3n };

/** The member that is asked leads, and answers every request with an empty success at revision 7. */
export function success({ request, place }: Sent): MemberReply {
  const servedBy = { place, role: 'leader', term: 3n };
  return reply({ outcome: { case: 'response', value: emptyResponse(request) }, servedBy });
}

export function respondWith(response: Uint8Array, place = 1): MemberReply {
  const servedBy = { place, role: 'leader', term: 3n };
  return reply({ outcome: { case: 'response', value: response }, servedBy });
}

function emptyResponse({ op }: MemberRequest): Uint8Array {
  switch (op.case) {
    case 'command': {
      const command = fromBinary(CommandSchema, op.value).op;
      switch (command.case) {
        case 'deleteRange':
          return toBinary(
            DeleteRangeResponseSchema,
            create(DeleteRangeResponseSchema, { header, deleted: 1n }),
          );
        case 'txn':
          return toBinary(
            TxnResponseSchema,
            create(TxnResponseSchema, {
              header,
              succeeded: true,
              responses: command.value.success.map(({ request: { case: kind } }) => ({
                response: responseTo(kind),
              })),
            }),
          );
        default:
          return toBinary(PutResponseSchema, create(PutResponseSchema, { header }));
      }
    }
    case 'readTxn':
      return toBinary(TxnResponseSchema, create(TxnResponseSchema, { header, succeeded: true }));
    default:
      return toBinary(RangeResponseSchema, create(RangeResponseSchema, { header }));
  }
}

function responseTo(kind: RequestOp['request']['case']): ResponseOp['response'] {
  switch (kind) {
    case 'requestRange':
      return { case: 'responseRange', value: create(RangeResponseSchema, { header }) };
    case 'requestPut':
      return { case: 'responsePut', value: create(PutResponseSchema, { header }) };
    default:
      return {
        case: 'responseDeleteRange',
        value: create(DeleteRangeResponseSchema, { header, deleted: 1n }),
      };
  }
}
