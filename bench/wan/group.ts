/**
 * A group of simulated members in the regions of a placement, and a router in every region: the
 * real ones (src/node-do, src/router), in virtual time.
 *
 * The router of a region stands where its clients are, so a request costs the round trip from
 * there to the member that it asks. Each router knows what it has learnt itself, as isolates do.
 */

import { nobody } from '../../src/router/auth/credentials.ts';
import type { RouterEnv } from '../../src/router/env.ts';
import { startDeadline } from '../../src/router/http/deadline.ts';
import type { Answer } from '../../src/router/members/answer.ts';
import { askGroup } from '../../src/router/members/ask.ts';
import type { AskKind, MemberOp } from '../../src/router/members/call.ts';
import { Cluster, type Traffic } from '../../test/sim/cluster.ts';
import { getOp, putOp } from '../../test/sim/support.ts';
import { runOnClockOf } from '../../test/sim/virtual-clock.ts';
import type { Placement } from './placements.ts';
import { type Region, regions, roundTripMs } from './round-trips.ts';

/** Senders of clients' requests are numbered from here, so that they are no places. */
const firstSender = 100;

/** Longer than anything that a request sets off goes on for when nothing is lost. */
const settleMs = 5_000;

export interface GroupOptions {
  readonly seed: number;
  readonly commitMs?: number;
  /** Of the requests and of the responses between members; those of clients are never lost. */
  readonly lossProbability?: number;
}

let groups = 0;

export class Group {
  readonly placement: Placement;
  readonly cluster: Cluster;
  private readonly name: string;

  constructor(placement: Placement, options: GroupOptions) {
    groups += 1;
    this.name = `wan-${groups}`;
    this.placement = placement;
    this.cluster = new Cluster({
      seed: options.seed,
      size: placement.members.length === 5 ? 5 : 3,
      latencyMs: (from, to) => roundTripMs(this.regionOf(from), this.regionOf(to)) / 2,
      commitMs: options.commitMs ?? 0,
    });
    runOnClockOf(this.cluster.world);
    const { lossProbability = 0 } = options;
    if (lossProbability === 0) return;
    const isLost = ({ from }: Traffic) =>
      from < firstSender && this.cluster.world.random() < lossProbability;
    this.cluster.drop = isLost;
    this.cluster.dropResponse = isLost;
  }

  /** Founds the group and shows every router the way; lets all of it come to rest. */
  async begin(): Promise<void> {
    const { world } = this.cluster;
    for (const region of regions) {
      const answer = await world.settle(this.write(region));
      if (!answer.ok) throw new Error(`${this.placement.name}: ${answer.error} ${answer.detail}`);
    }
    await world.pass(settleMs);
    this.cluster.traffic.length = 0;
  }

  write(region: Region): Promise<Answer> {
    return this.ask(region, 'write', putOp('key', 'value') as MemberOp);
  }

  /** A linearizable read. */
  read(region: Region): Promise<Answer> {
    return this.ask(region, 'read', getOp('key') as MemberOp);
  }

  /** The same at a follower: nobody finds the way to it, the client knows which is near. */
  async readAtFollower(region: Region, place: number): Promise<boolean> {
    const options = { readHere: true, mayPropose: false };
    const reply = await this.cluster.ask(place, getOp('key'), options, this.senderIn(region));
    return reply.outcome.case === 'response';
  }

  private senderIn(region: Region): number {
    return firstSender + regions.indexOf(region);
  }

  private ask(region: Region, kind: AskKind, op: MemberOp): Promise<Answer> {
    return askGroup({
      env: this.envOf(region),
      tenant: `${this.name}-${region}`,
      kind,
      op,
      credentials: nobody,
      deadline: startDeadline(null, Date.now()),
    });
  }

  private envOf(region: Region): RouterEnv {
    const sender = this.senderIn(region);
    const stubOf = (name: string) => ({
      fetch: async (_: string, { body }: { body: Uint8Array }) => {
        const place = Number(name.slice(name.lastIndexOf('/') + 1));
        return new Response(await this.cluster.deliver(sender, place, 'client', body));
      },
    });
    const namespace = { idFromName: (name: string) => name, get: stubOf };
    return {
      RAFT_NODE: namespace as unknown as DurableObjectNamespace,
      MEMBERS: String(this.cluster.size),
    };
  }

  private regionOf(party: number): Region {
    const region =
      party >= firstSender ? regions[party - firstSender] : this.placement.members[party - 1];
    // Birth asks all founding places, those too that the group will not have.
    return region ?? this.placement.members[0] ?? 'weur';
  }
}
