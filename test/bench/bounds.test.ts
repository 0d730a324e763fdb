/** The lower bounds of `bench:wan`, by hand. */
import { describe, expect, it } from 'vitest';
import {
  commitsBoundMs,
  followerBoundMs,
  leaderBoundMs,
  ledBy,
  quorumRoundTripMs,
} from '../../bench/wan/bounds.ts';
import { placements } from '../../bench/wan/placements.ts';
import { regions, roundTripMs } from '../../bench/wan/round-trips.ts';

/** A-B 10, A-C 50, A-D 70, A-E 90, the client X-A 7. */
const times: Readonly<Record<string, number>> = { AB: 10, AC: 50, AD: 70, AE: 90, XA: 7 };
const between = (a: string, b: string) => times[a + b] ?? times[b + a] ?? Number.NaN;

describe('the lower bound', () => {
  it('of three members is the way to the leader and from it to the nearer of the others', () => {
    expect(leaderBoundMs('X', ['A', 'B', 'C'], between)).toBe(7 + 10);
    expect(leaderBoundMs('X', ['A', 'C', 'B'], between)).toBe(7 + 10);
  });

  it('of five members waits for the second nearest of the others', () => {
    expect(leaderBoundMs('X', ['A', 'E', 'C', 'D', 'B'], between)).toBe(7 + 50);
  });

  it('goes by who leads, when that is not the first any more', () => {
    expect(leaderBoundMs('X', ledBy(['B', 'C', 'A'], 3), between)).toBe(7 + 10);
  });

  it('of one member is the way to it', () => {
    expect(leaderBoundMs('X', ['A'], between)).toBe(7);
  });

  it('of three members with one lost is the round trip to the one that is left', () => {
    const withLost = (a: string, b: string) =>
      b === 'lost' ? Number.POSITIVE_INFINITY : between(a, b);
    expect(quorumRoundTripMs('A', ['C', 'lost'], withLost)).toBe(50);
  });

  it('with durable commits has the one of the leader and the one of the follower', () => {
    expect(commitsBoundMs(5)).toBe(10);
  });
});

describe('the published round trips', () => {
  it('are the same in both directions and positive', () => {
    for (const a of regions)
      for (const b of regions) {
        expect(roundTripMs(a, b)).toBe(roundTripMs(b, a));
        expect(roundTripMs(a, b)).toBeGreaterThan(0);
      }
  });

  it('differ by no more than a few milliseconds between the directions that were measured', () => {
    // From the page: West US to East US 74, back 71; Brazil South to Australia East 317, back 316.
    expect(roundTripMs('wnam', 'enam')).toBe(72.5);
    expect(roundTripMs('sam', 'oc')).toBe(316.5);
  });

  it('are used with groups of three and of five', () => {
    expect(new Set(placements.map(({ members }) => members.length))).toEqual(new Set([3, 5]));
  });
});

it('a read at a follower: to it, to the leader, and among five to one more', () => {
  const apart = (a: number, b: number) => Math.abs(a - b);
  expect(followerBoundMs(35, [0, 10, 30], 3, apart)).toBe(5 + 30);
  expect(followerBoundMs(35, [0, 10, 30, 20, 90], 3, apart)).toBe(5 + 30 + 10);
  expect(followerBoundMs(35, [0, 10, 30, 20, 90], 2, apart)).toBe(25 + 10 + 20);
});
