/**
 * /v3/lease/keepalive: a stream in both directions in gRPC; here any number of requests in the body, and
 * an answer, one chunk each, for every one of them. The answer ends when all are answered, so that clients
 * which read it to its end (Patroni, etcd3gw) get what they wait for.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import { type EtcdErrorName, isEtcdErrorName } from '../../api/errors.ts';
import { LeaseKeepAliveRepliesSchema, LeaseKeepAliveSchema } from '../../api/gen/member_pb.js';
import {
  LeaseKeepAliveRequestSchema,
  type LeaseKeepAliveResponse,
  LeaseKeepAliveResponseSchema,
} from '../../api/gen/rpc_pb.js';
import { isOver, startDeadline } from '../http/deadline.ts';
import { streamLines } from '../http/lines.ts';
import { askGroup } from '../members/ask.ts';
import { namedError, streamRefusal } from './errors.ts';
import type { GatewayCall } from './request.ts';
import { readStream } from './stream-body.ts';

/** Leases in one question to the leader. */
const idsPerAsk = 256;

export async function keepAlive(call: GatewayCall): Promise<Response> {
  const requests = readStream(LeaseKeepAliveRequestSchema, call.sent);
  if (requests instanceof Response) return requests;
  const { form } = call.sent;
  const ids = requests.map(({ ID }) => ID);
  if (ids.length === 0) return new Response('', { headers: form.headers });
  if (isOver(call.deadline)) return namedError('DeadlineExceeded');
  const first = await askAll(call, ids.slice(0, idsPerAsk));
  if (first.error !== null && first.responses.length === 0) return streamRefusal(first.error);
  const lines = streamLines(call.request, form.headers, () => {});
  const answerAll = async () => {
    let answer = first;
    for (let at = 0; at < ids.length; at += idsPerAsk) {
      if (at > 0) answer = await askAll(call, ids.slice(at, at + idsPerAsk));
      for (const response of answer.responses)
        if (!(await lines.write(form.part(LeaseKeepAliveResponseSchema, response)))) return;
      if (answer.error === null) continue;
      await lines.write(form.lastPart(answer.error));
      return;
    }
  };
  void answerAll().finally(() => lines.close());
  return lines.response;
}

/** `error`: why there is no response for the id after those, and none after it. */
interface Renewed {
  readonly responses: readonly LeaseKeepAliveResponse[];
  readonly error: EtcdErrorName | null;
}

/** To a client that names no deadline the stream is open-ended, as in etcd: each question has its own. */
async function askAll(
  { env, tenant, credentials, deadline: all }: GatewayCall,
  ids: bigint[],
): Promise<Renewed> {
  const deadline = all.byClient ? all : startDeadline(null, Date.now());
  const value = create(LeaseKeepAliveSchema, { ids });
  const op = { case: 'leaseKeepAlive', value } as const;
  const answer = await askGroup({ env, tenant, credentials, deadline, kind: 'read', op });
  if (!answer.ok) return { responses: [], error: answer.error };
  const { responses, error } = fromBinary(LeaseKeepAliveRepliesSchema, answer.response);
  return { responses, error: isEtcdErrorName(error) ? error : null };
}
