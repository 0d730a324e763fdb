/**
 * /v3/maintenance/snapshot: etcd's stream of blobs of 32 KiB, and last the SHA-256 of all of them. What the
 * blobs make up is not a file of bbolt, but the one of docs/decisions/backup.md.
 */
import { SnapshotRequestSchema, SnapshotResponseSchema } from '../../api/gen/maintenance_pb.js';
import { BackupLost, type OpenBackup, openBackup } from '../backup/read.ts';
import { streamBytes } from '../http/byte-stream.ts';
import { streamRefusalOfAuth } from './errors.ts';
import type { Form } from './form.ts';
import { type GatewayCall, readOr } from './request.ts';

const blobBytes = 32 * 1024;
const encoder = new TextEncoder();

export async function snapshot(call: GatewayCall): Promise<Response> {
  const asked = readOr(SnapshotRequestSchema, call);
  if (asked instanceof Response) return asked;
  const backup = await openBackup(call);
  if (!backup.ok) return streamRefusalOfAuth(backup.error);
  const { form } = call.sent;
  const { response, done } = streamBytes(call.request, form.headers, partsOf(backup, form));
  call.keepGoing(done.then(() => backup.close()));
  return response;
}

async function* partsOf(backup: OpenBackup, form: Form): AsyncGenerator<Uint8Array> {
  let sent = 0;
  try {
    for await (const { blob, isLast } of blobsOf(backup.content())) {
      sent += blob.length;
      // Nobody knows exactly before the end; but until then it is not nothing.
      const remaining = isLast ? 0 : Math.max(1, backup.aboutBytes - sent);
      const response = { remainingBytes: BigInt(remaining), blob };
      yield bytesOf(form.part(SnapshotResponseSchema, response));
    }
    yield bytesOf(form.part(SnapshotResponseSchema, { blob: backup.checksum() }));
  } catch (error) {
    if (!(error instanceof BackupLost)) throw error;
    yield bytesOf(form.lastPart('Stopped'));
  }
}

function bytesOf(part: Uint8Array | string): Uint8Array {
  return typeof part === 'string' ? encoder.encode(part) : part;
}

/** All but the last are full. */
async function* blobsOf(pieces: AsyncIterable<Uint8Array>) {
  let blob = new Uint8Array(blobBytes);
  let length = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      if (length === blobBytes) {
        yield { blob, isLast: false };
        blob = new Uint8Array(blobBytes);
        length = 0;
      }
      const part = piece.subarray(at, at + blobBytes - length);
      blob.set(part, length);
      length += part.length;
      at += part.length;
    }
  }
  yield { blob: blob.subarray(0, length), isLast: true };
}
