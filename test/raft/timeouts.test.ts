/**
 * Timeouts: drawn at random, from [T, 2T), and nothing happens before they are over.
 */
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../src/raft/state.ts';
import { Random } from '../support/random.ts';
import { stateOf } from './support/checks.ts';
import { Group, groupLedBy } from './support/group.ts';

const { electionTimeoutMs, staggerMs } = defaultSettings;
const draws = 2_000;
/** Closer together than this, both ask before either has heard of the other. */
const travelMs = 10;

/** How long each of many followers waits before it has its uncommitted tail resolved. */
function waitOfFollower(seed: number): number {
  const group = new Group({ seed, voters: 'ABC', start: { A: { terms: [1] } } });
  return (group.core('A').nextDeadline() ?? 0) - group.now;
}

/** How long a candidate of either kind waits for the result of its round. */
function waitOfCandidate(seed: number): number {
  const group = new Group({ seed });
  group.suspect('A');
  const { role } = stateOf(group.core('A'));
  return role.type === 'preCandidate' ? role.deadline - group.now : 0;
}

/** How long a voter holds back after its vote, though it has a reason to campaign. */
function waitOfVoter(seed: number): number {
  const group = new Group({ seed });
  group.suspect('B');
  group.suspect('A');
  group.settle(({ type }) => type !== 'voteReply');
  return (stateOf(group.core('B')).suspicion?.campaignAt ?? 0) - group.now;
}

describe('an election timeout', () => {
  it.each([
    ['follower with an uncommitted tail', waitOfFollower],
    ['candidate', waitOfCandidate],
    ['voter that suspects the leader too', waitOfVoter],
  ])('of a %s is uniform over [T, 2T)', (_, wait) => {
    const buckets = new Array<number>(10).fill(0);
    for (let seed = 1; seed <= draws; seed += 1) {
      const waitMs = wait(seed);
      expect(waitMs).toBeGreaterThanOrEqual(electionTimeoutMs);
      expect(waitMs).toBeLessThan(2 * electionTimeoutMs);
      const bucket = Math.floor((10 * (waitMs - electionTimeoutMs)) / electionTimeoutMs);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    for (const count of buckets) {
      expect(count).toBeGreaterThan((draws / 10) * 0.7);
      expect(count).toBeLessThan((draws / 10) * 1.3);
    }
  });

  it('rarely ends for two of five members at once', () => {
    const random = new Random(1);
    let conflicts = 0;
    const rounds = 300;
    for (let round = 0; round < rounds; round += 1) {
      const start = { terms: [1] };
      const seed = random.integer(1, 1_000_000);
      const group = new Group({
        seed,
        voters: 'ABCDE',
        start: { A: start, B: start, C: start, D: start, E: start },
      });
      const waits = group.ids.map((id) => group.core(id).nextDeadline() ?? 0).sort((a, b) => a - b);
      if ((waits[1] ?? 0) - (waits[0] ?? 0) < travelMs) conflicts += 1;
    }
    expect(conflicts / rounds).toBeLessThanOrEqual(0.3);
  });

  it('is preceded by ranks: five members that suspect together campaign one after the other', () => {
    const group = new Group({ voters: 'ABCDE' });
    for (const id of group.ids.slice(1)) group.suspect(id);
    const waits = group.ids.slice(1).map((id) => (group.core(id).nextDeadline() ?? 0) - group.now);
    expect(waits).toEqual([1, 2, 3, 4].map((rank) => rank * staggerMs));
  });
});

describe('a tick', () => {
  it.each<[string, () => Group]>([
    ['follower', () => new Group({ start: { A: { terms: [1] } } })],
    ['preCandidate', () => campaigning('preCandidate')],
    ['candidate', () => campaigning('candidate')],
    ['leader', () => working()],
  ])('before its deadline does nothing at a %s', (role, make) => {
    const group = make();
    expect(group.core('A').role).toBe(role);
    const at = group.core('A').nextDeadline();
    if (at === null) throw new Error('it waits for something');
    const { term } = group.core('A');
    group.sent = [];
    group.now = at - 1;
    group.tick('A');
    expect(group.sent).toEqual([]);
    expect(group.core('A')).toMatchObject({ role, term });
    expect(group.core('A').nextDeadline()).toBe(at);
    // And at the deadline it does.
    group.now = at;
    group.tick('A');
    expect(group.core('A').nextDeadline()).not.toBe(at);
  });

  it('with a clock that steps back waits from where the clock stood', () => {
    const group = working();
    group.tick('B');
    const stood = group.now;
    const at = group.core('A').nextDeadline();
    group.sent = [];
    group.now -= 60_000;
    group.tick('A');
    expect(group.sent).toEqual([]);
    expect(group.core('A').nextDeadline()).toBe(at);
    group.suspect('B');
    expect(group.core('B').nextDeadline()).toBeGreaterThan(stood);
  });
});

function campaigning(role: 'preCandidate' | 'candidate'): Group {
  const group = new Group();
  group.suspect('A');
  if (role === 'candidate')
    group.settle(({ type }) => type === 'preVote' || type === 'preVoteReply');
  group.withhold();
  return group;
}

/** A leader that waits for an acknowledgement. */
function working(): Group {
  const group = groupLedBy('A');
  group.propose('A');
  group.withhold();
  return group;
}
