/**
 * /v3/lease/keepalive: a stream in both directions in gRPC; here any number of requests in the body, and
 * a line, one chunk each, for every one of them. The answer ends when all are answered, so that clients
 * which read it to its end (Patroni, etcd3gw) get what they wait for.
 */
import { create, fromBinary, toJsonString } from '@bufbuild/protobuf';
import { LeaseKeepAliveRepliesSchema, LeaseKeepAliveSchema } from '../../api/gen/member_pb.js';
import {
  LeaseKeepAliveRequestSchema,
  type LeaseKeepAliveResponse,
  LeaseKeepAliveResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { maxMessageBytes } from '../../api/limits.ts';
import { isOver } from '../http/deadline.ts';
import { streamLines } from '../http/lines.ts';
import { type Answer, askGroup, type Served } from '../members/ask.ts';
import { badStream, messageTooLarge, namedError, streamError } from './errors.ts';
import { gatewaySuccessHeaders } from './headers.ts';
import { readMessage } from './json-message.ts';
import { BadJson, splitValues } from './json-text.ts';
import type { GatewayCall } from './request.ts';

/** Leases in one question to the leader. */
const idsPerAsk = 256;

export async function keepAlive(call: GatewayCall): Promise<Response> {
  const ids = readIds(call.text);
  if (ids instanceof Response) return ids;
  if (ids.length === 0) return new Response('', { headers: gatewaySuccessHeaders });
  if (isOver(call.deadline)) return namedError('DeadlineExceeded');
  const first = await askAll(call, ids.slice(0, idsPerAsk));
  if (!first.ok) return namedError(first.error);
  const lines = streamLines(call.request, gatewaySuccessHeaders, () => {});
  const answerAll = async () => {
    let answer: Answer = first;
    for (let at = 0; at < ids.length; at += idsPerAsk) {
      if (at > 0) answer = await askAll(call, ids.slice(at, at + idsPerAsk));
      if (!answer.ok) {
        await lines.write(streamError(answer.error));
        return;
      }
      for (const response of responsesOf(answer))
        if (!(await lines.write(lineOf(response)))) return;
    }
  };
  void answerAll().finally(() => lines.close());
  return lines.response;
}

/** As etcd: what follows a message that is none is not looked at; if that is the first, it is refused. */
function readIds(text: string): bigint[] | Response {
  const ids: bigint[] = [];
  for (const value of splitValues(text)) {
    if (value.length > maxMessageBytes) return messageTooLarge(value.length, maxMessageBytes);
    try {
      ids.push(readMessage(LeaseKeepAliveRequestSchema, value).ID);
    } catch (error) {
      if (!(error instanceof BadJson)) throw error;
      return ids.length > 0 ? ids : badStream(error.message);
    }
  }
  return ids;
}

function askAll({ env, tenant, deadline }: GatewayCall, ids: bigint[]): Promise<Answer> {
  const value = create(LeaseKeepAliveSchema, { ids });
  return askGroup({ env, tenant, deadline, kind: 'read', op: { case: 'leaseKeepAlive', value } });
}

function responsesOf({ response }: Served): LeaseKeepAliveResponse[] {
  return fromBinary(LeaseKeepAliveRepliesSchema, response).responses;
}

function lineOf(response: LeaseKeepAliveResponse): string {
  const options = { useProtoFieldName: true };
  return `{"result":${toJsonString(LeaseKeepAliveResponseSchema, response, options)}}\n`;
}
