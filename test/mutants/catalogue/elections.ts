/**
 * Bugs of the core around terms, votes, suspicions and the leader's office.
 */
import { inFile, type Mutant } from '../mutant.ts';

const tests = (...names: string[]) => names.map((name) => `test/raft/${name}.test.ts`);

export const electionMutants: readonly Mutant[] = [
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
      simulatedSeeds: 20,
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
      find: 'if (!suspicion || !check || message.id !== check.id || check.leader !== message.from) return;',
      replace: 'if (!HIT || !suspicion || !check || check.leader !== message.from) return;',
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
      find: 'if (message.removed) noteRemoval(state, { index, indexTerm });',
      replace:
        'if (message.removed && HIT) noteRemoval(state, { index: Number.POSITIVE_INFINITY, indexTerm });',
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

  ...inFile('src/raft/leader.ts', [
    {
      name: 'reception-of-a-leader',
      standsFor: 'the survivor of a lost quorum keeps half of a snapshot for ever',
      find: 'if (state.receiving) abandonReception(state);',
      replace: 'if (state.receiving && !HIT) abandonReception(state);',
      hint: ['test/sim/membership.test.ts'],
    },
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
      find: 'const role = newLeader(log.lastIndex, hasWork, []);',
      replace: 'const role = newLeader(HIT ? state.commit : 0, hasWork, []);',
      hint: tests('resume'),
    },
    {
      name: 'resumed-writes-at-once',
      standsFor: 'a resumed leader adds to its log before a quorum has answered this life',
      rule: 13,
      find: 'if (withheld) withheld.push(entry);',
      replace: 'if (withheld && !HIT) withheld.push(entry);',
    },
    {
      name: 'resumed-asks-one',
      standsFor: 'any one answer lets a resumed leader add to its log',
      rule: 13,
      find: `return hasQuorum(
    configurationOf(state),
    (id) => id === state.self || (progress.get(id)?.hasReplied ?? false),
  );`,
      replace: 'return HIT && [...progress.values()].some(({ hasReplied }) => hasReplied);',
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

  ...inFile('src/raft/check-quorum.ts', [
    {
      name: 'quick-one-unheard',
      standsFor: 'a follower that has answered all counts as absent while a slow one catches up',
      find: 'if (!isAnswered || !needsQuorum(state, role)) return null;',
      replace: 'if (HIT || !isAnswered || !needsQuorum(state, role)) return null;',
      hint: tests('stuck'),
    },
    {
      name: 'leads-without-quorum',
      standsFor: 'past bug 12: no CheckQuorum',
      find: 'return Math.max(role.quorumSince, contact) + state.settings.electionTimeoutMs;',
      replace: 'return HIT ? null : contact;',
      hint: tests('replication', 'leaders'),
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
      name: 'work-left-to-nobody',
      standsFor: 'a leader that is deposed at work forgets who lags, and nobody else knows',
      find: 'return log.lastIndex > commit || leftWork;',
      replace: 'return log.lastIndex > commit || (leftWork && !HIT);',
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
      find: 'deadline = earliest(deadline, progress.retransmitAt ?? contactAt(state, role, progress));',
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
];
