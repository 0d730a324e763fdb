/**
 * Who this member is: its incarnation, its boot number, and the record of its group's birth.
 *
 * A member is the pair (place, incarnation). Without a birth record it belongs to no group and
 * refuses every Raft message but one that names the incarnation it has given out.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { type BirthRecord, BirthRecordSchema } from '../api/gen/peer_pb.js';
import type { Sql } from '../kv/sql.ts';
import type { MemberId } from '../raft/types.ts';
import { createSchema, hasSchema, schemaVersion } from './schema.ts';

export interface Identity {
  readonly incarnation: string;
  /** Boot number of the last life that said anything. */
  readonly boot: number;
  readonly birth: BirthRecord | null;
}

/** Null when this place has never been asked for anything. Reads one row, writes nothing. */
export function loadIdentity(sql: Sql): Identity | null {
  if (!hasSchema(sql)) return null;
  const row = sql.first('SELECT schema_version, incarnation, boot, birth FROM raft_identity');
  if (!row) return null;
  const [version, incarnation, boot, birth] = row;
  if (Number(version) > schemaVersion)
    throw new Error(
      `storage has schema ${version}, this code knows ${schemaVersion}: deploy newer code`,
    );
  return {
    incarnation: String(incarnation),
    boot: Number(boot),
    birth: birth instanceof Uint8Array ? fromBinary(BirthRecordSchema, birth) : null,
  };
}

/** Draws the incarnation that this place will give out until a group adopts it. */
export function createIdentity(sql: Sql, incarnation: string): Identity {
  createSchema(sql, incarnation);
  return { incarnation, boot: 0, birth: null };
}

export function saveBirth(sql: Sql, birth: BirthRecord): void {
  sql.run('UPDATE raft_identity SET birth = ?', toBinary(BirthRecordSchema, birth));
}

export function saveBoot(sql: Sql, boot: number): void {
  sql.run('UPDATE raft_identity SET boot = ?', boot);
}

export function memberId(place: number, incarnation: string): MemberId {
  return `${place}.${incarnation}` as MemberId;
}

export function placeOf(id: MemberId): number {
  return Number(id.slice(0, id.indexOf('.')));
}

export function incarnationOf(id: MemberId): string {
  return id.slice(id.indexOf('.') + 1);
}

/** etcd's ids are 64-bit numbers: the hex digits of an incarnation or group, never zero. */
export function numericId(hex: string): bigint {
  return BigInt(`0x${hex}`) || 1n;
}
