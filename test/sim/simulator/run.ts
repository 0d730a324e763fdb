/** Runs one plan from its beginning to its verdict. */

import { recover } from './liveness.ts';
import { LifeEnded } from './place.ts';
import { makePlan, type Plan } from './plan.ts';
import { Simulation } from './simulation.ts';

export interface Outcome {
  readonly seed: number;
  /** null: none. */
  readonly violation: string | null;
  /** How often each thing happened. */
  readonly counts: ReadonlyMap<string, number>;
  readonly trace: readonly string[];
  /** Of all that happened: the same whenever the seed is run. */
  readonly fingerprint: string;
}

let running: Simulation | null = null;

process.on('unhandledRejection', (error) => {
  if (error instanceof LifeEnded) return;
  if (running) running.fail(`a promise failed unseen: ${String(error)}`);
  else throw error;
});

export function runSeed(seed: number): Outcome {
  return runPlan(makePlan(seed));
}

/** Must be called from a macrotask (inMacrotask). */
export function runPlan(plan: Plan, traced = false): Outcome {
  const lines: string[] = [];
  const simulation = new Simulation(plan, traced ? lines : null);
  running = simulation;
  try {
    if (simulation.disturb()) recover(simulation);
  } catch (error) {
    simulation.fail(`the simulator threw: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    simulation.close();
    running = null;
  }
  const { counts, fingerprint, groups, violation } = simulation;
  const total = (what: 'elections' | 'removals' | 'losses' | 'snapshotsInstalled') =>
    groups.all().reduce((sum, oracle) => sum + oracle[what], 0);
  counts.set('events', simulation.events);
  counts.set('elections', total('elections'));
  counts.set('members removed', total('removals'));
  counts.set('members lost', total('losses'));
  counts.set('snapshots installed', total('snapshotsInstalled'));
  fingerprint.add(JSON.stringify([violation, ...counts]));
  return {
    seed: plan.shape.seed,
    violation,
    counts,
    trace: lines,
    fingerprint: String(fingerprint),
  };
}

/** Reactions of promises can be run to their end only where none is running. */
export function inMacrotask<T>(run: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run());
      } catch (error) {
        reject(error);
      }
    });
  });
}
