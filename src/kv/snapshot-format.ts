/** What a snapshot looks like on its way: header, versions and leases as protobuf (snapshot.proto). */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type SnapshotChunk,
  SnapshotChunkSchema,
  type SnapshotHeader,
  SnapshotHeaderSchema,
  SnapshotLeaseSchema,
  SnapshotOnceSchema,
  SnapshotRecordSchema,
  type SnapshotVersion,
  SnapshotVersionSchema,
} from '../api/gen/snapshot_pb.js';
import { authRulesVersion, leaseRulesVersion } from './batch.ts';
import type { Lease } from './leases.ts';
import type { OnceRecord } from './once.ts';
import { kinds, type StateRecord } from './records.ts';
import type { Progress } from './schema.ts';
import type { Row } from './sql.ts';

/**
 * Raised when a receiver that skips the fields it does not know would install something wrong. What
 * older rules have made is sent in the format of their time, so that older code can receive it.
 */
export const formats = { keys: 1, leases: 2, records: 3 } as const;

/** What the fields and lengths around the key and the value of one version take at most. */
export const versionOverheadBytes = 72;

/** What one lease takes at most. */
export const leaseBytesMax = 32;

/** What a header takes at most. */
export const headerBytesMax = 112;

/** What the fields and lengths around the result of one answer take at most, hashes included. */
export const onceOverheadBytes = 80;

/** What the fields and lengths around the data and the name of one record take at most. */
export const recordOverheadBytes = 32;

export function headerOf(progress: Progress): SnapshotHeader {
  return create(SnapshotHeaderSchema, {
    format: formatOf(progress),
    rulesVersion: progress.rulesVersion,
    appliedIndex: BigInt(progress.appliedIndex),
    revision: BigInt(progress.revision),
    compactRevision: BigInt(progress.compactRevision),
    purgedRevision: BigInt(progress.purgedRevision),
    scanRevision: BigInt(progress.scanRevision),
    scanSub: progress.scanSub,
    onceFirst: BigInt(progress.onceFirst),
    onceLast: BigInt(progress.onceLast),
    authRevision: BigInt(progress.authRevision === 1 ? 0 : progress.authRevision),
    authEnabled: progress.authEnabled,
  });
}

function formatOf({ rulesVersion }: Progress): number {
  if (rulesVersion >= authRulesVersion) return formats.records;
  return rulesVersion >= leaseRulesVersion ? formats.leases : formats.keys;
}

export function progressOf(header: SnapshotHeader): Progress {
  return {
    rulesVersion: header.rulesVersion,
    appliedIndex: Number(header.appliedIndex),
    revision: Number(header.revision),
    compactRevision: Number(header.compactRevision),
    purgedRevision: Number(header.purgedRevision),
    scanRevision: Number(header.scanRevision),
    scanSub: header.scanSub,
    // A sender of the first rules knows nothing of them.
    onceFirst: Math.max(1, Number(header.onceFirst)),
    onceLast: Number(header.onceLast),
    authRevision: Math.max(1, Number(header.authRevision)),
    authEnabled: header.authEnabled,
  };
}

export function encodeHeader(header: SnapshotHeader): Uint8Array {
  return toBinary(SnapshotHeaderSchema, header);
}

/** Of a row that this member has written itself. */
export function decodeHeader(data: Uint8Array): SnapshotHeader {
  return fromBinary(SnapshotHeaderSchema, data);
}

/**
 * `row`: rev, sub, key, value; then created, version, lease of its index row or nulls; then whether it
 * attaches its key to that lease.
 */
export function versionOf(row: Row): SnapshotVersion {
  const [rev, sub, key, value, created, version, lease, attached] = row;
  const message = create(SnapshotVersionSchema);
  message.rev = BigInt(rev as number);
  message.sub = sub as number;
  message.key = key as Uint8Array;
  if (value !== null) message.value = value as Uint8Array;
  if (version === null) {
    message.replaced = true;
    return message;
  }
  message.created = BigInt(created as number);
  message.version = BigInt(version as number);
  message.lease = lease as string;
  message.attached = attached === 1;
  return message;
}

export function encodeChunk(
  header: SnapshotHeader | null,
  versions: SnapshotVersion[],
  leases: readonly Lease[],
  onces: readonly OnceRecord[] = [],
): Uint8Array {
  const chunk = create(SnapshotChunkSchema);
  if (header) chunk.header = header;
  chunk.versions = versions;
  chunk.leases = leases.map(({ id, grant, ttl }) =>
    create(SnapshotLeaseSchema, { id, grant: BigInt(grant), ttl: BigInt(ttl) }),
  );
  chunk.onces = onces.map(({ seq, time, ...rest }) =>
    create(SnapshotOnceSchema, { ...rest, seq: BigInt(seq), time: BigInt(time) }),
  );
  return toBinary(SnapshotChunkSchema, chunk);
}

/** Records travel in chunks of their own. */
export function encodeRecordChunk(rows: readonly StateRecord[]): Uint8Array {
  const records = rows.map(({ since, ...rest }) =>
    create(SnapshotRecordSchema, { ...rest, since: BigInt(since) }),
  );
  return toBinary(SnapshotChunkSchema, create(SnapshotChunkSchema, { records }));
}

/**
 * The chunk as it may begin another group, which has members of its own: without the records of the
 * old ones. null: it is none, or code of these rules cannot install it.
 */
export function installable(data: Uint8Array, newestRules: number): Uint8Array | null {
  const chunk = decodeChunk(data);
  if (!chunk || (chunk.header && !isSound(chunk.header, newestRules))) return null;
  const records = chunk.records.filter(({ kind }) => kind !== kinds.member);
  if (records.length === chunk.records.length) return data;
  return toBinary(SnapshotChunkSchema, { ...chunk, records });
}

/** Twice as much, and a bump, is still an integer that a number holds. */
const soundMax = 2n ** 51n;

function isSound(header: SnapshotHeader, newestRules: number): boolean {
  const { rulesVersion, appliedIndex, revision, compactRevision } = header;
  if (rulesVersion > newestRules || appliedIndex < 1n || appliedIndex > soundMax) return false;
  return revision >= 1n && revision <= soundMax && compactRevision <= revision;
}

/** null: no chunk, or one of a format that this code does not know. */
export function decodeChunk(data: Uint8Array): SnapshotChunk | null {
  try {
    const chunk = fromBinary(SnapshotChunkSchema, data);
    const format = chunk.header?.format ?? formats.records;
    return format < formats.keys || format > formats.records ? null : chunk;
  } catch {
    return null;
  }
}
