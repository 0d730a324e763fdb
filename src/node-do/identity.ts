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
  readonly plan: AlarmPlan;
}

/**
 * What the alarm is for beside work (alarms.ts): the last interval of repair and of the watchdog of
 * leases, in milliseconds, and the wall time at which each is due. 0: it is not planned.
 */
export interface AlarmPlan {
  readonly repairMs: number;
  readonly repairAt: number;
  readonly watchMs: number;
  readonly watchAt: number;
}

export const noPlan: AlarmPlan = { repairMs: 0, repairAt: 0, watchMs: 0, watchAt: 0 };

/** Whether the tables are of an older version: `upgradeSchema` first. Reads one row. */
export function needsUpgrade(sql: Sql): boolean {
  return hasSchema(sql) && versionOf(sql) < schemaVersion;
}

function versionOf(sql: Sql): number {
  const version = Number(sql.first('SELECT schema_version FROM raft_identity')?.[0]);
  if (version > schemaVersion)
    throw new Error(
      `storage has schema ${version}, this code knows ${schemaVersion}: deploy newer code`,
    );
  return version;
}

/** Null when this place has never been asked for anything. Reads one row, writes nothing. */
export function loadIdentity(sql: Sql): Identity | null {
  if (!hasSchema(sql)) return null;
  const row = sql.first(
    `SELECT incarnation, boot, birth, tombstone, repair_ms, repair_at, watch_ms, watch_at
     FROM raft_identity`,
  );
  if (!row) return null;
  const [incarnation, boot, birth, tombstone, ...plan] = row;
  const [repairMs = 0, repairAt = 0, watchMs = 0, watchAt = 0] = plan.map(Number);
  return {
    incarnation: String(incarnation),
    boot: Number(boot),
    birth: birth instanceof Uint8Array ? fromBinary(BirthRecordSchema, birth) : null,
    tombstone: tombstone instanceof Uint8Array ? fromBinary(TombstoneSchema, tombstone) : null,
    plan: { repairMs, repairAt, watchMs, watchAt },
  };
}

/** Draws the incarnation that this place will give out until a group adopts it. */
export function createIdentity(sql: Sql, incarnation: string): Identity {
  createSchema(sql, incarnation);
  return { incarnation, boot: 0, birth: null, tombstone: null, plan: noPlan };
}

/** The incarnation becomes a member; a tombstone that stood here yields. */
export function saveBirth(sql: Sql, birth: BirthRecord): void {
  const record = toBinary(BirthRecordSchema, birth);
  sql.run('UPDATE raft_identity SET birth = ?, tombstone = NULL', record);
  savePlan(sql, noPlan);
}

/** The member ends; the place gives out `incarnation` from now on. */
export function saveTombstone(sql: Sql, tombstone: Tombstone, incarnation: string): void {
  sql.run(
    'UPDATE raft_identity SET birth = NULL, tombstone = ?, incarnation = ?',
    toBinary(TombstoneSchema, tombstone),
    incarnation,
  );
  savePlan(sql, noPlan);
}

/** By hand only, with a new birth record: the old incarnation belongs to the old group. */
export function saveIncarnation(sql: Sql, incarnation: string): void {
  sql.run('UPDATE raft_identity SET incarnation = ?', incarnation);
}

export function savePlan(sql: Sql, { repairMs, repairAt, watchMs, watchAt }: AlarmPlan): void {
  sql.run(
    'UPDATE raft_identity SET repair_ms = ?, repair_at = ?, watch_ms = ?, watch_at = ?',
    repairMs,
    repairAt,
    watchMs,
    watchAt,
  );
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
