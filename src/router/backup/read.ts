/**
 * A snapshot of a tenant as a client gets it: opened at the leader, which confirms that nothing acknowledged is
 * missing, and read from that member chunk by chunk, whatever its role is by then. A chunk may be asked
 * for again: it is the same, in a later life of the member too.
 */
import { create, fromBinary } from '@bufbuild/protobuf';
import {
  BackupCloseSchema,
  BackupOpenedSchema,
  BackupOpenSchema,
  type BackupPart,
  BackupPartSchema,
  BackupReadSchema,
} from '../../api/gen/backup_pb.js';
import type { Credentials } from '../auth/credentials.ts';
import { groupSize, type RouterEnv } from '../env.ts';
import type { Deadline } from '../http/deadline.ts';
import type { Refused } from '../members/answer.ts';
import { askGroup } from '../members/ask.ts';
import { type Attempt, callMember, type MemberOp } from '../members/call.ts';
import { SnapshotWriter } from './format.ts';

const readTimeoutMs = 10_000;
const readAttempts = 4;
const pauseMs = 250;

interface BackupCall {
  readonly env: RouterEnv;
  readonly tenant: string;
  readonly credentials: Credentials;
  readonly deadline: Deadline;
}

/** The stream cannot go on. */
export class BackupLost extends Error {
  override readonly name = 'BackupLost';
}

export interface OpenBackup {
  readonly ok: true;
  readonly revision: number;
  /** For whoever shows progress. */
  readonly aboutBytes: number;
  /** Pulls a chunk when asked for the next piece. Throws BackupLost. */
  content(): AsyncGenerator<Uint8Array>;
  /** Of all that `content` has given, after its end. */
  checksum(): Uint8Array;
  /** To be called in any case: what is open holds up the deletion of old versions. */
  close(): Promise<void>;
}

export async function openBackup(call: BackupCall): Promise<OpenBackup | Refused> {
  const { env, tenant, credentials, deadline } = call;
  const op: MemberOp = { case: 'backupOpen', value: create(BackupOpenSchema) };
  const answer = await askGroup({ env, tenant, credentials, kind: 'read', op, deadline });
  if (!answer.ok) return answer;
  const { id, place, revision, aboutBytes } = fromBinary(BackupOpenedSchema, answer.response);
  const writer = new SnapshotWriter();
  return {
    ok: true,
    revision: Number(revision),
    aboutBytes: Number(aboutBytes),
    async *content() {
      yield writer.begin();
      for (let cursor: string | undefined = ''; cursor !== undefined; ) {
        const value = create(BackupReadSchema, { id, cursor });
        const part = await readPart(call, place, { case: 'backupRead', value });
        // A chunk of rows that have come since has nothing in it.
        if (part.chunk.length > 0) yield writer.frame(part.chunk);
        cursor = part.next;
      }
      yield writer.end();
    },
    checksum: () => writer.checksum(),
    async close() {
      const value = create(BackupCloseSchema, { id });
      // Lost: it ends by itself before long.
      await callMember(attemptAt(call, place, { case: 'backupClose', value }));
    },
  };
}

async function readPart(call: BackupCall, place: number, op: MemberOp): Promise<BackupPart> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await callMember(attemptAt(call, place, op));
    if (answer.kind === 'response') {
      const part = fromBinary(BackupPartSchema, answer.response);
      if (part.open) return part;
      throw new BackupLost('the member has given the snapshot up');
    }
    const mayCome = answer.kind === 'timeout' || answer.kind === 'fault';
    if (!mayCome || attempt >= readAttempts)
      throw new BackupLost('the member that had the snapshot does not answer');
    await new Promise((resolve) => setTimeout(resolve, attempt * pauseMs));
  }
}

function attemptAt({ env, tenant, credentials }: BackupCall, place: number, op: MemberOp): Attempt {
  return {
    ...{ env, tenant, place, op, credentials, kind: 'read', repeatable: false },
    ...{ groupSize: groupSize(env), withoutCount: false, terms: null, readHere: false },
    ...{ timeoutMs: readTimeoutMs, suspectTerm: null, courier: null },
  };
}
