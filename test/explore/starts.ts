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

const idleMs = 100;

class FixedRandom extends Random {
  override next(): number {
    return random();
  }
}

export const groupOptions: GroupOptions = { settings, random: new FixedRandom(0) };

/** Each looks into one corner, so its scope is narrow: the narrower, the deeper. */
export const starts: readonly Start[] = [
  {
    name: 'fresh group',
    scope: { suspicions: 2, proposals: 1 },
    make: () => new Group(groupOptions),
  },
  {
    name: 'leader at rest, a follower suspects',
    scope: { proposals: 1, crashes: 1, suspicions: 1, timeouts: 1 },
    make: () => groupLedBy('A', groupOptions),
  },
  {
    name: 'leader at rest, reads anywhere',
    scope: { proposals: 1, reads: 2, duplicates: 1, losses: 1, failures: 1 },
    make: () => groupLedBy('A', groupOptions),
  },
  {
    name: 'two campaigns in one term',
    scope: { crashes: 1, vainTurns: 1, duplicates: 1, timeouts: 1 },
    make: twoCampaigns,
  },
  {
    name: 'uncommitted entry, one lags',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, failures: 1, duplicates: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.propose('A', '1');
      group.settle(({ to }) => to === 'B');
      group.propose('A', '2');
      return group;
    },
  },
  {
    name: 'uncommitted entry of an older term',
    scope: { timeouts: 1, crashes: 1 },
    make: oldEntry,
  },
  {
    name: 'campaign overtaken by a write',
    scope: { proposals: 1, timeouts: 1 },
    make: () => campaignOf('C'),
  },
  {
    name: 'reads at a leader being replaced',
    scope: { proposals: 1, reads: 2 },
    make: () => campaignOf('B'),
  },
  {
    name: 'reads at a new leader that lags in commit',
    scope: { reads: 1, crashes: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.propose('A', '1');
      group.settle(({ from, to }) => from !== 'C' && to !== 'C');
      group.withhold();
      return campaignOf('B', group);
    },
  },
  {
    name: 'replies to an older life of the leader',
    scope: { reads: 1, timeouts: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.read('A');
      group.settle(({ from, to }) => from === 'A' && to === 'B');
      group.restart('A');
      return campaignOf('C', group);
    },
  },
  {
    name: 'resumed leader',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1 },
    make: () => {
      const group = groupLedBy('A', groupOptions);
      group.propose('A', '1');
      group.settle(({ to }) => to === 'B');
      group.restart('A');
      return group;
    },
  },
  {
    name: 'learner becomes a voter',
    scope: { suspicions: 1, timeouts: 1, crashes: 1, proposals: 1 },
    make: () => changing('A', 'ABC', { ...groupOptions, voters: 'AB', learners: 'C' }),
  },
  {
    name: 'voter is removed, another change follows',
    scope: { suspicions: 1, timeouts: 1, changes: 1 },
    make: () => changing('A', 'AB'),
  },
  {
    name: 'leader removes itself',
    scope: { suspicions: 1, timeouts: 1, crashes: 1 },
    make: () => changing('A', 'BC'),
  },
  {
    name: 'all but the leader are removed',
    scope: { suspicions: 1, timeouts: 1, crashes: 1 },
    make: () => changing('A', 'A'),
  },
];

function changing(leader: string, voters: string, options = groupOptions): Group {
  const group = groupLedBy(leader, options);
  group.change(leader, voters);
  return group;
}

function pass(group: Group, name: string): void {
  const next = group.nextDeadline([name]);
  if (next === null) return;
  group.now = Math.max(group.now, next);
  group.tick(name);
}

/** `name` could not reach the leader, and asks the others for pre-votes; that is under way. */
function campaignOf(name: string, group = groupLedBy('A', groupOptions)): Group {
  // So long after what went before that nobody trusts the leader for having heard of it.
  group.now += idleMs;
  group.suspect(name);
  for (let times = 0; times < 5 && group.core(name).role === 'follower'; times += 1) {
    group.withhold(({ type }) => type === 'readRequest');
    pass(group, name);
  }
  return group;
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

/** Figure 3.7 of the thesis: A is about to lead term 4 with an entry of term 2; B holds one of 3. */
function oldEntry(): Group {
  const group = new Group({
    ...groupOptions,
    start: {
      A: { terms: [1, 2], term: 3 },
      B: { terms: [1, 3] },
      C: { terms: [1, 2], term: 3 },
    },
  });
  group.suspect('A');
  group.settle(({ type, from, to }) => type.startsWith('preVote') && from !== 'B' && to !== 'B');
  group.settle(({ type }) => type === 'vote');
  group.withhold(({ from }) => from === 'B');
  return campaignOf('B', group);
}

/** The numbers of a group's state. */
export function worldOf(model: Model, group: Group): World {
  const members = memberNames.map((id) => {
    const { core, bootSaved } = group.life(id);
    const state = stateOf(core);
    // Its own clock, which leaves no deadline behind (README.md).
    const now = Math.max(state.now, Math.min(group.now, core.nextDeadline() ?? group.now));
    state.now = now;
    const founding = group.configuration;
    const living: Living = { type: 'living', founding, bootSaved, state };
    return model.members.numberOf(living, now);
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
