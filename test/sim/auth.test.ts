/** Auth at the members of a group: who asks, what it may see and do, tokens and attempts. */
import { create, fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { Permission_Type as Type } from '../../src/api/gen/auth_pb.js';
import {
  AuthBeginSchema,
  AuthBegunSchema,
  AuthCallerSchema,
  AuthIssueSchema,
  type AuthQuery,
  AuthQuerySchema,
  AuthWhoIsSchema,
  ChangeMembershipSchema,
  type MemberReply,
  type MemberRequest,
  PingSchema,
} from '../../src/api/gen/member_pb.js';
import {
  AuthenticateResponseSchema,
  AuthRoleGetResponseSchema,
  AuthStatusResponseSchema,
  AuthUserGetResponseSchema,
  AuthUserListResponseSchema,
  LeaseLeasesRequestSchema,
} from '../../src/api/gen/rpc_pb.js';
import { claimsOf, signToken } from '../../src/kv/auth/tokens.ts';
import {
  addRole,
  addUser,
  allow,
  changePassword,
  disable,
  enable,
  giveRole,
  hashed,
  secret,
} from '../kv/auth/support.ts';
import { bytes as encode } from '../kv/support.ts';
import { openOp } from './backup.ts';
import type { Cluster } from './cluster.ts';
import { born, getOp, grantOp, keepAliveOp, putOp, responseOf, timeToLiveOp } from './support.ts';

type Who = Partial<Pick<MemberRequest, 'token' | 'operator'>>;
const operator: Who = { operator: true };
const command = (value: Uint8Array): MemberRequest['op'] => ({ case: 'command', value });

/** The error's name, or 'ok'. */
async function answer(
  cluster: Cluster,
  op: MemberRequest['op'],
  who: Partial<MemberRequest> = {},
  place = 1,
): Promise<string> {
  const reply = await cluster.world.settle(cluster.ask(place, op, who));
  return errorIn(reply);
}

function errorIn({ outcome }: MemberReply): string {
  if (outcome.case === 'failure') return outcome.value.error;
  return outcome.case === 'response' ? 'ok' : (outcome.case ?? 'nothing');
}

/** A user and the role of its name. */
const named = (name: string) => [addUser(name), addRole(name), giveRole(name, name)];

/** User u may read and write a. Auth is enabled, and root's token is good. */
async function guarded(): Promise<{ cluster: Cluster; root: Who; u: Who }> {
  const cluster = await born();
  for (const one of [...named('root'), ...named('u'), allow('u', Type.READWRITE, 'a'), enable])
    expect(await answer(cluster, command(one))).toBe('ok');
  return { cluster, root: await tokenOf(cluster, 'root'), u: await tokenOf(cluster, 'u') };
}

async function begin(cluster: Cluster, name: string, client = 'c'): Promise<MemberReply> {
  const value = create(AuthBeginSchema, { name, client });
  return cluster.world.settle(cluster.ask(1, { case: 'authBegin', value }));
}

async function tokenOf(cluster: Cluster, name: string): Promise<Who> {
  const { version } = fromBinary(AuthBegunSchema, responseOf(await begin(cluster, name)));
  const value = create(AuthIssueSchema, { name, client: 'c', version });
  const reply = await cluster.world.settle(cluster.ask(1, { case: 'authIssue', value }));
  return { token: fromBinary(AuthenticateResponseSchema, responseOf(reply)).token };
}

const query = (init: AuthQuery['query']): MemberRequest['op'] => ({
  case: 'authQuery',
  value: create(AuthQuerySchema, { query: init }),
});
const userGet = (name: string) => query({ case: 'userGet', value: { name } as never });
const roleGet = (role: string) => query({ case: 'roleGet', value: { role } as never });
const userList = query({ case: 'userList', value: {} as never });
const roleList = query({ case: 'roleList', value: {} as never });
const status = query({ case: 'status', value: {} as never });
const whoIs: MemberRequest['op'] = { case: 'authWhoIs', value: create(AuthWhoIsSchema) };

describe('what a member serves while auth is enabled', () => {
  it('needs a user who may do it, whoever serves it', async () => {
    const { cluster, root, u } = await guarded();
    const list = { case: 'leaseLeases', value: create(LeaseLeasesRequestSchema) } as const;
    const members = create(ChangeMembershipSchema, { voters: [1, 2, 3] });
    const change = { case: 'changeMembership', value: members } as const;
    const rows: [MemberRequest['op'], Partial<MemberRequest>, string][] = [
      [getOp('a'), {}, 'ok'],
      [getOp('b'), {}, 'PermissionDenied'],
      [getOp('b'), { serializable: true }, 'PermissionDenied'],
      [putOp('a', '2'), {}, 'ok'],
      [putOp('b', '2'), {}, 'PermissionDenied'],
      [grantOp(7n, 60), {}, 'ok'],
      [keepAliveOp(7n), {}, 'ok'],
      [timeToLiveOp(7n, true), {}, 'ok'],
      [list, {}, 'ok'],
      [change, {}, 'PermissionDenied'],
      [{ case: 'transferLeader', value: 1 }, {}, 'PermissionDenied'],
      [openOp, {}, 'PermissionDenied'],
    ];
    for (const [op, more, expected] of rows) {
      expect(await answer(cluster, op, { ...more, ...u })).toBe(expected);
      expect(await answer(cluster, op, more)).toBe('UserEmpty');
      expect(await answer(cluster, op, { ...more, token: 'x' })).toBe('InvalidAuthToken');
      for (const who of [root, operator])
        expect(['ok', 'LeaseExist']).toContain(await answer(cluster, op, { ...more, ...who }));
    }
    const ping = { case: 'ping', value: create(PingSchema) } as const;
    expect(await answer(cluster, ping)).toBe('ok');
  });

  it('is refused at a follower by what it has applied', async () => {
    const { cluster, u } = await guarded();
    await cluster.world.pass(1_000);
    const here = { readHere: true };
    expect(await answer(cluster, getOp('a'), { ...here, ...u }, 2)).toBe('ok');
    expect(await answer(cluster, getOp('b'), { ...here, ...u }, 2)).toBe('PermissionDenied');
    expect(await answer(cluster, getOp('a'), { serializable: true }, 3)).toBe('UserEmpty');
  });

  it('costs a tenant without auth nothing, whatever its clients show', async () => {
    const cluster = await born();
    for (const who of [{}, { token: 'x' }, operator])
      for (const op of [getOp('b'), putOp('b', '1')])
        expect(await answer(cluster, op, who)).toBe('ok');
    expect(await answer(cluster, command(disable), { token: 'x' })).toBe('ok');
  });

  it('is not refused to the operator, nor to a user, by a leader that has not applied yet that it is enabled', async () => {
    for (const isOperator of [true, false]) {
      const cluster = await born();
      for (const one of [...named('root'), enable])
        expect(await answer(cluster, command(one))).toBe('ok');
      // Nobody has told the others that the last entry is committed.
      cluster.end(1, 'lost');
      cluster.refuse = ({ to }) => to === 1;
      const expires = BigInt(Math.floor(cluster.world.now / 1_000) + 60);
      const token = signToken(secret, { user: 'root', version: 2n, expires });
      const who = isOperator ? operator : { token };
      const errors: string[] = [];
      for (let attempt = 0; attempt < 10 && errors.at(-1) !== 'ok'; attempt += 1)
        errors.push(await answer(cluster, putOp('a', '3'), { ...who, suspectTerm: 0n }, 2));
      expect(errors.at(-1)).toBe('ok');
      expect(errors).not.toContain('UserEmpty');
      expect(errors).not.toContain('InvalidAuthToken');
    }
  });
});

describe('a token', () => {
  it('is given for the password that is kept now, and to nobody else', async () => {
    const { cluster, root } = await guarded();
    const begun = fromBinary(AuthBegunSchema, responseOf(await begin(cluster, 'u')));
    expect(begun.password).toBe(hashed);
    const nobody = fromBinary(AuthBegunSchema, responseOf(await begin(cluster, 'nobody')));
    expect(nobody).toMatchObject({ password: '', version: 0n });
    await answer(cluster, command(changePassword('u', 'other')), root);
    const issue = (name: string, version: bigint): MemberRequest['op'] => ({
      case: 'authIssue',
      value: create(AuthIssueSchema, { name, client: 'c', version }),
    });
    expect(await answer(cluster, issue('u', begun.version))).toBe('AuthFailed');
    expect(await answer(cluster, issue('nobody', 0n))).toBe('AuthFailed');
    await answer(cluster, command(disable), root);
    expect([errorIn(await begin(cluster, 'u')), await answer(cluster, issue('u', 1n))]).toEqual([
      'AuthNotEnabled',
      'AuthNotEnabled',
    ]);
  });

  it('is void from its expiry on, and when its user gets another password', async () => {
    const { cluster, root, u } = await guarded();
    const claims = claimsOf(u.token ?? '');
    expect(Number(claims?.expires) * 1_000 - cluster.world.now).toBeGreaterThan(3_598_000);
    const before = Number(claims?.expires) * 1_000 - cluster.world.now - 100;
    await cluster.world.pass(before);
    expect(await answer(cluster, getOp('a'), u)).toBe('ok');
    expect(await answer(cluster, putOp('a', '1'), u)).toBe('ok');
    await cluster.world.pass(200);
    expect(await answer(cluster, getOp('a'), u)).toBe('InvalidAuthToken');
    expect(await answer(cluster, putOp('a', '1'), u)).toBe('InvalidAuthToken');
    const fresh = await tokenOf(cluster, 'u');
    expect(await answer(cluster, getOp('a'), fresh)).toBe('ok');
    const again = await tokenOf(cluster, 'root');
    await answer(cluster, command(changePassword('u', 'other')), again);
    expect(await answer(cluster, getOp('a'), fresh)).toBe('InvalidAuthToken');
    expect(root.token).not.toBe(again.token);
  });

  it('of another secret is none', async () => {
    const { cluster } = await guarded();
    const token = signToken(new Uint8Array(32), { user: 'root', version: 2n, expires: 2n ** 40n });
    expect(await answer(cluster, getOp('a'), { token })).toBe('InvalidAuthToken');
    expect(await answer(cluster, putOp('a', '1'), { token })).toBe('InvalidAuthToken');
  });

  it('is asked for five times at once, and then every two seconds, by each client', async () => {
    const { cluster } = await guarded();
    const attempts = async (count: number, client: string) => {
      const errors: string[] = [];
      for (let at = 0; at < count; at += 1) errors.push(errorIn(await begin(cluster, 'u', client)));
      return errors.filter((one) => one === 'ok').length;
    };
    expect(await attempts(8, 'guesser')).toBe(5);
    expect(await attempts(1, 'other')).toBe(1);
    await cluster.world.pass(4_100);
    expect(await attempts(8, 'guesser')).toBe(2);
  });
});

describe('users and roles', () => {
  it('are told of to root, and to users of themselves and their roles', async () => {
    const { cluster, root, u } = await guarded();
    const read = async (op: MemberRequest['op'], who: Who) =>
      responseOf(await cluster.world.settle(cluster.ask(1, op, who)));
    const { users } = fromBinary(AuthUserListResponseSchema, await read(userList, root));
    expect(users).toEqual(['root', 'u']);
    const { enabled, authRevision, header } = fromBinary(
      AuthStatusResponseSchema,
      await read(status, operator),
    );
    expect([enabled, authRevision, header?.revision]).toEqual([true, 8n, 2n]);
    expect(fromBinary(AuthUserGetResponseSchema, await read(userGet('u'), u)).roles).toEqual(['u']);
    const { perm } = fromBinary(AuthRoleGetResponseSchema, await read(roleGet('u'), u));
    expect(perm).toMatchObject([{ permType: Type.READWRITE, key: encode('a') }]);
    const all = fromBinary(AuthRoleGetResponseSchema, await read(roleGet('root'), root));
    expect(all.perm).toMatchObject([{ permType: Type.READWRITE, rangeEnd: encode('\0') }]);
    for (const op of [userGet('root'), roleGet('root'), userList, roleList, status]) {
      expect(await answer(cluster, op, u)).toBe('PermissionDenied');
      expect(await answer(cluster, op)).toBe('UserEmpty');
    }
    expect(await answer(cluster, userGet('x'), root)).toBe('UserNotFound');
    expect(await answer(cluster, roleGet('x'), root)).toBe('RoleNotFound');
  });

  it('are told apart once and for all for who watches long', async () => {
    const { cluster, u, root } = await guarded();
    const caller = async (who: Who) => {
      const reply = await cluster.world.settle(cluster.ask(1, whoIs, who));
      return fromBinary(AuthCallerSchema, responseOf(reply)).caller;
    };
    expect(await caller(u)).toMatchObject({ case: 'user', value: { name: 'u' } });
    expect(await caller(operator)).toMatchObject({ case: 'operator', value: true });
    expect(await answer(cluster, whoIs)).toBe('UserEmpty');
    expect(await answer(cluster, whoIs, { token: 'x' })).toBe('InvalidAuthToken');
    await answer(cluster, command(disable), root);
    expect(await caller({ token: 'x' })).toMatchObject({ case: undefined });
  });
});
