/**
 * Who this member is: its incarnation, its boot number, and the record of its group's birth.
 *
 * A member is the pair (place, incarnation). Without a birth record it belongs to no group and
 * refuses every Raft message but one that names the incarnation it has given out.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type BirthRecord,
  BirthRecordSchema,
  type Tombstone,
  TombstoneSchema,
} from '../api/gen/peer_pb.js';
import type { Sql } from '../kv/sql.ts';
import type { MemberId } from '../raft/types.ts';
import { createSchema, hasSchema, schemaVersion } from './schema.ts';

export interface Identity {
  readonly incarnation: string;
  /** Boot number of the last life that said anything. */
  readonly boot: number;
  readonly birth: BirthRecord | null;
  /** Why this place belongs to no group any more; `incarnation` is a fresh one then. */
  readonly tombstone: Tombstone | null;
  /** The last interval of the repair alarm, in milliseconds; 0: nothing is to be repaired. */
  readonly repairMs: number;
}

/** Null when this place has never been asked for anything. Reads one row, writes nothing. */
export function loadIdentity(sql: Sql): Identity | null {
  if (!hasSchema(sql)) return null;
  const row = sql.first(
    'SELECT schema_version, incarnation, boot, birth, tombstone, repair_ms FROM raft_identity',
  );
  if (!row) return null;
  const [version, incarnation, boot, birth, tombstone, repairMs] = row;
  if (Number(version) > schemaVersion)
    throw new Error(
      `storage has schema ${version}, this code knows ${schemaVersion}: deploy newer code`,
    );
  return {
    incarnation: String(incarnation),
    boot: Number(boot),
    birth: birth instanceof Uint8Array ? fromBinary(BirthRecordSchema, birth) : null,
    tombstone: tombstone instanceof Uint8Array ? fromBinary(TombstoneSchema, tombstone) : null,
    repairMs: Number(repairMs),
  };
}

/** Draws the incarnation that this place will give out until a group adopts it. */
export function createIdentity(sql: Sql, incarnation: string): Identity {
  createSchema(sql, incarnation);
  return { incarnation, boot: 0, birth: null, tombstone: null, repairMs: 0 };
}

/** The incarnation becomes a member; a tombstone that stood here yields. */
export function saveBirth(sql: Sql, birth: BirthRecord): void {
  const record = toBinary(BirthRecordSchema, birth);
  sql.run('UPDATE raft_identity SET birth = ?, tombstone = NULL, repair_ms = 0', record);
}

/** The member ends; the place gives out `incarnation` from now on. */
export function saveTombstone(sql: Sql, tombstone: Tombstone, incarnation: string): void {
  sql.run(
    'UPDATE raft_identity SET birth = NULL, tombstone = ?, incarnation = ?, repair_ms = 0',
    toBinary(TombstoneSchema, tombstone),
    incarnation,
  );
}

/** By hand only, with a new birth record: the old incarnation belongs to the old group. */
export function saveIncarnation(sql: Sql, incarnation: string): void {
  sql.run('UPDATE raft_identity SET incarnation = ?', incarnation);
}

export function saveRepair(sql: Sql, repairMs: number): void {
  sql.run('UPDATE raft_identity SET repair_ms = ?', repairMs);
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
