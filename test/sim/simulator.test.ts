/** The simulator itself: that it repeats, that it holds what it says, and that it finds a bug. */
import { afterAll, describe, expect, it } from 'vitest';
import { RaftCore } from '../../src/raft/core.ts';
import { makePlan } from './simulator/plan.ts';
import { inMacrotask, type Outcome, runPlan, runSeed } from './simulator/run.ts';
import { shrink } from './simulator/shrink.ts';
import { Simulation } from './simulator/simulation.ts';

// The simulator puts this process on its own clock; the runner needs the real one afterwards.
const timers = { setTimeout, clearTimeout, setInterval, clearInterval };
const real = { dateNow: Date.now, random: Math.random };

function restoreClock(): void {
  Object.assign(globalThis, timers);
  Date.now = real.dateNow;
  Math.random = real.random;
}

afterAll(restoreClock);

async function onItsClock<T>(run: () => T): Promise<T> {
  return inMacrotask(() => {
    try {
      return run();
    } finally {
      restoreClock();
    }
  });
}

const plans = Array.from({ length: 400 }, (_, at) => makePlan(at + 1));
const share = (holds: (what: string[]) => boolean) =>
  plans.filter(({ decisions }) => holds(decisions.map((one) => one.do))).length / plans.length;

describe('a seed', () => {
  it('is repeated exactly by its number', async () => {
    const [once, again] = await onItsClock(() => [1, 2].map(() => runPlan(makePlan(11), true)));
    expect(once?.trace.length).toBeGreaterThan(500);
    expect(again?.trace).toEqual(once?.trace);
    expect(again?.fingerprint).toBe(once?.fingerprint);
  });

  it('has another fingerprint when anything in it is different', async () => {
    const plan = makePlan(11);
    const [whole, part] = await onItsClock(() =>
      [plan, { ...plan, decisions: plan.decisions.slice(1) }].map((one) => runPlan(one)),
    );
    expect(part?.fingerprint).not.toBe(whole?.fingerprint);
  });

  // What is cut off leaves its requests waiting, as one does that fails.
  it('does not depend on the seeds before it, be they cut off in the middle', async () => {
    const run = () => [1, 6].map((seed) => runSeed(seed).fingerprint);
    const alone = await onItsClock(run);
    const after = await onItsClock(() => {
      for (const seed of [21, 22, 23]) cutOff(seed, 25_000);
      return run();
    });
    expect(after).toEqual(alone);
  }, 120_000);

  it('holds at least 300 operations and 30 faults', () => {
    const others = ['op', 'change', 'transfer'];
    for (const { decisions } of plans) {
      expect(decisions.filter((one) => one.do === 'op').length).toBeGreaterThanOrEqual(300);
      const faults = decisions.filter((one) => !others.includes(one.do));
      expect(faults.length).toBeGreaterThanOrEqual(30);
    }
  });

  it('changes the membership in at least one of four', () => {
    expect(share((all) => all.includes('change'))).toBeGreaterThan(0.25);
  });
});

describe('a bug', () => {
  it('of reads without a quorum is found, and the plan made small', async () => {
    const { readIndex } = RaftCore.prototype;
    const granted = function (this: RaftCore, id: number, now: number): boolean {
      const done = readIndex.call(this, id, now);
      const { state } = this as unknown as { state: { reads: unknown[]; commit: number } };
      if (done && this.role === 'leader') state.reads.push({ id, index: state.commit });
      return done;
    };
    RaftCore.prototype.readIndex = granted;
    try {
      const { plan, failed } = await onItsClock(() => firstFailure(60));
      expect(failed?.violation).toMatch(/granted at/);
      const shrunk = await onItsClock(() => shrink(plan, failed as Outcome, 60));
      expect(shrunk.plan.decisions.length).toBeLessThan(plan.decisions.length / 2);
      expect(shrunk.outcome.trace.length).toBeGreaterThan(0);
    } finally {
      RaftCore.prototype.readIndex = readIndex;
    }
  }, 120_000);
});

function cutOff(seed: number, afterMs: number): void {
  const simulation = new Simulation(makePlan(seed), null);
  simulation.world.schedule(afterMs, () => simulation.fail('cut off'));
  simulation.disturb();
  simulation.close();
}

function firstFailure(seedsMax: number): {
  plan: ReturnType<typeof makePlan>;
  failed: Outcome | null;
} {
  for (let seed = 1; seed <= seedsMax; seed += 1) {
    const outcome = runSeed(seed);
    if (outcome.violation) return { plan: makePlan(seed), failed: outcome };
  }
  return { plan: makePlan(1), failed: null };
}
