/**
 * The cost ledger: what one operation costs at Cloudflare's prices, from the counters that every
 * member keeps (`GET /v1/status`): requests to Durable Objects, rows read and written, commits,
 * alarms. A fixed number of operations runs between two readings of the counters.
 *
 * The readings themselves are kept out: requests of kind "status" are not counted, and what a
 * reading costs in rows is measured by two readings in a row and subtracted.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberStatus } from '../src/api/member.ts';
import { cpuMs } from './children.ts';
import { callJson, inParallel } from './http.ts';
import type { Quorate } from './quorate.ts';
import { type Operation, operationPath, operations, type Workload } from './workload.ts';

interface Unreachable {
  readonly place: number;
  readonly error: string;
}

/** Summed over the members, except where the name says otherwise. */
export interface Costs {
  readonly clientRequests: number;
  readonly peerRequests: number;
  readonly birthRequests: number;
  /** Sockets of watches that were opened. */
  readonly watchRequests: number;
  /** On sockets that were open already; twenty are billed as one request. */
  readonly watchMessages: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Of the member that wrote most. */
  readonly rowsWrittenMax: number;
  readonly commits: number;
  readonly alarms: number;
  readonly elections: number;
}

export interface LedgerLine extends Costs {
  readonly bench: 'ledger';
  readonly contender: 'quorate';
  readonly op: Operation | 'put in a crowd' | 'keep-alive';
  readonly clients: number;
  /** Operations between the readings. All costs are per one of these. */
  readonly count: number;
  /** Places whose object was loaded anew meanwhile: their counters began at 0 again. */
  readonly reloaded: readonly number[];
}

export interface IdleLine {
  readonly bench: 'idle';
  readonly contender: 'quorate';
  readonly seconds: number;
  /** Watchers, and as many leases of an hour, that are there meanwhile. */
  readonly crowd: number;
  readonly costs: Costs;
  readonly reloaded: readonly number[];
  /** CPU time of workerd, and files of the objects that changed: seen from outside, at rest. */
  readonly cpuMs: number | null;
  readonly filesChanged: number;
}

const plan = [
  { clients: 1, countMax: 300 },
  { clients: 64, countMax: 3_200 },
];
/** A slow machine makes fewer operations instead of a longer run. */
const burstMaxMs = 4_000;

/** Time for the last commit index to reach the followers, so that it is charged to its burst. */
const settleMs = 1_000;

export async function measureLedger(quorate: Quorate, workload: Workload): Promise<LedgerLine[]> {
  const lines: LedgerLine[] = [];
  for (const op of operations)
    for (const { clients, countMax } of plan) {
      const bodies = workload.bodies[op];
      const url = quorate.url + operationPath[op];
      const call = (n: number) => callJson(url, bodies[n % bodies.length]);
      lines.push(await measureCalls(quorate, { op, clients, countMax, call }));
    }
  return lines;
}

export interface Calls {
  readonly op: LedgerLine['op'];
  readonly clients: number;
  readonly countMax: number;
  readonly call: (n: number) => Promise<unknown>;
}

export async function measureCalls(
  quorate: Quorate,
  { op, clients, countMax, call }: Calls,
): Promise<LedgerLine> {
  await call(0);
  await sleep(settleMs);
  const first = await readStatuses(quorate);
  const before = await readStatuses(quorate);
  const count = await inParallel(countMax, clients, call, burstMaxMs);
  await sleep(settleMs);
  const after = await readStatuses(quorate);
  const reading = costsBetween(first, before);
  const costs = costsBetween(before, after);
  return {
    bench: 'ledger',
    contender: 'quorate',
    op,
    clients,
    count,
    ...mapCosts(costs, (name, value) => Number(((value - reading[name]) / count).toFixed(3))),
    reloaded: reloadedPlaces(before, after),
  };
}

export async function measureIdle(quorate: Quorate, seconds: number, crowd = 0): Promise<IdleLine> {
  const first = await readStatuses(quorate);
  const before = await readStatuses(quorate);
  const cpuBefore = cpuMs(quorate.pids);
  const filesBefore = fileTimes(quorate.dataDirectory);
  await sleep(seconds * 1000);
  const cpuAfter = cpuMs(quorate.pids);
  const filesAfter = fileTimes(quorate.dataDirectory);
  const after = await readStatuses(quorate);
  const reading = costsBetween(first, before);
  let filesChanged = 0;
  for (const [path, state] of filesAfter) if (filesBefore.get(path) !== state) filesChanged += 1;
  return {
    bench: 'idle',
    contender: 'quorate',
    seconds,
    crowd,
    costs: mapCosts(costsBetween(before, after), (name, value) => value - reading[name]),
    reloaded: reloadedPlaces(before, after),
    cpuMs: cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore,
    filesChanged,
  };
}

async function readStatuses({ url }: Quorate): Promise<MemberStatus[]> {
  const { members } = await callJson<{ members: (MemberStatus | Unreachable)[] }>(
    `${url}/v1/status`,
  );
  return members.map((member) => {
    if ('counters' in member) return member;
    throw new Error(`member ${member.place} does not answer: ${member.error}`);
  });
}

/** A member that was loaded anew counts from 0; what its earlier life did since `before` is lost. */
function costsBetween(before: readonly MemberStatus[], after: readonly MemberStatus[]): Costs {
  const deltas = after.map((now) => {
    const then = before.find(({ place }) => place === now.place);
    const costs = costsOf(now);
    if (then === undefined || then.boot !== now.boot) return costs;
    const earlier = costsOf(then);
    return mapCosts(costs, (name, value) => value - earlier[name]);
  });
  const sum = (name: keyof Costs) => deltas.reduce((total, costs) => total + costs[name], 0);
  return {
    ...mapCosts(costsOfNothing, sum),
    rowsWrittenMax: Math.max(...deltas.map((costs) => costs.rowsWritten)),
  };
}

function costsOf({ counters }: MemberStatus): Costs {
  return {
    clientRequests: counters.requestsIn.client,
    peerRequests: counters.requestsIn.peer,
    birthRequests: counters.requestsIn.birth,
    watchRequests: counters.requestsIn.watch,
    watchMessages: counters.watchMessages,
    rowsRead: counters.rowsRead,
    rowsWritten: counters.rowsWritten,
    rowsWrittenMax: counters.rowsWritten,
    commits: counters.commits,
    alarms: counters.alarms,
    elections: counters.elections,
  };
}

const costsOfNothing: Costs = {
  clientRequests: 0,
  peerRequests: 0,
  birthRequests: 0,
  watchRequests: 0,
  watchMessages: 0,
  rowsRead: 0,
  rowsWritten: 0,
  rowsWrittenMax: 0,
  commits: 0,
  alarms: 0,
  elections: 0,
};

function mapCosts(costs: Costs, change: (name: keyof Costs, value: number) => number): Costs {
  const names = Object.keys(costsOfNothing) as (keyof Costs)[];
  return Object.fromEntries(
    names.map((name) => [name, change(name, costs[name])]),
  ) as unknown as Costs;
}

function reloadedPlaces(before: readonly MemberStatus[], after: readonly MemberStatus[]): number[] {
  const bootBefore = new Map(before.map(({ place, boot }) => [place, boot]));
  return after
    .filter(({ place, boot }) => bootBefore.get(place) !== boot)
    .map(({ place }) => place);
}

/** Size and time of change of every file below the directory. */
function fileTimes(directory: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = statSync(path);
    files.set(path, `${size} ${mtimeMs}`);
  }
  return files;
}
