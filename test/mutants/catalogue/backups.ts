/** Bugs of snapshots for clients and of tenants out of them (docs/decisions/backup.md). */
import { inFile, type Mutant } from '../mutant.ts';

const format = ['test/router/backup/format.test.ts'];
const snapshots = ['test/kv/backups.test.ts'];
const backups = ['test/sim/backups.test.ts'];
const routes = ['test/router/backup/routes.test.ts'];
const restore = ['test/sim/restore.test.ts'];

const fileMutants = inFile('src/router/backup/format.ts', [
  {
    name: 'checksum-unchecked',
    standsFor: 'a file that was changed on its way becomes a tenant',
    find: 'if (!equal(await input.take(checksumBytes), expected))',
    replace: 'if (!equal(await input.take(checksumBytes), expected) && !HIT)',
    hint: format,
  },
  {
    name: 'tail-ignored',
    standsFor: 'what follows a snapshot is not looked at',
    find: 'if (!(await input.isOver())) throw',
    replace: 'if (!(await input.isOver()) && !HIT) throw',
    hint: format,
  },
  {
    name: 'length-unbounded',
    standsFor: 'a file says how much memory is taken for a chunk of it',
    find: 'if (length > frameBytesMax)\n      throw new BadSnapshot(`a chunk',
    replace: 'if (length > frameBytesMax && !HIT)\n      throw new BadSnapshot(`a chunk',
    hint: format,
  },
  {
    name: 'newer-form-taken',
    standsFor: 'a form to come is read as if it were this one',
    find: 'if (version !== formatVersion)',
    replace: 'if (version !== formatVersion && !HIT)',
    hint: format,
  },
]);

const viewMutants: readonly Mutant[] = [
  ...inFile('src/kv/open-snapshots.ts', [
    {
      name: 'oldest-snapshot-decides',
      standsFor: 'a row goes that only the newer of two open snapshots sees',
      find: 'null : Math.max(...this.indexes.values())',
      replace: 'null : HIT && Math.min(...this.indexes.values())',
      hint: snapshots,
    },
  ]),
  ...inFile('src/kv/state-machine.ts', [
    {
      name: 'backups-outlive-the-state',
      standsFor: 'a snapshot goes on in the state that was installed meanwhile',
      find: 'for (const source of [this.source, ...this.backups]) source.end();',
      replace: 'HIT; this.source.end();',
      hint: snapshots,
    },
  ]),
  ...inFile('src/kv/reception.ts', [
    {
      name: 'bump-without-compaction',
      standsFor: 'a client of the old group goes on from a revision that is another one now',
      find: 'progress.compactRevision = progress.revision;',
      replace: 'HIT;',
      hint: snapshots,
    },
  ]),
  ...inFile('src/kv/snapshot-format.ts', [
    {
      name: 'old-members-named',
      standsFor: 'a restored group lists members of the one that was saved',
      find: 'filter(({ kind }) => kind !== kinds.member)',
      replace: 'filter(({ kind }) => HIT || kind !== kinds.member)',
      hint: snapshots,
    },
    {
      name: 'newer-rules-restored',
      standsFor: 'code begins a group with a state that it does not understand',
      find: 'if (rulesVersion > newestRules || appliedIndex < 1n',
      replace: 'if ((!HIT && rulesVersion > newestRules) || appliedIndex < 1n',
      hint: snapshots,
    },
  ]),
];

const memberMutants: readonly Mutant[] = [
  ...inFile('src/node-do/backups.ts', [
    {
      name: 'backup-never-idle',
      standsFor: 'a client that has gone holds up the deletion of old versions for ever',
      find: 'if (isOutrun || now - use.readAt > backupIdleMs)',
      replace: 'if (isOutrun || (!HIT && now - use.readAt > backupIdleMs))',
      hint: backups,
    },
    {
      name: 'backup-never-outrun',
      standsFor: 'a client that reads slowly keeps old versions without bound',
      find: 'if (isOutrun || now',
      replace: 'if ((isOutrun && !HIT) || now',
      hint: backups,
    },
    {
      name: 'read-backup-is-idle',
      standsFor: 'a snapshot that is being read is given up',
      find: 'if (use) use.readAt = this.platform.now();',
      replace: 'if (use) HIT;',
      hint: backups,
    },
  ]),
  ...inFile('src/node-do/client.ts', [
    {
      name: 'backup-for-everybody',
      standsFor: 'whoever asks gets all keys, and the secret that tokens are signed with',
      find: 'const refused = asRoot();\n    if (refused) return failure(refused);\n    const opened',
      replace:
        'const refused = asRoot();\n    if (refused && !HIT) return failure(refused);\n    const opened',
      hint: ['test/sim/auth.test.ts'],
    },
    {
      name: 'backup-of-a-deposed-leader',
      standsFor: 'a snapshot lacks what was acknowledged before',
      find: 'return this.atReadPoint(deadline, () => this.openBackup(asRoot));',
      replace: 'HIT; return this.openBackup(asRoot);',
      hint: backups,
    },
  ]),
];

const restoreMutants: readonly Mutant[] = [
  ...inFile('src/node-do/restore.ts', [
    {
      name: 'restore-without-asking',
      standsFor: 'a tenant is founded beside the group that place 1 has forgotten, or may have',
      find: "if (said === 'born') return answer(Outcome.BORN);\n    return said === 'silent'",
      replace: "if (HIT) return null;\n    return said === 'silent'",
      hint: restore,
    },
    {
      name: 'restore-of-a-part',
      standsFor: 'a tenant is founded though chunks are missing',
      find: 'machine.receiving.cursor === String(chunks)',
      replace: '(HIT || machine.receiving.cursor === String(chunks))',
      hint: restore,
    },
    {
      name: 'chunk-taken-twice-refused',
      standsFor: 'a chunk whose answer was lost ends the restoration',
      find: 'if (number === expected - 1) return answer(Outcome.DONE);',
      replace: 'HIT;',
      hint: restore,
    },
    {
      name: 'founded-and-refused',
      standsFor: 'a tenant is said not to be founded because the answer to the last step was lost',
      find: 'this.place.groupId === id ? Outcome.DONE : Outcome.BORN',
      replace: 'HIT ? Outcome.BORN : Outcome.DONE',
      hint: restore,
    },
    {
      name: 'attempts-mixed',
      standsFor: 'the chunks of one attempt count for another',
      find: 'const cursor = machine?.receiving?.id === id ? machine.receiving.cursor : null;',
      replace: 'const cursor = HIT ? (machine?.receiving?.cursor ?? null) : null;',
      hint: restore,
    },
  ]),
  ...inFile('src/node-do/member.ts', [
    {
      name: 'restore-over-a-group',
      standsFor: 'a tenant that lives is replaced by a snapshot',
      find: 'return !member.identity?.birth && !member.identity?.tombstone;',
      replace: 'return HIT || (!member.identity?.birth && !member.identity?.tombstone);',
      hint: restore,
    },
    {
      name: 'born-while-restored',
      standsFor: 'any request in the middle of a restoration founds an empty tenant',
      find: 'if (this.restore.isUnderWay) return',
      replace: 'if (this.restore.isUnderWay && !HIT) return',
      hint: restore,
    },
  ]),
];

const routerMutants: readonly Mutant[] = [
  ...inFile('src/router/rest/snapshot.ts', [
    {
      name: 'refused-unread',
      standsFor: 'a client that is still sending loses its connection, and the answer with it',
      find: 'await upload.drain();',
      replace: 'HIT;',
      hint: routes,
    },
    {
      name: 'members-by-the-caller',
      standsFor: 'a tenant with users is restored, and nobody may add its members',
      find: "credentials: operator, kind: 'write'",
      replace: "credentials: HIT ? call.credentials : operator, kind: 'write'",
      hint: routes,
    },
  ]),
  ...inFile('src/router/backup/write.ts', [
    {
      name: 'unknown-restore-refused',
      standsFor: 'a tenant that may have been founded is said not to be',
      find: "return { kind: 'unknown', detail: error.message };",
      replace:
        "return { kind: HIT ? 'refused' : 'unknown', outcome: Outcome.UNREACHABLE, detail: '' };",
      hint: routes,
    },
  ]),
  ...inFile('src/router/backup/read.ts', [
    {
      name: 'empty-chunk-framed',
      standsFor: 'a chunk without rows ends the file before its end',
      find: 'if (part.chunk.length > 0) yield',
      replace: 'if (part.chunk.length > 0 || HIT) yield',
      hint: routes,
    },
  ]),
];

export const backupMutants: readonly Mutant[] = [
  ...fileMutants,
  ...viewMutants,
  ...memberMutants,
  ...restoreMutants,
  ...routerMutants,
];
