/** The index of watched intervals (src/node-do/interval-index.ts) against a list. */
import { describe, expect, it } from 'vitest';
import { IntervalIndex } from '../../src/node-do/interval-index.ts';
import { Random } from '../support/random.ts';

const letters = 'abcdef';

describe('the index of intervals', () => {
  it.each([1, 2, 3, 4, 5])(
    'finds what a list finds, while it grows and shrinks (seed %i)',
    (seed) => {
      const random = new Random(seed);
      const index = new IntervalIndex<string>();
      const list = new Map<string, [string, string | null]>();
      const word = () =>
        Array.from({ length: random.integer(1, 3) }, () => random.pick([...letters])).join('');
      for (let step = 0; step < 1_000; step += 1) {
        const begin = word();
        const end = random.pick([`${begin}\0`, word(), null]);
        if (end !== null && end <= begin) continue;
        const name = `${begin} ${end}`;
        if (random.next() < (step < 500 ? 0.7 : 0.3)) {
          expect(index.at(begin, end, () => name)).toBe(name);
          list.set(name, [begin, end]);
        } else {
          index.remove(begin, end);
          list.delete(name);
        }
        const key = word();
        const found: string[] = [];
        index.visit(key, (value) => found.push(value));
        const right = [...list].filter(
          ([, [from, to]]) => from <= key && (to === null || key < to),
        );
        expect(found.sort()).toEqual(right.map(([value]) => value).sort());
      }
    },
  );
});
