/**
 * Suspicion: the request is the failure detector (design.md section 6, consensus-rules.md 12).
 */
import { describe, expect, it } from 'vitest';
import { groupLedBy } from './support/group.ts';

describe('liveness', () => {
  it('a leader at rest gives way to a member of a newer term that cannot win without it', () => {
    const group = groupLedBy('A');
    // C does not reach A, wins a pre-vote, and its votes are lost: it is in term 2, alone.
    group.cutLink('C', 'A');
    group.suspect('C');
    group.pass(10_000, () => group.core('C').role === 'candidate');
    group.isolate('C');
    group.pass(60_000);
    group.heal();
    group.isolate('B');
    expect(group.core('A').role).toBe('leader');
    expect(group.core('C').term).toBe(2);
    group.suspect('C');
    group.pass(5_000);
    const leader = group.core('C').leader;
    expect(leader).not.toBe(null);
    expect(group.core(leader ?? '').role).toBe('leader');
  });
});
