/**
 * Where a search begins: small situations from which deep ones are near.
 *
 * Each is made by the scripted group of the unit tests, so it is a state that the core reaches.
 */
import { allMembers } from '../../src/raft/configuration.ts';
import type { MemberId } from '../../src/raft/types.ts';
import { stateOf } from '../raft/support/checks.ts';
import { Group, type GroupOptions, groupLedBy } from '../raft/support/group.ts';
import { Random } from '../support/random.ts';
import { memberNames } from './codec.ts';
import { random, settings } from './fields.ts';
import type { CommittedEntry, History } from './history.ts';
import type { Living } from './member.ts';
import type { Model } from './model.ts';
import type { Scope } from './scope.ts';
import type { World } from './world.ts';

export interface Start {
  readonly name: string;
  readonly scope: Scope;
  readonly make: () => Group;
}

class FixedRandom extends Random {
  override next(): number {
    return random();
  }
}

export const groupOptions: GroupOptions = { settings, random: new FixedRandom(0) };

export const starts: readonly Start[] = [
  {
    name: 'fresh group',
    scope: { suspicions: 2, timeouts: 1, crashes: 1, proposals: 1, duplicates: 1 },
    make: () => new Group(groupOptions),
  },
  {
    name: 'leader at rest',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1, reads: 1, drops: 1 },
    make: () => groupLedBy('A', groupOptions),
  },
  {
    name: 'two campaigns in one term',
    scope: { timeouts: 1, crashes: 1, duplicates: 1, proposals: 1 },
    make: twoCampaigns,
  },
  {
    name: 'uncommitted entry, one lags',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1, drops: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.propose('A', '!');
      group.settle(({ from, to }) => from !== 'C' && to === 'B');
      return group;
    },
  },
  {
    name: 'uncommitted entry of an older term',
    scope: { suspicions: 1, timeouts: 2, crashes: 1 },
    make: () => {
      const group = new Group({
        ...groupOptions,
        start: { A: { terms: [1, 2], term: 3 }, B: { terms: [1, 3] }, C: { terms: [1], term: 2 } },
      });
      group.suspect('A');
      group.settle(({ from, to }) => from !== 'B' && to !== 'B');
      return group;
    },
  },
  {
    name: 'read at a leader about to be replaced',
    scope: { suspicions: 0, timeouts: 1, crashes: 0, proposals: 1, reads: 2, duplicates: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.suspect('B');
      group.withhold();
      for (let times = 0; times < 3; times += 1) pass(group, 'B');
      return group;
    },
  },
  {
    name: 'learner becomes a voter',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1, drops: 1 },
    make: () => {
      const group = groupLedBy('A', { ...groupOptions, voters: 'AB', learners: 'C' });
      group.change('A', 'ABC');
      return group;
    },
  },
  {
    name: 'voter is removed',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, changes: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.change('A', 'AB');
      return group;
    },
  },
  {
    name: 'leader removes itself',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.change('A', 'BC');
      return group;
    },
  },
  {
    name: 'resumed leader',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1, reads: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.propose('A', '!');
      group.settle(({ to }) => to === 'B');
      group.restart('A');
      return group;
    },
  },
];

function pass(group: Group, name: string): void {
  const next = group.nextDeadline([name]);
  if (next === null) return;
  group.now = Math.max(group.now, next);
  group.tick(name);
}

/** A hears of nothing; B and C both campaign in term 2, and none of their votes has arrived. */
function twoCampaigns(): Group {
  const group = groupLedBy('A', groupOptions);
  for (const name of ['B', 'C']) group.suspect(name);
  group.withhold();
  for (const name of ['B', 'C']) pass(group, name);
  group.settle(({ from, to, type }) => type.startsWith('preVote') && from !== 'A' && to !== 'A');
  group.withhold(({ type }) => type !== 'vote');
  return group;
}

/** The numbers of a group's state. */
export function worldOf(model: Model, group: Group): World {
  const members = memberNames.map((id) => {
    const { core, bootSaved } = group.life(id);
    const state = stateOf(core);
    state.now = group.now;
    const founding = group.configuration;
    const living: Living = { type: 'living', founding, bootSaved, state };
    return model.members.numberOf(living, group.now);
  });
  return {
    members,
    history: model.histories.numberOf(historyOf(group)),
    used: 0,
    messages: group.pool.map((message) => model.messages.numberOf(message)),
  };
}

function historyOf(group: Group): History {
  const leaders: (MemberId | null)[] = [];
  let committed: CommittedEntry[] = [];
  for (const id of allMembers(group.configuration)) {
    const { hardState, log } = group.storage(id);
    const { commitIndex, term } = group.core(id);
    while (leaders.length <= hardState.term) leaders.push(null);
    if (hardState.termLeader) leaders[hardState.term] = hardState.termLeader;
    if (commitIndex > committed.length)
      committed = log.slice(0, commitIndex).map((entry) => ({ entry, knownInTerm: term }));
  }
  return { leaders, committed, reads: [] };
}

export function startNamed(name: string): Start {
  const start = starts.find((one) => one.name === name);
  if (!start) throw new Error(`no start is called '${name}'`);
  return start;
}
