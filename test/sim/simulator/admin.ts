/** Whoever changes the group's members and leader: sensible steps from where the group stands. */

import { memberId, placeOf } from '../../../src/node-do/identity.ts';
import { allMembers, type Configuration } from '../../../src/raft/configuration.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import type { MemberOp } from '../../../src/router/members/call.ts';
import { Client, type Outcome } from './clients.ts';
import { add, callOf, idIn, remove } from './member-calls.ts';
import { type Admin as AdminDecision, type ChangeKind, placesMax } from './plan.ts';
import type { Simulation } from './simulation.ts';

const changeTimeoutMs = 5_000;
/** Of the decisions; beside what they decide. */
const foreignShare = 3;
const adminNumber = 90;
/** Whoever asked has heard nothing: it is on its way, or waits somewhere, for no longer than this. */
const doubtMs = 60_000;
/** Fewer would be no group worth simulating, more cost time. */
const votersMax = 5;

export interface Wanted {
  readonly voters: readonly number[];
  readonly learners: readonly number[];
}

export class Admin {
  private readonly simulation: Simulation;
  private readonly client: Client;
  private underWay = 0;
  /** Asked for, and neither done nor refused. */
  private readonly inDoubt = new Set<Wanted & { untilMs: number }>();
  /** Added as a voter by etcd's call, which is one as soon as it holds the log. */
  private joining: { readonly place: number; untilMs: number } | null = null;
  private foreign: bigint | null = null;
  private foreigners = 0;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
    this.client = new Client(simulation, adminNumber);
  }

  get isIdle(): boolean {
    return this.underWay === 0;
  }

  carryOut(decision: AdminDecision): void {
    if (decision.do === 'transfer') {
      void this.do('transfer', { case: 'transferLeader', value: decision.place });
      return;
    }
    const { kind, dice } = decision;
    if (dice % foreignShare === 0) void this.registerOrForget();
    const wanted = this.wanted(kind, dice);
    if (!wanted || !this.isSafe(wanted)) this.simulation.count(`skipped: change ${kind}`);
    else if (dice % 2 === 0 || !this.callFor(kind, wanted)) void this.change(kind, wanted);
  }

  /** As one of etcd's calls. False: it is none. */
  private callFor(kind: ChangeKind, wanted: Wanted): boolean {
    const configuration = this.simulation.oracle.newestCommitted?.configuration;
    const op = configuration && callOf(kind, wanted, configuration);
    const place = wanted.voters.find(
      (one) => !configuration?.voters.some((id) => placeOf(id) === one),
    );
    // One at a time: what two of them may make of the group is more than `pending` says.
    if (!op || (kind === 'grow' && this.joining !== null)) return false;
    if (kind === 'grow' && place !== undefined)
      this.joining = { place, untilMs: Number.POSITIVE_INFINITY };
    void this.call(kind, wanted, op);
    return true;
  }

  private async call(kind: ChangeKind, { voters, learners }: Wanted, op: MemberOp): Promise<void> {
    const doubt = { voters, learners, untilMs: Number.POSITIVE_INFINITY };
    this.inDoubt.add(doubt);
    const { joining } = this;
    const outcome = await this.do(`etcd ${kind}`, op);
    if (outcome === 'unknown') doubt.untilMs = this.simulation.nowMs + doubtMs;
    else this.inDoubt.delete(doubt);
    // It may get its vote at any later time, as long as it is a learner.
    if (kind === 'grow' && joining) joining.untilMs = this.simulation.nowMs + doubtMs;
  }

  /** A member that lives nowhere: it is a record, and stands in nobody's way. */
  private async registerOrForget(): Promise<void> {
    const { foreign } = this;
    this.foreign = null;
    this.foreigners += 1;
    const op =
      foreign === null ? add(`http://10.0.0.${this.foreigners}:1`, false) : remove(foreign);
    const outcome = await this.do(foreign === null ? 'etcd register' : 'etcd forget', op);
    if (foreign === null && typeof outcome !== 'string') this.foreign = idIn(outcome);
  }

  /** Whoever recovers a group knows where it lives; its former members do not. */
  know(places: readonly number[]): void {
    this.client.know(places);
  }

  async change(kind: string, { voters, learners }: Wanted): Promise<boolean> {
    const value = {
      $typeName: 'quorate.v1.ChangeMembership' as const,
      stepwise: kind.startsWith('grow'),
      voters: [...voters],
      learners: [...learners],
    };
    const doubt = { voters, learners, untilMs: Number.POSITIVE_INFINITY };
    this.inDoubt.add(doubt);
    const outcome = await this.do(`change ${kind}`, { case: 'changeMembership', value });
    if (outcome === 'unknown') doubt.untilMs = this.simulation.nowMs + doubtMs;
    else this.inDoubt.delete(doubt);
    return typeof outcome !== 'string';
  }

  /** What the group may still become by changes of which nobody knows what came of them. */
  pending(): Configuration[] {
    const { nowMs } = this.simulation;
    const joined = this.joinedSoon();
    const doubted = [...this.inDoubt]
      .filter(({ untilMs }) => nowMs < untilMs)
      .map(({ voters }) => ({
        voters: voters.map((place) => this.memberAt(place)),
        outgoing: [],
        learners: [],
      }));
    return joined === null ? doubted : [...doubted, joined];
  }

  private joinedSoon(): Configuration | null {
    const { joining, simulation } = this;
    const present = simulation.oracle.newestCommitted?.configuration;
    if (joining === null || !present) return null;
    const newcomer = this.memberAt(joining.place);
    const isLearner = present.learners.includes(newcomer);
    const isOver = present.voters.includes(newcomer) || simulation.nowMs > joining.untilMs;
    if (isOver && !isLearner) this.joining = null;
    return { voters: [...present.voters, newcomer], outgoing: [], learners: [] };
  }

  /** The member that lives there, or a newcomer of whom nothing is known yet. */
  private memberAt(place: number): MemberId {
    const { newestCommitted } = this.simulation.oracle;
    const known = newestCommitted && allMembers(newestCommitted.configuration);
    return known?.find((id) => placeOf(id) === place) ?? memberId(place, 'new');
  }

  private async do(what: string, op: MemberOp): Promise<Outcome> {
    const { simulation } = this;
    this.underWay += 1;
    simulation.trace(() => `*** ${what} ${JSON.stringify(op.value, withoutBigInts)}`);
    const outcome = await this.client.ask('write', op, changeTimeoutMs);
    this.underWay -= 1;
    const done = typeof outcome !== 'string';
    simulation.trace(() => `*** ${what}: ${done ? 'done' : outcome}`);
    simulation.count(`${what}: ${done ? 'done' : outcome}`);
    return outcome;
  }

  private wanted(kind: ChangeKind, dice: number): Wanted | null {
    const { newestCommitted } = this.simulation.oracle;
    if (!newestCommitted) return null;
    const { configuration } = newestCommitted;
    if (configuration.outgoing.length > 0) return null;
    const voters = configuration.voters.map(placeOf);
    const learners = configuration.learners.map(placeOf);
    const outside = Array.from({ length: placesMax }, (_, at) => at + 1).filter(
      (place) => !voters.includes(place) && !learners.includes(place),
    );
    const pick = (some: readonly number[]) => some[dice % some.length];
    const without = (some: readonly number[], place: number) =>
      some.filter((other) => other !== place);
    const newcomer = pick(outside);
    const learner = pick(learners);
    const voter = pick(voters) as number;
    switch (kind) {
      case 'add':
        return newcomer === undefined ? null : { voters, learners: [...learners, newcomer] };
      case 'grow':
        if (newcomer === undefined || voters.length >= votersMax) return null;
        return { voters: [...voters, newcomer], learners };
      case 'promote':
        if (learner === undefined || voters.length >= votersMax) return null;
        return { voters: [...voters, learner], learners: without(learners, learner) };
      case 'demote':
        if (voters.length < 2) return null;
        return { voters: without(voters, voter), learners: [...learners, voter] };
      case 'remove':
        if (learner !== undefined && dice % 2 === 0)
          return { voters, learners: without(learners, learner) };
        return voters.length < 3 ? null : { voters: without(voters, voter), learners };
      case 'replace':
        if (learner === undefined) return null;
        return {
          voters: [...without(voters, voter), learner],
          learners: without(learners, learner),
        };
      case 'mend':
        return this.withoutGone(configuration);
    }
  }

  /** The members whose storage is gone are removed; a later change may add their places again. */
  withoutGone({ voters, learners }: Configuration): Wanted | null {
    const isGone = (id: MemberId) => this.simulation.oracle.isGone(id);
    if (![...voters, ...learners].some(isGone)) return null;
    const left = (some: readonly MemberId[]) => some.filter((id) => !isGone(id)).map(placeOf);
    return { voters: left(voters), learners: left(learners) };
  }

  /**
   * Nobody who knows that a storage is gone would make the group depend on it, be it of a member that had not heard
   * yet that it is one.
   */
  private isSafe({ voters }: Wanted): boolean {
    const { oracle } = this.simulation;
    const left = voters.filter((place) => !oracle.isGone(this.memberAt(place)));
    return 2 * left.length > voters.length;
  }
}

function withoutBigInts(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
