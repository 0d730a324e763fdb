/**
 * Latency of writes and linearizable reads, from every region, in virtual time.
 *
 * At a low rate: an open loop, one request about every second, so that none waits for another.
 * Under load: closed loops of clients that are spread over the regions.
 */
import { commitsBoundMs, followerBoundMs, leaderBoundMs, ledBy } from './bounds.ts';
import { Group, type GroupOptions } from './group.ts';
import type { Placement } from './placements.ts';
import { type Region, regions, roundTripMs } from './round-trips.ts';

export type Operation = 'write' | 'read' | 'read at follower';

export const operations: readonly Operation[] = ['write', 'read', 'read at follower'];

export interface LowRateResult {
  readonly placement: Placement;
  readonly samples: readonly Sample[];
  /** Changes of leader while it was measured. */
  readonly elections: number;
}

/** What clients of one region saw of one operation. */
export interface Sample {
  readonly region: Region;
  readonly operation: Operation;
  /** Latency divided by the bound of this region and of the leader that served the request. */
  readonly ratios: number[];
  readonly excessMs: number[];
  /** Requests that got no result; their latencies count like the others. */
  errors: number;
  /** Calls between members from the beginning of a request to that of the next; low rate only. */
  calls: number;
}

/** Requests of the open loop begin this far apart: drawn from [min, max). */
const intervalMinMs = 800;
const intervalMaxMs = 1_200;
/** No request is under way for longer: the deadline of one that names none. */
const longestMs = 5_500;

export async function measureAtLowRate(
  placement: Placement,
  options: GroupOptions,
  perRegion: number,
): Promise<LowRateResult> {
  const group = await begun(placement, options);
  const { world, traffic } = group.cluster;
  const samples = emptySamples();
  const { term } = group.cluster.status(1);
  for (let round = 0; round < perRegion; round += 1) {
    for (const sample of samples) {
      traffic.length = 0;
      void measureOne(group, sample);
      await world.pass(intervalMinMs + world.random() * (intervalMaxMs - intervalMinMs));
      sample.calls += traffic.filter(({ path }) => path === 'peer').length;
    }
  }
  await world.pass(longestMs);
  return { placement, samples, elections: group.cluster.status(1).term - term };
}

/** What many clients of all regions see together. */
export interface LoadResult {
  readonly operation: Operation;
  readonly perSecond: number;
  readonly ratios: readonly number[];
  readonly excessMs: readonly number[];
  readonly requestsPerEntry: number | null;
  readonly callsPerRequest: number;
  readonly errors: number;
}

const warmUpMs = 1_000;
const measuredMs = 4_000;

export async function measureUnderLoad(
  placement: Placement,
  options: GroupOptions,
  operation: Operation,
  clients: number,
): Promise<LoadResult> {
  const group = await begun(placement, options);
  const { cluster } = group;
  const load = new Load(group, operation, clients);
  await cluster.world.pass(warmUpMs);
  load.forget();
  cluster.traffic.length = 0;
  const entriesBefore = cluster.status(1).lastIndex;
  await cluster.world.pass(measuredMs);
  const requests = load.samples.reduce((sum, { ratios }) => sum + ratios.length, 0);
  const entries = cluster.status(1).lastIndex - entriesBefore;
  const calls = cluster.traffic.filter(({ path }) => path === 'peer').length;
  load.stop();
  return {
    operation,
    perSecond: requests / (measuredMs / 1_000),
    ratios: load.samples.flatMap(({ ratios }) => ratios),
    excessMs: load.samples.flatMap(({ excessMs }) => excessMs),
    requestsPerEntry: entries === 0 ? null : requests / entries,
    callsPerRequest: calls / requests,
    errors: load.samples.reduce((sum, { errors }) => sum + errors, 0),
  };
}

/** Clients with one request at a time each; client n is in the n-th region, round and round. */
class Load {
  readonly samples: readonly Sample[];
  private readonly group: Group;
  private running = true;

  constructor(group: Group, operation: Operation, clients: number) {
    this.group = group;
    this.samples = emptySamples().filter((sample) => sample.operation === operation);
    for (let client = 0; client < clients; client += 1) void this.run(client);
  }

  forget(): void {
    for (const sample of this.samples) {
      sample.ratios.length = 0;
      sample.excessMs.length = 0;
      sample.errors = 0;
    }
  }

  stop(): void {
    this.running = false;
  }

  private async run(client: number): Promise<void> {
    const sample = this.samples[client % this.samples.length];
    while (this.running && sample) await measureOne(this.group, sample);
  }
}

function emptySamples(): Sample[] {
  return regions.flatMap((region) =>
    operations.map((operation) => {
      return { region, operation, ratios: [], excessMs: [], errors: 0, calls: 0 };
    }),
  );
}

async function measureOne(group: Group, sample: Sample): Promise<void> {
  const { world } = group.cluster;
  const begunAt = world.now;
  const isAtFollower = sample.operation === 'read at follower';
  const { ok, boundMs } = await (isAtFollower
    ? followerRead(group, sample)
    : leaderRequest(group, sample));
  const latencyMs = world.now - begunAt;
  sample.ratios.push(latencyMs / boundMs);
  sample.excessMs.push(latencyMs - boundMs);
  if (!ok) sample.errors += 1;
}

async function leaderRequest(group: Group, { region, operation }: Sample) {
  const answer = await (operation === 'write' ? group.write(region) : group.read(region));
  const members = ledBy(group.placement.members, answer.servedBy?.place ?? 1);
  const commitsMs = operation === 'write' ? commitsBoundMs(group.cluster.commitMs) : 0;
  return { ok: answer.ok, boundMs: leaderBoundMs(region, members, roundTripMs) + commitsMs };
}

/** At the follower that is nearest to the client. */
async function followerRead(group: Group, { region }: Sample) {
  const leader = group.cluster.leader() ?? 1;
  const { members } = group.placement;
  const [place = 0] = members
    .map((_, at) => at + 1)
    .filter((at) => at !== leader)
    .toSorted((a, b) => wayMs(region, members[a - 1]) - wayMs(region, members[b - 1]));
  const ok = await group.readAtFollower(region, place);
  const ordered = ledBy(members, leader);
  const at = place < leader ? place + 1 : place;
  return { ok, boundMs: followerBoundMs(region, ordered, at, roundTripMs) };
}

function wayMs(from: Region, to: Region | undefined): number {
  return to === undefined ? Number.POSITIVE_INFINITY : roundTripMs(from, to);
}

async function begun(placement: Placement, options: GroupOptions): Promise<Group> {
  const group = new Group(placement, options);
  await group.begin();
  return group;
}
