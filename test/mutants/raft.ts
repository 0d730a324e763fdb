/**
 * Bugs of the core: past ones of other engines (numbers as in the list of past bugs), the rules of
 * consensus-rules.md taken out, and others, in every file of src/raft.
 */
import { inFile, type Mutant } from './mutant.ts';

const tests = (...names: string[]) => names.map((name) => `test/raft/${name}.test.ts`);

export const raftMutants: readonly Mutant[] = [
  ...inFile('src/raft/types.ts', [
    {
      name: 'invariant-ignored',
      standsFor: 'a broken invariant does not end the life',
      find: 'if (!condition) throw new RaftInvariantError(message);',
      replace: 'if (!condition && !HIT) throw new RaftInvariantError(message);',
      hint: tests('append'),
    },
  ]),

  ...inFile('src/raft/configuration.ts', [
    {
      name: 'quorum-one-less',
      standsFor: 'past bug 4: quorum off by one',
      find: 'values[Math.floor(half.length / 2)]',
      replace: 'values[Math.max(0, Math.floor(half.length / 2) - Number(HIT))]',
      hint: tests('quorum'),
    },
    {
      name: 'quorum-unsorted',
      standsFor: 'past bug 19: progress not in order',
      find: '.map(valueFor).sort((a, b) => b - a);',
      replace: '.map((id) => (HIT ? valueFor(id) : 0));',
      hint: tests('quorum'),
    },
    {
      name: 'joint-one-half',
      standsFor: 'a joint decision by the new half alone',
      find: 'majorityValue(configuration.outgoing, valueFor),',
      replace: 'HIT ? Number.POSITIVE_INFINITY : 0,',
      hint: tests('configuration'),
    },
    {
      name: 'outgoing-no-voter',
      standsFor: 'a member of the old half counts as no voter',
      find: 'return configuration.voters.includes(id) || configuration.outgoing.includes(id);',
      replace: 'return HIT && configuration.voters.includes(id);',
      hint: tests('configuration', 'membership'),
    },
  ]),

  ...inFile('src/raft/core.ts', [
    {
      name: 'boots-unchecked',
      standsFor: 'messages of an earlier life are heard',
      find: 'if (message.boot < known) return false;',
      replace: 'if (message.boot < known) return HIT;',
      hint: tests('append', 'resume'),
    },
    {
      name: 'transfer-refused',
      standsFor: 'past bug 11: a transfer is refused because the leader is alive',
      find: "if (message.type === 'vote' && !message.transfer && trustedLeader(state) !== null) {",
      replace: "if (message.type === 'vote' && HIT && trustedLeader(state) !== null) {",
      hint: tests('transfer'),
    },
    {
      name: 'vote-deposes',
      standsFor: 'past bug 12: a disruptive candidate deposes a living leader',
      find: "if (message.type === 'vote' && !message.transfer && trustedLeader(state) !== null) {",
      replace: "if (message.type === 'vote' && !HIT) {",
      hint: tests('votes', 'election'),
    },
    {
      name: 'prevote-raises-term',
      standsFor: 'a pre-vote is taken for a message of its term',
      find: "if (message.type === 'preVote' || message.type === 'suspicion') return true;",
      replace: "if (HIT && message.type === 'suspicion') return true;",
      hint: tests('election'),
    },
    {
      name: 'old-term-append',
      standsFor: 'an append of a deposed leader is taken',
      find: `        if (message.term < state.term) answerOldLeader(state, message);
        else onAppend(state, message);`,
      replace: '        if (HIT) onAppend(state, message);',
      hint: tests('stale', 'append'),
    },
    {
      name: 'old-term-append-reply',
      standsFor: 'an acknowledgement of an older term counts',
      find: 'if (message.term === state.term) onAppendReply(state, message);',
      replace: 'if (HIT) onAppendReply(state, message);',
      hint: tests('stale', 'commit'),
    },
    {
      name: 'commit-pages-skipped',
      standsFor: 'past bug 23: entries of a bounded portion are skipped',
      find: 'state.handedOut = from + entries.length - 1;',
      replace: 'state.handedOut = HIT ? state.commit : 0;',
      hint: tests('commit'),
    },
    {
      name: 'uncommitted-never-freed',
      standsFor: 'the limit of uncommitted bytes is never freed',
      find: "if (state.role.type === 'leader') releaseUncommitted(state.role, entries);",
      replace: 'HIT;',
      hint: tests('commit'),
    },
    {
      name: 'compacts-open-snapshot',
      standsFor: 'the log is compacted beyond what an open snapshot needs',
      find: 'if (state.snapshot) limit = Math.min(limit, state.snapshot.index);',
      replace: 'HIT;',
      hint: tests('compaction', 'snapshot'),
    },
    {
      name: 'compacts-follower',
      standsFor: 'the log is compacted beyond what a follower that answers lacks',
      find: "if (state.role.type === 'leader') limit = Math.min(limit, neededByFollowers(state, state.role));",
      replace: 'HIT;',
      hint: tests('compaction'),
    },
    {
      name: 'resumes-unable',
      standsFor: 'who cannot apply resumes its term',
      rule: 8,
      find: 'if (leads && canLead && isVoter(',
      replace: 'if (leads && HIT && isVoter(',
    },
    {
      name: 'suspicion-lost-with-term',
      standsFor: 'a newer term without its leader ends the suspicion',
      rule: 12,
      find: 'if (state.suspicion && !leads) postponeCampaign(state);',
      replace: 'if (HIT && !leads) state.suspicion = null;',
    },
  ]),

  ...inFile('src/raft/deadlines.ts', [
    {
      name: 'tail-never-resolved',
      standsFor: 'past bug 30: who sleeps with an unresolved tail never wakes',
      find: 'state.lagAt = state.now + randomElectionTimeout(state) * 2 ** state.lagAttempts;',
      replace: 'state.lagAt = HIT ? null : 0;',
      hint: tests('suspicion'),
    },
    {
      name: 'candidate-once',
      standsFor: 'an election without a result is not tried again',
      find: "else if (role.type === 'candidate' || !askRefuser(state, role)) campaign(state);",
      replace: "else if (HIT && role.type === 'preCandidate') askRefuser(state, role);",
      hint: tests('election', 'suspicion'),
    },
    {
      name: 'retransmission-unplanned',
      standsFor: 'past bug 22: nobody wakes to send again what was lost',
      find: 'deadline = earliest(deadline, progress.retransmitAt);',
      replace: 'HIT;',
      hint: tests('replication'),
    },
    {
      name: 'repair-does-nothing',
      standsFor: 'the repair alarm wakes no leader',
      find: '    wake(state, role);\n    role.noticeAt = state.now;',
      replace: '    HIT;',
      hint: tests('scenarios/scenarios'),
    },
  ]),

  ...inFile('src/raft/effects.ts', [
    {
      name: 'first-vote-forgotten',
      standsFor: 'past bug 14: the hard state of the first take of a turn is not saved',
      find: 'hardState: second.hardState ?? first.hardState,',
      replace: 'hardState: HIT ? second.hardState : null,',
      hint: tests('effects'),
    },
    {
      name: 'truncation-forgotten',
      standsFor: 'the truncation of the first take of a turn is not saved',
      find: 'truncateFrom: first.truncateFrom,',
      replace: 'truncateFrom: HIT ? second.truncateFrom : null,',
      hint: tests('effects'),
    },
  ]),

  ...inFile('src/raft/election.ts', [
    {
      name: 'vote-cleared',
      standsFor: 'past bug 13: the vote is cleared in the same term',
      find: 'if (term > state.term) {\n    dropRemoteReads(state);',
      replace: 'if (HIT && term >= state.term) {\n    dropRemoteReads(state);',
      hint: tests('votes', 'election'),
    },
    {
      name: 'votes-for-all',
      standsFor: 'two votes in one term',
      find: 'const free = state.vote === null || state.vote === message.from;',
      replace: 'const free = HIT;',
      hint: tests('election'),
    },
    {
      name: 'vote-any-log',
      standsFor: 'a vote for a log that lacks committed entries (5.4.1)',
      find: `(state.termLeader === null || state.termLeader === message.from) &&
    state.log.isUpToDate(message.lastIndex, message.lastTerm);`,
      replace: '(state.termLeader === null || state.termLeader === message.from) &&\n    HIT;',
      hint: tests('election'),
    },
    {
      name: 'vote-not-durable',
      standsFor: 'past bug 14: a vote that is not saved',
      find: 'state.vote = message.from;\n    state.hardStateChanged = true;',
      replace: 'state.vote = message.from;\n    HIT;',
      hint: tests('election'),
    },
    {
      name: 'learner-refuses-vote',
      standsFor: 'past bug 8: who takes itself for a learner does not vote',
      find: 'message.term === state.term &&\n    free &&',
      replace:
        'HIT &&\n    isVoter(configurationOf(state), state.self) &&\n    message.term === state.term &&\n    free &&',
      hint: tests('election', 'configuration'),
    },
    {
      name: 'unknown-candidate',
      standsFor: 'a candidate that is not in the own configuration is refused',
      rule: 4,
      find: 'message.term === state.term &&\n    free &&',
      replace:
        'HIT &&\n    isVoter(configurationOf(state), message.from) &&\n    message.term === state.term &&\n    free &&',
    },
    {
      name: 'unknown-pre-candidate',
      standsFor: 'so is its pre-vote',
      rule: 4,
      find: 'const granted = wanted > state.term && logIsEnough && trusted === null;',
      replace: `const isKnown = HIT && isVoter(configurationOf(state), message.from);
  const granted = isKnown && wanted > state.term && logIsEnough && trusted === null;`,
    },
    {
      name: 'prevote-is-contact',
      standsFor: 'past bug 10: a pre-vote refreshes the trust in the leader',
      find: '// Granting a pre-vote changes no timer, term or vote here: it is a question, not a contact.',
      replace: 'if (HIT) state.leaderContact = state.now;',
      hint: tests('election'),
    },
    {
      name: 'prevote-lease-ignored',
      standsFor: 'a pre-vote is granted although the leader is heard',
      find: 'const granted = wanted > state.term && logIsEnough && trusted === null;',
      replace: 'const granted = wanted > state.term && logIsEnough && HIT;',
      hint: tests('election', 'suspicion'),
    },
    {
      name: 'prevote-not-taken-over',
      standsFor: 'past bug 9: who refuses a pre-vote does not look itself',
      find: 'if (!granted && (!logIsEnough || trusted !== null)) suspect(state);',
      replace: 'HIT;',
      hint: tests('suspicion'),
    },
    {
      name: 'stuck-candidate-unseen',
      standsFor: 'past bug 12: a leader at rest does not give way to a member of a newer term',
      find: "if (state.role.type === 'leader' && message.term > state.term)\n    showLeadership(state, state.role, message.from);",
      replace: 'HIT;',
      hint: tests('suspicion'),
    },
    {
      name: 'vote-reply-any-round',
      standsFor: 'a grant of an earlier round counts',
      find: 'if (message.toBoot !== state.boot || message.requestTerm !== state.term) return;',
      replace: 'if (HIT && message.toBoot !== state.boot) return;',
      hint: tests('election'),
    },
    {
      name: 'refusal-counts',
      standsFor: 'a refusal counts as a grant',
      find: 'role.votes.set(message.from, message.granted);',
      replace: 'role.votes.set(message.from, HIT);',
      hint: tests('election'),
    },
    {
      name: 'suspicion-lost-with-election',
      standsFor: 'a lost election ends the suspicion',
      rule: 12,
      find: "if (role.type === 'candidate' || !askRefuser(state, role)) postponeCampaign(state);",
      replace: 'if (HIT) state.suspicion = null;',
    },
  ]),

  ...inFile('src/raft/follower.ts', [
    {
      name: 'stale-append-truncates',
      standsFor: 'past bug 17: an old, short append removes what comes after it',
      find: '  checkEntries(message);\n',
      replace: `  checkEntries(message);
  const end = prevIndex + entries.length + 1;
  if (HIT && end > state.commit && end <= state.log.lastIndex) {
    state.log.truncate(end);
    rollBackConfigurations(state, end);
  }
`,
      hint: tests('append'),
    },
    {
      name: 'commit-beyond-append',
      standsFor: 'past bug 18: commit beyond the last new entry',
      find: 'Math.min(message.commit, Math.max(lastNew, state.commit))',
      replace: 'Math.min(message.commit, HIT ? state.log.lastIndex : 0)',
      hint: tests('append'),
    },
    {
      name: 'append-unmatched',
      standsFor: 'an append is taken whatever stands before it',
      find: 'if (!state.log.matches(prevIndex, prevTerm) && prevIndex > state.commit) {',
      replace: 'if (HIT && prevIndex > state.log.lastIndex) {',
      hint: tests('append'),
    },
    {
      name: 'configuration-not-rolled-back',
      standsFor: 'past bug 7: a truncated configuration stays in force',
      find: 'rollBackConfigurations(state, first.index);',
      replace: 'HIT;',
      hint: tests('configuration'),
    },
    {
      name: 'removed-too-early',
      standsFor: 'a removal counts before it is committed',
      rule: 3,
      find: `    if (payload.type === 'configuration')
      state.configurations.push({ index, configuration: payload.configuration });`,
      replace: `    if (payload.type !== 'configuration') continue;
    state.configurations.push({ index, configuration: payload.configuration });
    const { voters, outgoing, learners } = payload.configuration;
    if (HIT && ![...voters, ...outgoing, ...learners].includes(state.self)) state.removed = true;`,
    },
    {
      name: 'older-leader-life',
      standsFor: 'a lower boot of the leader than one seen before is heard',
      rule: 13,
      find: 'if (state.termLeader === from && boot < state.termLeaderBoot) return false;',
      replace: 'HIT;',
    },
    {
      name: 'lost-leader-followed',
      standsFor: 'a leader that went back and wrote as much again is followed',
      rule: 13,
      find: 'if (!newLife || log.lastTerm !== term || log.lastIndex <= barrier) return false;',
      replace: 'if (!newLife || HIT || log.lastIndex <= barrier) return false;',
    },
    {
      name: 'lost-member-goes-on',
      standsFor: 'past bug 35: who has lost what it acknowledged goes on',
      find: 'return knownBoot > boot || knownMatch > log.lastIndex;',
      replace: 'return HIT && knownBoot > boot;',
      hint: tests('scenarios/scenarios'),
    },
    {
      name: 'contact-ends-suspicion',
      standsFor: 'a leader that no quorum confirms ends a suspicion by being heard',
      find: 'if (state.suspicion.check?.leader !== from) state.suspicion = null;',
      replace: 'if (HIT) state.suspicion = null;',
      hint: tests('suspicion'),
    },
    {
      name: 'says-it-can-apply',
      standsFor: 'who cannot apply says that it can',
      rule: 8,
      find: 'canApply: state.canLead,',
      replace: 'canApply: HIT,',
    },
  ]),

  ...inFile('src/raft/leadership.ts', [
    {
      name: 'transfer-incomplete',
      standsFor: 'the lead is handed to a log that lacks entries',
      find: 'if (!progress || !isComplete(state, progress)) return;\n  transfer.sent = true;',
      replace: 'if (!progress) return;\n  transfer.sent = HIT;',
      hint: tests('transfer'),
    },
    {
      name: 'transfer-for-ever',
      standsFor: 'a transfer that fails blocks proposals for ever',
      find: 'if (role.transfer && state.now >= role.transfer.deadline) role.transfer = null;',
      replace:
        'if (HIT && role.transfer && state.now >= role.transfer.deadline)\n    role.transfer = { ...role.transfer, deadline: state.now + 500 };',
      hint: tests('transfer'),
    },
    {
      name: 'no-hand-over',
      standsFor: 'a leader that cannot apply, or is removed, names no heir',
      rule: 8,
      find: "if (heir) send(state, heir, { type: 'timeoutNow' });",
      replace: 'HIT;',
    },
    {
      name: 'campaigns-unable',
      standsFor: 'who cannot apply campaigns when the leader asks for it',
      rule: 8,
      find: 'if (state.termLeader !== message.from || !mayCampaign(state)) return;',
      replace: 'if (HIT && state.termLeader !== message.from) return;',
    },
    {
      name: 'offers-for-ever',
      standsFor: 'the lead is offered again and again',
      find: 'state.offered.add(heir);',
      replace: 'HIT;',
      hint: tests('transfer'),
    },
  ]),

  ...inFile('src/raft/log.ts', [
    {
      name: 'longer-log-wins',
      standsFor: 'logs are compared by length alone (5.4.1)',
      find: 'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);',
      replace: 'return HIT && lastIndex >= this.lastIndex;',
      hint: tests('election'),
    },
    {
      name: 'truncation-not-durable',
      standsFor: 'a truncated entry stays on disk',
      find: 'this.truncatedFrom = Math.min(from, this.truncatedFrom ?? from);',
      replace: 'HIT;',
      hint: tests('log'),
    },
    {
      name: 'unsaved-entry-trimmed',
      standsFor: 'what this turn has to persist leaves the cache before',
      find: '    this.trim();\n    this.stable = this.lastIndex;',
      replace: '    this.stable = this.lastIndex;\n    if (HIT) this.trim();',
      hint: tests('log'),
    },
    {
      name: 'snapshot-stable-mark',
      standsFor: 'past bug 21: after a snapshot the log counts as persisted where it ended before',
      find: '    this.stable = index;\n    this.truncatedFrom = null;',
      replace: '    HIT;\n    this.truncatedFrom = null;',
      hint: tests('compaction', 'snapshot'),
    },
    {
      name: 'hint-one-by-one',
      standsFor: 'past bug 20: backing off ignores the terms',
      find: 'if (at === undefined || at <= term) return { index: probe, term: at ?? 0 };',
      replace: 'if (HIT) return { index: probe, term: at ?? 0 };',
      hint: tests('log'),
    },
  ]),

  ...inFile('src/raft/membership.ts', [
    {
      name: 'change-before-commit',
      standsFor: 'past bug 6: a change before the first commit of the term',
      find: "if (state.commit < role.barrier) return 'notReady';",
      replace: 'HIT;',
      hint: tests('membership'),
    },
    {
      name: 'two-changes',
      standsFor: 'a change while another is under way',
      find: "if (!isSettled(state)) return 'changeUnderWay';",
      replace: 'HIT;',
      hint: tests('membership'),
    },
    {
      name: 'change-not-joint',
      standsFor: 'several members change at once without a joint configuration',
      find: 'appendConfiguration(state, role, { voters, outgoing, learners });',
      replace:
        'appendConfiguration(state, role, { voters, outgoing: HIT ? [] : outgoing, learners });',
      hint: tests('membership'),
    },
    {
      name: 'joint-left-early',
      standsFor: 'the joint configuration is left before it is committed',
      find: 'if (newest.index > state.commit || state.commit < role.barrier) return false;',
      replace: 'if (HIT && state.commit < role.barrier) return false;',
      hint: tests('membership'),
    },
    {
      name: 'joint-left-by-event',
      standsFor: 'only the leader that began a change finishes it',
      rule: 11,
      find: 'if (newest.index > state.commit || state.commit < role.barrier) return false;',
      replace:
        'if (newest.index > state.commit || (HIT && newest.index < role.barrier)) return false;',
    },
    {
      name: 'learner-promoted-behind',
      standsFor: 'a learner without the log becomes a voter',
      find: "if (progress?.state !== 'replicate' || lag > state.settings.promotionLagMax)",
      replace: 'if (!progress || (!HIT && lag > state.settings.promotionLagMax))',
      hint: tests('membership'),
    },
    {
      name: 'promoted-unable',
      standsFor: 'a learner that cannot apply becomes a voter',
      rule: 8,
      find: "if (!progress.canApply) return 'cannotApply';",
      replace: 'HIT;',
    },
    {
      name: 'leaver-not-told',
      standsFor: 'a removed member is forgotten before it knows',
      find: 'const knows = newest !== undefined && progress.ackedCommit >= newest.index;',
      replace: 'const knows = HIT;',
      hint: tests('membership'),
    },
    {
      name: 'removed-leader-stays',
      standsFor: 'past bug 33: a removed leader goes on leading',
      find: '  handOver(state);\n  return true;',
      replace: '  return !HIT;',
      hint: tests('membership'),
    },
  ]),

  ...inFile('src/raft/progress.ts', [
    {
      name: 'snapshot-limbo',
      standsFor: 'past bug 21: a follower that has caught up otherwise stays in snapshot',
      find: "if (progress.state === 'probe' || (progress.state === 'snapshot' && held >= logStart)) {",
      replace: "if (HIT && progress.state === 'probe') {",
      hint: tests('compaction', 'snapshot'),
    },
    {
      name: 'stale-refusal',
      standsFor: 'past bug 20: an old refusal brings a follower back to probing',
      find: 'if (rejected <= progress.match) return false;',
      replace: 'HIT;',
      hint: tests('progress'),
    },
    {
      name: 'match-falls',
      standsFor: 'past bug 20: match falls by a reordered reply',
      find: 'if (index <= progress.match) return false;',
      replace: 'HIT;',
      hint: tests('progress'),
    },
    {
      name: 'window-not-freed',
      standsFor: 'the window of a follower is never freed',
      find: 'if (freed > 0) progress.inflight.splice(0, freed);',
      replace: 'HIT;',
      hint: tests('progress', 'replication'),
    },
    {
      name: 'lost-window',
      standsFor: 'past bug 22: a window that was lost is not sent again',
      find: '  progress.next = progress.match + 1;\n  progress.inflight = [];',
      replace: '  HIT;\n  progress.inflight = [];',
      hint: tests('progress', 'replication'),
    },
  ]),

  ...inFile('src/raft/reads.ts', [
    {
      name: 'read-before-barrier',
      standsFor: 'past bug 2: a read index from before the first commit of the term',
      find: 'if (state.commit < role.barrier) return;\n  for (let at',
      replace: 'HIT;\n  for (let at',
      hint: tests('reads'),
    },
    {
      name: 'read-position-kept',
      standsFor: 'past bug 3: a round that left before a read confirms it',
      find: '    role.readPosition += 1;',
      replace: '    HIT;',
      hint: tests('reads'),
    },
    {
      name: 'read-by-lease',
      standsFor: 'past bug 1: a read because a quorum was heard of a moment ago',
      find: 'if (read.position <= confirmed || isConfirmedByRequester(state, role, read)) {',
      replace: `const trusts = (id: MemberId) =>
      id === state.self ||
      state.now - (role.progress.get(id)?.repliedAt ?? Number.NEGATIVE_INFINITY) <
        state.settings.electionTimeoutMs;
    if (read.position <= confirmed || (HIT && hasQuorum(configuration, trusts))) {`,
      hint: tests('reads'),
    },
    {
      name: 'request-is-contact',
      standsFor: 'reads keep a leader in office that cannot write',
      rule: 9,
      find: 'if (!progress) return;\n  progress.onRepairList = false;',
      replace: 'if (!progress) return;\n  if (HIT) progress.repliedAt = state.now;',
    },
    {
      name: 'request-of-lost-leader',
      standsFor: 'who is asked by a member that holds more of its term goes on leading',
      rule: 13,
      find: 'if (message.lastTerm === state.term && message.lastIndex > state.log.lastIndex) {',
      replace: 'if (!HIT) {',
    },
    {
      name: 'removed-unsettled',
      standsFor: 'a member is told that it is removed before that is committed',
      find: 'return isSettled(state) && !isMember(configurationOf(state), asker);',
      replace: 'return HIT && !isMember(configurationOf(state), asker);',
      hint: tests('stuck', 'membership'),
    },
    {
      name: 'deposed-reads-hang',
      standsFor: 'reads of a leader that steps down are never answered',
      find: '    if (requester) answer(state, requester, id, null);\n    else state.droppedReads.push(id);',
      replace: '    if (HIT && requester) answer(state, requester, id, null);',
      hint: tests('reads'),
    },
  ]),

  ...inFile('src/raft/remote-reads.ts', [
    {
      name: 'read-joins-request',
      standsFor: 'a read is served by a request that left before it began',
      find: '  remoteReads.queue.push(id);\n  return true;',
      replace: `  const earlier = remoteReads.requests.at(-1);
  if (HIT && earlier) (earlier.reads as number[]).push(id);
  else remoteReads.queue.push(id);
  return true;`,
      hint: tests('remote-reads'),
    },
    {
      name: 'commit-of-other-entry',
      standsFor: 'an index from a read reply commits another entry',
      find: 'if (index <= state.log.lastIndex && state.log.matches(index, indexTerm)) setCommit(state, index);',
      replace: 'if (HIT && index <= state.log.lastIndex) setCommit(state, index);',
      hint: tests('reads'),
    },
    {
      name: 'refused-reads-hang',
      standsFor: 'reads that the leader refuses are never answered',
      find: 'if (message.refused) state.droppedReads.push(...request.reads);',
      replace: 'if (message.refused) HIT;',
      hint: tests('remote-reads'),
    },
  ]),

  ...inFile('src/raft/check-quorum.ts', [
    {
      name: 'leads-without-quorum',
      standsFor: 'past bug 12: no CheckQuorum',
      find: 'return Math.max(role.quorumSince, contact) + state.settings.electionTimeoutMs;',
      replace: 'return HIT ? null : contact;',
      hint: tests('replication', 'leaders'),
    },
  ]),

  ...inFile('src/raft/leader.ts', [
    {
      name: 'voter-log-unmatched',
      standsFor: 'a voter is taken to hold what the end of its log does not show',
      find: 'if (progress && state.log.matches(index, term))',
      replace: 'if (progress && index <= state.log.lastIndex && HIT)',
      hint: tests('replication', 'election'),
    },
    {
      name: 'read-wakes-nobody',
      standsFor: 'who needs a leader does not bring back followers that it gave up',
      find: '    progress.onRepairList = false;\n    progress.neededSinceSent = true;',
      replace: '    HIT;',
      hint: tests('rest', 'replication'),
    },
    {
      name: 'no-first-entry',
      standsFor: 'a new leader appends no entry of its term',
      find: "appendOwn(state, role, { type: 'noop' });",
      replace: 'HIT;',
      hint: tests('commit'),
    },
    {
      name: 'resumed-barrier',
      standsFor: 'a resumed leader grants reads before its old life’s tail is committed',
      find: 'const role = newLeader(log.lastIndex, hasWork);',
      replace: 'const role = newLeader(HIT ? state.commit : 0, hasWork);',
      hint: tests('resume'),
    },
    {
      name: 'joint-rests',
      standsFor: 'a resumed leader rests in a joint configuration',
      rule: 11,
      find: 'const hasWork = log.lastIndex > state.commit || isJoint(configurationOf(state));',
      replace: 'const hasWork = HIT && log.lastIndex > state.commit;',
    },
    {
      name: 'uncommitted-unbounded',
      standsFor: 'no limit of uncommitted bytes',
      find: 'role.uncommittedBytes + bytes > settings.uncommittedBytesMax',
      replace: '!HIT',
      hint: tests('commit'),
    },
  ]),

  ...inFile('src/raft/replication.ts', [
    {
      name: 'commit-by-counting',
      standsFor: 'past bug 5: entries of an older term are committed by counting',
      find: 'if (held > state.commit && log.matches(held, state.term)) {',
      replace: 'if (HIT && held > state.commit) {',
      hint: tests('commit'),
    },
    {
      name: 'ack-of-earlier-life',
      standsFor: 'an acknowledgement to an earlier life counts',
      find: "if (role.type !== 'leader' || message.toBoot !== state.boot) return;",
      replace: "if (role.type !== 'leader' || !HIT) return;",
      hint: tests('commit', 'reads'),
    },
    {
      name: 'lost-entries-unseen',
      standsFor: 'a leader that sees a peer hold more of its term goes on',
      rule: 13,
      find: 'message.leaderLostEntries ||\n    (message.lastTerm === state.term && message.lastIndex > log.lastIndex)',
      replace: 'HIT && message.leaderLostEntries',
    },
  ]),

  ...inFile('src/raft/retransmission.ts', [
    {
      name: 'no-backoff',
      standsFor: 'a silent follower is asked again without growing intervals',
      find: 'progress.retransmitMs = Math.min(progress.retransmitMs * 2, settings.retransmitMaxMs);',
      replace: 'HIT;',
      hint: tests('rest', 'replication'),
    },
    {
      name: 'new-life-not-probed',
      standsFor: 'a new life of a follower is taken to have what the old one was sent',
      find: 'if (progress) loseInflight(progress);',
      replace: 'HIT;',
      hint: tests('replication'),
    },
    {
      name: 'asker-waits',
      standsFor: 'a sender that lacks entries waits for the retransmission',
      rule: 10,
      find: 'if (progress.retransmitMs <= retransmitBase(state, progress)) return;',
      replace: 'if (HIT) return;',
    },
    {
      name: 'loss-not-noticed',
      standsFor: 'past bug 22: what was lost is not probed again',
      find: "if (progress.state === 'replicate') becomeProbe(progress);\n  progress.probeSent = false;",
      replace: 'HIT;\n  progress.probeSent = false;',
      hint: tests('replication'),
    },
    {
      name: 'dead-never-given-up',
      standsFor: 'past bug 31: a dead follower keeps the leader awake for ever',
      find: '      progress.onRepairList = true;',
      replace: '      HIT;',
      hint: tests('rest'),
    },
  ]),

  ...inFile('src/raft/snapshots.ts', [
    {
      name: 'snapshot-over-commit',
      standsFor: 'a snapshot at or below the commit index resets the log',
      rule: 5,
      find: 'if (index <= state.commit) {',
      replace: 'if (!HIT) {',
    },
    {
      name: 'snapshot-over-log',
      standsFor: 'a snapshot that the log holds takes the acknowledged tail away',
      rule: 5,
      find: 'if (state.log.matches(index, snapshot.term)) {',
      replace: 'if (!HIT) {',
    },
    {
      name: 'chunks-out-of-order',
      standsFor: 'chunks are taken in any order',
      find: 'if (!chunk || cursor !== wanted) {',
      replace: 'if (!chunk || !HIT) {',
      hint: tests('snapshot'),
    },
    {
      name: 'snapshot-old-configuration',
      standsFor: 'past bug 29: the configuration does not come with the snapshot',
      find: 'state.configurations = [...known.slice(-1), { index, configuration }];',
      replace: 'state.configurations = HIT ? known : [{ index, configuration }];',
      hint: tests('snapshot'),
    },
    {
      name: 'snapshot-applied-twice',
      standsFor: 'entries below a snapshot are given for applying after it',
      find: '  state.handedOut = index;\n',
      replace: '  HIT;\n',
      hint: tests('snapshot'),
    },
    {
      name: 'snapshot-closed-in-use',
      standsFor: 'a snapshot is closed while a follower gets it',
      find: 'if (!needed || idle) giveUpSnapshot(state);',
      replace: 'if (HIT) giveUpSnapshot(state);',
      hint: tests('snapshot'),
    },
    {
      name: 'reception-not-abandoned',
      standsFor: 'a snapshot that appends have overtaken is received on',
      find: '  state.receiving = null;\n  state.abandonsReception = true;',
      replace: '  HIT;',
      hint: tests('snapshot'),
    },
    {
      name: 'chunk-again-and-again',
      standsFor: 'past bug 21: the acknowledgement of a chunk does not bring the next one',
      find: 'progress.chunk = { id: message.id, cursor: message.cursor };',
      replace: 'HIT;',
      hint: tests('snapshot'),
    },
  ]),

  ...inFile('src/raft/state.ts', [
    {
      name: 'configuration-at-commit',
      standsFor: 'past bug 7: a configuration counts from its commit',
      find: 'const newest = state.configurations.at(-1);\n  invariant(newest !== undefined',
      replace: `const committed = state.configurations.findLast(({ index }) => index <= state.commit);
  const newest = (HIT && committed) || state.configurations[0];
  invariant(newest !== undefined`,
      hint: tests('configuration'),
    },
    {
      name: 'unable-campaigns',
      standsFor: 'who cannot apply campaigns',
      rule: 8,
      find: 'if (!canLead) return false;',
      replace: 'HIT;',
    },
    {
      name: 'trusts-for-ever',
      standsFor: 'past bug 9: a leader once heard of is trusted for ever',
      find: 'state.leader !== null && state.now - state.leaderContact < state.settings.electionTimeoutMs',
      replace: 'HIT && state.leader !== null',
      hint: tests('suspicion', 'election'),
    },
    {
      name: 'removal-unnoticed',
      standsFor: 'a removed member does not notice',
      find: 'const isNamed = configurations.some(({ configuration }) => isMember(configuration, self));',
      replace: 'const isNamed = HIT;',
      hint: tests('membership'),
    },
  ]),

  ...inFile('src/raft/suspicion.ts', [
    {
      name: 'reply-to-earlier-life',
      standsFor: 'a reply to an earlier life answers a new read',
      rule: 10,
      find: 'if (message.toBoot !== state.boot) return;',
      replace: 'HIT;',
    },
    {
      name: 'reply-to-any-check',
      standsFor: 'a reply to an earlier question confirms the leader',
      rule: 10,
      find: 'if (!check || message.id !== check.id || check.leader !== message.from) return;',
      replace: 'if (!HIT || !check || check.leader !== message.from) return;',
    },
    {
      name: 'learner-keeps-suspicion',
      standsFor: 'who cannot campaign keeps its suspicion to itself',
      rule: 12,
      find: "for (const id of new Set([...voters, ...outgoing])) send(state, id, { type: 'suspicion' });",
      replace: 'HIT;',
    },
    {
      name: 'removed-of-late-reply',
      standsFor: 'a late answer removes a member that was named again',
      find: 'if (message.removed && !isNamedAfter(state, message)) state.removed = true;',
      replace: 'if (message.removed && HIT) state.removed = true;',
    },
    {
      name: 'refuser-not-asked',
      standsFor: 'a member that was removed for long never finds the leader that refuses it',
      find: '  suspicion.hintsFollowed += 1;\n  startCheck(state, refuser, false);',
      replace: '  if (HIT) return false;',
      hint: tests('stuck'),
    },
    {
      name: 'no-stagger',
      standsFor: 'all suspects campaign at once',
      find: 'const delay = mayCampaign(state) ? rankOf(state, state.self) * state.settings.staggerMs : 0;',
      replace: 'const delay = HIT ? 0 : 1;',
      hint: tests('timeouts', 'suspicion'),
    },
    {
      name: 'suspects-for-ever',
      standsFor: 'a suspicion that nobody renews is never given up',
      find: 'if (state.now >= suspicion.until) {',
      replace: 'if (state.now >= suspicion.until && !HIT) {',
      hint: tests('suspicion'),
    },
  ]),
];
