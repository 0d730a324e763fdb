/** A way in which a history can be wrong. */
import type { Random } from '../../../random.ts';
import type { Operation } from '../../history.ts';
import type { Rule } from '../../report.ts';

export interface Corruption {
  readonly name: string;
  /** What the revision checker may call it. */
  readonly rules: readonly Rule[];
  /** Whether the linearizability checker must find it too: it shows in one key. */
  readonly isLinearizability: boolean;
  /** Null: the history has no place for it. */
  readonly apply: (random: Random, operations: readonly Operation[]) => Operation[] | null;
}
