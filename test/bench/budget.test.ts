/** How long `npm run bench` measures. */
import { expect, it } from 'vitest';
import { measurementSeconds } from '../../bench/throughput.ts';

it('a measurement is as long as asked for while a first round of them ends within the budget', () => {
  expect(measurementSeconds(2, 40, 88_000)).toBe(2);
  expect(measurementSeconds(2, 40, 1_000_000)).toBe(2);
});

it('a measurement is shorter where a first round would take more, and never under a second', () => {
  expect(measurementSeconds(2, 40, 87_000)).toBe(1);
  expect(measurementSeconds(5, 10, 32_000)).toBe(3);
  expect(measurementSeconds(2, 40, -1)).toBe(1);
});
