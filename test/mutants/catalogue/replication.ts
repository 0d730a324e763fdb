/**
 * Bugs of the core on the way of entries: the log, appends, progress, losses, snapshots.
 */
import { inFile, type Mutant } from '../mutant.ts';

const tests = (...names: string[]) => names.map((name) => `test/raft/${name}.test.ts`);

export const replicationMutants: readonly Mutant[] = [
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
    if (HIT && ![...voters, ...outgoing, ...learners].includes(state.self))
      state.removal = { index, indexTerm: 0 };`,
    },
    {
      name: 'older-leader-life',
      standsFor: 'a lower boot of the leader than one seen before is heard',
      rule: 13,
      find: 'if (state.termLeader === from && boot < state.termLeaderBoot) {',
      replace: 'if (!HIT) {',
    },
    {
      name: 'older-life-unanswered',
      standsFor:
        'a leader that went back leads on, and is ignored for ever by who has heard of a later life',
      rule: 13,
      find: "if (message.type === 'append' || message.type === 'snapshot') refuse(state, message, true);",
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

  ...inFile('src/raft/replication.ts', [
    {
      name: 'append-with-gap',
      standsFor: 'past bug 32: the entry before an append and its first do not fit',
      find: "{ type: 'append', prevIndex, prevTerm,",
      replace: "{ type: 'append', prevIndex: HIT ? Math.max(0, prevIndex - 1) : 0, prevTerm,",
      hint: tests('replication'),
    },
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
      find: 'if (message.toBoot !== state.boot) return;\n  // Whatever',
      replace: 'if (!HIT) return;\n  // Whatever',
      hint: tests('commit', 'reads'),
    },
    {
      name: 'lost-leader-deposed',
      standsFor:
        'a leader that went back goes on as a follower if it is deposed before it hears of it',
      rule: 13,
      find: '  if (message.leaderLostEntries) {',
      replace: "  if (message.leaderLostEntries && HIT && role.type === 'leader') {",
    },
    {
      name: 'lost-entries-unseen',
      standsFor: 'a leader that sees a peer hold more of its term goes on',
      rule: 13,
      find: 'if (message.lastTerm === state.term && message.lastIndex > log.lastIndex) {',
      replace: 'if (!HIT) {',
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
      find: 'abandonReception(state: State): void {',
      replace: 'abandonReception(state: State): void {\n  if (HIT) return;',
      hint: tests('snapshot'),
    },
    {
      name: 'reception-beside-another',
      standsFor: 'a snapshot is sent anew, and the one before it is received on',
      find: "if (cursor === '' && state.receiving && state.receiving.id !== id) abandonReception(state);",
      replace: 'HIT;',
      hint: tests('snapshot'),
    },
    {
      name: 'reception-abandoned-at-its-end',
      standsFor: 'a snapshot whose last chunk came just now is given up before that is stored',
      find: 'if (installed < 0) state.abandonsReception = true;',
      replace: 'if (installed < 0 || HIT) state.abandonsReception = true;',
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
];
