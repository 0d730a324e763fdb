/** All mutants: each is looked for by `npm run mutants`. */
import { hostMutants } from './host.ts';
import type { Mutant } from './mutant.ts';
import { raftMutants } from './raft.ts';

export const mutants: readonly Mutant[] = [...raftMutants, ...hostMutants];
