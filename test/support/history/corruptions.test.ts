/** Each kind of fault, put into correct histories, is found by the checkers that must find it. */
import { describe, expect, it } from 'vitest';
import { Random } from '../random.ts';
import { checkLinearizability } from './linearizability.ts';
import { checkRevisions } from './revisions.ts';
import { answerCorruptions } from './testing/corruptions/answers.ts';
import { effectCorruptions } from './testing/corruptions/effects.ts';
import { orderCorruptions } from './testing/corruptions/order.ts';
import { revisionCorruptions } from './testing/corruptions/revisions.ts';
import { generate } from './testing/generate.ts';

const corruptions = [
  ...orderCorruptions,
  ...effectCorruptions,
  ...revisionCorruptions,
  ...answerCorruptions,
];

/** A third of them without writes of unknown outcome, which would excuse some faults. */
const histories = Array.from({ length: 60 }, (_, seed) =>
  generate(new Random(seed), {
    operations: 120,
    clients: 5,
    keys: 3,
    unknownRate: seed % 3 === 0 ? 0 : 0.08,
    failedRate: 0.08,
  }),
);

/** Histories that must have a place for the fault. */
const appliedMin = 10;

it('the checkers find no fault where there is none', () => {
  for (const history of histories) {
    expect(checkRevisions(history).violations).toEqual([]);
    expect(checkLinearizability(history)).toEqual({ verdict: 'linearizable' });
  }
});

describe('the checkers find that', () => {
  it.each(corruptions)('$name', ({ rules, isLinearizability, apply }) => {
    let applied = 0;
    for (const [seed, history] of histories.entries()) {
      const operations = apply(new Random(seed), history.operations);
      if (operations === null) continue;
      applied += 1;
      const found = checkRevisions({ operations }).violations.map(({ rule }) => rule);
      const isFound = rules.some((rule) => found.includes(rule));
      expect({ seed, found, isFound }).toEqual({ seed, found, isFound: true });
      if (!isLinearizability) continue;
      const { verdict } = checkLinearizability({ operations });
      expect({ seed, verdict }).toEqual({ seed, verdict: 'not linearizable' });
    }
    expect(applied).toBeGreaterThanOrEqual(appliedMin);
  });
});
