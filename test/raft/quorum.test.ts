/**
 * Quorums, simple and joint, against a count that is too simple to be wrong.
 */
import { describe, expect, it } from 'vitest';
import {
  type Configuration,
  hasQuorum,
  quorumValue,
  voteOutcome,
} from '../../src/raft/configuration.ts';
import type { MemberId } from '../../src/raft/types.ts';
import { Random } from '../support/random.ts';
import { members } from './support/group.ts';

function configuration(voters: string, outgoing = '', learners = ''): Configuration {
  return {
    voters: members(voters),
    outgoing: members(outgoing),
    learners: members(learners),
  };
}

/** Tries every value, from the top: the first one that a majority of each half has reached. */
function naiveValue({ voters, outgoing }: Configuration, values: Map<MemberId, number>): number {
  for (let value = 20; value > 0; value -= 1) {
    const reached = (half: readonly MemberId[]) =>
      half.length === 0 ||
      half.filter((id) => (values.get(id) ?? 0) >= value).length > half.length / 2;
    if (voters.length > 0 && reached(voters) && reached(outgoing)) return value;
  }
  return 0;
}

describe('the value of a quorum', () => {
  it.each([
    ['A', '', 'A5', 5],
    ['AB', '', 'A5 B3', 3],
    ['ABC', '', 'A5', 0],
    ['ABC', '', 'A5 B3', 3],
    ['ABC', '', 'A5 B3 C9', 5],
    ['ABCD', '', 'A5 B3 C9', 3],
    ['ABCDE', '', 'A1 B2 C3 D4 E5', 3],
    ['ABC', 'DEF', 'A5 B5 C5', 0],
    ['ABC', 'DEF', 'A5 B5 D3 E4', 3],
    ['ABC', 'ABD', 'A5 B5', 5],
    ['A', 'BCD', 'A5 B2 C3 D4', 3],
  ])('of {%s}+{%s} with %s is %i', (voters, outgoing, text, expected) => {
    const values = new Map(
      text.split(' ').map((one) => [one[0] as MemberId, Number(one.slice(1))]),
    );
    const valueFor = (id: MemberId) => values.get(id) ?? 0;
    expect(quorumValue(configuration(voters, outgoing), valueFor)).toBe(expected);
    expect(quorumValue(configuration(outgoing || voters, voters), valueFor)).toBe(expected);
  });

  it('of an empty configuration is 0: nobody decides nothing', () => {
    expect(quorumValue(configuration(''), () => 9)).toBe(0);
    expect(hasQuorum(configuration(''), () => true)).toBe(false);
  });

  it('ignores learners', () => {
    expect(quorumValue(configuration('ABC', '', 'DE'), (id) => ('DE'.includes(id) ? 9 : 1))).toBe(
      1,
    );
  });

  it('is what a naive count finds, also with a half that is empty, equal or swapped', () => {
    const random = new Random(1);
    const half = () => members('ABCDEFG').filter(() => random.next() < 0.5);
    for (let time = 0; time < 5_000; time += 1) {
      const joint = { voters: half(), outgoing: half(), learners: [] };
      if (joint.voters.length === 0) continue;
      const values = new Map(members('ABCDEFG').map((id) => [id, random.integer(0, 9)]));
      const valueFor = (id: MemberId) => values.get(id) ?? 0;
      const expected = naiveValue(joint, values);
      expect(quorumValue(joint, valueFor)).toBe(expected);
      const { voters, outgoing } = joint;
      if (outgoing.length > 0)
        expect(quorumValue({ ...joint, voters: outgoing, outgoing: voters }, valueFor)).toBe(
          expected,
        );
      const simple = naiveValue({ ...joint, outgoing: [] }, values);
      expect(quorumValue({ ...joint, outgoing: voters }, valueFor)).toBe(simple);
      // Acknowledgements that are behind the result may be lower still.
      const lowered = (id: MemberId) => (valueFor(id) < expected ? 0 : valueFor(id));
      expect(quorumValue(joint, lowered)).toBe(expected);
    }
  });
});

describe('the outcome of a vote', () => {
  it.each([
    ['A', '', '', 'pending'],
    ['A', '', '+A', 'won'],
    ['ABC', '', '+A', 'pending'],
    ['ABC', '', '+A +B', 'won'],
    ['ABC', '', '+A -B', 'pending'],
    ['ABC', '', '+A -B -C', 'lost'],
    ['ABCD', '', '+A +B', 'pending'],
    ['ABCD', '', '+A +B -C -D', 'lost'],
    ['ABC', 'CDE', '+A +B +C', 'pending'],
    ['ABC', 'CDE', '+A +C +D', 'won'],
    ['ABC', 'CDE', '+A +B +C -D -E', 'lost'],
  ])('of {%s}+{%s} with [%s] is %s', (voters, outgoing, text, expected) => {
    const votes = new Map<MemberId, boolean>();
    for (const one of text.split(' ').filter(Boolean))
      votes.set(one[1] as MemberId, one[0] === '+');
    expect(voteOutcome(configuration(voters, outgoing), votes)).toBe(expected);
  });
});
