/** Who should lead, where the host says so (docs/decisions/membership.md, Leading). */
import { placeOf } from '../../../src/node-do/identity.ts';
import type { Client } from './clients.ts';
import { comesToRest, writeSomething, writeWithinMs } from './demands.ts';
import type { Simulation } from './simulation.ts';

/** A leader that is about to rest offers its place; the heir may have to catch up. */
const offerWithinMs = 30_000;

/**
 * A leader hands over to a voter that is preferred before it, once in its life (docs/decisions/
 * membership.md). So in new lives, with everybody well, the best of them leads soon.
 */
export function preferredLeads(simulation: Simulation, client: Client): boolean {
  const wanted = preferredVoter(simulation);
  if (wanted === null) return true;
  for (const place of simulation.places.values()) place.evict();
  if (!writeSomething(simulation, client)) return false;
  const first = simulation.leaderPlace;
  if (!takesOver(simulation, wanted)) return false;
  // Of the voters that have offered nothing yet in their lives.
  const other = voterPlaces(simulation).find((place) => place !== wanted && place !== first);
  if (other === undefined || !moveLeader(simulation, client, other)) return true;
  return takesOver(simulation, wanted);
}

function takesOver(simulation: Simulation, wanted: number): boolean {
  const leads = () => simulation.leaderPlace === wanted;
  const { leaderPlace } = simulation;
  simulation.pass(offerWithinMs, leads);
  if (!leads())
    simulation.fail(
      `liveness: ${wanted} is preferred and well, and ${simulation.leaderPlace} leads`,
    );
  simulation.count(`preferred leader: ${leaderPlace === wanted ? 'led already' : 'took over'}`);
  return comesToRest(simulation, 'the preferred leader');
}

/** True: `place` has led, at the least for a moment. */
function moveLeader(simulation: Simulation, client: Client, place: number): boolean {
  let done: boolean | null = null;
  void client.ask('write', { case: 'transferLeader', value: place }, 5_000).then((outcome) => {
    done = typeof outcome !== 'string';
  });
  simulation.pass(2 * writeWithinMs, () => done !== null);
  return done === true;
}

function voterPlaces({ oracle }: Simulation): number[] {
  const voters = oracle.newestCommitted?.configuration.voters ?? [];
  return voters.filter((id) => !oracle.isGone(id)).map(placeOf);
}

/** The first of the preferred places that has a voter. */
function preferredVoter({ oracle, plan }: Simulation): number | null {
  const voters = oracle.newestCommitted?.configuration.voters ?? [];
  for (const place of plan.shape.preferredPlaces) {
    const voter = voters.find((id) => placeOf(id) === place);
    // Of one that was set back nobody can say whether it will find out.
    if (voter) return oracle.isGone(voter) ? null : place;
  }
  return null;
}
