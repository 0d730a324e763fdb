/** Where the members of the measured groups are. The first leads: place 1 founds the group. */
import type { Region } from './round-trips.ts';

export interface Placement {
  readonly name: string;
  /** Of places 1, 2, ...: three or five. */
  readonly members: readonly Region[];
}

export const placements: readonly Placement[] = [
  placement('weur', 'weur', 'weur'),
  placement('weur', 'eeur', 'enam'),
  placement('enam', 'wnam', 'weur'),
  placement('enam', 'weur', 'apac'),
  placement('oc', 'apac', 'afr'),
  placement('weur', 'eeur', 'enam', 'wnam', 'me'),
  placement('enam', 'wnam', 'sam', 'weur', 'apac'),
  placement('weur', 'enam', 'apac', 'oc', 'afr'),
];

function placement(...members: Region[]): Placement {
  return { name: members.join(' '), members };
}
