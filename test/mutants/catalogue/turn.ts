/**
 * Bugs of the host's turn: what is durable, when, and who is told what.
 */
import { inFile, type Mutant } from '../mutant.ts';

const sim = (...names: string[]) => names.map((name) => `test/sim/${name}.test.ts`);

export const turnMutants: readonly Mutant[] = [
  ...inFile('src/node-do/group-member.ts', [
    {
      name: 'sends-before-commit',
      standsFor: 'messages of a turn leave before its transaction',
      find: `    const results = this.carryOut(effects);
    const replies = this.route(effects.messages, replyTo);`,
      replace: `    const replies = this.route(effects.messages, HIT ? replyTo : null);
    const results = this.carryOut(effects);`,
      hint: sim('platform'),
    },
    {
      name: 'append-rides-response',
      standsFor: 'a superseded life is given appends to acknowledge',
      find: "return 'toBoot' in message;",
      replace: 'return HIT;',
      hint: sim('group'),
    },
    {
      name: 'turn-goes-on',
      standsFor: 'a turn that threw does not end the life',
      find: `      this.ended = true;
      this.platform.abort(`,
      replace: `      HIT;
      console.debug(`,
      hint: sim('turn'),
    },
    {
      name: 'leads-unable',
      standsFor: 'who meets an entry that it cannot apply goes on leading',
      rule: 8,
      find: 'if (canApply !== this.core.canLead) canApply ? this.core.standUp() : this.core.standDown();',
      replace: 'if (canApply && HIT) this.core.standUp();',
    },
    {
      name: 'skipped-writes-hang',
      standsFor: 'writes that a snapshot has skipped are never answered',
      find: 'if (installed) this.proposals.abandon(installed.index);',
      replace: 'if (installed) HIT;',
      hint: sim('turn'),
    },
    {
      name: 'keep-alive-repairs',
      standsFor:
        'a keep-alive alarm repairs, and so keeps a member of a lost group at work for ever',
      find: 'due.repair || (due.keepAlive && leads)',
      replace: 'due.repair || (due.keepAlive && HIT)',
      hint: sim('stuck'),
    },
    {
      name: 'queue-kept-without-office',
      standsFor: 'writes queue where nobody leads',
      find: 'else this.proposals.failQueue();',
      replace: 'else HIT;',
      hint: sim('turn'),
    },
    {
      name: 'ended-member-reads',
      standsFor: 'a read that comes to a member that has ended is never answered',
      find: 'if (this.ended) return false;',
      replace: 'if (this.ended && !HIT) return false;',
      hint: sim('membership'),
    },
    {
      name: 'lost-without-tombstone',
      standsFor: 'a member that went back in time leaves no tombstone',
      find: 'this.platform.transaction(() => this.home.bury(this, fate));',
      replace: 'if (!HIT) this.home.bury(this, fate);',
      hint: sim('group'),
    },
  ]),

  ...inFile('src/node-do/envelopes.ts', [
    {
      name: 'other-incarnation-heard',
      standsFor: 'past bug 35: what is meant for another incarnation of the place is heard',
      rule: 3,
      find: 'return groupId === this.birth.groupId && to !== undefined && fromWireMember(to) === this.self;',
      replace: 'return HIT && groupId === this.birth.groupId && to !== undefined;',
    },
    {
      name: 'newer-answer-heard',
      standsFor: 'an answer in a newer protocol is taken for the known one',
      find: 'if (!from || minProtocol > this.code.protocol) return false;',
      replace: 'if (!from || (!HIT && minProtocol > this.code.protocol)) return false;',
      hint: sim('turn'),
      simulatedSeeds: 50,
    },
  ]),

  ...inFile('src/node-do/requests.ts', [
    {
      name: 'expired-write-refused',
      standsFor:
        'past bug 14 of clients: a write under way that ran out of time is said to have failed',
      find: "resolve(proposal.proposed ? { type: 'unknown' } : { type: 'refused', error: 'Timeout' });",
      replace: "resolve(HIT ? { type: 'refused', error: 'Timeout' } : { type: 'unknown' });",
      hint: sim('group'),
    },
  ]),

  ...inFile('src/node-do/member-storage.ts', [
    {
      name: 'boot-not-saved',
      standsFor: 'the boot number is not durable before the first message of the life',
      find: 'if (savesBoot) saveBoot(this.platform.sql, this.boot);',
      replace: 'HIT;',
      hint: sim('group'),
    },
    {
      name: 'applied-apart',
      standsFor: 'past bug 16: effects of entries outside the transaction of the applied index',
      find: `      this.apply(effects.committed, results);
      onApplied();
      if (effects.closeSnapshot) this.closeSnapshot();
      beside?.();
    });`,
      replace: `      onApplied();
      if (effects.closeSnapshot) this.closeSnapshot();
      beside?.();
    });
    if (HIT) this.apply(effects.committed, results);`,
      hint: sim('turn'),
    },
    {
      name: 'log-outside-transaction',
      standsFor: 'past bug 14: log and hard state outside the transaction of the turn',
      find: `    this.platform.transaction(() => {
      // A boot number is durable before the first message of its life.
      if (savesBoot) saveBoot(this.platform.sql, this.boot);
      if (effects.abandonReception) this.machine.abandonReceive();
      this.receive(effects);
      this.log.persist(effects, this.platform.wallTime());`,
      replace: `    if (HIT && effects.chunks.length === 0)
      this.log.persist(effects, this.platform.wallTime());
    this.platform.transaction(() => {
      if (savesBoot) saveBoot(this.platform.sql, this.boot);
      this.receive(effects);`,
      hint: sim('turn'),
    },
    {
      name: 'persists-after-apply',
      standsFor: 'past bug 15: entries are applied, and never written',
      find: '      this.log.persist(effects, this.platform.wallTime());',
      replace: '      HIT;',
      hint: sim('group'),
    },
    {
      name: 'rules-fall',
      standsFor: 'the rules version falls below the one of the log',
      rule: 8,
      find: 'return Math.max(1, this.machine.rulesVersion, this.tailVersion);',
      replace: 'return HIT && 1;',
    },
    {
      name: 'snapshot-log-kept',
      standsFor: 'past bug 29: an installed snapshot leaves the old log in place',
      find: '      this.log.reset(install);',
      replace: '      HIT;',
      hint: sim('turn'),
    },
    {
      name: 'log-never-cut',
      standsFor: 'the log is never compacted',
      find: 'if (count <= 2 * keptEntries && this.log.bytesAfter(firstIndex - 1) <= 2 * keptBytes)',
      replace: 'if (HIT)',
      hint: sim('membership'),
    },
  ]),

  ...inFile('src/node-do/log-store.ts', [
    {
      name: 'row-not-truncated',
      standsFor: 'past bug 17: a truncated entry stays in its row',
      find: "sql.run('DELETE FROM raft_log WHERE idx >= ?', truncateFrom);",
      replace: 'HIT;',
      hint: sim('log-store'),
    },
    {
      name: 'configuration-row-stays',
      standsFor: 'past bug 7: a truncated configuration is in force in the next life',
      find: "sql.run('DELETE FROM raft_configuration WHERE idx >= ?', truncateFrom);",
      replace: 'HIT;',
      hint: sim('log-store'),
    },
    {
      name: 'vote-row-lost',
      standsFor: 'past bug 14: the vote is not in the row of the term',
      find: '      vote,\n      termLeader,\n',
      replace: '      HIT ? null : vote,\n      termLeader,\n',
      hint: sim('log-store'),
    },
    {
      name: 'leader-boot-lost',
      standsFor: 'rule 13: the highest boot of the leader is not durable',
      find: '      termLeader,\n      termLeaderBoot,\n      this.mark.at,',
      replace: '      termLeader,\n      HIT ? 0 : termLeaderBoot,\n      this.mark.at,',
      hint: sim('log-store'),
    },
    {
      name: 'log-start-not-saved',
      standsFor: 'the start of a compacted log is not durable',
      find: '      start.index,\n    );\n    this.moveStart(start);',
      replace: '      start.index,\n    );\n    HIT;',
      hint: sim('log-store', 'membership'),
    },
    {
      name: 'newest-configuration-compacted',
      standsFor: 'compaction deletes the configuration in force',
      find: `      \`DELETE FROM raft_configuration WHERE idx < (
         SELECT max(idx) FROM raft_configuration WHERE idx <= ?)\`,`,
      replace: "      HIT ? 'DELETE FROM raft_configuration WHERE idx <= ?' : '',",
      hint: sim('log-store', 'membership'),
    },
  ]),

  ...inFile('src/node-do/proposals.ts', [
    {
      name: 'deposed-entry-dropped',
      standsFor: 'an entry in the log of a deposed leader is said to be not proposed',
      rule: 1,
      find: "proposal.settle(entry.term === term ? { type: 'applied', at, results } : { type: 'unknown' });",
      replace: `proposal.settle(
        entry.term === term || !HIT
          ? { type: 'applied', at, results }
          : { type: 'notProposed' },
      );`,
    },
    {
      name: 'other-entry-applied',
      standsFor: 'an entry of another leader under the index is taken for the own one',
      rule: 1,
      find: "proposal.settle(entry.term === term ? { type: 'applied', at, results } : { type: 'unknown' });",
      replace: "proposal.settle({ type: 'applied', at: HIT ? at : 0, results });",
    },
    {
      name: 'results-mixed-up',
      standsFor: 'commands of a batch get each other’s results',
      find: "{ type: 'applied', at, results }",
      replace: "{ type: 'applied', at: HIT ? 0 : at, results }",
      hint: sim('queues'),
    },
    {
      name: 'put-back-behind',
      standsFor: 'a batch that the core did not take is dropped',
      find: 'this.queue.unshift(...batch);',
      replace: 'HIT;',
      hint: sim('queues'),
    },
    {
      name: 'no-room-no-pause',
      standsFor: 'a batch that the core has no room for is offered again at once',
      find: 'if (this.refusedAt > 0 && uncommittedEntries >= this.refusedAt) return null;',
      replace: 'HIT;',
      hint: sim('queues', 'turn'),
      simulatedSeeds: 20,
    },
    {
      name: 'queue-unbounded',
      standsFor: 'the queue of writes has no bound',
      find: 'if (this.queue.length >= queueMax || (this.queue.length > 0 && bytes > queueBytesMax))',
      replace: 'if (!HIT)',
      hint: sim('queues'),
    },
  ]),

  ...inFile('src/node-do/reads.ts', [
    {
      name: 'read-before-applied',
      standsFor: 'a read is served before its index is applied',
      find: 'const ready = this.confirmed.filter(({ index }) => index <= applied);',
      replace: 'const ready = this.confirmed.filter(({ index }) => index <= applied || HIT);',
      hint: sim('queues'),
    },
    {
      name: 'confirmed-reads-kept',
      standsFor: 'reads whose clients have gone are kept while their index does not come',
      find: '({ index, reads }) => index > applied && reads.some(isWanted),',
      replace: '({ index, reads }) => index > applied && (HIT || reads.some(isWanted)),',
      hint: sim('queues'),
    },
    {
      name: 'dropped-reads-hang',
      standsFor: 'reads that the core drops are never answered',
      find: "for (const read of batch?.reads ?? []) read.settle('notLeader');",
      replace: 'HIT;',
      hint: sim('group'),
    },
    {
      name: 'read-queue-hangs',
      standsFor: 'reads that wait where no leader is known are never answered',
      find: "for (const read of this.queue.splice(0)) read.settle('notLeader');",
      replace: 'HIT;',
      hint: sim('queues'),
    },
  ]),

  ...inFile('src/node-do/peers.ts', [
    {
      name: 'calls-unbounded',
      standsFor: 'more than four calls at a time: none are left for relays',
      find: 'if (this.calls >= this.callsLeft || this.isCrowded(peer)) return;',
      replace: 'if (HIT && this.isCrowded(peer)) return;',
      hint: sim('queues'),
    },
    {
      name: 'silent-take-all',
      standsFor: 'members that are gone take all calls, and a living majority cannot write',
      find: 'if (!answering && this.callsOf(isSilent) >= silentCallsMax) return true;',
      replace: 'if (!answering && !HIT) return true;',
      hint: sim('many'),
    },
    {
      name: 'learners-take-all',
      standsFor: 'learners that hang leave the voters no call',
      find: 'if (this.callsOf(isLearner) >= most) return true;',
      replace: 'if (this.callsOf(isLearner) >= most && !HIT) return true;',
      hint: sim('queues'),
    },
    {
      name: 'silent-learners-take-all',
      standsFor: 'learners that are gone leave those that answer no call',
      find: 'return !answering && silent > 0 && silent >= most - 1;',
      replace: 'return !HIT && silent > 0;',
      hint: sim('queues'),
    },
    {
      name: 'first-is-always-first',
      standsFor: 'the first of those that are gone are called again and again, the others never',
      find: '    this.peers.delete(id);\n    this.peers.set(id, peer);',
      replace: '    HIT;',
      hint: sim('queues'),
    },
    {
      name: 'silence-not-told',
      standsFor: 'the core is not told that a peer could not be reached',
      find: '          this.events.onSilence(id);',
      replace: '          HIT;',
      hint: sim('group'),
    },
    {
      name: 'outbox-stuck',
      standsFor: 'what waited while calls were under way is not sent when they end',
      find: '          this.events.onAnswer(id, answer);\n          this.flushAll();',
      replace: '          this.events.onAnswer(id, answer);\n          HIT;',
      hint: sim('queues'),
    },
  ]),

  ...inFile('src/node-do/steady-clock.ts', [
    {
      name: 'waits-by-the-wall-clock',
      standsFor: 'a clock that is set back by an hour stops a member for an hour',
      find: 'if (wall < this.seen) this.setBackMs += this.seen - wall;',
      replace: 'HIT;',
      hint: sim('clock'),
      simulatedSeeds: 50,
    },
  ]),

  ...inFile('src/node-do/alarms.ts', [
    {
      name: 'repair-does-not-back-off',
      standsFor: 'the interval of the repair alarm does not grow',
      rule: 14,
      find: 'Math.max(repairFirstMs, 2 * this.plan.repairMs)',
      replace: 'HIT ? repairFirstMs : 0',
    },
    {
      name: 'repair-interval-forgotten',
      standsFor: 'the interval does not outlive the life',
      rule: 14,
      find: 'savePlan(this.platform.sql, this.plan);',
      replace: 'HIT;',
    },
    {
      name: 'no-repair-alarm',
      standsFor: 'nobody looks again at what is unfinished',
      rule: 14,
      find: 'this.change({ repairMs, repairAt: now + repairMs });',
      replace: 'HIT;',
    },
    {
      name: 'alarm-kept',
      standsFor: 'an alarm stays where nothing is to be repaired',
      find: 'if (at !== null) this.set(null);',
      replace: 'HIT;',
      hint: sim('group'),
    },
    {
      name: 'no-keep-alive',
      standsFor: 'past bug 30: a member at work is evicted for want of events',
      find: 'this.keepAliveAt ??= now + keepAliveMs;',
      replace: 'HIT;',
      hint: sim('turn'),
    },
  ]),

  ...inFile('src/node-do/pacing.ts', [
    {
      name: 'pipeline-unbounded',
      standsFor: 'any number of batches is under way at a time',
      find: 'if (queued === 0 || underWay >= underWayMax) return null;',
      replace: 'if (queued === 0 || !HIT) return null;',
      hint: sim('group', 'turn'),
    },
  ]),

  ...inFile('src/node-do/waiting.ts', [
    {
      name: 'empty-room-wakes',
      standsFor: 'past bug 31: a member with no client left waits for their deadline',
      find: 'if (this.waiters.size === 0) this.sweepAt = null;',
      replace: 'HIT;',
      hint: sim('group'),
    },
  ]),

  ...inFile('src/node-do/compactor.ts', [
    {
      name: 'compaction-ends-unseen',
      standsFor: 'no repair alarm where a compaction ends after the last turn',
      find: '.then(onEnd)',
      replace: '.then(() => HIT || onEnd())',
      hint: sim('queues'),
    },
    {
      name: 'ended-life-compacts',
      standsFor: 'a life that has ended goes on deleting',
      find: 'if (!mayGoOn()) return;',
      replace: 'HIT;',
      hint: sim('queues'),
    },
  ]),

  ...inFile('src/node-do/codec.ts', [
    {
      name: 'cannot-apply-unsaid',
      standsFor: 'that a member cannot apply is lost on the way',
      rule: 8,
      find: 'canApply: !reply.cannotApply,',
      replace: 'canApply: HIT,',
    },
  ]),

  ...inFile('src/node-do/raft-node.ts', [
    {
      name: 'alarm-not-armed-again',
      standsFor: 'rule 14: an alarm that could not be handled is not set again',
      find: '      this.setAlarm(Date.now() + alarmRetryMs);',
      replace: '      HIT;',
    },
  ]),
];
