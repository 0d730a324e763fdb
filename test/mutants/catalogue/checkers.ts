/**
 * Weakenings of the checkers of histories (test/support/history): what judges the simulator and the
 * faults of a live server has to be judged itself.
 */
import { inFile, type Mutant } from '../mutant.ts';

const folder = 'test/support/history';
const linearizability = ['rules', 'linearizability', 'corruptions'];
const revisions = ['rules', 'revisions', 'corruptions'];

function inChecker(
  file: string,
  tests: readonly string[],
  bugs: readonly Omit<Mutant, 'file' | 'hint'>[],
): Mutant[] {
  const hint = tests.map((name) => `${folder}/${name}.test.ts`);
  return inFile(
    `${folder}/${file}`,
    bugs.map((bug) => ({ ...bug, hint })),
  );
}

const searchMutants = inChecker('linearizability.ts', linearizability, [
  {
    name: 'cache-without-register',
    standsFor: 'the cache of the search knows what is placed, and not the register after it',
    find: 'parts.push(modRevision, floor, value === null',
    replace: 'HIT; void (value === null',
  },
  {
    name: 'cache-without-value',
    standsFor: 'the cache of the search takes values without a known revision for one',
    find: 'parts.push(modRevision, floor, value === null',
    replace: 'HIT; parts.push(modRevision, floor); void (value === null',
  },
  {
    name: 'cache-without-floor',
    standsFor: 'the cache of the search forgets which revisions have passed',
    find: 'parts.push(modRevision, floor, value === null',
    replace: 'HIT; void floor; parts.push(modRevision, value === null',
  },
  {
    name: 'cache-without-answered',
    standsFor: 'the cache of the search counts what is placed behind the first gap, and no more',
    find: '      if (this.isPlaced[index] === 0) continue;\n      parts.push(index);',
    replace: '      if (this.isPlaced[index] === 0) continue;\n      HIT;',
  },
  {
    name: 'cache-without-unanswered',
    standsFor: 'the cache of the search forgets which writes of unknown outcome have happened',
    find: 'if (this.isPlaced[index] === 1) parts.push(index);',
    replace: 'HIT;',
  },
  {
    name: 'real-time-ignored',
    standsFor: 'an operation may come before one that had ended when it began',
    find: '      if (invoked > end) break;',
    replace: '      if (invoked > end && !HIT) break;',
  },
  {
    name: 'unknown-before-it-began',
    standsFor: 'a write of unknown outcome may come before it began',
    find: 'if (this.operationOf(index).invoked > end) break;',
    replace: 'if (this.operationOf(index).invoked > end && !HIT) break;',
  },
  {
    name: 'unknown-must-happen',
    standsFor: 'a write of unknown outcome has to have happened',
    find: "    return { verdict: 'linearizable' };\n  }\n\n  /** Places",
    replace: `    if (HIT && this.order.length < this.entries.length) {
      const blocked = this.operationOf(this.answeredCount);
      return { verdict: 'undecided', steps: 0, key: this.key, placed: [], register: absent, blocked };
    }
    return { verdict: 'linearizable' };\n  }\n\n  /** Places`,
  },
  {
    name: 'unknown-never-happens',
    standsFor: 'a write of unknown outcome cannot have happened',
    find: 'if (this.isPlaced[index] === 1 || met.has(kind)) continue;',
    replace: 'if (HIT || met.has(kind)) continue;',
  },
  {
    name: 'unknown-happens-twice',
    standsFor: 'a write of unknown outcome may happen again',
    find: 'if (this.isPlaced[index] === 1 || met.has(kind)) continue;',
    replace: 'if (HIT && met.has(kind)) continue;',
  },
  {
    name: 'all-unknown-alike',
    standsFor: 'one write of unknown outcome stands for all the others',
    find: "isUnknown(entry) ? JSON.stringify(entry.attempts) : '',",
    replace: "HIT && isUnknown(entry) ? 'alike' : '',",
  },
  {
    name: 'first-fit-only',
    standsFor: 'the search never comes back to a write that it could have placed later',
    find: 'if (after === frame.before) frame.at',
    replace: 'if (HIT) frame.at',
  },
  {
    name: 'needed-taken-for-needless',
    standsFor: 'a write of unknown outcome is left out though it brings a value back',
    find: 'return value === other.value && modRevision === other.modRevision && floor <= other.floor;',
    replace:
      'return HIT && modRevision === other.modRevision && floor <= other.floor && value !== undefined;',
  },
  {
    name: 'one-key-only',
    standsFor: 'what is wrong with the second key and those after it goes unnoticed',
    find: "    if (verdict.verdict !== 'linearizable') return verdict;",
    replace: '    if (HIT) return verdict;',
  },
  {
    name: 'undecided-passes',
    standsFor: 'a search that ends at its bound is an all-clear',
    find: "case 'undecided':",
    replace: "case 'undecided':\n      if (HIT) return;",
  },
]);

const registerMutants = inChecker('register.ts', linearizability, [
  {
    name: 'register-reads-excused',
    standsFor: 'a read may find whatever it likes',
    find: 'return isSame ? register : null;',
    replace: 'return isSame || HIT ? register : null;',
  },
  {
    name: 'register-absence-excused',
    standsFor: 'a read may miss what is there',
    find: 'if (found === null) return register.value === null ? register : null;',
    replace: 'if (found === null) return register.value === null || HIT ? register : null;',
  },
  {
    name: 'register-values-excused',
    standsFor: 'a read may show another value at the same revision',
    find: 'const isSame = register.value === found.value && register.modRevision',
    replace: 'const isSame = HIT && register.modRevision',
  },
  {
    name: 'register-revisions-excused',
    standsFor: 'a read may show the value with another revision',
    find: 'register.value === found.value && register.modRevision === found.modRevision;',
    replace: 'HIT && register.value === found.value;',
  },
  {
    name: 'register-deletes-excused',
    standsFor: 'a delete may say what it likes of its key',
    find: 'if (step.deleted !== null && step.deleted !== (register.value !== null)) return null;',
    replace: 'HIT;',
  },
  {
    name: 'register-goes-back',
    standsFor: 'a write may have a lower revision than the one before it',
    find: 'return revision > floor ? {',
    replace: 'return revision > floor || HIT ? {',
  },
  {
    name: 'register-compares-excused',
    standsFor: 'a transaction may take the branch that its compares forbid',
    find: 'if (held !== attempt.held) return null;',
    replace: 'HIT; void held;',
  },
  {
    name: 'register-compares-absent-values',
    standsFor: 'the value of an absent key differs from every value',
    find: "if (target === 'value' && register.value === null) return false;",
    replace: 'HIT;',
  },
]);

const projectMutants = [
  ...inChecker('project.ts', linearizability, [
    {
      name: 'failed-taken-for-unknown',
      standsFor: 'a failed write may have happened after all',
      find: "if (call.serializable || operation.outcome.type === 'failed') continue;",
      replace: 'if (call.serializable && HIT) continue;',
    },
    {
      name: 'serializable-taken-for-linearizable',
      standsFor: 'a serializable read has to show the newest state',
      find: "if (call.serializable || operation.outcome.type === 'failed') continue;",
      replace: "if (HIT && operation.outcome.type === 'failed') continue;",
    },
    {
      name: 'absence-in-ranges-unseen',
      standsFor: 'a range says nothing of the keys that it did not find',
      find: 'for (const key of readKeys(step, keys))',
      replace: 'for (const key of HIT ? byName.keys() : readKeys(step, keys))',
    },
    {
      name: 'one-compare-decides-alone',
      standsFor: 'a compare that held fails though another key decided against the transaction',
      find: 'const decidesAlone = succeeded || compares.length === call.compares.length;',
      replace: 'const decidesAlone = HIT || compares.length === call.compares.length;',
    },
    {
      name: 'branch-of-failure-forgotten',
      standsFor: 'a transaction of unknown outcome ran its first branch or none',
      find: 'if (!succeeded && call.compares.length === 0) return [];',
      replace: 'if (!succeeded && HIT) return [];',
    },
  ]),
  ...inChecker('mentions.ts', linearizability, [
    {
      name: 'compared-revisions-forgotten',
      standsFor:
        'a write of unknown outcome has a revision that a read saw or none, not one compared',
      find: 'isNeeded ? [...seen] : [...seen, ...asked, hidden];',
      replace: 'isNeeded ? [...seen] : [...seen, ...(HIT ? [] : asked), hidden];',
    },
    {
      name: 'one-of-two-writers-needed',
      standsFor: 'each writer of a value that was seen wrote what was seen',
      find: 'this.seen.has(value) && this.writers.get(value) === 1;',
      replace: 'HIT && this.seen.has(value);',
    },
    {
      name: 'branch-of-compare-confused',
      standsFor: 'what a compare names counts only where its other branch ran',
      find: "mayHaveRun(operation, relation === '=', key)",
      replace: "mayHaveRun(operation, HIT && relation !== '=', key)",
    },
  ]),
];

const orderMutants = inChecker('revision-order.ts', revisions, [
  {
    name: 'stale-read-allowed',
    standsFor: 'a read may be behind what had ended before it began',
    find: 'if (floor === undefined || isAbove(operation, floor)) continue;',
    replace: 'if (floor === undefined || isAbove(operation, floor) || HIT) continue;',
  },
  {
    name: 'stale-write-allowed',
    standsFor: 'a write may have the revision of what had ended before it began',
    find: 'return outcome.revision === floor.outcome.revision && !hasChanged(outcome);',
    replace: 'return HIT && outcome.revision === floor.outcome.revision;',
  },
  {
    name: 'serializable-has-not-ended',
    standsFor: 'what a serializable read showed need not be seen afterwards',
    find: 'const ended = operations.filter(isAnswered).sort(',
    replace:
      'const ended = operations.filter(isAnswered).filter(({ call }) => HIT && !call.serializable).sort(',
  },
  {
    name: 'members-go-back',
    standsFor: 'a member may show an older state than before',
    find: 'if (!operation.call.serializable || !floor || isAbove(operation, floor)) continue;',
    replace: 'if (!operation.call.serializable || !floor || HIT) continue;',
  },
  {
    name: 'newest-end-is-last-end',
    standsFor: 'only the last to end counts, not the newest that had ended',
    find: 'if (!newest || candidate.outcome.revision >= newest.outcome.revision) newest = candidate;',
    replace: 'if (HIT) newest = candidate;',
  },
]);

const writerMutants = [
  ...inChecker('revisions.ts', revisions, [
    {
      name: 'two-writes-one-revision',
      standsFor: 'two acknowledged writes may have one revision',
      find: '    if (other)\n      report.add(',
      replace: '    if (other && HIT) continue;\n    else if (other)\n      report.add(',
    },
    {
      name: 'written-before-the-history',
      standsFor: 'a write may have the revision of the state with which the history begins',
      find: 'else if (revision <= initialRevision)',
      replace: 'else if (revision <= initialRevision && HIT) continue;\n    else if (revision < 0)',
    },
  ]),
  ...inChecker('explain.ts', revisions, [
    {
      name: 'revision-gap-allowed',
      standsFor: 'more revisions may be missing than writes have an unknown outcome',
      find: '    if (missing > writers) {\n      this.report.add(',
      replace: '    if (missing > writers) {\n      if (HIT) return [];\n      this.report.add(',
    },
    {
      name: 'unseen-revision-unexplained',
      standsFor: 'a revision that nobody saw needs no writer',
      find: '    if (missing <= 0) return [];',
      replace: '    if (missing <= 0 || HIT) return [];',
    },
    {
      name: 'writer-shows-something-else',
      standsFor: 'a write of unknown outcome may have left what it does not write',
      find: 'sightings.every((sighting) => shows(writes, sighting)) &&',
      replace: 'HIT && void sightings === undefined &&',
    },
    {
      name: 'writer-has-not-begun',
      standsFor: 'a write of unknown outcome may have a revision that was reached before it began',
      find: 'if (floor && floor.outcome.revision >= revision) return false;',
      replace: 'HIT; void floor;',
    },
    {
      name: 'writer-of-what-was-seen-unwritten',
      standsFor: 'a revision may be that of a write to a key which certainly did not change',
      find: 'writes.every(({ key }) => !observations.excludesWrite(key, revision))',
      replace: 'writes.every(({ key }) => HIT || !observations.excludesWrite(key, revision))',
    },
    {
      name: 'writer-of-two-revisions',
      standsFor: 'a write of unknown outcome may take effect twice',
      find: '} else if (!this.augment(revision, new Set())) {',
      replace: '} else if (!HIT && !this.augment(revision, new Set())) {',
    },
    {
      name: 'writer-is-never-moved',
      standsFor:
        'the first writer that fits keeps the revision, though another could not do without',
      find: 'if (visited.has(operation.id)) continue;',
      replace: 'if (HIT || visited.has(operation.id)) continue;',
    },
    {
      name: 'failed-may-be-writer',
      standsFor: 'a failed write may have written the revision',
      find: "if (outcome.type !== 'unknown' || !isWrite(call)) return [];",
      replace: "if (!HIT || outcome.type === 'ok' || !isWrite(call)) return [];",
    },
    {
      name: 'writer-without-other-branch',
      standsFor: 'a write of unknown outcome ran its first branch or none',
      find: 'const branches = call.compares.length === 0 ? [true] : [true, false];',
      replace: 'const branches = HIT || call.compares.length === 0 ? [true] : [true, false];',
    },
  ]),
];

const replayMutants = inChecker('replay.ts', revisions, [
  {
    name: 'txn-half-applied',
    standsFor: 'a transaction of unknown outcome may have done its first write only',
    find: '    for (const step of writes) this.write(step, revision);',
    replace:
      '    for (const step of HIT ? writes.slice(0, 1) : writes) this.write(step, revision);',
  },
  {
    name: 'certain-writer-unchecked',
    standsFor: 'a write of unknown outcome may have happened against its compares',
    find: 'this.compares(operation, succeeded, revision - 1);',
    replace: 'HIT; void succeeded;',
  },
  {
    name: 'revision-without-change',
    standsFor: 'a delete of an absent key may take a revision',
    find: '    if (changesNothing) {',
    replace: '    if (changesNothing && !HIT) {',
  },
  {
    name: 'replay-reads-excused',
    standsFor: 'a read may show another version than the state has',
    find: '? isSame(held, version)\n',
    replace: '? HIT || isSame(held, version)\n',
  },
  {
    name: 'replay-values-excused',
    standsFor: 'a read may show another value at the right revision',
    find: 'return held.value === undefined || held.value === value;',
    replace: 'return HIT || held.value === undefined || held.value === value;',
  },
  {
    name: 'replay-absence-excused',
    standsFor: 'a read may miss what is there',
    find: `        : held.value === null || this.mayBeGone(key, held, at);
      if (!fits) {`,
    replace: `        : HIT || held.value === null || this.mayBeGone(key, held, at);
      if (!fits) {`,
  },
  {
    name: 'replay-deletes-excused',
    standsFor: 'a delete may say what it likes of its key',
    find: "if (!fits) this.accuse('answers fit the state', operation, step.key, held, at);",
    replace: 'HIT; void fits;',
  },
  {
    name: 'replay-compares-excused',
    standsFor: 'a transaction may take the branch that its compares forbid',
    find: 'if (held === null || held === succeeded) return;',
    replace: 'if (HIT || held === succeeded) return;',
  },
  {
    name: 'replay-is-never-certain',
    standsFor: 'one write that was never seen excuses every answer about its key',
    find: 'return this.unseenCount(this.hiddenWrites.get(key), held, at) === 0;',
    replace: 'return !HIT && this.unseenCount(this.hiddenWrites.get(key), held, at) === 0;',
  },
  {
    name: 'unseen-delete-used-again',
    standsFor: 'one delete that was never seen excuses every absence',
    find: 'if (this.unseenCount(this.hiddenDeletes.get(key), held, at) <= used) return false;',
    replace:
      'if (HIT && this.unseenCount(this.hiddenDeletes.get(key), held, at) <= 0) return false;',
  },
  {
    name: 'unseen-write-after-confirmation',
    standsFor: 'an unseen write may have come before the version that was read since',
    find: 'latest === undefined || latest <= held.confirmedAt) return 0;',
    replace: 'latest === undefined || (HIT && latest < 0)) return 0;',
  },
  {
    name: 'history-of-the-future',
    standsFor: 'a read of history may be of a revision above the newest',
    find: '        if (at > revision)\n',
    replace: '        if (at > revision && !HIT)\n',
  },
  {
    name: 'history-unread',
    standsFor: 'a read of history may show anything',
    find: 'reads.push({ revision: at, run: () => this.read(operation, step, answer, at) });',
    replace: 'HIT; void answer;',
  },
  {
    name: 'found-without-being-asked',
    standsFor: 'a range may show keys that are not in it',
    find: '    if (next < found.length)\n',
    replace: '    if (next < found.length && !HIT)\n',
  },
]);

const isolateMutants = inFile('test/support/isolate.ts', [
  {
    name: 'isolate-still-waits',
    standsFor: 'requests that an earlier seed left waiting have a say in the next one',
    find: '  forgetWaiting();',
    replace: '  HIT;\n  void forgetWaiting;',
    hint: ['test/sim/simulator.test.ts'],
  },
]);

export const checkerMutants: readonly Mutant[] = [
  ...searchMutants,
  ...registerMutants,
  ...projectMutants,
  ...orderMutants,
  ...writerMutants,
  ...replayMutants,
  ...isolateMutants,
];
