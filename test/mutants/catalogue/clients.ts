/** Bugs of what clients are promised beside the log: how new a read is, and that a write counts once. */
import { inFile, type Mutant } from '../mutant.ts';

const staleness = ['test/sim/staleness.test.ts'];
const once = ['test/kv/once.test.ts'];
const keys = ['test/router/idempotency.test.ts'];
const options = ['test/router/read-options.test.ts'];
const via = ['test/router/via.test.ts'];

export const clientMutants: readonly Mutant[] = [
  ...inFile('src/router/members/nearest.ts', [
    {
      name: 'follower-that-leads',
      standsFor: 'a read that is to be kept off the leader goes to it',
      find: 'all.filter((place) => place !== leader)',
      replace: 'all.filter((place) => HIT || place !== leader)',
      hint: via,
    },
  ]),
  ...inFile('src/node-do/reads.ts', [
    {
      name: 'age-from-the-confirmation',
      standsFor: 'a state counts as new as of when the quorum answered, not when it was asked',
      find: 'this.confirmed.push({ ...batch, index });',
      replace: 'this.confirmed.push({ ...batch, index, askedAt: HIT ? now : 0 });',
      hint: staleness,
    },
    {
      name: 'age-before-it-is-applied',
      standsFor: 'a confirmed index shows how new the state is before it is applied',
      find: 'this.confirmed.push({ ...batch, index });',
      replace: 'this.confirmed.push({ ...batch, index }); this.shownAt = HIT ? batch.askedAt : 0;',
      hint: staleness,
    },
  ]),

  ...inFile('src/node-do/client.ts', [
    {
      name: 'bound-on-age-ignored',
      standsFor: 'what a member cannot show counts as kept',
      find: 'return ageMs !== null && ageMs <= maxStalenessMs;',
      replace: 'return HIT || (ageMs !== null && ageMs <= maxStalenessMs);',
      hint: staleness,
    },
    {
      name: 'unknown-age-is-new',
      standsFor: 'a member that has heard nothing counts as up to date',
      find: 'return time === null || time > now ? null : now - time;',
      replace: 'return time === null || time > now ? (HIT ? 0 : null) : now - time;',
      hint: staleness,
    },
    {
      name: 'least-revision-ignored',
      standsFor: 'a client does not read its own write',
      find: 'return BigInt(this.group.machine.revision) >= minRevision;',
      replace: 'return HIT || BigInt(this.group.machine.revision) >= minRevision;',
      hint: staleness,
    },
  ]),

  ...inFile('src/kv/once.ts', [
    {
      name: 'once-more-after-all',
      standsFor: 'a command whose key is known takes effect again',
      find: 'if (request && time - (since as number) <= onceKeptMs) {',
      replace: 'if (!HIT && request && time - (since as number) <= onceKeptMs) {',
      hint: once,
    },
    {
      name: 'once-for-ever',
      standsFor: 'a key is never free again',
      find: 'if (request && time - (since as number) <= onceKeptMs) {',
      replace: 'if (request && (HIT || time - (since as number) <= onceKeptMs)) {',
      hint: once,
    },
    {
      name: 'other-request-gets-the-answer',
      standsFor: 'another request with the key is told that it was done',
      find: 'if (compareBytes(request as Uint8Array, requestHash) !== 0)',
      replace: 'if (!HIT && compareBytes(request as Uint8Array, requestHash) !== 0)',
      hint: once,
    },
    {
      name: 'refusal-forgotten',
      standsFor: 'what was refused is done when it comes again',
      find: 'if (result.ok || isFinal(result.error)) {',
      replace: 'if (HIT && result.ok) {',
      hint: once,
    },
    {
      name: 'momentary-refusal-kept',
      standsFor: 'a full entry refuses a command for a day',
      find: 'return !passing.has(error);',
      replace: 'return HIT || !passing.has(error);',
      hint: once,
    },
    {
      name: 'repeatable-let-go',
      standsFor: 'a record goes while its command may still be repeated',
      find: 'return Math.abs(time - (oldest as number)) < onceRepeatedMs;',
      replace: 'return !HIT && Math.abs(time - (oldest as number)) < onceRepeatedMs;',
      hint: once,
    },
    {
      name: 'wrong-clock-stops-all',
      standsFor: 'one record of a clock that is ahead refuses every command',
      find: 'return Math.abs(time - (oldest as number)) < onceRepeatedMs;',
      replace: 'return HIT && time - (oldest as number) < onceRepeatedMs;',
      hint: once,
    },
    {
      name: 'onces-without-bound',
      standsFor: 'records are never let go for want of room',
      find: 'if (count < limits.onceRecords && time - (since as number) <= onceKeptMs) break;',
      replace: 'if (HIT && time - (since as number) <= onceKeptMs) break;',
      hint: once,
    },
    {
      name: 'swept-under-a-snapshot',
      standsFor: 'an open snapshot loses records that it has yet to read',
      find: 'if (progress.onceFirst > 1 && !snapshots.any)',
      replace: 'if (HIT && progress.onceFirst > 1)',
      hint: once,
    },
    {
      name: 'large-answers-kept',
      standsFor: 'an answer of any size is kept',
      find: 'const replyBytes = Math.min(limits.replyBytes, limits.onceReplyBytes);',
      replace: 'const replyBytes = HIT ? limits.replyBytes : 0;',
      hint: once,
    },
    {
      name: 'repeats-beyond-the-reply',
      standsFor: 'one entry answers more than it may, by asking again and again',
      find: 'entry.replyBytesLeft -= kept.length;',
      replace: 'HIT;',
      hint: once,
    },
  ]),

  ...inFile('src/kv/apply.ts', [
    {
      name: 'once-under-the-first-rules',
      standsFor: 'members of older code apply an entry otherwise',
      find: "    case 'once':\n      return leaseRulesVersion;",
      replace: "      return leaseRulesVersion;\n    case 'once':\n      return HIT ? 1 : 2;",
      hint: once,
    },
  ]),

  ...inFile('src/kv/snapshot.ts', [
    {
      name: 'snapshot-without-answers',
      standsFor: 'who has received a snapshot does a repeated command again',
      find: 'return onceFirst <= onceLast ? onceCursor(',
      replace: 'return !HIT && onceFirst <= onceLast ? onceCursor(',
      hint: once,
    },
  ]),

  ...inFile('src/kv/hash.ts', [
    {
      name: 'answers-unhashed',
      standsFor: 'members that keep other answers look alike',
      find: 'for (let seq = first; seq <= last; ) {',
      replace: 'for (let seq = first; !HIT && seq <= last; ) {',
      hint: once,
    },
  ]),

  ...inFile('src/router/rest/idempotency.ts', [
    {
      name: 'fence-no-part-of-request',
      standsFor: 'the answer of a write without its fence is read as that of one with it',
      find: 'fence === null ?',
      replace: 'HIT || fence === null ?',
      hint: ['test/router/locks/rest.test.ts'],
    },
    {
      name: 'keys-shared-by-users',
      standsFor: 'a user gets what another one was answered, or is kept from its key',
      find: "user === '' ?",
      replace: "HIT || user === '' ?",
      hint: keys,
    },
  ]),

  ...inFile('src/router/rest/tickets.ts', [
    {
      name: 'ticket-for-a-named-user',
      standsFor: 'a user gets a ticket that lets in as the operator',
      find: "if (token !== '' || user !== '')",
      replace: "if (!HIT && (token !== '' || user !== ''))",
      hint: ['test/router/tickets.test.ts'],
    },
    {
      name: 'ticket-used-twice',
      standsFor: 'every use of a ticket looks like the first one sent again',
      find: 'requestHash: crypto.getRandomValues(new Uint8Array(16)),',
      replace: 'requestHash: HIT ? new Uint8Array(16) : new Uint8Array(0),',
      hint: ['test/router/tickets.test.ts'],
    },
    {
      name: 'ticket-of-any-tenant',
      standsFor: 'a ticket is not bound to what it was given for',
      find: "if (!isOurs) return refused('is not good for this');",
      replace: "if (!HIT && !isOurs) return refused('is not good for this');",
      hint: ['test/router/tickets.test.ts'],
    },
  ]),

  ...inFile('src/router/members/ask.ts', [
    {
      name: 'doubt-forgotten',
      standsFor: 'a write that may have been taken is said not to be applied',
      find: 'if (!maybeTaken || answer.ok || !unsettled.has(answer.error)) return answer;',
      replace:
        'if (HIT || !maybeTaken || answer.ok || !unsettled.has(answer.error)) return answer;',
      hint: keys,
    },
    {
      name: 'every-write-repeated',
      standsFor: 'rule 1: a write without a key is sent again after it may have been taken',
      find: 'if (search.ask.repeatable) search.maybeTaken ||= fault.maybeDelivered;',
      replace: 'if (HIT) search.maybeTaken ||= fault.maybeDelivered;',
      hint: keys,
    },
    {
      name: 'nearest-without-a-read-point',
      standsFor: 'a linearizable read at a follower that asks nobody',
      find: "const readHere = kind === 'read';",
      replace: "const readHere = kind === 'read' && !HIT;",
      hint: options,
    },
  ]),
];
