/**
 * Bugs of leases at the host: expiries that cross keep-alives, deadlines of other offices, and alarms
 * that nobody sets or that never end.
 */
import { inFile, type Mutant } from '../mutant.ts';

const hint = ['test/sim/leases.test.ts', 'test/sim/lease-deadlines.test.ts'];

export const deadlineMutants: readonly Mutant[] = [
  ...inFile('src/node-do/keep-alives.ts', [
    {
      name: 'keep-alive-crosses-expiry',
      standsFor: 'a keep-alive is answered while the expiry of its lease is under way',
      rule: 6,
      find: 'if (!isEnding) ready.push',
      replace: 'if (!isEnding || HIT) ready.push',
    },
    {
      name: 'keep-alive-for-nothing',
      standsFor: 'a keep-alive is answered and moves no deadline',
      find: 'for (const lease of byId.values()) this.clock.restart(lease);',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'keep-alive-of-deposed',
      standsFor: 'a keep-alive that waits for an expiry is forgotten when the office ends',
      find: "for (const keepAlive of [...this.confirmed]) this.refuse(keepAlive, 'notLeader');",
      replace: 'HIT;',
      hint,
    },
  ]),

  ...inFile('src/node-do/requests.ts', [
    {
      name: 'keep-alive-unconfirmed',
      standsFor: 'past bug 25: a deposed leader acknowledges keep-alives',
      find: '        this.beginRead(deadline, (outcome) => {',
      replace: `        (
          (HIT && {
            begin: (_: number, settle: (outcome: ReadOutcome) => void) => {
              settle('ready');
              this.member.rest();
            },
          }) || { begin: () => {} }
        ).begin(deadline, (outcome) => {`,
      hint,
    },
  ]),

  ...inFile('src/node-do/leases.ts', [
    {
      name: 'expiry-not-held-back',
      standsFor: 'a keep-alive that came in time loses to the expiry while it waits',
      rule: 6,
      find: 'return now < at + heldBackMs && this.keepAlives.waitingFor(id) > 0;',
      replace: 'return !HIT && now < at + id.toString().length;',
    },
    {
      name: 'expiries-unbounded',
      standsFor: 'any number of expiries is under way at a time',
      find: '      if (deadlines.proposedCount >= proposedMax) return;\n',
      replace: '      HIT;\n',
      hint,
    },
    {
      name: 'alarm-for-each',
      standsFor: 'leases that end close together ring one by one',
      find: 'Math.ceil(next / alarmGridMs) * alarmGridMs',
      replace: '(HIT ? next : 0)',
      hint,
    },
  ]),

  ...inFile('src/node-do/lease-rows.ts', [
    {
      name: 'deadline-row-lost',
      standsFor: 'a deadline is answered and not written',
      rule: 6,
      find: "      'INSERT OR REPLACE INTO lease_deadline VALUES (?, ?, ?, ?)',",
      replace: "      HIT ? 'INSERT OR IGNORE INTO lease_deadline VALUES (?, ?, ?, ?)' : '',",
    },
  ]),

  ...inFile('src/node-do/lease-clock.ts', [
    {
      name: 'rows-of-other-offices',
      standsFor: 'a deadline of an earlier office counts in a later one',
      rule: 7,
      find: 'row?.term === term && row.grant === lease.grant',
      replace: 'HIT && row?.grant === lease.grant',
    },
    {
      name: 'deadlines-restart',
      standsFor: 'each life of a leader gives every lease its TTL again',
      rule: 7,
      find: 'isValid ? row.at : deadline(lease, beganAt)',
      replace: 'isValid ? row.at : deadline(lease, HIT ? this.platform.wallTime() : beganAt)',
    },
    {
      name: 'grant-without-row',
      standsFor: 'a lease that was granted late in an office ends early in its next life',
      rule: 7,
      find: '      else this.restart(lease);',
      replace:
        '      else this.deadlines.set(lease, HIT ? deadline(lease, this.platform.wallTime()) : 0);',
    },
    {
      name: 'old-deadlines-stay',
      standsFor: 'rows of leases that are gone stay for ever',
      rule: 7,
      find: 'if (rows.size > 0) yield* this.forget([...rows.values()]);',
      replace: 'HIT;',
    },
    {
      name: 'deadlines-in-one-turn',
      standsFor: 'the deadlines of all leases are read in one turn',
      find: '; ; yield) {\n      const page: Lease[]',
      replace: '; ; HIT) {\n      const page: Lease[]',
      hint,
    },
  ]),

  ...inFile('src/node-do/lease-deadlines.ts', [
    {
      name: 'deadline-moves-back',
      standsFor: 'a clock that is set back shortens a lease',
      find: 'known.at = Math.max(known.at, at);',
      replace: 'known.at = HIT ? at : 0;',
      hint,
    },
    {
      name: 'heap-of-the-dead',
      standsFor: 'a lease that is gone keeps its place in memory until it would have ended',
      find: 'if (this.heap.length > 2 * this.byId.size + sparePlaces) this.forget();',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'heap-in-disorder',
      standsFor: 'a lease waits behind one that ends later',
      find: 'if (last.queuedAt <= first.queuedAt) break;',
      replace: 'if (HIT) break;',
      hint,
    },
    {
      name: 'expiry-proposed-once',
      standsFor: 'a lease that its expiry did not end stays',
      find: 'if (this.proposed.delete(deadline)) this.overdue.add(deadline);',
      replace: 'HIT;',
      hint,
    },
  ]),

  ...inFile('src/node-do/lease-watchdog.ts', [
    {
      name: 'watch-does-not-end',
      standsFor: 'a leader without a lease is asked again and again',
      rule: 14,
      find: 'else if (answer.inMs === undefined) this.alarms.watchNext(null);',
      replace:
        'else if (answer.inMs === undefined && HIT) this.alarms.watchNext(this.platform.wallTime() + 60_000);\n    else if (answer.inMs === undefined) return;',
    },
    {
      name: 'nobody-watches',
      standsFor: 'the leases of a lost leader stay until a client comes',
      find: 'for (const { ttl } of granted) this.watch(ttl * 1_000 + skewAllowanceMs);',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'watch-forgets-snapshot',
      standsFor: 'who has its leases from a snapshot watches none of them',
      find: 'if (reset) this.lookSoon();',
      replace: 'HIT;',
      hint,
    },
    {
      name: 'watch-does-not-suspect',
      standsFor: 'where nobody leads the watchdog has nobody campaign',
      find: 'const leader = await this.watched.findLeader(this.platform.now() + findTimeoutMs);',
      replace: 'const leader: MemberId | null = HIT && null;',
      hint,
    },
  ]),

  ...inFile('src/node-do/lease-service.ts', [
    {
      name: 'watch-answered-early',
      standsFor: 'a watchdog is told of what is about to end, and asks again',
      find: 'await this.group.until(isSettled, Math.min(deadline, this.platform.now() + settleMs));',
      replace: 'HIT && deadline;',
      hint,
    },
    {
      name: 'allowance-in-ttl',
      standsFor: 'a client is told the allowance for skew as time left',
      find: 'this.endOf(lease) - skewAllowanceMs - this.platform.wallTime()',
      replace: 'this.endOf(lease) - (HIT ? 0 : skewAllowanceMs) - this.platform.wallTime()',
      hint,
    },
  ]),

  ...inFile('src/node-do/alarms.ts', [
    {
      name: 'watch-does-not-back-off',
      standsFor: 'a watchdog without an answer asks as often as ever',
      rule: 14,
      find: 'Math.max(watchFirstMs, 2 * this.plan.watchMs)',
      replace: 'HIT ? watchFirstMs : 0',
    },
    {
      name: 'question-lost-with-life',
      standsFor: 'a watchdog whose life ends with its question on the way never asks again',
      rule: 14,
      find: 'this.asksAgainAt = this.platform.wallTime() + watchAgainMs;',
      replace: 'if (HIT) this.change({ watchAt: 0 });',
    },
    {
      name: 'question-rings-for-ever',
      standsFor:
        'a watchdog whose clock was set ahead while it asked is rung until it has an answer',
      find: 'if (isPast(this.asksAgainAt, now)) this.asksAgainAt =',
      replace: 'if (!HIT && isPast(this.asksAgainAt, now)) this.asksAgainAt =',
      hint,
    },
    {
      name: 'alarm-of-question-stays',
      standsFor: 'the alarm that stood in for an answer rings for nothing',
      rule: 14,
      find: 'this.isForNothing = this.at === this.asksAgainAt;',
      replace: 'HIT;',
    },
    {
      name: 'dropped-alarm-by-the-wall-clock',
      standsFor: 'a clock that is set back hides that the platform has dropped the alarm',
      find: 'return this.ringsBy <= this.platform.now();',
      replace: 'return HIT && (this.at ?? 0) <= this.platform.wallTime();',
      hint,
    },
  ]),

  ...inFile('src/node-do/lease-service.ts', [
    {
      name: 'watchdog-asks-a-sleeper-twice',
      standsFor:
        'a leader that the question wakes says that it does not lead, and a quorum has to be asked',
      find: 'await this.group.ask(() => {});',
      replace: 'HIT;',
      hint: ['test/sim/idle-ledger.test.ts'],
    },
  ]),
];
