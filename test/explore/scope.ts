/**
 * How much of what costs something a path may contain: the bounds of the model, as in TLA+.
 *
 * What was used is one number in a state, three bits for each kind.
 */

export const costs = [
  'proposals',
  'reads',
  'changes',
  /** Times that a clock goes on to its next deadline; what is due at once is free. */
  'timeouts',
  /** Somebody could not reach the leader. */
  'suspicions',
  'crashes',
  /** A member crashes in the turn of a message: as if the message were lost, then a crash. */
  'vainTurns',
  /** Messages whose loss their sender hears of. */
  'failures',
  /** Messages that are lost without a sign: as if they never arrived. */
  'losses',
  'duplicates',
] as const;

export type Cost = (typeof costs)[number];
/** What is not named may not happen. */
export type Scope = { readonly [Name in Cost]?: number };

const bits = 3;
const most = 2 ** bits - 1;

export function used(all: number, cost: Cost): number {
  return (all >> (costs.indexOf(cost) * bits)) & most;
}

/** `all` with one more of `cost`, or null when the scope does not allow it. */
export function spend(all: number, cost: Cost, scope: Scope): number | null {
  const limit = scope[cost] ?? 0;
  if (limit > most) throw new Error(`${cost}: at most ${most}`);
  return used(all, cost) < limit ? all + (1 << (costs.indexOf(cost) * bits)) : null;
}

/** 'crashes=1,reads=2' over what a start has; throws on what is no cost. */
export function parseScope(text: string): Scope {
  const scope: { [Name in Cost]?: number } = {};
  for (const part of text.split(',').filter(Boolean)) {
    const [name = '', value = ''] = part.split('=');
    const cost = costs.find((one) => one === name);
    if (!cost || !/^[0-7]$/.test(value))
      throw new Error(`scope: ${part} is not one of ${costs.join(', ')} with =0 to =${most}`);
    scope[cost] = Number(value);
  }
  return scope;
}
