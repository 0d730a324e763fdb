/**
 * Bugs of the core around reads, members, and what joins its parts.
 */
import { inFile, type Mutant } from '../mutant.ts';

const tests = (...names: string[]) => names.map((name) => `test/raft/${name}.test.ts`);

export const coreMutants: readonly Mutant[] = [
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
      find: 'if (message.term === state.term || message.leaderLostEntries) onAppendReply(state, message);',
      replace: 'if (HIT) onAppendReply(state, message);',
      hint: tests('stale', 'commit'),
    },
    {
      name: 'lost-leader-told-in-vain',
      standsFor: 'a leader that went back hears of it only from members that know its term',
      rule: 13,
      find: 'message.term === state.term || message.leaderLostEntries)',
      replace: '(message.term === state.term && HIT))',
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
      find: 'noteRemoval(state, { index: next.index, indexTerm: 0 });',
      replace: 'HIT;',
      hint: tests('membership'),
    },
    {
      name: 'removed-though-named-again',
      standsFor: 'a member acknowledges what names it again, and leaves in the same turn',
      find: 'noteRemoval(state, { index: next.index, indexTerm: 0 });',
      replace:
        'noteRemoval(state, { index: next.index, indexTerm: HIT ? Number.POSITIVE_INFINITY : 0 });',
      hint: tests('membership'),
    },
    {
      name: 'removed-though-compacted',
      standsFor: 'a late answer removes a member whose addition is compacted away',
      find: '(log.term(one.index) ?? Number.POSITIVE_INFINITY) >= removal.indexTerm &&',
      replace: '(log.term(one.index) ?? (HIT ? 0 : 1)) >= removal.indexTerm &&',
      hint: tests('stuck'),
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
      find: '(values[at - 1] as number) < value;',
      replace: '!HIT && (values[at - 1] as number) < value;',
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

  ...inFile('src/raft/membership.ts', [
    {
      name: 'change-before-commit',
      standsFor: 'past bug 6: a change before the first commit of the term',
      find: "if (!isReady(state, role)) return 'notReady';",
      replace: 'HIT;',
      hint: tests('membership'),
    },
    {
      name: 'change-asleep',
      standsFor: 'a resumed leader changes members before a quorum has answered this life',
      find: 'return state.commit >= role.barrier && role.withheld === null;',
      replace: 'return state.commit >= role.barrier && HIT;',
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
      find: 'if (newest.index > state.commit || !isReady(state, role)) return false;',
      replace: 'if (HIT && !isReady(state, role)) return false;',
      hint: tests('membership'),
    },
    {
      name: 'joint-left-by-event',
      standsFor: 'only the leader that began a change finishes it',
      rule: 11,
      find: 'if (newest.index > state.commit || !isReady(state, role)) return false;',
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
];
