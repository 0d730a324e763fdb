/**
 * The requests about users and roles that are no commands (member.proto), served by the leader at a
 * read point: what etcd tells of them, and the two steps of authentication. The password itself
 * never gets here; the router compares.
 */
import { create, type DescMessage, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { EtcdErrorName } from '../../api/errors.ts';
import { Permission_Type, PermissionSchema } from '../../api/gen/auth_pb.js';
import {
  type AuthBegin,
  AuthBegunSchema,
  AuthCallerSchema,
  type AuthIssue,
  type AuthQuery,
  type MemberReply,
} from '../../api/gen/member_pb.js';
import {
  AuthenticateResponseSchema,
  AuthRoleGetResponseSchema,
  AuthRoleListResponseSchema,
  AuthStatusResponseSchema,
  AuthUserGetResponseSchema,
  AuthUserListResponseSchema,
} from '../../api/gen/rpc_pb.js';
import type { Auth } from '../../kv/auth/auth.ts';
import { anyUser, type Needs, rootOnly } from '../../kv/auth/needs.ts';
import { rootRole } from '../../kv/auth/permit.ts';
import { signToken } from '../../kv/auth/tokens.ts';
import { kinds } from '../../kv/records.ts';
import type { GroupMember } from '../group-member.ts';
import type { Platform } from '../platform.ts';
import { failure, type Replies, reply } from '../replies.ts';
import { Attempts } from './attempts.ts';
import { lastingCaller, type Shown } from './callers.ts';

/** Of a token, whether it is used or not. */
const tokenLifeSeconds = 3_600;
/** A longer one has no token that is short enough. */
const nameLengthMax = 1_024;

const noEnd = new Uint8Array();
const allKeys = create(PermissionSchema, {
  permType: Permission_Type.READWRITE,
  key: noEnd,
  rangeEnd: new Uint8Array([0]),
});

export class AuthService {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly replies: Replies;
  private readonly attempts = new Attempts();

  constructor(platform: Platform, group: GroupMember, replies: Replies) {
    this.platform = platform;
    this.group = group;
    this.replies = replies;
  }

  /** Any user may ask for itself, and for the roles that it has. */
  query({ query }: AuthQuery, shown: Shown | null): MemberReply {
    const { auth } = this;
    const own = this.nameOf(shown);
    const permitted = (needs: Needs): EtcdErrorName | null =>
      this.group.machine.permit(shown, needs);
    switch (query.case) {
      case 'userGet': {
        const { name } = query.value;
        const refused = permitted(name === own ? anyUser : rootOnly);
        const user = auth.user(name);
        if (refused || !user) return failure(refused ?? 'UserNotFound');
        return this.answer(AuthUserGetResponseSchema, { roles: user.roles });
      }
      case 'roleGet':
        return this.roleGet(query.value.role, own, permitted);
      default: {
        const refused = permitted(rootOnly);
        return refused ? failure(refused) : this.list(query.case);
      }
    }
  }

  private roleGet(
    name: string,
    own: string | null,
    permitted: (needs: Needs) => EtcdErrorName | null,
  ): MemberReply {
    const has = own !== null && this.auth.user(own)?.roles.includes(name);
    const refused = permitted(has ? anyUser : rootOnly);
    const role = this.auth.role(name);
    if (refused || !role) return failure(refused ?? 'RoleNotFound');
    const perm = name === rootRole ? [allKeys] : role.permissions;
    return this.answer(AuthRoleGetResponseSchema, { perm });
  }

  private list(what: 'status' | 'userList' | 'roleList' | undefined): MemberReply {
    const { enabled, revision } = this.auth;
    switch (what) {
      case 'status':
        return this.answer(AuthStatusResponseSchema, { enabled, authRevision: BigInt(revision) });
      case 'userList':
        return this.answer(AuthUserListResponseSchema, { users: this.auth.names(kinds.user) });
      case 'roleList':
        return this.answer(AuthRoleListResponseSchema, { roles: this.auth.names(kinds.role) });
      case undefined:
        return failure('NotCapable');
    }
  }

  begin({ name, client }: AuthBegin): MemberReply {
    if (!this.auth.enabled) return failure('AuthNotEnabled');
    if (!this.attempts.take(name.slice(0, nameLengthMax), client, this.platform.now()))
      return failure('TooManyRequests');
    const user = name.length > nameLengthMax ? null : this.auth.user(name);
    if (user?.password === '') return failure('NoPasswordUser');
    const { password, version } = user ?? { password: '', version: 0n };
    return reply(toBinary(AuthBegunSchema, create(AuthBegunSchema, { password, version })));
  }

  /** Between the two steps the user may have gone, or got another password. */
  issue({ name, client, version }: AuthIssue): MemberReply {
    const { auth } = this;
    const { secret } = auth;
    if (!auth.enabled || !secret) return failure('AuthNotEnabled');
    if (auth.user(name)?.version !== version) return failure('AuthFailed');
    this.attempts.forget(name, client);
    const expires = BigInt(Math.floor(this.platform.wallTime() / 1_000) + tokenLifeSeconds);
    const token = signToken(secret, { user: name, version, expires });
    return this.answer(AuthenticateResponseSchema, { token });
  }

  whoIs(shown: Shown | null): MemberReply {
    const refused = this.group.machine.permit(shown, anyUser);
    if (refused) return failure(refused);
    const caller = this.auth.enabled ? lastingCaller(shown, this.auth) : null;
    return reply(toBinary(AuthCallerSchema, caller ?? create(AuthCallerSchema)));
  }

  private get auth(): Auth {
    return this.group.machine.auth;
  }

  private nameOf(shown: Shown | null): string | null {
    if (shown?.kind === 'named') return shown.name;
    return shown?.kind === 'token' ? (this.auth.userOf(shown.token)?.name ?? null) : null;
  }

  private answer<D extends DescMessage>(schema: D, init: MessageInitShape<D>): MemberReply {
    return this.replies.current(schema, create(schema, init) as never);
  }
}
