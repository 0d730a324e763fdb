/** When a queue leaves while batches are under way: by how far the quorum is. */
import { expect, it } from 'vitest';
import { Pacing } from '../../src/node-do/pacing.ts';

function after(...tookMs: number[]): Pacing {
  const pacing = new Pacing();
  for (const ms of tookMs) pacing.ended(ms);
  return pacing;
}

it('a lone request leaves at once', () => {
  expect(after(90).leavesAt(1, 1_000, 0, 1_000)).toBe(1_000);
});

it('a far quorum gets a batch each eighth of its round trip, eight under way at most', () => {
  const pacing = after(120, 88, 300);
  expect(pacing.leavesAt(1, 1_000, 1, 1_000)).toBe(1_011);
  expect(pacing.leavesAt(1, 1_000, 7, 1_000)).toBe(1_011);
  expect(pacing.leavesAt(1, 1_000, 8, 1_000)).toBeNull();
});

it('no queue leaves more often than each 5 ms', () => {
  expect(after(20).leavesAt(1, 1_000, 1, 1_000)).toBe(1_005);
});

it('a near quorum gets few large batches, however slow work makes them', () => {
  const pacing = after(4, 150, 200);
  expect(pacing.leavesAt(9, 1_000, 1, 1_000)).toBe(1_025);
  expect(pacing.leavesAt(9, 1_000, 4, 1_000)).toBeNull();
});

it('a quorum counts as near until a batch has ended', () => {
  expect(after().leavesAt(1, 1_000, 1, 1_000)).toBe(1_025);
});
