/** Puts of one entry are applied together; nobody may see a difference. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyPut } from './generate.ts';
import { bytes, del, Machine, put, set, text } from './support.ts';

/** Mostly plain puts, so that there are long runs of them, over few keys. */
const plain = fc
  .record({ key: fc.constantFrom('a', 'b', 'c', 'd', 'e\0', 'e'), value: fc.string() })
  .map(({ key, value }) => set(key, value));
const command = fc.oneof(
  { weight: 12, arbitrary: plain },
  { weight: 2, arbitrary: anyPut.map((request) => put(request)) },
  { weight: 1, arbitrary: fc.constant(put({ key: bytes(''), value: bytes('x') })) },
  { weight: 1, arbitrary: fc.constantFrom('a', 'b').map((key) => del({ key: bytes(key) })) },
  { weight: 1, arbitrary: fc.constant(new Uint8Array([255, 255])) },
);

/** Everything but the number of entries, which is what differs here. */
const rowsOf = (machine: Machine) => machine.dump().filter((row) => !row.startsWith('kv_meta'));

describe('a run of puts in one entry', () => {
  it('leaves the same rows and gives the same answers as one entry for each', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const together = new Machine();
        const apart = new Machine();
        const results = together.apply(...commands);
        expect(results).toEqual(commands.flatMap((one) => apart.apply(one)));
        expect(rowsOf(together)).toEqual(rowsOf(apart));
        expect(together.machine.revision).toBe(apart.machine.revision);
      }),
      { numRuns: 200 },
    );
  });

  it.each([2, 15, 16, 17, 31, 33, 100])('keeps the order of %i puts', (count) => {
    const machine = new Machine();
    machine.apply(...Array.from({ length: count }, (_, n) => set(`k${n % 7}`, String(n))));
    expect(machine.machine.revision).toBe(1 + count);
    for (let n = Math.max(0, count - 7); n < count; n += 1) {
      const [kv] = machine.range({ key: bytes(`k${n % 7}`) }).kvs;
      expect(text(kv?.value ?? bytes('?'))).toBe(String(n));
      expect(Number(kv?.version)).toBe(Math.floor(n / 7) + 1);
    }
  });

  it('is refused, to be asked for again, from where the entry would change too many keys', () => {
    const machine = new Machine({ changes: 3 });
    const results = machine.apply(...['a', 'b', 'c', 'd', 'e'].map((key) => set(key)));
    const errors = results.map((result) => (result.ok ? 'ok' : result.error));
    expect(errors).toEqual(['ok', 'ok', 'ok', 'TooManyRequests', 'TooManyRequests']);
    expect(machine.contents()).toEqual(['a=', 'b=', 'c=']);
  });
});
