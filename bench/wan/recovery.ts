/**
 * From the loss of the leader's object to the next acknowledged write, as clients of the router see
 * it, next to the times that it is made of.
 */
import { defaultSettings } from '../../src/raft/state.ts';
import { patienceMs } from '../../src/router/members/silence.ts';
import { quorumRoundTripMs } from './bounds.ts';
import { Group } from './group.ts';
import type { Placement } from './placements.ts';
import { type Region, regions, roundTripMs } from './round-trips.ts';

/** What callers of the lost object get: an error after a round trip, or nothing at all. */
export type Loss = 'error' | 'silence';

export interface Recovery {
  readonly placement: Placement;
  readonly loss: Loss;
  /** 1: at rest until it writes, from the leader's region. More: a load from all regions. */
  readonly clients: number;
  /** One for each seed, from the loss to the arrival of the answer. */
  readonly measuredMs: readonly number[];
  /** Terms that the group went through. */
  readonly terms: readonly number[];
}

const lostPlace = 1;
/** Whom the router asks next, and who campaigns: the place after the lost one. */
const nextPlace = 2;
const loadedForMs = 2_000;

export async function measureRecovery(
  placement: Placement,
  loss: Loss,
  clients: number,
  seeds: number,
): Promise<Recovery> {
  const measuredMs: number[] = [];
  const terms: number[] = [];
  for (let seed = 1; seed <= seeds; seed += 1) {
    const run = await recoverOnce(placement, loss, clients, seed);
    measuredMs.push(run.measuredMs);
    terms.push(run.terms);
  }
  return { placement, loss, clients, measuredMs, terms };
}

async function recoverOnce(placement: Placement, loss: Loss, clients: number, seed: number) {
  const group = new Group(placement, { seed });
  await group.begin();
  const { world } = group.cluster;
  const { term } = group.cluster.status(lostPlace);
  const recovered = Promise.withResolvers<number>();
  const write = async (region: Region): Promise<void> => {
    for (;;) {
      const answer = await group.write(region);
      const answerTerm = Number(answer.servedBy?.term ?? 0);
      if (answer.ok && answerTerm > term) return recovered.resolve(answerTerm);
    }
  };
  if (clients === 1) {
    lose(group, loss);
    const lostAt = world.now;
    void write(placement.members[lostPlace - 1] ?? 'weur');
    const newTerm = await world.settle(recovered.promise);
    return { measuredMs: world.now - lostAt, terms: newTerm - term };
  }
  for (let client = 0; client < clients; client += 1)
    void write(regions[client % regions.length] ?? 'weur');
  // At another moment of what goes on for each seed.
  await world.pass(loadedForMs + world.random() * 500);
  lose(group, loss);
  const lostAt = world.now;
  const newTerm = await world.settle(recovered.promise);
  return { measuredMs: world.now - lostAt, terms: newTerm - term };
}

function lose({ cluster }: Group, loss: Loss): void {
  if (loss === 'error') {
    cluster.end(lostPlace, 'lost');
    cluster.refuse = ({ to }) => to === lostPlace;
    return;
  }
  // Whatever goes on there is cut off from everybody: nobody is told that it has ended.
  cluster.drop = ({ from, to }) => from === lostPlace || to === lostPlace;
  cluster.dropResponse = cluster.drop;
}

/** What the recovery of a group at rest is made of, in milliseconds. */
export interface Composition {
  /** The router's: until it gives the lost leader up, and the next member is asked. */
  readonly detectionMs: number;
  /** The member's: until it has given up the leader, and its turn to campaign has come. */
  readonly checkMs: number;
  /** Pre-vote, vote, and the append of the write, each to the nearest quorum that is left. */
  readonly roundTripsMs: number;
}

export function composition({ members }: Placement, loss: Loss): Composition {
  const [lost, next, ...others] = members;
  if (lost === undefined || next === undefined) throw new Error('two members at least');
  const { checkTimeoutMs, staggerMs } = defaultSettings;
  const toNextMs = roundTripMs(lost, next);
  const failsAfterMs = loss === 'error' ? roundTripMs(lost, lost) : patienceMs;
  // A member that cannot be reached is asked once more: it may just have begun a new life.
  const checkedMs = loss === 'error' ? 2 * toNextMs : checkTimeoutMs;
  const quorumMs = quorumRoundTripMs<Region | null>(next, [null, ...others], (_, other) =>
    other === null ? Number.POSITIVE_INFINITY : roundTripMs(next, other),
  );
  return {
    detectionMs: failsAfterMs + toNextMs,
    checkMs: checkedMs + (nextPlace - 1) * staggerMs,
    roundTripsMs: 3 * quorumMs,
  };
}
