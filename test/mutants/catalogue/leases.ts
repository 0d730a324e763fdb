/** Bugs of the leases of the state machine: their grants, ends, keys, and how snapshots carry them. */
import { inFile, type Mutant } from '../mutant.ts';

const kv = (...names: string[]) => names.map((name) => `test/kv/${name}.test.ts`);

export const leaseMutants: readonly Mutant[] = [
  ...inFile('src/kv/lease-commands.ts', [
    {
      name: 'expires-any-grant',
      standsFor: 'an expiry that was proposed for the old lease ends the one that has its id now',
      rule: 6,
      find: 'if (!lease || BigInt(lease.grant) !== grant) return',
      replace: 'if (!lease || (HIT && grant === 0n)) return',
    },
    {
      name: 'grants-over-ending',
      standsFor: 'the id of a lease that is ending is granted again, and its keys with it',
      find: "if (store.leases.find(id)) return failure('LeaseExist');",
      replace: "if (store.leases.find(id)?.ttl && HIT) return failure('LeaseExist');",
      hint: kv('leases'),
    },
    {
      name: 'ends-with-keys-left',
      standsFor:
        'a lease of many keys is gone after the first step, and its other keys stay for ever',
      find: '  if (!left) {',
      replace: '  if (!left || HIT) {',
      hint: kv('leases'),
    },
    {
      name: 'end-takes-a-revision',
      standsFor: 'the end of a lease without keys raises the revision',
      find: '  progress.revision = change.revision;',
      replace: '  progress.revision = HIT ? progress.revision + 1 : change.revision;',
      hint: kv('leases'),
    },
    {
      name: 'revoked-twice',
      standsFor: 'a lease that is ending can still be revoked',
      find: "if (!lease || lease.ttl === 0) return failure('LeaseNotFound');",
      replace: "if (!lease || !HIT) return failure('LeaseNotFound');",
      hint: kv('leases'),
    },
  ]),
  ...inFile('src/kv/attachments.ts', [
    {
      name: 'deletes-what-left',
      standsFor: 'a key that moved to another lease dies with the old one',
      find: 'yield rows.filter(([, counts]) => counts === 1).map(',
      replace: 'yield rows.filter(([, counts]) => counts === 1 || HIT).map(',
      hint: kv('leases'),
    },
    {
      name: 'one-page-of-keys',
      standsFor: 'the keys of a lease after the first page outlive it',
      find: 'start = last ? keyAfter(last[0] as Uint8Array) : null;',
      replace: 'start = last && !HIT ? keyAfter(last[0] as Uint8Array) : null;',
      hint: kv('leases'),
    },
  ]),
  ...inFile('src/kv/write.ts', [
    {
      name: 'undo-leaves-detached',
      standsFor: 'a transaction that is taken back leaves keys without their lease',
      find: 'for (const attachment of this.detached) attach(this.store.sql, attachment);',
      replace: 'HIT;',
      hint: kv('leases'),
    },
    {
      name: 'ignore-lease-detaches',
      standsFor: 'ignore_lease takes the lease away (etcd keeps it)',
      find: 'const lease = ignoreLease ?',
      replace: 'const lease = ignoreLease && !HIT ?',
      hint: kv('leases'),
    },
    {
      name: 'puts-with-ending',
      standsFor: 'a put with a lease that is ending is accepted, and lost',
      find: "(store.leases.find(lease)?.ttl ?? 0) > 0 ? null : 'LeaseNotFound'",
      replace: "store.leases.find(lease) && HIT ? null : 'LeaseNotFound'",
      hint: kv('leases'),
    },
    {
      name: 'attaches-nothing',
      standsFor: 'a key that gets a lease by a put is not attached to it',
      find: "if (to !== '') attach(sql, { lease: to, key });",
      replace: "if (to !== '' && !HIT) attach(sql, { lease: to, key });",
      hint: kv('leases'),
    },
  ]),
  ...inFile('src/kv/txn.ts', [
    {
      name: 'old-entries-of-new-rules',
      standsFor: 'an entry of the rules before is answered with another error than it was',
      find: 'progress.rulesVersion < clusterRulesVersion ?',
      replace: 'progress.rulesVersion < clusterRulesVersion && !HIT ?',
      hint: kv('txn'),
    },
  ]),
  ...inFile('src/kv/puts.ts', [
    {
      name: 'collects-old-keys',
      standsFor: 'a lease that lives for months keeps a row for every key that it ever had',
      find: 'if (attached.length > 0) detachAll(',
      replace: 'if (attached.length > 0 && !HIT) detachAll(',
      hint: kv('leases'),
    },
  ]),
  ...inFile('src/kv/apply.ts', [
    {
      name: 'leases-before-their-rules',
      standsFor: 'members of newer code apply what those of older code refuse in the same entry',
      find: 'else if (rulesVersion < rulesOf(command.response))',
      replace: 'else if (!HIT && rulesVersion < rulesOf(command.response))',
      hint: kv('leases'),
    },
  ]),
  ...inFile('src/kv/leases.ts', [
    {
      name: 'ended-row-goes-at-once',
      standsFor:
        'a lease that ends during a transfer is missing at the receiver, and never ends there',
      find: 'const isSeen = this.snapshots.sees(grant);',
      replace: 'const isSeen = !HIT && this.snapshots.sees(grant);',
      hint: kv('lease-snapshot'),
    },
    {
      name: 'snapshot-sees-later-grants',
      standsFor:
        'a snapshot has leases that were granted after its index, and the log grants them again',
      find: 'WHEN granted > ?3 OR gone <= ?3 THEN NULL',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source's template.
      replace: "WHEN ${HIT ? 'gone' : 'granted'} <= ?3 THEN NULL",
      hint: kv('lease-snapshot'),
    },
    {
      name: 'snapshot-ends-early',
      standsFor: 'a lease that began to end during a transfer has no TTL at the receiver',
      find: 'WHEN ended <= ?3 THEN 0',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the source's template.
      replace: 'WHEN ended > ${HIT ? 0 : 1} THEN 0',
      hint: kv('lease-snapshot'),
    },
    {
      name: 'rows-never-swept',
      standsFor: 'a new life forgets that rows of ended leases are to go',
      find: 'this.goneLeft = this.countGone(1) > 0;',
      replace: 'this.goneLeft = !HIT;',
      hint: kv('lease-snapshot'),
    },
    {
      name: 'tells-of-a-dead-grant',
      standsFor: 'the host sets a deadline for a lease that was revoked in the turn of its grant',
      find: 'this.granted.delete(id);',
      replace: 'HIT;',
      hint: kv('leases'),
    },
    {
      name: 'install-is-not-told',
      standsFor: 'the host keeps the deadlines of the state before an installed snapshot',
      find: '    this.takeChanges();\n    this.reset = true;',
      replace: '    this.takeChanges();\n    this.reset = !HIT;',
      hint: kv('lease-snapshot'),
    },
  ]),
  ...inFile('src/kv/reception.ts', [
    {
      name: 'receives-no-keys',
      standsFor: 'on the receiver of a snapshot leases end without their keys',
      find: 'if (attached) keys.push([lease, key]);',
      replace: 'if (attached && !HIT) keys.push([lease, key]);',
      hint: kv('lease-snapshot'),
    },
  ]),
  ...inFile('src/kv/hash.ts', [
    {
      name: 'hash-of-two-states',
      standsFor: 'members with the same leases have different hashes while leases come and go',
      find: 'if (leases.changeCount !== changeCount) return false;',
      replace: 'if (leases.changeCount !== changeCount && !HIT) return false;',
      hint: kv('lease-snapshot'),
    },
  ]),
];
