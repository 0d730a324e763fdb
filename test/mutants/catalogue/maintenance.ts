/** Bugs of alarms, quota, hashes and automatic compaction (docs/decisions/maintenance.md). */
import { inFile, type Mutant } from '../mutant.ts';

const alarms = ['test/kv/alarms.test.ts'];
const keysHash = ['test/kv/keys-hash.test.ts'];
const quota = ['test/sim/quota.test.ts'];
const hashCheck = ['test/sim/hash-check.test.ts'];
const autoCompaction = ['test/sim/auto-compaction.test.ts'];

export const maintenanceMutants: readonly Mutant[] = [
  ...inFile('src/kv/alarms.ts', [
    {
      name: 'full-but-for-one-branch',
      standsFor: 'what a transaction may put is looked for in the branch that is expected',
      find: 'return Math.max(ofOps(success), ofOps(otherwise));',
      replace: 'return HIT ? ofOps(success) : ofOps(otherwise);',
      hint: alarms,
    },
    {
      name: 'full-but-for-nested',
      standsFor: 'nested puts pass the quota, as the auth checks of etcd before 3.5.28',
      find: "else if (request.case === 'requestTxn') bytes += ofTxn(request.value);",
      replace: "else if (request.case === 'requestTxn' && !HIT) bytes += ofTxn(request.value);",
      hint: alarms,
    },
    {
      name: 'corrupt-writes-on',
      standsFor: 'a group whose members differ goes on to differ',
      find: "if (alarms.isRaised(AlarmType.CORRUPT) && changesKeys(command)) return 'Corrupt';",
      replace:
        "if (alarms.isRaised(AlarmType.CORRUPT) && changesKeys(command) && !HIT) return 'Corrupt';",
      hint: alarms,
    },
    {
      name: 'kept-answer-refused',
      standsFor: 'a write that was acknowledged is refused when it is sent again',
      find: "if (alarms.raised.length === 0 || command.op.case === 'once') return null;",
      replace: 'if (alarms.raised.length === 0 || !HIT) return null;',
      hint: alarms,
    },
    {
      name: 'alarms-without-bound',
      standsFor: 'a client fills the state with alarms of members that are none',
      find: 'if (!known && alarms.raised.length >= alarmsMax) return',
      replace: 'if (!known && !HIT && alarms.raised.length >= alarmsMax) return',
      hint: alarms,
    },
  ]),
  ...inFile('src/kv/apply.ts', [
    {
      name: 'puts-in-a-run-pass-alarms',
      standsFor: 'puts that stand together in an entry are not looked at',
      find: 'store.alarms.raised.length > 0;',
      replace: '(store.alarms.raised.length > 0 && !HIT);',
      hint: alarms,
    },
  ]),
  ...inFile('src/kv/keys-hash.ts', [
    {
      name: 'hash-of-what-is-gone',
      standsFor: 'a hash goes on while its revision is compacted, and differs between members',
      find: "if (revision < progress.compactRevision) return failure('Compacted');",
      replace: "if (revision < progress.compactRevision && !HIT) return failure('Compacted');",
      hint: keysHash,
    },
    {
      name: 'hash-without-values',
      standsFor: 'a hash that says nothing of what was stored',
      find: '      if (value) hash.addBytes(value);\n',
      replace: '      if (value && !HIT) hash.addBytes(value);\n',
      hint: keysHash,
    },
  ]),
  ...inFile('src/kv/compactions.ts', [
    {
      name: 'compactions-all-kept',
      standsFor: 'a record that grows with each compaction',
      find: '.slice(-keptMax);',
      replace: '.slice(HIT ? 0 : -keptMax);',
      hint: keysHash,
    },
  ]),
  ...inFile('src/node-do/write-gate.ts', [
    {
      name: 'refusal-unconfirmed',
      standsFor: 'a leader that is none any more refuses for an alarm that is over',
      find: 'const point = await this.group.readPoint(deadline);',
      replace: "const point = HIT ? 'ready' : await this.group.readPoint(deadline);",
      hint: quota,
    },
    {
      name: 'strangers-fill',
      standsFor: 'who may not write makes the tenant read-only',
      find: 'if (!command || machine.permit(shown, needsOfCommand(command))) return null;',
      replace:
        'if (!command || (machine.permit(shown, needsOfCommand(command)) && !HIT)) return null;',
      hint: quota,
    },
    {
      name: 'never-full',
      standsFor: 'a quota that nobody looks at',
      find: 'settings.quotaBytes - this.group.stateBytes - bytes;',
      replace: 'settings.quotaBytes - (HIT ? 0 : this.group.stateBytes) - bytes;',
      hint: quota,
    },
  ]),
  ...inFile('src/node-do/hash-check.ts', [
    {
      name: 'leader-always-right',
      standsFor: 'a corrupt leader calls the others corrupt',
      find: 'const right = majority ?? own;',
      replace: 'const right = HIT ? own : (majority ?? own);',
      hint: hashCheck,
    },
    {
      name: 'hashes-of-two-kinds',
      standsFor: 'half upgraded, a group calls the half of its members corrupt',
      find: 'return one.algorithm === other.algorithm && one',
      replace: 'return (HIT || one.algorithm === other.algorithm) && one',
      hint: hashCheck,
    },
    {
      name: 'majority-of-answers',
      standsFor: 'two that agree, of five, are called the majority',
      find: '2 * count > memberCount',
      replace: '2 * count > (HIT ? found.size : memberCount)',
      hint: hashCheck,
    },
    {
      name: 'every-life-compares',
      standsFor: 'a tenant that wakes now and then reads its history each time',
      find: 'this.passed = Math.floor(group.machine.revision / interval);',
      replace: 'this.passed = HIT ? -1 : Math.floor(group.machine.revision / interval);',
      hint: hashCheck,
    },
  ]),
  ...inFile('src/node-do/auto-compaction.ts', [
    {
      name: 'compacts-what-is-kept',
      standsFor: 'history goes that a deployment keeps',
      find: 'const due = revision - revisions;',
      replace: 'const due = revision - (HIT ? 0 : revisions);',
      hint: autoCompaction,
    },
    {
      name: 'compacts-young',
      standsFor: 'history goes that is younger than what is kept',
      find: 'return this.notes.findLast(({ at }) => at <= before)?.revision ?? 0;',
      replace: 'return this.notes.findLast(({ at }) => HIT || at <= before)?.revision ?? 0;',
      hint: autoCompaction,
    },
    {
      name: 'compacts-against-alarms',
      standsFor: 'an entry that is refused is proposed again and again',
      find: 'if (this.machine.alarms.isRaised(AlarmType.CORRUPT)) return;',
      replace: 'if (this.machine.alarms.isRaised(AlarmType.CORRUPT) && !HIT) return;',
      hint: autoCompaction,
    },
    {
      name: 'compacts-as-nobody',
      standsFor: 'a tenant with users is never compacted by itself',
      find: 'command: knowsUsers() ? asCaller',
      replace: 'command: knowsUsers() && !HIT ? asCaller',
      hint: autoCompaction,
    },
    {
      name: 'notes-for-ever',
      standsFor: 'notes of times that are long past stay',
      find: 'this.notes = [...past.slice(Math.max(0, due)),',
      replace: 'this.notes = [...past.slice(HIT ? 0 : Math.max(0, due)),',
      hint: autoCompaction,
    },
  ]),
];
