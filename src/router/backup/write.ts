/**
 * A tenant out of a snapshot: the frames of the file go to place 1 one after another, which founds the group with
 * the last step, when the checksum is known to be right. Each step may be sent again.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  RestoreReply_Outcome as Outcome,
  type RestoreReply,
  RestoreReplySchema,
  type RestoreRequest,
  RestoreRequestSchema,
} from '../../api/gen/backup_pb.js';
import { foundingPlaces } from '../../api/limits.ts';
import { memberPaths } from '../../api/member.ts';
import type { RouterEnv } from '../env.ts';
import { within } from '../http/deadline.ts';
import { memberStub } from '../members/call.ts';
import { platformFault } from '../platform-errors.ts';
import { framesOf } from './format.ts';

/** Birth asks four places, and the first chunk may find much to clear. */
const stepTimeoutMs = 20_000;
const stepAttempts = 4;
const pauseMs = 250;

export type Restored =
  | { readonly kind: 'done'; readonly group: string; readonly revision: number }
  | { readonly kind: 'refused'; readonly outcome: Outcome; readonly detail: string }
  /** It may have been founded, or not. */
  | { readonly kind: 'unknown'; readonly detail: string };

/** Place 1 gave no answer. */
class Silence extends Error {
  override readonly name = 'Silence';
}

/** Throws BadSnapshot, and what `pieces` throws; nothing is left then but what the next attempt clears away. */
export async function restoreFrom(
  pieces: AsyncIterable<Uint8Array>,
  env: RouterEnv,
  tenant: string,
  bumpRevision: number,
): Promise<Restored> {
  const id = randomId();
  const step = (one: RestoreRequest['step']) => sendStep(env, tenant, id, one);
  let isStored = false;
  try {
    const begun = await step({ case: 'begin', value: true });
    if (begun.outcome !== Outcome.DONE) return refusal(begun);
    isStored = true;
    let number = 0;
    for await (const data of framesOf(pieces)) {
      const reply = await step({ case: 'chunk', value: chunkOf(number, data) });
      if (reply.outcome !== Outcome.DONE) return refusal(reply);
      number += 1;
    }
    isStored = false;
    return await commit(id, step, number, bumpRevision);
  } catch (error) {
    if (!(error instanceof Silence)) throw error;
    return { kind: 'refused', outcome: Outcome.UNREACHABLE, detail: error.message };
  } finally {
    // Once: if it is lost, the next attempt clears away what is there.
    if (isStored)
      await sendStep(env, tenant, id, { case: 'abandon', value: true }, 1).catch(() => {});
  }
}

async function commit(
  id: string,
  step: (one: RestoreRequest['step']) => Promise<RestoreReply>,
  chunks: number,
  bumpRevision: number,
): Promise<Restored> {
  const value = { $typeName: 'quorate.v1.RestoreCommit' as const, chunks };
  try {
    const reply = await step({
      case: 'commit',
      value: { ...value, bumpRevision: BigInt(bumpRevision) },
    });
    if (reply.outcome !== Outcome.DONE) return refusal(reply);
    return { kind: 'done', group: id, revision: Number(reply.revision) };
  } catch (error) {
    if (!(error instanceof Silence)) throw error;
    return { kind: 'unknown', detail: error.message };
  }
}

async function sendStep(
  env: RouterEnv,
  tenant: string,
  id: string,
  step: RestoreRequest['step'],
  attempts = stepAttempts,
): Promise<RestoreReply> {
  const body = toBinary(RestoreRequestSchema, create(RestoreRequestSchema, { id, step }));
  const init = { method: 'POST', body: body as Uint8Array<ArrayBuffer> };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await within(stepTimeoutMs, async () => {
        const stub = memberStub(env, tenant, foundingPlaces[0]);
        const reply = await stub.fetch(memberPaths.restore, init);
        if (reply.status !== 200) throw new Error(`place 1 answered with status ${reply.status}`);
        return fromBinary(RestoreReplySchema, new Uint8Array(await reply.arrayBuffer()));
      });
    } catch (error) {
      if (attempt >= attempts) throw new Silence(platformFault(error).reason);
      await new Promise((resolve) => setTimeout(resolve, attempt * pauseMs));
    }
  }
}

function chunkOf(number: number, data: Uint8Array) {
  return { $typeName: 'quorate.v1.RestoreChunk' as const, number, data };
}

function refusal({ outcome, detail }: RestoreReply): Restored {
  return { kind: 'refused', outcome, detail };
}

/** 16 hex digits, as every group's. */
function randomId(): string {
  return crypto.randomUUID().replaceAll('-', '').slice(0, 16);
}
