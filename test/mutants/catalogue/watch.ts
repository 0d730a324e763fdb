/** Bugs of watches: something is missed, told twice, told too early or kept for good. */
import { inFile, type Mutant } from '../mutant.ts';

const hint = ['test/sim/watch/hub.test.ts', 'test/sim/watch/hub-random.test.ts'];

export const watchMutants: readonly Mutant[] = [
  ...inFile('src/router/etcd/watch.ts', [
    {
      name: 'refused-stream-stays',
      standsFor: 'a stream of which nothing is left is held for a client that may be gone',
      find: 'if (stream.isIdle) nothingLeft ??= timer(nothingLeftMs, () => session.close());',
      replace:
        'if (stream.isIdle && !HIT) nothingLeft ??= timer(nothingLeftMs, () => session.close());',
      hint: ['test/router/watch/stream.test.ts'],
    },
    {
      name: 'live-stream-ends',
      standsFor: 'a stream ends while one of its watches is alive',
      find: 'if (stream.isIdle) nothingLeft ??= timer(nothingLeftMs, () => session.close());',
      replace: 'if (HIT) nothingLeft ??= timer(nothingLeftMs, () => session.close());',
      hint: ['test/router/watch/stream.test.ts'],
    },
  ]),
  ...inFile('src/node-do/leaderless.ts', [
    {
      name: 'leaderless-at-once',
      standsFor: 'a member says that nobody leads as soon as it doubts its leader',
      find: 'if (this.isSaid || now - this.since < patienceMs) return false;',
      replace: 'if (this.isSaid || (!HIT && now - this.since < patienceMs)) return false;',
      hint: ['test/sim/watch/members.test.ts'],
    },
  ]),
  ...inFile('src/router/watch/session.ts', [
    {
      name: 'leader-not-required',
      standsFor: 'a client that requires a leader goes on without one',
      find: "if (this.options.requireLeader) this.endWith({ type: 'noLeader' });",
      replace: "if (this.options.requireLeader && !HIT) this.endWith({ type: 'noLeader' });",
      hint: ['test/router/watch/session.test.ts'],
    },
  ]),
  ...inFile('src/node-do/watch-hub.ts', [
    {
      name: 'watch-told-not-raised',
      standsFor: 'every event is told again with the next one',
      find: '    this.told = revision;\n',
      replace: '    if (!HIT) this.told = revision;\n',
      hint,
    },
    {
      name: 'watch-last-page-untold',
      standsFor: 'what a revision has beyond one page is never told',
      find: 'wholeUpTo(after) < to;',
      replace: 'HIT ? after.rev < to : wholeUpTo(after) < to;',
      hint,
    },
    {
      name: 'watch-synchronised-too-early',
      standsFor: 'a watch that reads history is told what happens before what has happened',
      find: '    if (done) this.synchronise(watch);',
      replace: '    if (HIT) this.synchronise(watch);',
      hint,
    },
    {
      name: 'watch-history-reads-from-told',
      standsFor: 'a watch from the past begins now',
      find: 'from === 0 ? this.told : from - 1',
      replace: 'from === 0 || HIT ? this.told : from - 1',
      hint,
    },
    {
      name: 'watch-future-watch-told-now',
      standsFor: 'etcd 20221: events below the revision that a watch asked for',
      find: 'return change.rev >= from && passes(wanted, change);',
      replace: 'return (HIT || change.rev >= from) && passes(wanted, change);',
      hint,
    },
    {
      name: 'watch-progress-ahead-of-history',
      standsFor: 'etcd 15220: progress while a watch still reads',
      find: 'if (!cohort || cohort.from > this.home.source.revision + 1) return false;',
      replace: 'if (!HIT) return false;',
      hint,
    },
    {
      name: 'watch-page-torn-revision',
      standsFor: 'half a transaction is told as the whole of it',
      find: 'return sub === endOf(0).sub ? rev : rev - 1;',
      replace: 'return sub === endOf(0).sub || HIT ? rev : rev - 1;',
      hint,
    },
    {
      name: 'watch-compaction-unnoticed',
      standsFor: 'a watch reads on in what is half gone',
      find: 'if (wholeUpTo(watch.after) + 1 < source.compactRevision) {',
      replace: 'if (!HIT) {',
      hint,
    },
    {
      name: 'watch-no-notice-of-compaction',
      standsFor: 'an idle watch that comes back is canceled, although it missed nothing',
      find: 'if (compactRevision > this.compacted)',
      replace: 'if (!HIT)',
      hint,
    },
    {
      name: 'watch-compacted-start-off-by-one',
      standsFor: 'kine 747: a watch at exactly the compacted revision is refused',
      find: 'if (from > 0 && from < compactRevision) {',
      replace: 'if (HIT && from > 0 && from <= compactRevision) {',
      hint,
    },
    {
      name: 'watch-place-in-history-not-attached',
      standsFor: 'a watch that slept in the middle of its history begins it again',
      find: 'afterRevision: BigInt(after.rev),',
      replace: 'afterRevision: HIT ? 0n : BigInt(after.rev),',
      hint,
    },
    {
      name: 'watch-attachment-not-renewed',
      standsFor: 'a watch that is synchronised reads its history again after a sleep',
      find: '    if (done || events.length > 0) this.tellPage(watch, events, done);\n    this.save(client);',
      replace:
        '    if (done || events.length > 0) this.tellPage(watch, events, done);\n    void HIT;',
      hint,
    },
    {
      name: 'watch-canceled-watch-stays',
      standsFor: 'a canceled watch is told on, and its memory never comes back',
      find: '    cohort.clients.delete(client);',
      replace: '    void HIT;',
      hint,
    },
    {
      name: 'watch-dead-socket-stays',
      standsFor: 'sockets that are gone pile up',
      find: '      // Closed by the other end, and its event is still to come.\n      this.forget(client);',
      replace: '      void HIT;',
      hint,
    },
  ]),
  ...inFile('src/node-do/interval-index.ts', [
    {
      name: 'watch-largest-end-not-updated',
      standsFor: 'a watch of a range hears nothing once the tree has turned',
      find: 'if (child && isBefore(node.endMax, child.endMax)) node.endMax = child.endMax;',
      replace: 'if (!HIT && child) node.endMax = child.endMax;',
      hint: ['test/sim/interval-index.test.ts'],
    },
  ]),
];
