/** The effects of two take() calls in one turn (src/node-do/group-member.ts) as one. */
import { describe, expect, it } from 'vitest';
import { joinEffects, noEffects } from '../../src/raft/effects.ts';
import type { Effects, MemberId } from '../../src/raft/types.ts';
import { entries } from './support/messages.ts';

const hardState = { term: 2, vote: 'B' as MemberId, termLeader: null, termLeaderBoot: 0 };

function effects(fields: Partial<Effects>): Effects {
  return { ...noEffects(), ...fields };
}

describe('the effects of two takes', () => {
  it('keep the vote, the truncation and the entries of the first', () => {
    const first = effects({ hardState, truncateFrom: 3, append: entries(3, 2), removed: true });
    const second = effects({ append: entries(4, 2), openSnapshot: true });
    expect(joinEffects(first, second)).toEqual(
      effects({
        ...{ hardState, truncateFrom: 3, append: entries(3, 2, 2) },
        ...{ removed: true, openSnapshot: true },
      }),
    );
  });

  it('have the newer hard state', () => {
    const newer = { ...hardState, termLeader: 'B' as MemberId };
    const joined = joinEffects(effects({ hardState }), effects({ hardState: newer }));
    expect(joined.hardState).toEqual(newer);
  });

  it('are nothing but the loss when one of them is', () => {
    const lost = effects({ lost: true });
    expect(joinEffects(effects({ hardState }), lost)).toEqual(lost);
    expect(joinEffects(lost, effects({ append: entries(1, 1) }))).toEqual(lost);
  });
});
