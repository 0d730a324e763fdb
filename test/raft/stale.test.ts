/**
 * Messages that come too late (thesis 3.3): of an older term, of nobody else.
 */
import { describe, expect, it } from 'vitest';
import type { MemberId, Message } from '../../src/raft/types.ts';
import { stateOf } from './support/checks.ts';
import { Group, groupLedBy, members } from './support/group.ts';
import { append, entries, preVote, readRequest, vote, voteReply } from './support/messages.ts';

const terms = [1, 1, 2];

/** A member of term 3 or 4 in each role, with a log that ends in its term or before it. */
function member(role: string): Group {
  const start = { A: { terms, term: 3 }, B: { terms, term: 3 }, C: { terms, term: 3 } };
  if (role === 'leader') return groupLedBy('A', { start });
  const group = new Group({ start });
  if (role !== 'follower') group.suspect('A');
  if (role === 'candidate')
    group.settle(({ type }) => type === 'preVote' || type === 'preVoteReply');
  group.withhold();
  expect(group.core('A').role).toBe(role);
  return group;
}

/** Everything of a member that a message may change; not its place in time. */
function everythingOf(group: Group): unknown {
  const { log, random: _, settings: __, boots: ___, now: ____, ...rest } = stateOf(group.core('A'));
  return structuredClone({ ...rest, last: [log.lastIndex, log.lastTerm], log: group.logOf('A') });
}

const toA = { from: 'B' as MemberId, to: 'A' as MemberId, term: 2, boot: 2 };
const appendReply: Message = {
  ...toA,
  type: 'appendReply',
  ok: true,
  index: 9,
  hintIndex: 0,
  hintTerm: 0,
  commit: 9,
  toBoot: 2,
  readPosition: 99,
  lastIndex: 9,
  lastTerm: 2,
  leaderLostEntries: false,
  canApply: true,
};
const readReply: Message = {
  ...toA,
  type: 'readReply',
  id: 1,
  toBoot: 2,
  index: 3,
  indexTerm: 2,
  refused: false,
  removed: false,
  leader: null,
};
const snapshot: Message = {
  ...toA,
  type: 'snapshot',
  snapshot: {
    id: 's1',
    index: 9,
    term: 2,
    configuration: { voters: members('AB'), outgoing: [], learners: [] },
  },
  cursor: '',
  chunk: { data: new Uint8Array(), next: null },
  readPosition: 0,
  barrier: 0,
  knownBoot: 0,
  knownMatch: 0,
};
const stale: readonly Message[] = [
  append(toA, { entries: entries(1, 2, 2, 2, 2), commit: 4 }),
  append(toA, { prevIndex: 3, prevTerm: 2, commit: 3 }),
  appendReply,
  vote(toA, { lastIndex: 9, lastTerm: 2 }),
  voteReply(toA, { toBoot: 2 }),
  voteReply(toA, { toBoot: 2, type: 'preVoteReply' }),
  readReply,
  snapshot,
  { ...toA, type: 'snapshotReply', id: 's1', cursor: '1', toBoot: 2, readPosition: 99 },
  { ...toA, type: 'timeoutNow' },
];

describe('a message of an older term', () => {
  it.each(['follower', 'preCandidate', 'candidate', 'leader'])(
    'changes nothing at a %s',
    (role) => {
      for (const message of stale) {
        const group = member(role);
        const before = everythingOf(group);
        group.step(message);
        expect(everythingOf(group), message.type).toEqual(before);
      }
    },
  );

  it('is answered with the newer one where its sender waits for an answer, else not', () => {
    for (const message of stale) {
      const group = member('follower');
      group.step(message);
      const answers = group.sent.filter(({ from }) => from === 'A');
      const isRequest = ['append', 'snapshot', 'vote'].includes(message.type);
      expect(answers.length, message.type).toBe(isRequest ? 1 : 0);
      for (const answer of answers) expect(answer.term).toBe(3);
    }
  });

  it('of a deposed leader does not get into the log of those who have a newer one', () => {
    const group = groupLedBy('A');
    group.propose('A', 'late');
    const late = group.withhold();
    group.isolate('A');
    group.suspect('B');
    group.pass(5_000, () => group.core('B').role === 'leader');
    group.settle();
    for (const message of late) group.step(message);
    group.heal();
    group.propose('B', 'new');
    group.pass(5_000);
    for (const name of group.ids) expect(group.logOf(name)).toBe('1: 2: 2:new');
  });
});

describe('a message of the member itself', () => {
  it('counts for nothing: its own vote was counted in the turn that made it durable', () => {
    for (const role of ['follower', 'preCandidate', 'candidate']) {
      const group = member(role);
      const before = everythingOf(group);
      const { term } = group.core('A');
      const toItself = { from: 'A', to: 'A', term, boot: 2 };
      group.step(voteReply(toItself, { toBoot: 2 }));
      group.step(voteReply(toItself, { toBoot: 2, granted: false }));
      group.step(voteReply(toItself, { toBoot: 2, type: 'preVoteReply' }));
      group.step(preVote(toItself, { lastIndex: 9, lastTerm: 9 }));
      group.step(readRequest(toItself));
      expect(everythingOf(group)).toEqual(before);
    }
  });
});
