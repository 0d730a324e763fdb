/** The search against trying every order, and what its verdicts say. */
import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { get, History, type Operation, put } from './history.ts';
import { assertLinearizable, checkLinearizability } from './linearizability.ts';
import { generate } from './testing/generate.ts';
import { mutate } from './testing/mutate.ts';
import { isLinearizable } from './testing/naive.ts';

const small = { keys: 1, isSimple: true, failedRate: 0.1 };

describe('the search for a linear order', () => {
  it('accepts whatever a sequential store answered to clients that overlap', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const options = { operations: 120, clients: 6, keys: 4, unknownRate: 0.1, failedRate: 0.05 };
      assertLinearizable(generate(new Random(seed), options));
    }
  });

  it('is decided also where half of the writes have an unknown outcome', () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const options = { operations: 600, clients: 30, keys: 1, unknownRate: 0.5, failedRate: 0.05 };
      assertLinearizable(generate(new Random(seed), options));
    }
  });

  it('decides as trying every order does, on small histories with and without a fault', () => {
    const verdicts = { true: 0, false: 0 };
    for (let seed = 1; seed <= 6_000; seed += 1) {
      const random = new Random(seed);
      const shape = {
        operations: random.integer(2, 7),
        clients: random.integer(2, 4),
        unknownRate: 0.25,
      };
      const values = random.next() < 0.3 ? { values: 2 } : {};
      const { operations } = generate(random, { ...small, ...shape, ...values });
      let mutated: readonly Operation[] = operations;
      for (let faults = random.integer(0, 4); faults > 0 && mutated.length > 1; faults -= 1)
        mutated = mutate(random, mutated);
      const expected = isLinearizable(mutated);
      const { verdict } = checkLinearizability({ operations: mutated });
      expect({ seed, isLinearizable: verdict === 'linearizable' }).toEqual({
        seed,
        isLinearizable: expected,
      });
      verdicts[`${expected}`] += 1;
    }
    expect(Math.min(verdicts.true, verdicts.false)).toBeGreaterThan(1_200);
  });
});

describe('a verdict', () => {
  function stale(): History {
    const history = new History(() => 0);
    history.begin(1, put('a', '1')).acknowledge(2);
    history.begin(1, put('a', '2')).acknowledge(3);
    history.begin(2, get('a')).found(3, [{ key: 'a', value: '1', modRevision: 2 }]);
    return history;
  }

  it('names the longest order and the operation that has no place in it', () => {
    const verdict = checkLinearizability(stale());
    expect(verdict).toMatchObject({
      verdict: 'not linearizable',
      key: 'a',
      placed: [{ id: 0 }, { id: 1 }],
      register: { value: '2', modRevision: 3 },
      blocked: { id: 2 },
    });
    expect(() => assertLinearizable(stale())).toThrow(/a=1@2 at revision 3/);
  });

  it('that is not reached within the bound on steps is a failure, and says where it stands', () => {
    const history = new History(() => 0);
    history.begin(1, put('a', '1')).acknowledge(2);
    history.begin(1, put('a', '2')).acknowledge(3);
    const verdict = checkLinearizability(history, { stepsMax: 1 });
    expect(verdict).toMatchObject({
      verdict: 'undecided',
      placed: [{ id: 0 }],
      blocked: { id: 1 },
    });
    const message = /key a is undecided: raise stepsMax above 1[\s\S]*cannot be placed:\n {2}#1/;
    expect(() => assertLinearizable(history, { stepsMax: 1 })).toThrow(message);
    assertLinearizable(history, { stepsMax: 2 });
  });
});
