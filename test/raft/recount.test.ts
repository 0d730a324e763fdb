/**
 * The commit index, counted again by hand after every turn of every leader in random schedules.
 */
import { describe, expect, it } from 'vitest';
import { Chaos } from './support/chaos.ts';
import { stateOf } from './support/checks.ts';
import type { Group, Life } from './support/group.ts';

const seeds = 100;

/** The highest index of the leader's term that a majority of each half is known to hold. */
function recount({ core, id }: Life): number {
  const { role, log, commit, term } = stateOf(core);
  if (role.type !== 'leader') throw new Error('only leaders count');
  const { voters, outgoing } = core.configuration;
  for (let index = log.lastIndex; index > commit; index -= 1) {
    const holds = (voter: string) => {
      if (voter === id) return log.stable >= index;
      for (const [peer, { match }] of role.progress) if (peer === voter) return match >= index;
      return false;
    };
    const isEnough = (half: readonly string[]) =>
      half.length === 0 || half.filter(holds).length * 2 > half.length;
    if (isEnough(voters) && isEnough(outgoing) && log.term(index) === term) return index;
  }
  return commit;
}

/** Whether a majority of each half has it in storage. */
function isDurable(group: Group, { core }: Life, index: number, term: number): boolean {
  const { voters, outgoing } = core.configuration;
  return [voters, outgoing].every((half) => {
    const holders = half.filter((id) => group.storage(id).term(index) === term);
    return half.length === 0 || holders.length * 2 > half.length;
  });
}

describe('the commit index', () => {
  it('of a leader is what a recount finds, and held by the storages of a quorum', () => {
    let advances = 0;
    for (let seed = 1; seed <= seeds; seed += 1) {
      const chaos = new Chaos(seed);
      const { group } = chaos;
      const turn = group.turn.bind(group);
      group.turn = (life, input) => {
        const before = life.core.commitIndex;
        turn(life, input);
        const { core } = life;
        if (life.ended || life.superseded || core.role !== 'leader') return;
        expect(recount(life), `seed ${seed}`).toBe(core.commitIndex);
        if (core.commitIndex === before) return;
        advances += 1;
        const { commitIndex, term } = core;
        expect(isDurable(group, life, commitIndex, term), `seed ${seed}`).toBe(true);
      };
      chaos.disturb(300);
    }
    expect(advances).toBeGreaterThan(seeds);
  });
});
