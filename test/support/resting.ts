/** What the members of a group have cost between two moments at which all of them were at rest. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberCounters } from '../../src/api/member.ts';
import type { Gateway } from './gateway.ts';

const restWithinMs = 5_000;
const lookEveryMs = 50;

/** Of one member; what the platform bills, without our own questions. */
export interface Spent {
  readonly requests: number;
  /** On sockets that were open already. */
  readonly watchMessages: number;
  readonly rows: number;
  readonly alarms: number;
}

/** The counters in the order of places, once all that was asked is over. */
export async function restingCounters(gateway: Gateway): Promise<MemberCounters[]> {
  const deadline = Date.now() + restWithinMs;
  for (;;) {
    const { members } = await gateway.status();
    if (members.length === 3 && members.every(({ atRest }) => atRest))
      return [...members].sort((a, b) => a.place - b.place).map(({ counters }) => counters);
    if (Date.now() > deadline) throw new Error(`not at rest: ${JSON.stringify(members)}`);
    await sleep(lookEveryMs);
  }
}

/** By place. Meaningful only while no member begins another life. */
export function spent(
  before: readonly MemberCounters[],
  after: readonly MemberCounters[],
): Spent[] {
  return after.map((counters, at) => {
    const then = before[at];
    if (then === undefined) throw new Error('a member that was not there before');
    return {
      requests: requestsOf(counters) - requestsOf(then),
      watchMessages: counters.watchMessages - then.watchMessages,
      rows: counters.rowsWritten - then.rowsWritten,
      alarms: counters.alarms - then.alarms,
    };
  });
}

function requestsOf({ requestsIn, alarms }: MemberCounters): number {
  const { client, peer, birth, watch } = requestsIn;
  return client + peer + birth + watch + alarms;
}
