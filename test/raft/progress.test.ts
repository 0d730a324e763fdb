/**
 * What a leader knows of a follower: the table of events and states.
 */
import { describe, expect, it } from 'vitest';
import {
  acknowledge,
  becomeProbe,
  newProgress,
  type Progress,
  refuse,
} from '../../src/raft/progress.ts';

function progress(fields: Partial<Progress>): Progress {
  return { ...newProgress(6, 150), ...fields };
}

describe('an acknowledgement', () => {
  it.each([
    ['of more', { match: 3, next: 6 }, 5, true, 5, 6],
    ['of all that was sent', { match: 3, next: 6 }, 5, true, 5, 6],
    ['beyond next', { match: 3, next: 5 }, 8, true, 8, 9],
    ['of what is known', { match: 3, next: 6 }, 3, false, 3, 6],
    ['of less than is known', { match: 3, next: 6 }, 1, false, 3, 6],
  ])('moves match and next forwards only: %s', (_, before, index, isNews, match, next) => {
    const one = progress({ state: 'replicate', ...before });
    expect(acknowledge(one, index, 0)).toBe(isNews);
    expect(one).toMatchObject({ match, next });
  });

  it('ends probing, right after what matches', () => {
    const one = progress({ probeSent: true, next: 9 });
    acknowledge(one, 4, 0);
    expect(one).toMatchObject({ state: 'replicate', match: 4, next: 5, probeSent: false });
  });

  it('frees all of the window up to it, and an old one frees nothing', () => {
    const inflight = [2, 4, 6].map((lastIndex) => ({ lastIndex, bytes: 10 }));
    const one = progress({ state: 'replicate', next: 7, inflight, inflightBytes: 30 });
    acknowledge(one, 5, 0);
    expect(one.inflight).toEqual([{ lastIndex: 6, bytes: 10 }]);
    acknowledge(one, 1, 0);
    expect([one.inflight.length, one.inflightBytes]).toEqual([1, 10]);
  });
});

describe('a refusal', () => {
  it.each([
    ['replicate, above match', 'replicate', 3, 8, 7, 2, true, 4],
    ['replicate, at match: stale', 'replicate', 3, 8, 3, 2, false, 8],
    ['replicate, below match: stale', 'replicate', 3, 8, 1, 0, false, 8],
    ['probe, of the probe: go where the logs may agree', 'probe', 0, 8, 7, 4, true, 5],
    ['probe, agreeing nowhere', 'probe', 0, 8, 7, 0, true, 1],
    ['probe, a hint beyond it: one step back', 'probe', 0, 8, 7, 9, true, 7],
    ['probe, never back to what matches', 'probe', 3, 8, 7, 1, true, 4],
    ['probe, of an older probe: stale', 'probe', 0, 8, 5, 2, false, 8],
  ] as const)('%s', (...[, state, match, next, rejected, agreeAt, isNews, expected]) => {
    const one = progress({ state, match, next, probeSent: state === 'probe' });
    expect(refuse(one, rejected, agreeAt)).toBe(isNews);
    expect(one.next).toBe(expected);
    expect(one.next).toBeGreaterThan(one.match);
    if (isNews) expect([one.state, one.probeSent]).toEqual(['probe', false]);
  });
});

describe('going back to probing', () => {
  it('forgets what is under way and begins after what matches', () => {
    const inflight = [{ lastIndex: 6, bytes: 10 }];
    const one = progress({ state: 'replicate', match: 3, next: 7, inflight, inflightBytes: 10 });
    becomeProbe(one);
    expect(one).toMatchObject({ state: 'probe', next: 4, inflight: [], inflightBytes: 0 });
  });
});
