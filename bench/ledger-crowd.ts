/** The ledger in a crowd: 1,000 watchers of another key, and 1,000 leases of an hour. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from './crowd.ts';
import { callJson, inParallel } from './http.ts';
import { type IdleLine, type LedgerLine, measureCalls, measureIdle } from './ledger.ts';
import type { Quorate } from './quorate.ts';
import { operationPath, type Workload } from './workload.ts';

const crowd = 1_000;
const ttlSeconds = 3_600;
const atOnce = 32;
const clients = 1;
const countMax = 300;
const settleMs = 2_000;

export async function measureCrowd(
  quorate: Quorate,
  workload: Workload,
  idleSeconds: number,
): Promise<{ ledger: LedgerLine[]; idle: IdleLine }> {
  const { url } = quorate;
  const watchers = new Crowd(url, 'ledger/crowd');
  try {
    await inParallel(crowd, atOnce, () => watchers.join(1));
    const leases: string[] = [];
    const grant = JSON.stringify({ TTL: ttlSeconds });
    await inParallel(crowd, atOnce, async () => {
      leases.push((await callJson<{ ID: string }>(`${url}/v3/lease/grant`, grant)).ID);
    });
    await sleep(settleMs);
    const bodies = workload.bodies.put;
    const put = (n: number) => callJson(url + operationPath.put, bodies[n % bodies.length]);
    const keepAlive = (n: number) =>
      callJson(`${url}/v3/lease/keepalive`, JSON.stringify({ ID: leases[n % crowd] }));
    const ledger = [
      await measureCalls(quorate, { op: 'put in a crowd', clients, countMax, call: put }),
      await measureCalls(quorate, { op: 'keep-alive', clients, countMax, call: keepAlive }),
    ];
    return { ledger, idle: await measureIdle(quorate, idleSeconds, crowd) };
  } finally {
    watchers.close();
  }
}
