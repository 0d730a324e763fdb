/**
 * What the search rests on: a member that is written down and read back behaves like the original,
 * whenever it is, and states are one exactly when they differ in nothing but names.
 */
import { describe, expect, it } from 'vitest';
import type { RaftCore } from '../../src/raft/core.ts';
import { joinEffects } from '../../src/raft/effects.ts';
import type { Effects, MemberId } from '../../src/raft/types.ts';
import { stateOf } from '../raft/support/checks.ts';
import { Group } from '../raft/support/group.ts';
import { Random } from '../support/random.ts';
import { decode, encode, memberAt, memberNames, renamings } from './codec.ts';
import { coreOf, type Input, type Living, memberCodec, newLife, proposing } from './member.ts';
import { Model } from './model.ts';
import { checkWorld } from './properties.ts';
import { parseScope, type Scope } from './scope.ts';
import { type Limits, Search } from './search.ts';
import { groupOptions, startNamed, starts, worldOf } from './starts.ts';

/** One input, for a core at time zero and for the group. */
interface Choice {
  readonly input: Input;
  readonly act: () => unknown;
}

/** Each turn twice: by a copy that was read from the member's code, and by the group. */
function runTwice(seed: number, turns: number): number {
  const random = new Random(seed);
  const group = new Group(groupOptions);
  let compared = 0;
  // As the group numbers them.
  let reads = 0;
  for (let turn = 0; turn < turns; turn += 1) {
    const first = firstDue(group);
    // No deadline is left behind, as in the search: a member's time goes on in tick() only.
    const isDue = (group.nextDeadline([first]) ?? Infinity) <= group.now;
    const name = isDue || random.next() < 0.2 ? first : random.pick(memberNames);
    const kind = isDue ? 9 : random.integer(0, 9);
    if (kind === 0) {
      const expected = codeOf(newLife(livingOf(group, name)), 0);
      group.restart(name);
      expect(codeOf(livingOf(group, name), group.now)).toBe(expected);
      continue;
    }
    if (kind === 2) reads += 1;
    const { input, act } = choose(group, name, kind, reads);
    const copy = coreOf(readBack(livingOf(group, name), group.now).state);
    const expected = effectsOf(copy, input);
    group.onTurn = (_, effects) => {
      expect({ seed, turn, ...effects }).toEqual({ seed, turn, ...expected });
      compared += 1;
    };
    act();
    group.onTurn = () => {};
  }
  return compared;
}

function effectsOf(core: RaftCore, input: Input): Effects {
  const first = input(core);
  const last = core.take();
  return first !== null && typeof first === 'object' ? joinEffects(first, last) : last;
}

function firstDue(group: Group): MemberId {
  const due = (name: string) => group.nextDeadline([name]) ?? Number.POSITIVE_INFINITY;
  return memberNames.toSorted((one, other) => due(one) - due(other))[0] ?? memberAt(0);
}

/** An input without an answer. */
function told(tell: (core: RaftCore) => void): Input {
  return (core) => {
    tell(core);
    return null;
  };
}

function choose(group: Group, name: MemberId, kind: number, readId: number): Choice {
  const message = group.pool.find(({ to }) => to === name);
  if (kind === 1)
    return { input: proposing('x'.charCodeAt(0)), act: () => group.propose(name, 'x') };
  if (kind === 2)
    return { input: (core) => core.readIndex(readId, 0), act: () => group.read(name) };
  if (kind === 3)
    return { input: told((core) => core.suspectLeader(0, 0)), act: () => group.suspect(name) };
  if (kind < 9 && message) {
    const act = () => {
      group.pool.splice(group.pool.indexOf(message), 1);
      group.step(message);
    };
    return { input: told((core) => core.step(message, 0)), act };
  }
  if (name === firstDue(group)) group.now = Math.max(group.now, group.nextDeadline() ?? 0);
  return { input: told((core) => core.tick(0)), act: () => group.tick(name) };
}

function livingOf(group: Group, name: MemberId): Living {
  const { core, bootSaved } = group.life(name);
  return { type: 'living', founding: group.configuration, bootSaved, state: stateOf(core) };
}

function codeOf(living: Living, now: number): string {
  return encode(memberCodec, living, renamings[0], now);
}

function readBack(living: Living, now: number): Living {
  const copy = decode(memberCodec, codeOf(living, now));
  if (copy.type === 'gone') throw new Error('it is living');
  return copy;
}

describe('the code of a member', () => {
  it('read back behaves like the original on random schedules', () => {
    let compared = 0;
    for (let seed = 1; seed <= 40; seed += 1) compared += runTwice(seed, 120);
    expect(compared).toBeGreaterThan(3_000);
  });

  it('refuses a field that it does not know', () => {
    const group = new Group(groupOptions);
    Object.assign(stateOf(group.core('A')), { newField: 1 });
    expect(() => codeOf(livingOf(group, 'A' as MemberId), group.now)).toThrow('newField');
  });

  it('does not depend on when it is', () => {
    const group = startNamed('uncommitted entry, one lags').make();
    const before = livingOf(group, 'A' as MemberId);
    const code = codeOf(before, group.now);
    expect(codeOf(readBack(before, group.now), 0)).toBe(code);
  });
});

describe('the canonical form', () => {
  it('is the same for states that differ in names only', () => {
    const prints = ['A', 'B', 'C'].map((name) => {
      const group = new Group(groupOptions);
      group.suspect(name);
      return printOf(group);
    });
    expect(new Set(prints).size).toBe(1);
  });

  it('tells states apart that differ in one message', () => {
    const group = new Group(groupOptions);
    group.suspect('A');
    const before = printOf(group);
    group.pool.pop();
    expect(printOf(group)).not.toBe(before);
  });
});

function printOf(group: Group): string {
  const { fingerprint, world } = modelled(group);
  fingerprint.of(world);
  return `${fingerprint.high}/${fingerprint.low}`;
}

function modelled(group: Group) {
  const model = new Model({});
  return { model, fingerprint: model.fingerprint, world: worldOf(model, group) };
}

function search(name: string, over: Scope, limits: Limits): Search {
  const { make, scope } = startNamed(name);
  return new Search(make(), { ...scope, ...over }, limits);
}

describe('the search', () => {
  const limits = { states: 1_500, depth: 100, seconds: 60 };

  it.each(starts.map(({ name }) => name))('finds nothing wrong near the start: %s', (name) => {
    const { found, states } = search(name, {}, limits).run();
    expect(found).toBeNull();
    expect(states).toBe(limits.states);
  });

  it('comes to an end within a small scope', () => {
    const scope = parseScope('suspicions=1,proposals=0');
    const large = { ...limits, states: 100_000 };
    const { isComplete, states } = search('fresh group', scope, large).run();
    expect(isComplete).toBe(true);
    expect(states).toBeGreaterThan(100);
  });

  it('sees a leader that lacks what was committed', () => {
    const { model, world } = modelled(startNamed('leader at rest, reads anywhere').make());
    const { leaders, committed, reads } = model.histories.row(world.history);
    const lost = { index: 2, term: 1, payload: { type: 'noop' } } as const;
    const past = [...committed, { entry: lost, knownInTerm: 0 }];
    const history = model.histories.numberOf({ leaders, committed: past, reads });
    expect(() => checkWorld(model, { ...world, history }, 1)).toThrow('without committed entry 2');
  });
});
