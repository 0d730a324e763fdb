/**
 * POST /v3/batch, which is not etcd's: several calls of one client in one request, for a bridge that has many clients
 * (docs/decisions/batches.md). Each ends as it would alone; the answer is a stream of those that have ended.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { GrpcCode } from '../../api/errors.ts';
import { frame } from '../../api/frames.ts';
import {
  type BatchAnswer,
  BatchAnswerSchema,
  BatchAnswersSchema,
  type BatchedCall,
  BatchRequestSchema,
} from '../../api/gen/batch_pb.js';
import { hasSmallAnswer } from '../../api/small-answers.ts';
import { streamBytes } from '../http/byte-stream.ts';
import { startDeadline } from '../http/deadline.ts';
import { postToMember } from '../members/call.ts';
import { Courier } from '../members/courier.ts';
import { gatewayError } from './errors.ts';
import { protobufForm, SentProtobuf } from './form.ts';
import { type GatewayCall, readOr } from './request.ts';

export const batchPath = 'batch';

/** Calls in one request. */
export const batchMax = 256;

/** The encoded response of a call, or the refusal. */
export type ServeOne = (rpc: string, call: GatewayCall) => Promise<Uint8Array | Response>;

export async function serveBatch(all: GatewayCall, serve: ServeOne): Promise<Response> {
  const { request, sent } = all;
  if (sent.form !== protobufForm)
    return gatewayError(GrpcCode.InvalidArgument, 'quorate: a batch is application/protobuf');
  const batch = readOr(BatchRequestSchema, all);
  if (batch instanceof Response) return batch;
  if (batch.calls.length > batchMax)
    return gatewayError(
      GrpcCode.ResourceExhausted,
      `quorate: more than ${batchMax} calls in a batch`,
    );
  const courier = new Courier(postToMember);
  const answers = batch.calls.map((call, at) => answerTo(call, at, all, courier, serve));
  const groups = asTheyEnd(answers);
  const { value: first } = await groups.next();
  const { headers } = protobufForm;
  // The usual case: they were of one kind, and have ended together.
  if (first === undefined || first.length === answers.length)
    return new Response(framed(first ?? []), { headers });
  return streamBytes(request, headers, pieces(first, groups)).response;
}

async function answerTo(
  { rpc, request, timeoutMs }: BatchedCall,
  call: number,
  all: GatewayCall,
  courier: Courier,
  serve: ServeOne,
): Promise<BatchAnswer> {
  const one = {
    ...all,
    sent: new SentProtobuf(request),
    deadline: startDeadline(timeoutMs || null, Date.now()),
    ...(hasSmallAnswer(rpc, request) && { courier }),
  };
  const answer = await serve(rpc, one).catch((error: unknown) => {
    // Only a bug gets here, and it is not for the other calls to suffer from.
    console.error(error);
    return gatewayError(GrpcCode.Internal, 'quorate: internal error');
  });
  const outcome: BatchAnswer['outcome'] =
    answer instanceof Response
      ? { case: 'error', value: await answer.text() }
      : { case: 'response', value: answer };
  return create(BatchAnswerSchema, { call, outcome });
}

async function* pieces(
  first: BatchAnswer[],
  rest: AsyncIterable<BatchAnswer[]>,
): AsyncGenerator<Uint8Array, void> {
  yield framed(first);
  for await (const answers of rest) yield framed(answers);
}

function framed(answers: BatchAnswer[]): Uint8Array<ArrayBuffer> {
  const message = toBinary(BatchAnswersSchema, create(BatchAnswersSchema, { answers }));
  return frame(0, message) as Uint8Array<ArrayBuffer>;
}

/** What has been resolved since it was last asked, until all have. None may reject. */
async function* asTheyEnd<T>(promises: readonly Promise<T>[]): AsyncGenerator<T[], void> {
  let ended: T[] = [];
  let wake = () => {};
  for (const promise of promises)
    void promise.then((value) => {
      ended.push(value);
      wake();
    });
  for (let left = promises.length; left > 0; ) {
    if (ended.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    const now = ended;
    ended = [];
    left -= now.length;
    yield now;
  }
}
