/**
 * A quorum that is lost for good, and the command that begins another group out of one survivor
 * (docs/decisions/membership.md): storages go or places never come back, then somebody asks the
 * survivor until it has done it.
 */
import { incarnationOf, placeOf } from '../../../src/node-do/identity.ts';
import { allMembers, type Configuration } from '../../../src/raft/configuration.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import { Random } from '../../support/random.ts';
import { groupIdOf } from './groups.ts';
import { LifeEnded, type Place } from './place.ts';
import { type Catastrophe, placesMax } from './plan.ts';
import type { Simulation } from './simulation.ts';

const askEveryMs = 3_000;

export class Recovery {
  private readonly simulation: Simulation;
  private survivor: MemberId | null = null;
  /** Down for good; whoever comes up there some day has an empty storage. */
  private readonly dead = new Set<number>();
  /** Since when an answer may come from another group; null: none may. */
  askedAtMs: number | null = null;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  get isPending(): boolean {
    return this.survivor !== null && !this.simulation.groups.isRecovered;
  }

  get survivorPlace(): Place | null {
    return this.survivor && this.simulation.place(placeOf(this.survivor));
  }

  /** False: there is no such group, or it would not be lost. */
  loseQuorum({ dice, comesBack, askedAfterMs }: Catastrophe): boolean {
    const { groups, world } = this.simulation;
    const random = new Random(dice);
    if (this.survivor || groups.isRecovered) return false;
    const survivor = this.pickSurvivor(random);
    const groupId = survivor && groupIdOf(this.simulation.place(placeOf(survivor)).wake());
    if (!survivor || !groupId) return false;
    const kept = this.pickKept(random, survivor);
    const lost = this.answering().filter((id) => !kept.includes(id));
    if (!this.leavesTrail(lost)) return false;
    this.survivor = survivor;
    for (const id of lost) this.lose(this.simulation.place(placeOf(id)), comesBack);
    groups.giveUp(groupId, survivor);
    world.schedule(askedAfterMs, () => this.askAgain(groupId));
    return true;
  }

  /** Of a configuration in force, and their storage is there; also who has not heard yet that it is a member. */
  private answering(): MemberId[] {
    const { oracle } = this.simulation;
    const ids = new Set(oracle.configurationsInForce().flatMap(allMembers));
    const isThere = (id: MemberId) => oracle.shadows.has(id) || this.isAwaited(id);
    return [...ids].filter((id) => isThere(id) && !oracle.hasEnded(id));
  }

  /** A place that has given out this incarnation, and becomes a member with the first message that names it. */
  private isAwaited(id: MemberId): boolean {
    return this.simulation.place(placeOf(id)).disk.incarnation === incarnationOf(id);
  }

  /** And it is reliable. */
  private living(): MemberId[] {
    return this.answering().filter((id) => !this.simulation.oracle.isGone(id));
  }

  private pickSurvivor(random: Random): MemberId | null {
    const able = this.living().filter((id) => {
      const place = this.simulation.place(placeOf(id));
      const knowsGroup = this.simulation.oracle.shadows.has(id);
      return knowsGroup && !place.isDown && this.isLostWith([id]);
    });
    return able.length === 0 ? null : random.pick(able);
  }

  /** Others that stay in the old group, as many as are no quorum of it. */
  private pickKept(random: Random, survivor: MemberId): MemberId[] {
    const kept = [survivor];
    for (const id of this.living())
      if (id !== survivor && random.next() < 0.4 && this.isLostWith([...kept, id])) kept.push(id);
    return kept;
  }

  /** No configuration has a quorum of these. */
  private isLostWith(kept: readonly MemberId[]): boolean {
    const isQuorum = (half: readonly MemberId[]) =>
      2 * half.filter((id) => kept.includes(id)).length > half.length;
    const hasQuorum = ({ voters, outgoing }: Configuration) =>
      isQuorum(voters) && (outgoing.length === 0 || isQuorum(outgoing));
    return !this.simulation.oracle.configurationsInForce().some(hasQuorum);
  }

  /** Some founding place still knows that the group was born: else a second one might be. */
  private leavesTrail(lost: readonly MemberId[]): boolean {
    const places = lost.map(placeOf);
    return [1, 2, 3, 4, 5].some(
      (place) => !places.includes(place) && this.simulation.place(place).disk.knowsGroup,
    );
  }

  private lose(place: Place, comesBack: boolean): void {
    const { groups } = this.simulation;
    groups.wiped(place.number, place.disk.incarnation);
    if (comesBack) place.wipe();
    else {
      this.dead.add(place.number);
      place.crash('down for good', { keeps: true, downMs: Number.POSITIVE_INFINITY });
    }
    this.simulation.count(comesBack ? 'storages lost for good' : 'places down for good');
  }

  private askAgain(groupId: string): void {
    if (!this.isPending || this.simulation.violation !== null) return;
    const place = this.survivorPlace as Place;
    this.askedAtMs ??= this.simulation.nowMs;
    if (!place.isDown) void this.ask(place, groupId).then((answer) => this.answered(answer));
    this.simulation.world.schedule(askEveryMs, () => this.askAgain(groupId));
  }

  private answered(answer: string | null): void {
    const { groups } = this.simulation;
    this.simulation.trace(() => `*** recover: ${answer ?? 'refused'}`);
    this.simulation.count(`recover: ${answer === null ? 'refused or lost' : 'done'}`);
    if (answer !== null && answer !== groups.successorId)
      this.simulation.fail(`recovered as ${answer}, and ${groups.successorId} lives`);
  }

  /** What POST /v1/recover asks a member. Null: refused, or the answer is lost. */
  ask(place: Place, groupId: string): Promise<string | null> {
    const { groups, world } = this.simulation;
    return new Promise((resolve) => {
      // An event of its own: whoever waits sees it in virtual time.
      const end = (answer: string | null) => world.schedule(0, () => resolve(answer));
      const fail = () => end(null);
      this.simulation.runIn(place.wake(), (life) => {
        life.inFlight.add(fail);
        life.member.recover(groupId).then(
          (answer) => {
            if (life.ended) return;
            groups.sends(life);
            life.throughGate(() => {
              life.inFlight.delete(fail);
              end(answer);
            });
          },
          (error) => {
            life.inFlight.delete(fail);
            if (!(error instanceof LifeEnded)) this.simulation.fail(`recover: ${error}`);
            fail();
          },
        );
      });
    });
  }

  /** Whoever was down for good is replaced: an object of that name with nothing in it. */
  replaceDead(): void {
    for (const number of this.dead) {
      const place = this.simulation.place(number);
      place.wipe();
      place.downUntil = 0;
    }
    this.dead.clear();
  }

  /** Places that the new group may add: they are of no group, nor named by one that they have not heard of yet. */
  freshPlaces(): number[] {
    const { current, first } = this.simulation.groups;
    const living = [...first.shadows.values(), ...current.shadows.values()]
      .filter(({ fate }) => fate === null || fate === 'recovered')
      .map(({ id }) => id);
    const named = current.configurationsInForce().flatMap(allMembers);
    const taken = [...living, ...named].map(placeOf);
    const places = Array.from({ length: placesMax }, (_, at) => at + 1);
    return places.filter((place) => !taken.includes(place) && !this.dead.has(place));
  }
}
