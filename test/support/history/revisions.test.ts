/** The revision checker against trying every explanation, and what it costs for long histories. */
import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { get, History, put } from './history.ts';
import { assertRevisions, checkRevisions } from './revisions.ts';
import { type GenerateOptions, generate } from './testing/generate.ts';
import { mutate } from './testing/mutate.ts';
import { isConsistent } from './testing/naive.ts';

function smallOptions(random: Random): GenerateOptions {
  return {
    operations: random.integer(2, 12),
    clients: random.integer(1, 4),
    keys: random.integer(1, 3),
    unknownRate: random.pick([0, 0.15, 0.3]),
    failedRate: 0.1,
    ...(random.next() < 0.3 ? { values: 2 } : {}),
  };
}

describe('the revision checker', () => {
  it('accepts whatever a sequential store answered to clients that overlap', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const options = { operations: 300, clients: 8, keys: 6, unknownRate: 0.1, failedRate: 0.05 };
      assertRevisions(generate(new Random(seed), options));
    }
  });

  it('accepts what is consistent also when writes of unknown outcome look alike', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const options = { operations: 200, clients: 8, keys: 4, unknownRate: 0.3, failedRate: 0.05 };
      assertRevisions(generate(new Random(seed), { ...options, values: 3 }));
    }
  });

  it('decides as trying everything does, but where an unseen write is an excuse', () => {
    const counts = { consistent: 0, inconsistent: 0, excused: 0 };
    for (let seed = 1; seed <= 8_000; seed += 1) {
      const random = new Random(seed);
      const { operations } = generate(random, smallOptions(random));
      const mutated = random.next() < 0.8 ? mutate(random, operations) : operations;
      const expected = isConsistent(mutated);
      const { violations, open } = checkRevisions({ operations: mutated });
      const passes = violations.length === 0;
      counts[expected ? 'consistent' : 'inconsistent'] += 1;
      if (passes && !expected && open > 0) counts.excused += 1;
      else expect({ seed, passes, violations }).toEqual({ seed, passes: expected, violations });
    }
    expect(counts.consistent).toBeGreaterThan(2_000);
    expect(counts.inconsistent).toBeGreaterThan(2_000);
    expect(counts.excused).toBeLessThan(counts.inconsistent / 50);
  });

  it('begins with the state that it is given', () => {
    const version = { key: 'a', value: 'before', modRevision: 7 };
    const initial = { revision: 9, versions: [version] };
    const history = new History(() => 0);
    history.begin(1, get('a')).found(9, [version]);
    history.begin(1, put('a', 'after')).acknowledge(10);
    assertRevisions(history, initial);
    history.begin(1, get('a')).found(10, [version]);
    expect(() => assertRevisions(history, initial)).toThrow('a is after@10');
  });

  it('checks 100,000 operations', { timeout: 120_000 }, () => {
    const options = {
      operations: 100_000,
      clients: 32,
      keys: 20,
      unknownRate: 0.02,
      failedRate: 0.02,
    };
    const history = generate(new Random(1), options);
    const { acknowledged, explained } = assertRevisions(history);
    expect(acknowledged).toBeGreaterThan(30_000);
    expect(explained).toBeGreaterThan(100);
  });
});
