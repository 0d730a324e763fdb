/**
 * Users, roles and permissions of the replicated state, and what has been worked out of them: kept in
 * memory until any of them changes.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { Permission } from '../../api/gen/auth_pb.js';
import {
  type RoleRecord,
  RoleRecordSchema,
  type UserRecord,
  UserRecordSchema,
} from '../../api/gen/auth_records_pb.js';
import { type Kind, kinds, type Records } from '../records.ts';
import type { Progress } from '../schema.ts';
import { type Grants, grantsOf } from './grants.ts';
import { verifiedClaims } from './tokens.ts';

/** Of each kind in memory; a cache is emptied when it is full. */
const cachedMax = 1_000;
const noName = '';

/** Whom a token names; its `version` has to be that of the user still. */
export interface TokenUser {
  readonly name: string;
  readonly version: bigint;
}

export class Auth {
  private readonly records: Records;
  private readonly progress: Progress;
  private readonly users = new Map<string, UserRecord | null>();
  private readonly grants = new Map<string, Grants>();
  private readonly tokens = new Map<string, TokenUser | null>();
  private cachedAt = -1;

  constructor(records: Records, progress: Progress) {
    this.records = records;
    this.progress = progress;
  }

  get enabled(): boolean {
    return this.progress.authEnabled;
  }

  /** 1 at first. */
  get revision(): number {
    return this.progress.authRevision;
  }

  /** Rises with every change in this life, also with those that etcd gives no revision: enabling. */
  get changeCount(): number {
    return this.records.changeCount;
  }

  user(name: string): UserRecord | null {
    this.dropOld();
    const known = this.users.get(name);
    if (known !== undefined) return known;
    const data = this.records.get(kinds.user, name);
    const user = data && fromBinary(UserRecordSchema, data);
    keep(this.users, name, user);
    return user;
  }

  role(name: string): RoleRecord | null {
    const data = this.records.get(kinds.role, name);
    return data && fromBinary(RoleRecordSchema, data);
  }

  /** What the roles of the user grant together. */
  grantsOf(name: string): Grants {
    this.dropOld();
    const known = this.grants.get(name);
    if (known) return known;
    const permissions: Permission[] = [];
    for (const role of this.user(name)?.roles ?? [])
      permissions.push(...(this.role(role)?.permissions ?? []));
    const grants = grantsOf(permissions);
    keep(this.grants, name, grants);
    return grants;
  }

  /** Null: no token, or not signed with the secret of today. */
  userOf(token: string): TokenUser | null {
    this.dropOld();
    const known = this.tokens.get(token);
    if (known !== undefined) return known;
    const { secret } = this;
    const claims = secret && verifiedClaims(secret, token);
    const user = claims && { name: claims.user, version: claims.version };
    keep(this.tokens, token, user);
    return user;
  }

  names(kind: Kind): string[] {
    return this.records.names(kind);
  }

  /** What tokens are signed with; null: auth has never been enabled. */
  get secret(): Uint8Array | null {
    return this.records.get(kinds.secret, noName);
  }

  /** `index`: of the log entry, here and below. */
  putUser(name: string, user: Omit<UserRecord, '$typeName' | '$unknown'>, index: number): void {
    const data = toBinary(UserRecordSchema, create(UserRecordSchema, user));
    this.records.put(kinds.user, name, data, index);
  }

  putRole(name: string, permissions: readonly Permission[], index: number): void {
    const record = create(RoleRecordSchema, { permissions: [...permissions] });
    this.records.put(kinds.role, name, toBinary(RoleRecordSchema, record), index);
  }

  delete(kind: Kind, name: string, index: number): void {
    this.records.delete(kind, name, index);
  }

  setEnabled(enabled: boolean, secret: Uint8Array | null, index: number): void {
    if (secret) this.records.put(kinds.secret, noName, secret, index);
    else this.records.delete(kinds.secret, noName, index);
    this.progress.authEnabled = enabled;
  }

  /** Something has changed. */
  raise(): void {
    this.progress.authRevision += 1;
  }

  private dropOld(): void {
    if (this.cachedAt === this.changeCount) return;
    this.users.clear();
    this.grants.clear();
    this.tokens.clear();
    this.cachedAt = this.changeCount;
  }
}

function keep<T>(cache: Map<string, T>, name: string, value: T): void {
  if (cache.size >= cachedMax) cache.clear();
  cache.set(name, value);
}
