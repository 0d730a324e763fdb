/**
 * The state machine gives the answers of a naive model, whatever is asked in whatever order, at any
 * revision, with physical compaction anywhere between nothing and done.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Model } from './model.ts';
import { anyStep, expectEqualHistory, runStep } from './steps.ts';
import { Machine } from './support.ts';

test('every answer is the one that a naive model gives', () => {
  fc.assert(
    fc.property(
      fc.array(anyStep, { minLength: 1, maxLength: 40 }),
      fc.constantFrom(1, 2, 3, 1000),
      (steps, rowsMax) => {
        const machine = new Machine({ pages: { rowsMax, countRowsMax: rowsMax, bytesMax: 64 } });
        const model = new Model();
        for (const step of steps) {
          const [real, expected] = runStep(step, machine, model);
          expect(real).toBe(expected);
        }
        expectEqualHistory(machine, model);
        machine.compactAll(3);
        expectEqualHistory(machine, model);
      },
    ),
    { numRuns: Number(process.env.KV_MODEL_RUNS ?? 300) },
  );
});
