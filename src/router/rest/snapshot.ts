/**
 * GET /v1/snapshot: a tenant as one file. POST /v1/restore: a tenant that was never there out of such a file
 * (docs/decisions/backup.md). Both are streams, and hold one chunk.
 */
import { create } from '@bufbuild/protobuf';
import { etcdErrors } from '../../api/errors.ts';
import { RestoreReply_Outcome as Outcome } from '../../api/gen/backup_pb.js';
import { ChangeMembershipSchema } from '../../api/gen/member_pb.js';
import { foundingPlaces } from '../../api/limits.ts';
import { operator } from '../auth/credentials.ts';
import { BadSnapshot } from '../backup/format.ts';
import { type OpenBackup, openBackup } from '../backup/read.ts';
import { type Restored, restoreFrom } from '../backup/write.ts';
import { groupSize, type KeepGoing } from '../env.ts';
import { streamBytes } from '../http/byte-stream.ts';
import { startDeadline, TimeIsUp } from '../http/deadline.ts';
import { BrokenOff, Upload } from '../http/upload.ts';
import { askGroup } from '../members/ask.ts';
import { type Call, json } from './call.ts';
import type { Params } from './params.ts';
import { problem, storeProblem } from './problems.ts';

export const restoreParams = ['bump_revision'] as const;

const bumpMax = 1e12;
/** The newcomers get the whole state before they count: so many minutes at most. */
const growAttempts = 15;
const growTimeoutMs = 60_000;
const growPauseMs = 1_000;
const noStore = { 'cache-control': 'no-store, no-transform' };

export async function takeSnapshot(call: Call, keepGoing: KeepGoing): Promise<Response> {
  const backup = await openBackup(call);
  if (!backup.ok) return storeProblem(backup.error, false, backup.detail);
  const { revision } = backup;
  const headers = {
    ...noStore,
    'content-type': 'application/octet-stream',
    'content-disposition': `attachment; filename="${call.tenant}-${revision}.snapshot"`,
    'kv-revision': String(revision),
  };
  const { response, done } = streamBytes(call.request, headers, fileOf(backup));
  keepGoing(done.then(() => backup.close()));
  return response;
}

async function* fileOf(backup: OpenBackup): AsyncGenerator<Uint8Array> {
  yield* backup.content();
  yield backup.checksum();
}

export async function restoreTenant(
  call: Call,
  params: Params,
  keepGoing: KeepGoing,
): Promise<Response> {
  const bump = params.integer('bump_revision', 0, bumpMax) ?? 0;
  const { request, env, tenant } = call;
  const body = request.body as ReadableStream<Uint8Array> | null;
  if (body === null) return problem('bad-snapshot', 'the body is the snapshot');
  const upload = new Upload(body);
  // What is left of an attempt is cleared though its client has gone.
  const work = restoreFrom(upload.pieces(), env, tenant, bump);
  keepGoing(work.catch(() => {}));
  const restored = await work.catch(faultOf);
  if (!(restored instanceof Response) && restored.kind === 'done')
    return grown(call, restored.group, restored.revision);
  await upload.drain();
  return restored instanceof Response ? restored : refusal(restored);
}

function faultOf(error: unknown): Response {
  if (error instanceof TimeIsUp) return problem('request-timeout', 'the body stopped coming');
  if (error instanceof BadSnapshot || error instanceof BrokenOff)
    return problem('bad-snapshot', error.message);
  throw error;
}

/** The group has one member; the others of its size are added as any newcomer is. */
async function grown(call: Call, group: string, revision: number): Promise<Response> {
  const wanted = foundingPlaces.slice(0, groupSize(call.env));
  const missing = wanted.length === 1 ? null : await grow(call, wanted);
  const headers = { ...noStore, 'kv-revision': String(revision) };
  if (missing === null) return json({ group, revision, voters: wanted }, headers, 201);
  const body = { group, revision, voters: [foundingPlaces[0]], wanted, detail: missing };
  return json(body, headers, 202);
}

/** Null when all of them are voters; else why they are not. */
async function grow(call: Call, voters: number[]): Promise<string | null> {
  const { env, tenant, request } = call;
  const value = create(ChangeMembershipSchema, { voters, stepwise: true });
  let why = 'the client has gone';
  for (let attempt = 0; attempt < growAttempts && !request.signal?.aborted; attempt += 1) {
    const deadline = startDeadline(growTimeoutMs, Date.now());
    // Whoever may restore may do this, whatever the users are that came with the snapshot.
    const answer = await askGroup({
      ...{ env, tenant, credentials: operator, kind: 'write', deadline },
      op: { case: 'changeMembership', value },
    });
    if (answer.ok) return null;
    why = `${attempt} ${etcdErrors[answer.error].message} ${answer.detail}`.trimEnd();
    await new Promise((resolve) => setTimeout(resolve, growPauseMs));
  }
  return why;
}

function refusal(restored: Exclude<Restored, { kind: 'done' }>): Response {
  const { detail } = restored;
  if (restored.kind === 'unknown') return problem('commit-timeout', detail, { outcome: 'unknown' });
  switch (restored.outcome) {
    case Outcome.BORN:
      return problem('tenant-exists', 'a snapshot becomes a tenant that there never was');
    case Outcome.UNREACHABLE:
      return problem('not-ready', `a founding place does not answer. ${detail}`.trimEnd());
    case Outcome.FORGOTTEN:
      return problem('precondition-failed', 'another attempt has begun, or what was sent is gone');
    case Outcome.UNREADABLE:
      return problem('bad-snapshot', detail);
    default:
      return problem('internal-error', 'place 1 runs other code');
  }
}
