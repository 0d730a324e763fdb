/** Carries out the faults of a plan, and takes back those that last for a while. */
import { foundingPlaces } from '../../../src/api/limits.ts';
import type { MemberId } from '../../../src/raft/types.ts';
import { describeDecision } from './describe.ts';
import type { Backup } from './disk.ts';
import { firstClient, type Weather } from './network.ts';
import { groupOf } from './oracle.ts';
import type { Place } from './place.ts';
import {
  type Blow,
  type Catastrophe,
  type Decision,
  type Fault,
  placesMax,
  type Target,
} from './plan.ts';
import type { Simulation } from './simulation.ts';

const calm: Weather = {
  lossy: 0,
  lossyResponses: 0,
  duplicates: 0,
  delays: { probability: 0, byMs: 0 },
};

export class Faults {
  private readonly simulation: Simulation;
  /** Founding places that knew of the group and have lost their storage. */
  private knowledgeLost = 0;
  private backup: {
    readonly place: number;
    readonly copy: Backup;
    readonly members: readonly MemberId[];
  } | null = null;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  carryOut(decision: (Fault & { readonly forMs: number }) | Blow | Catastrophe): void {
    const { simulation } = this;
    const done = this.isDone(decision);
    simulation.count(done ? `fault: ${decision.do}` : `skipped: ${decision.do}`);
    simulation.trace(
      () => `*** ${done ? '' : 'skipped: '}${describeDecision(decision as unknown as Decision)}`,
    );
  }

  /** False: there was nothing to do it to. */
  private isDone(decision: (Fault & { readonly forMs: number }) | Blow | Catastrophe): boolean {
    if (decision.do === 'loseQuorum') return this.simulation.recovery.loseQuorum(decision);
    return 'forMs' in decision ? this.begin(decision, decision.forMs) : this.strike(decision);
  }

  private number(target: Target): number {
    return target === 'leader' ? (this.simulation.leaderPlace ?? 1) : target;
  }

  private place(target: Target): Place {
    return this.simulation.place(this.number(target));
  }

  private after(ms: number, run: () => void): void {
    this.simulation.world.schedule(ms, () => {
      if (!this.simulation.isOver) run();
    });
  }

  private begin(fault: Fault, forMs: number): boolean {
    const { simulation } = this;
    switch (fault.do) {
      case 'cut':
        return this.cut(this.number(fault.from), this.number(fault.to), fault.bothWays, forMs);
      case 'isolate':
        return this.isolate(this.number(fault.place), fault.fromClients, forMs);
      case 'split':
        return this.split(fault.side, forMs);
      case 'strand':
        return this.cut(firstClient + fault.client, this.number(fault.place), true, forMs);
      case 'lossy':
        return this.weather({ lossy: fault.probability }, forMs);
      case 'lossyResponses':
        return this.weather({ lossyResponses: fault.probability }, forMs);
      case 'duplicates':
        return this.weather({ duplicates: fault.probability }, forMs);
      case 'delays':
        return this.weather({ delays: fault }, forMs);
      case 'refusals': {
        const { refusing } = simulation.network;
        const place = this.number(fault.place);
        refusing.set(place, { overloaded: fault.overloaded });
        this.after(forMs, () => refusing.delete(place));
        return true;
      }
      case 'slowDisk': {
        const place = this.place(fault.place);
        place.commitMsMax = fault.commitMs;
        this.after(forMs, () => {
          place.commitMsMax = simulation.plan.shape.commitMsMax;
        });
        return true;
      }
      case 'freezeClock': {
        const place = this.place(fault.place);
        place.frozenAt ??= place.now();
        this.after(forMs, () => {
          place.thaw();
        });
        return true;
      }
      case 'lateAlarms':
        simulation.lateAlarmsMs = fault.byMs;
        this.after(forMs, () => {
          simulation.lateAlarmsMs = 0;
        });
        return true;
      case 'crash': {
        const { moment, keeps } = fault;
        const place = this.place(fault.place);
        if (moment === 'now') place.crash('crash', { keeps, downMs: forMs });
        else place.armedCrash = { moment, keeps, downMs: forMs };
        return true;
      }
      case 'supersede':
        return this.supersede(this.place(fault.place), forMs);
    }
  }

  private cut(from: number, to: number, bothWays: boolean, forMs: number): boolean {
    if (from === to) return false;
    const { network } = this.simulation;
    network.cut(from, to);
    if (bothWays) network.cut(to, from);
    this.after(forMs, () => {
      network.mend(from, to);
      if (bothWays) network.mend(to, from);
    });
    return true;
  }

  private isolate(place: number, fromClients: boolean, forMs: number): boolean {
    for (const other of this.parties(fromClients)) this.cut(place, other, true, forMs);
    return true;
  }

  private parties(withClients: boolean): number[] {
    const places = Array.from({ length: placesMax }, (_, at) => at + 1);
    const clients = this.simulation.everyClient.map(({ number }) => firstClient + number);
    return withClients ? [...places, ...clients] : places;
  }

  private split(side: readonly number[], forMs: number): boolean {
    for (const place of this.parties(false))
      if (!side.includes(place)) for (const other of side) this.cut(place, other, true, forMs);
    return true;
  }

  private weather(part: Partial<Weather>, forMs: number): boolean {
    const { weather } = this.simulation.network;
    const one = { ...calm, ...part };
    weather.push(one);
    this.after(forMs, () => {
      if (weather.includes(one)) weather.splice(weather.indexOf(one), 1);
    });
    return true;
  }

  private supersede(place: Place, forMs: number): boolean {
    const life = place.supersede();
    if (!life) return false;
    const { zombies } = this.simulation;
    zombies.add(life);
    this.after(forMs, () => {
      zombies.delete(life);
      if (!life.ended) life.end('superseded, and gone');
    });
    return true;
  }

  private strike(blow: Blow): boolean {
    const { simulation } = this;
    switch (blow.do) {
      case 'evict':
        return this.place(blow.place).evict();
      case 'evictAll':
        return [...simulation.places.values()].map((place) => place.evict()).includes(true);
      case 'alarm': {
        const place = this.place(blow.place);
        for (let time = 0; time < blow.times; time += 1) place.ring();
        return true;
      }
      case 'clock':
        this.place(blow.place).clockOffsetMs += blow.byMs;
        this.simulation.leases.aheadMs += Math.max(0, blow.byMs);
        return true;
      case 'dropAlarm':
        this.place(blow.place).failAlarm();
        return true;
      case 'deploy':
        return this.deploy(blow);
      case 'forgetHints':
        simulation.clients[blow.client - 1]?.forget();
        return true;
      case 'wipe':
        if (this.isLastToKnow(blow.place)) return false;
        return this.lose(blow.place, (place) => {
          simulation.groups.wiped(place.number, place.disk.incarnation);
          place.wipe();
        });
      case 'backup':
        return this.backUp(simulation.place(blow.place));
      case 'restore':
        return this.restore(simulation.place(blow.place));
    }
  }

  /**
   * Two founding places know of the group before it leaves any, so one of them may lose its storage between two
   * changes of the membership (docs/decisions/birth.md). If others have lost theirs too, it is not promised.
   */
  private isLastToKnow(number: number): boolean {
    const knows = (place: number) => this.simulation.place(place).disk.knowsGroup;
    const isFounding = foundingPlaces.some((place) => place === number);
    if (!isFounding || !knows(number)) return false;
    const isLast = !foundingPlaces.some((place) => place !== number && knows(place));
    if (isLast && this.knowledgeLost > 0) return true;
    this.knowledgeLost += 1;
    return false;
  }

  private deploy({ code, spreadMs, places, downMs }: Blow & { readonly do: 'deploy' }): boolean {
    const { simulation } = this;
    if (code.protocol > simulation.newestCode.protocol) simulation.newestCode = code;
    for (const place of simulation.places.values()) {
      if (places?.includes(place.number) === false) continue;
      this.after(place.random.next() * spreadMs, () => {
        if (code.minProtocol > 1) {
          simulation.count('deploys of a protocol that others refuse');
          simulation.oracle.areProtocolsApart = true;
        }
        place.code = code;
        place.crash('deploy', { keeps: place.random.next() < 0.5, downMs });
      });
    }
    return true;
  }

  /** Only while every configuration keeps a majority that has its storage. */
  private lose(number: number, how: (place: Place) => void): boolean {
    const place = this.simulation.place(number);
    const hits = (id: string) => id.startsWith(`${number}.`);
    if (!this.simulation.hasQuorumWithout(hits)) return false;
    how(place);
    return true;
  }

  private backUp(place: Place): boolean {
    if (place.life) place.flush(place.life);
    const members = this.simulation.oracle.livingAt(place.number);
    this.backup = { place: place.number, copy: place.disk.backUp(), members };
    return true;
  }

  /**
   * A storage that goes back in time may lose what it was counted for. What the design promises then
   * holds only if a quorum of the others has it all (docs/decisions/core.md).
   */
  private restore(place: Place): boolean {
    const { backup, simulation } = this;
    // What a recovery has left behind nobody brings back.
    if (simulation.groups.isRecovered) return false;
    if (backup?.place !== place.number || backup.copy.tables.length === 0) return false;
    // With a removed member comes back a vote in configurations that some may not have left.
    if (backup.members.some((id) => simulation.oracle.isFated(id))) return false;
    if (!this.othersHoldAll(place.number)) return false;
    return this.lose(place.number, () => {
      place.crash('restored', { keeps: true, downMs: 0 });
      simulation.oracle.restored(place.number);
      place.disk.restore(backup.copy);
      place.generation += 1;
    });
  }

  private othersHoldAll(number: number): boolean {
    const { simulation } = this;
    const leading = simulation.leaderPlace;
    const life = leading === null ? null : simulation.place(leading).life;
    const core = life && groupOf(life)?.core;
    if (!core?.isConfigurationSettled || core.termAt(core.lastIndex) !== core.term) return false;
    const { oracle } = simulation;
    const newestTerm = Math.max(...[...oracle.shadows.values()].map(({ term }) => term));
    if (newestTerm > core.term) return false;
    return simulation.hasQuorumWithout(
      (id) =>
        id.startsWith(`${number}.`) ||
        !(oracle.shadows.get(id)?.holds(core.lastIndex, core.term) ?? false),
    );
  }
}
