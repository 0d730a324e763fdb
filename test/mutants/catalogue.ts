/** All mutants, each looked for by `npm run mutants`: past bugs of other engines, rules taken out, and others. */
import { authMutants } from './catalogue/auth.ts';
import { backupMutants } from './catalogue/backups.ts';
import { batchMutants } from './catalogue/batches.ts';
import { bridgeMutants } from './catalogue/bridge.ts';
import { checkerMutants } from './catalogue/checkers.ts';
import { clientMutants } from './catalogue/clients.ts';
import { coreMutants } from './catalogue/core.ts';
import { deadlineMutants } from './catalogue/deadlines.ts';
import { edgeMutants } from './catalogue/edges.ts';
import { electionMutants } from './catalogue/elections.ts';
import { leaseMutants } from './catalogue/leases.ts';
import { lockMutants } from './catalogue/locks.ts';
import { maintenanceMutants } from './catalogue/maintenance.ts';
import { memberMutants } from './catalogue/members.ts';
import { placeMutants } from './catalogue/places.ts';
import { replicationMutants } from './catalogue/replication.ts';
import { turnMutants } from './catalogue/turn.ts';
import { watchMutants } from './catalogue/watch.ts';
import type { Mutant } from './mutant.ts';

export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...replicationMutants,
  ...coreMutants,
  ...turnMutants,
  ...placeMutants,
  ...memberMutants,
  ...clientMutants,
  ...deadlineMutants,
  ...checkerMutants,
  ...watchMutants,
  ...leaseMutants,
  ...authMutants,
  ...lockMutants,
  ...maintenanceMutants,
  ...edgeMutants,
  ...backupMutants,
  ...batchMutants,
  ...bridgeMutants,
];
