/** The keys of calls and histories, and places in sorted lists of them. */
import type { Call, Operation } from './history.ts';

export function writtenKeys({ success, failure }: Call): Set<string> {
  return new Set(
    [...success, ...failure].flatMap((step) =>
      step.kind === 'put' || step.kind === 'delete' ? [step.key] : [],
    ),
  );
}

/** Every key that is named or was found. */
export function keysOf(operations: readonly Operation[]): Set<string> {
  const keys = new Set<string>();
  for (const { call, outcome } of operations) {
    for (const { key } of call.compares) keys.add(key);
    for (const branch of [call.success, call.failure])
      for (const step of branch) if (step.kind !== 'range') keys.add(step.key);
    if (outcome.type !== 'ok') continue;
    for (const answer of outcome.answers) {
      if (answer.kind === 'put' || answer.kind === 'delete') continue;
      for (const { key } of answer.found) keys.add(key);
    }
  }
  return keys;
}

/** The sorted keys from `start` up to before `end`. */
export function keysBetween(
  keys: readonly string[],
  start: string,
  end: string,
): readonly string[] {
  return keys.slice(firstAtLeast(keys, start), firstAtLeast(keys, end));
}

/** The place of the first of the sorted `items` that is not below `bound`. */
export function firstAtLeast<Item extends string | number>(
  items: readonly Item[],
  bound: Item,
): number {
  let [low, high] = [0, items.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((items[middle] as Item) < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}
