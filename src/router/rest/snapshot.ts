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
import { startDeadline, TimeIsUp, within } from '../http/deadline.ts';
import { askGroup } from '../members/ask.ts';
import { type Call, json } from './call.ts';
import type { Params } from './params.ts';
import { problem, storeProblem } from './problems.ts';

export const restoreParams = ['bump_revision'] as const;

const bumpMax = 1e12;
/** A client that sends nothing for so long has gone. */
const sentWithinMs = 60_000;
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
  // What is left of an attempt is cleared though its client has gone.
  const work = restoreFrom(inTime(body), env, tenant, bump);
  keepGoing(work.catch(() => {}));
  let restored: Restored;
  try {
    restored = await work;
  } catch (error) {
    if (error instanceof TimeIsUp) return problem('request-timeout', 'the body stopped coming');
    if (!(error instanceof BadSnapshot)) throw error;
    return problem('bad-snapshot', error.message);
  }
  switch (restored.kind) {
    case 'refused':
      return refusal(restored.outcome, restored.detail);
    case 'unknown':
      return problem('commit-timeout', restored.detail, { outcome: 'unknown' });
    case 'done':
      return grown(call, restored.group, restored.revision);
    default:
      return restored satisfies never;
  }
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

async function* inTime(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const next = await within(sentWithinMs, () => reader.read().catch(() => null));
      if (next === null) throw new BadSnapshot('the client broke off');
      if (next.done) return;
      yield next.value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

function refusal(outcome: Outcome, detail: string): Response {
  switch (outcome) {
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
