/**
 * Counts what a member has done, from the answers: the state machine itself counts nothing, as it is a
 * pure function.
 */
import type { TxnResponse } from '../api/gen/rpc_pb.js';
import type { CommandResult } from '../kv/state-machine.ts';
import type { Totals } from './counters.ts';

/** Every member counts what is applied there, whoever led, as in etcd. */
export function countCommand(totals: Totals, result: CommandResult, leads: boolean): void {
  if (!result.ok) return;
  const { response } = result;
  switch (response.case) {
    case 'put':
      totals.puts += 1;
      return;
    case 'deleteRange':
      totals.deletes += 1;
      return;
    case 'txn':
      countTxn(totals, response.value);
      return;
    case 'leaseGrant':
      totals.leasesGranted += 1;
      return;
    case 'leaseExpire':
      if (leads && !response.value.left) totals.leasesExpired += 1;
      return;
  }
}

/** One of a single operation counts as that operation alone. */
export function countTxn(totals: Totals, response: TxnResponse): void {
  if (countOperations(totals, response) > 1) totals.txns += 1;
}

function countOperations(totals: Totals, { responses }: TxnResponse): number {
  let count = 0;
  for (const { response } of responses) {
    switch (response.case) {
      case 'responseTxn':
        count += countOperations(totals, response.value);
        continue;
      case 'responseRange':
        totals.ranges += 1;
        break;
      case 'responsePut':
        totals.puts += 1;
        break;
      case 'responseDeleteRange':
        totals.deletes += 1;
        break;
    }
    count += 1;
  }
  return count;
}
