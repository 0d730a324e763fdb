/**
 * Makes a failing plan small: decisions are left out, many at first, as long as it still fails (delta
 * debugging, Zeller 2002). Any violation of the same kind counts as the same failure.
 */
import type { Decision, Plan } from './plan.ts';
import { type Outcome, runPlan } from './run.ts';

const runsMaxDefault = 600;

export interface Shrunk {
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly runs: number;
}

/** Must be called from a macrotask; `first` is what the whole plan came to. */
export function shrink(plan: Plan, first: Outcome, runsMax = runsMaxDefault): Shrunk {
  const kind = kindOf(first.violation);
  let kept = plan.decisions;
  let outcome = first;
  let runs = 0;
  let size = Math.ceil(kept.length / 2);
  while (size > 0 && runs < runsMax) {
    let from = 0;
    let hasShrunk = false;
    while (from < kept.length && runs < runsMax) {
      const fewer: Decision[] = [...kept.slice(0, from), ...kept.slice(from + size)];
      const attempt = runPlan({ ...plan, decisions: fewer });
      runs += 1;
      if (kindOf(attempt.violation) === kind) {
        kept = fewer;
        outcome = attempt;
        hasShrunk = true;
      } else from += size;
    }
    if (size === 1 && !hasShrunk) break;
    size = size > 1 ? Math.ceil(size / 2) : 1;
  }
  const smallest = { ...plan, decisions: kept };
  outcome = runPlan(smallest, true);
  return { plan: smallest, outcome, runs };
}

/** Names and numbers differ from run to run. */
export function kindOf(violation: string | null): string | null {
  return violation && (violation.split('\n')[0] ?? '').replace(/[0-9a-f]{8,}|\d+/g, 'n');
}
