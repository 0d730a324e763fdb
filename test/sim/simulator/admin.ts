/** Whoever changes the group's members and leader: sensible steps from where the group stands. */

import { memberId, placeOf } from '../../../src/node-do/identity.ts';
import { allMembers, type Configuration } from '../../../src/raft/configuration.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import type { MemberOp } from '../../../src/router/members/call.ts';
import { Client, type Outcome } from './clients.ts';
import { type Admin as AdminDecision, type ChangeKind, placesMax } from './plan.ts';
import type { Simulation } from './simulation.ts';

const changeTimeoutMs = 5_000;
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
    const wanted = this.wanted(decision.kind, decision.dice);
    if (wanted && this.isSafe(wanted)) void this.change(decision.kind, wanted);
    else this.simulation.count(`skipped: change ${decision.kind}`);
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
    return [...this.inDoubt]
      .filter(({ untilMs }) => nowMs < untilMs)
      .map(({ voters }) => ({
        voters: voters.map((place) => this.memberAt(place)),
        outgoing: [],
        learners: [],
      }));
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
    simulation.trace(() => `*** ${what} ${JSON.stringify(op.value)}`);
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

  /** Nobody who knows that a storage is gone would make the group depend on it. */
  private isSafe({ voters }: Wanted): boolean {
    const { oracle } = this.simulation;
    const isGonePlace = (place: number) =>
      [...oracle.shadows.keys()].some(
        (id) => placeOf(id) === place && oracle.isGone(id) && this.isMember(id),
      );
    const left = voters.filter((place) => !isGonePlace(place));
    return 2 * left.length > voters.length;
  }

  private isMember(id: MemberId): boolean {
    const configuration = this.simulation.oracle.newestCommitted?.configuration;
    return [...(configuration?.voters ?? []), ...(configuration?.learners ?? [])].includes(id);
  }
}
