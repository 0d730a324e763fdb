/**
 * A leader that was evicted leads its term again (design.md section 6).
 */
import { describe, expect, it } from 'vitest';
import { groupLedBy } from './support/group.ts';

describe('resuming a term', () => {
  it('a resumed leader with an uncommitted tail sends at once, not when its time is over', () => {
    const group = groupLedBy('A');
    group.propose('A');
    group.withhold();
    group.restart('A');
    group.pass(1_000);
    expect(group.core('A').role).toBe('leader');
    expect(group.core('A').term).toBe(1);
    expect(group.core('B').commitIndex).toBe(2);
  });
});
