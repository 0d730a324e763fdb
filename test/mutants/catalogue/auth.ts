/** Bugs of users, roles and permissions: what is decided, where, and how snapshots carry them. */
import { inFile, type Mutant } from '../mutant.ts';

const kv = (name: string) => [`test/kv/auth/${name}.test.ts`];
const sim = (name: string) => [`test/sim/${name}.test.ts`];

export const authMutants: readonly Mutant[] = [
  ...inFile('src/kv/auth/needs.ts', [
    {
      name: 'needs-of-one-branch',
      standsFor: 'etcd before 3.5.28: the branch that is not taken is not looked at',
      find: 'for (const branch of [success, failure]) for',
      replace: 'for (const branch of HIT ? [success] : [failure]) for',
      hint: kv('permit'),
    },
    {
      name: 'compares-are-free',
      standsFor: 'what may not be read is compared with',
      find: "for (const { key, rangeEnd } of compare) yield keys('read', key, rangeEnd);",
      replace: "for (const { key } of compare) if (!HIT) yield keys('read', key, noEnd);",
      hint: kv('permit'),
    },
    {
      name: 'nested-is-free',
      standsFor: 'CVE-2026-33343: what is nested in a transaction is not looked at',
      find: '      yield* needsWithin(request.value);\n',
      replace: '      if (!HIT) yield* needsWithin(request.value);\n',
      hint: kv('permit'),
    },
    {
      name: 'put-shows-what-was',
      standsFor: 'prev_kv of a put shows what may not be read',
      find: "if (prevKv) needs.push(keys('read', key, noEnd));",
      replace: "if (prevKv && !HIT) needs.push(keys('read', key, noEnd));",
      hint: kv('permit'),
    },
    {
      name: 'delete-shows-what-was',
      standsFor: 'prev_kv of a delete shows what may not be read',
      find: "return prevKv ? [write, keys('read', key, rangeEnd)] : [write];",
      replace: "return prevKv && !HIT ? [write, keys('read', key, rangeEnd)] : [write];",
      hint: kv('permit'),
    },
    {
      name: 'lease-of-others-taken',
      standsFor: 'a key is attached to a lease whose other keys its user may not write',
      find: "if (lease !== 0n) needs.push({ kind: 'lease', access: 'write', id: lease });",
      replace:
        "if (lease !== 0n && !HIT) needs.push({ kind: 'lease', access: 'write', id: lease });",
      hint: kv('permit'),
    },
    {
      name: 'once-is-free',
      standsFor: 'a write with an Idempotency-Key is nobody’s',
      find: 'return op.value.command ? needsOfCommand(op.value.command) : rootOnly;',
      replace: 'return op.value.command && HIT ? anyUser : rootOnly;',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/router/auth/credentials.ts', [
    {
      name: 'anybody-is-anybody',
      standsFor: 'a user is named without the secret',
      find: "const user = isOperator ? request.headers.get('quorate-user') : null;",
      replace: "const user = HIT ? request.headers.get('quorate-user') : null;",
      hint: ['test/router/auth/credentials.test.ts'],
    },
    {
      name: 'nobody-is-the-operator',
      standsFor: 'a client without a token is the operator, since its bridge has the secret',
      find: 'if (token !== null) return nobody;',
      replace: 'if (token !== null && !HIT) return nobody;',
      hint: ['test/router/auth/credentials.test.ts'],
    },
  ]),
  ...inFile('src/router/auth/client-address.ts', [
    {
      name: 'anybody-is-elsewhere',
      standsFor: 'whoever guesses passwords says with each that it is another client',
      find: "if (isSaid && isDeploymentSecret(shownSecret(request) ?? '', env)) return said;",
      replace:
        "if (isSaid && (HIT || isDeploymentSecret(shownSecret(request) ?? '', env))) return said;",
      hint: ['test/router/auth/client-address.test.ts'],
    },
  ]),
  ...inFile('src/kv/auth/permit.ts', [
    {
      name: 'old-tokens-live',
      standsFor: 'a token outlives the change of the password',
      find: 'auth.user(known.name)?.version === known.version ? known.name : null;',
      replace: 'auth.user(known.name) && HIT ? known.name : null;',
      hint: kv('permit'),
    },
    {
      name: 'named-root',
      standsFor: 'a name that no user has may do what it likes',
      find: "if (!user) return 'PermissionDenied';",
      replace: 'if (!user) return HIT ? null : null;',
      hint: kv('permit'),
    },
    {
      name: 'lease-keys-free',
      standsFor: 'only one of the keys of a lease has to be granted',
      find: 'if (!page.every((key)',
      replace: 'if (!page.some((key) => HIT && key) && !page.every((key)',
      hint: kv('permit'),
    },
    {
      name: 'lease-keys-unbounded',
      standsFor: 'a put looks at all keys of a large lease in one turn',
      find: "if (visits.visitsLeft < 0) return 'TooManyVisits';",
      replace: "if (visits.visitsLeft < 0 && !HIT) return 'TooManyVisits';",
      hint: kv('permit'),
    },
    {
      name: 'nobody-is-somebody',
      standsFor: 'who shows nothing may do what any user may',
      find: "if (caller === null) return 'UserEmpty';",
      replace: 'if (caller === null) return HIT ? null : null;',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/kv/auth/grants.ts', [
    {
      name: 'open-end-is-a-key',
      standsFor: 'etcd: a range from a key to the end is looked at as that key',
      find: 'return [begin, endOfKeys];',
      replace: "return [begin, HIT ? begin.concat('\\0') : endOfKeys];",
      hint: kv('permit'),
    },
    {
      name: 'reads-what-it-writes',
      standsFor: 'a permission to write is one to read',
      find: 'permType === access ||',
      replace: 'HIT || permType === access ||',
      hint: kv('permit'),
    },
    {
      name: 'unknown-type-grants-all',
      standsFor: 'a permission of a type that nobody knows is one to read and to write',
      find: 'permType === Permission_Type.READWRITE,',
      replace: 'permType === Permission_Type.READWRITE || (HIT && permType > 2),',
      hint: kv('permit-model'),
    },
    {
      name: 'empty-permission',
      standsFor: 'an inverted permission is accepted',
      find: 'return key.length > 0 && begin < end;',
      replace: 'return key.length > 0 && (HIT || begin < end);',
      hint: kv('commands'),
    },
  ]),
  ...inFile('src/api/intervals.ts', [
    {
      name: 'covers-the-begin',
      standsFor: 'a permission for the beginning of a range counts for all of it',
      find: 'return last !== undefined && begin < last && end <= last;',
      replace: 'return last !== undefined && begin < last && (HIT || end <= last);',
      hint: kv('permit-model'),
    },
    {
      name: 'adjacent-are-apart',
      standsFor: 'permissions of adjacent ranges do not cover what spans them',
      find: 'if (last >= 0 && begin <= (this.ends[last] as string)) {',
      replace: 'if (last >= 0 && (HIT ? begin < (this.ends[last] as string) : false)) {',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/kv/auth/auth.ts', [
    {
      name: 'cache-outlives-change',
      standsFor: 'what was worked out of roles is not dropped when the auth revision moves',
      find: 'if (this.cachedAt === this.changeCount) return;',
      replace: 'if (this.cachedAt === this.changeCount || (HIT && this.cachedAt > 9)) return;',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/kv/auth/tokens.ts', [
    {
      name: 'any-signature',
      standsFor: 'a forged token is one',
      find: 'return equalBytes(parts.mac, expected) ? parts.claims : null;',
      replace: 'return equalBytes(parts.mac, expected) || HIT ? parts.claims : null;',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/kv/auth/commands.ts', [
    {
      name: 'root-is-deleted',
      standsFor: 'root goes while auth is enabled, and nobody can manage it any more',
      find: 'if (auth.enabled && name === rootUser) return',
      replace: 'if (auth.enabled && name === rootUser && !HIT) return',
      hint: kv('commands'),
    },
    {
      name: 'enabled-without-root',
      standsFor: 'auth is enabled though nobody has the root role',
      find: "if (!root.roles.includes(rootRole)) return refused('RootRoleNotExist');",
      replace: "if (!root.roles.includes(rootRole) && !HIT) return refused('RootRoleNotExist');",
      hint: kv('commands'),
    },
    {
      name: 'role-stays-with-users',
      standsFor: 'a role that is made again gives its old users what it grants now',
      find: 'if (user?.roles.includes(role)) setRoles(',
      replace: 'if (user?.roles.includes(role) && !HIT) setRoles(',
      hint: kv('commands'),
    },
    {
      name: 'role-makes-new-version',
      standsFor: 'a new role voids the tokens of its user',
      find: 'auth.putUser(name, { password, roles, version }, index);',
      replace:
        'auth.putUser(name, { password, roles, version: HIT ? versionAfter(auth) : version }, index);',
      hint: kv('commands'),
    },
    {
      name: 'second-life-of-a-user',
      standsFor: 'the tokens of a deleted user are good for the next one of its name',
      find: 'auth.putUser(name, { password, roles: [], version: versionAfter(auth) }, index);',
      replace: 'auth.putUser(name, { password, roles: [], version: HIT ? 2n : 1n }, index);',
      hint: kv('commands'),
    },
  ]),
  ...inFile('src/kv/records.ts', [
    {
      name: 'cache-outlives-snapshot',
      standsFor: 'an installed snapshot leaves what was worked out of the records before',
      find: '    this.goneLeft = false;\n    this.changes += 1;',
      replace: '    this.goneLeft = false;\n    this.changes += HIT ? 0 : 1;',
      hint: kv('snapshot'),
    },
    {
      name: 'snapshot-loses-users',
      standsFor: 'a user that changes while a snapshot is open is not in it',
      find: 'if (isSeen) this.sql.run(setGone, index, kind, name, since);',
      replace: 'if (isSeen && !HIT) this.sql.run(setGone, index, kind, name, since);',
      hint: kv('snapshot'),
    },
    {
      name: 'gone-users-stay',
      standsFor: 'rows that only a snapshot needed stay for ever',
      find: 'this.goneLeft ||= isSeen;',
      replace: 'this.goneLeft ||= isSeen && !HIT;',
      hint: kv('snapshot'),
    },
  ]),
  ...inFile('src/kv/apply.ts', [
    {
      name: 'puts-of-nobody-pass',
      standsFor: 'puts that stand together in an entry are not looked at',
      find: 'const isLookedAt = store.auth.enabled ||',
      replace: 'const isLookedAt = (store.auth.enabled && !HIT) ||',
      hint: kv('permit'),
    },
  ]),
  ...inFile('src/node-do/client.ts', [
    {
      name: 'reads-unasked',
      standsFor: 'a read is answered to whoever asks',
      find: "    if (refused) return failure(refused);\n    switch (op.case) {\n      case 'range': {",
      replace:
        "    if (refused && !HIT) return failure(refused);\n    switch (op.case) {\n      case 'range': {",
      hint: sim('auth'),
    },
    {
      name: 'token-left-behind',
      standsFor: 'a write travels without its user where auth is not known to be enabled',
      find: "const isOpen = shown.kind === 'operator' && !this.group.machine.auth.enabled;",
      replace: 'const isOpen = HIT && !this.group.machine.auth.enabled;',
      hint: sim('auth'),
    },
    {
      name: 'operator-is-nobody',
      standsFor: 'the operator is told that nobody asked, by a leader that lags',
      find: "return error === 'UserEmpty' && shown?.kind === 'operator' ? 'LeaderChanged' : error;",
      replace:
        "return error === 'UserEmpty' && shown?.kind === 'operator' && !HIT ? 'LeaderChanged' : error;",
      hint: sim('auth'),
    },
  ]),
  ...inFile('src/node-do/membership.ts', [
    {
      name: 'members-for-anybody',
      standsFor: 'who is not root changes the members of the group',
      find: '    const early = permitted();\n',
      replace: '    const early = HIT ? null : permitted();\n',
      hint: sim('auth'),
    },
  ]),
  ...inFile('src/node-do/auth/callers.ts', [
    {
      name: 'tokens-for-ever',
      standsFor: 'a token does not expire',
      find: 'now < Number(claims.expires) * 1_000 ?',
      replace: '(HIT || now < Number(claims.expires) * 1_000) ?',
      hint: sim('auth'),
    },
  ]),
  ...inFile('src/node-do/auth/auth-service.ts', [
    {
      name: 'token-of-the-old-password',
      standsFor: 'the password changes while it is compared, and the token is given all the same',
      find: "if (auth.user(name)?.version !== version) return failure('AuthFailed');",
      replace: "if (!auth.user(name) || (!HIT && version)) return failure('AuthFailed');",
      hint: sim('auth'),
    },
  ]),
  ...inFile('src/node-do/watch-hub.ts', [
    {
      name: 'watch-outlives-permission',
      standsFor: 'a watch goes on telling what its user may not see any more',
      find: '    if (changeCount === this.authChanges) return;',
      replace: '    if (changeCount === this.authChanges || HIT) return;',
      hint: sim('watch/auth'),
    },
    {
      name: 'watch-outlives-its-life',
      standsFor: 'a permission that went in the last turn of a life is not missed in the next',
      find: 'for (const watch of [...client.watches.values()]) this.endIfRefused(watch);\n  }\n\n  private restoreWatch',
      replace:
        'for (const watch of [...client.watches.values()]) if (!HIT) this.endIfRefused(watch);\n  }\n\n  private restoreWatch',
      hint: sim('watch/auth'),
    },
  ]),
];
