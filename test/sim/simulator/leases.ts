/**
 * Leases of simulated clients, and what they are promised (docs/decisions/leases.md).
 *
 * Never early: between the moment at which a grant was in a log, or a keep-alive was asked for that got
 * a TTL, and the moment at which an expiry that was committed stood in a log, its TTL and the allowance for
 * skew have passed, but for what clocks were set ahead meanwhile. No keep-alive gets a TTL once the
 * revocation is acknowledged. And in the end no lease is left, though nobody asks.
 *
 * Each grant has an id of its own. What hangs on them is in lease-keys.ts.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Command, CommandSchema, type LeaseExpire } from '../../../src/api/gen/command_pb.js';
import {
  LeaseKeepAliveRepliesSchema,
  LeaseKeepAliveSchema,
  MemberReplySchema,
  MemberRequestSchema,
} from '../../../src/api/gen/member_pb.js';
import type { LeaseGrantRequest } from '../../../src/api/gen/rpc_pb.js';
import { decodeBatch } from '../../../src/kv/batch.ts';
import { skewAllowanceMs } from '../../../src/node-do/lease-clock.ts';
import type { Entry } from '../../../src/raft/types.ts';
import type { MemberOp } from '../../../src/router/members/call.ts';
import type { Client } from './clients.ts';
import { LeaseKeys } from './lease-keys.ts';
import type { LeaseOp } from './plan.ts';
import type { Simulation } from './simulation.ts';

/** A moment, and by how much all clocks together had been set ahead until then. */
interface Moment {
  readonly at: number;
  readonly ahead: number;
}

interface Expiry extends Moment {
  readonly entry: Entry;
  readonly id: bigint;
  readonly grant: bigint;
}

interface Renewal extends Moment {
  readonly ttl: number;
}

interface Grant extends Renewal {
  readonly entry: Entry;
  readonly id: bigint;
}

export class Leases {
  /** By how much the clocks of all places together have been set ahead. */
  aheadMs = 0;
  private readonly simulation: Simulation;
  /** Of each client, those that it has asked for. */
  private readonly asked = new Map<number, bigint[]>();
  /** By what stood in the log. */
  private readonly grants = new Map<string, Grant>();
  private readonly expiries = new Map<string, Expiry>();
  private readonly renewals = new Map<bigint, Renewal[]>();
  private nextId = 1n;
  readonly keys: LeaseKeys;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
    this.keys = new LeaseKeys(simulation, (id) => this.sureMs(id));
  }

  async perform(client: Client, op: LeaseOp): Promise<void> {
    const own = this.asked.get(client.number) ?? [];
    const id = own.at(-1 - (op.dice % Math.max(1, Math.min(own.length, 3))));
    const count = (what: string) => this.simulation.count(`lease: ${what}`);
    if (op.op === 'grant' || id === undefined) {
      const outcome = await this.grant(client, op.op === 'grant' ? op.ttl : 2);
      count(typeof outcome === 'string' ? `grant ${outcome}` : 'granted');
    } else if (op.op === 'attach') count(await this.keys.attach(client, id));
    else if (op.op === 'look') count(await this.keys.look(client, id, op));
    else if (op.op === 'revoke') {
      const revoked = await this.revoke(client, id);
      if (!revoked) return;
      count('revoked');
      // A client does one thing after the other, and nobody else knows this lease.
      if ((await this.keepAlive(client, id)) > 0)
        this.simulation.fail(`lease ${id} was kept alive after it was revoked`);
    } else count((await this.keepAlive(client, id)) > 0 ? 'kept alive' : 'not kept alive');
  }

  /** Its id; whether it was granted may be unknown. */
  async grant(client: Client, ttl: number): Promise<bigint | 'failed' | 'unknown'> {
    const id = this.nextId;
    this.nextId += 1n;
    this.asked.set(client.number, [...(this.asked.get(client.number) ?? []), id]);
    const moment = this.now();
    const value = { ID: id, TTL: BigInt(ttl) } as never;
    const outcome = await client.ask('write', command({ case: 'leaseGrant', value }));
    if (typeof outcome === 'string') return outcome;
    this.began(id, { ...moment, ttl });
    return id;
  }

  /** False: nobody says so. */
  async revoke(client: Client, id: bigint): Promise<boolean> {
    this.keys.mayEnd(id, 'revoked');
    const value = { ID: id } as never;
    const outcome = await client.ask('write', command({ case: 'leaseRevoke', value }));
    const isRevoked = typeof outcome !== 'string';
    if (isRevoked) this.keys.ended(id);
    return isRevoked;
  }

  /** Seconds; 0: it was not, as far as anybody knows. */
  async keepAlive(client: Client, id: bigint): Promise<number> {
    const value = create(LeaseKeepAliveSchema, { ids: [id] });
    const outcome = await client.ask('read', { case: 'leaseKeepAlive', value });
    if (typeof outcome === 'string') return 0;
    const { responses } = fromBinary(LeaseKeepAliveRepliesSchema, outcome);
    const ttl = Number(responses[0]?.TTL ?? 0n);
    // One that was never seen may be granted yet.
    if (ttl === 0 && this.renewals.has(id)) this.keys.ended(id);
    return ttl;
  }

  /**
   * Of what a client asks a member, by whatever code: keep-alives that get a TTL, a lock's own ones too. A client that
   * has stopped waiting hears no more of it, but is owed it.
   */
  overhear(body: Uint8Array, asked: Promise<Uint8Array>): void {
    if (fromBinary(MemberRequestSchema, body).op.case !== 'leaseKeepAlive') return;
    const moment = this.now();
    const hear = (answer: Uint8Array) => {
      const { outcome } = fromBinary(MemberReplySchema, answer);
      if (outcome.case !== 'response') return;
      for (const { ID, TTL } of fromBinary(LeaseKeepAliveRepliesSchema, outcome.value).responses)
        if (TTL > 0n) this.began(ID, { ...moment, ttl: Number(TTL) });
    };
    asked.then(hear, () => {});
  }

  private began(id: bigint, renewal: Renewal): void {
    this.renewals.set(id, [...(this.renewals.get(id) ?? []), renewal]);
  }

  /** For how many more milliseconds it is sure to last, at least; unless it is revoked. */
  sureMs(id: bigint): number {
    const { at, ahead } = this.now();
    const left = (this.renewals.get(id) ?? []).map(
      (begin) => owedMs(begin) - (at - begin.at + (ahead - begin.ahead)),
    );
    return Math.max(0, ...left);
  }

  /** These entries stand in some log from now on; a leader is who makes them. */
  appended(entries: readonly Entry[], byLeader: boolean): void {
    for (const entry of entries) {
      const { index, term, payload } = entry;
      if (payload.type !== 'data') continue;
      const name = `${index}/${term} ${Buffer.from(payload.data).toString('base64')}`;
      for (const bytes of decodeBatch(payload.data).commands) {
        const { op } = fromBinary(CommandSchema, bytes);
        if (op.case === 'leaseGrant') this.isGranted(name, entry, op.value);
        // Lost in a crash, it may have been made once more.
        else if (
          op.case === 'leaseExpire' &&
          (byLeader || !this.expiries.has(`${name} ${op.value.id}`))
        )
          this.isExpired(name, entry, op.value);
      }
    }
  }

  private isGranted(name: string, entry: Entry, { ID, TTL }: LeaseGrantRequest): void {
    const key = `${name} ${ID}`;
    if (this.grants.has(key)) return;
    this.grants.set(key, { ...this.now(), ttl: Math.max(2, Number(TTL)), id: ID, entry });
  }

  private isExpired(name: string, entry: Entry, { id, grant }: LeaseExpire): void {
    this.expiries.set(`${name} ${id}`, { ...this.now(), id, grant, entry });
    this.keys.mayEnd(id, `expired ${entry.index}/${entry.term}`);
  }

  private now(): Moment {
    return { at: this.simulation.world.now, ahead: this.aheadMs };
  }

  /** Of what is committed, at the end: did any lease end before its time? */
  judge(): void {
    const { committed } = this.simulation;
    const grants = [...this.grants.values()].filter(({ entry }) => committed.has(entry));
    const nameOf = (index: number | bigint, id: bigint) => `${index}/${id}`;
    const byName = new Map(grants.map((grant) => [nameOf(grant.entry.index, grant.id), grant]));
    for (const expiry of this.expiries.values()) {
      if (!committed.has(expiry.entry)) continue;
      this.simulation.count('lease: expired');
      const grant = byName.get(nameOf(expiry.grant, expiry.id));
      if (grant) this.judgeOne(expiry, grant, 'was granted');
      for (const renewal of this.renewals.get(expiry.id) ?? [])
        this.judgeOne(expiry, renewal, 'was kept alive');
    }
  }

  private judgeOne(expiry: Expiry, begin: Renewal, how: string): void {
    const lastedMs = expiry.at - begin.at + (expiry.ahead - begin.ahead);
    const earlyMs = Math.round(owedMs(begin) - lastedMs);
    if (earlyMs > 0)
      this.simulation.fail(
        `lease ${expiry.id} ${how} for ${begin.ttl} s and ended ${earlyMs} ms early`,
      );
  }
}

/** Clocks are read in whole milliseconds. */
function owedMs({ ttl }: Renewal): number {
  return ttl * 1_000 + skewAllowanceMs - 2;
}

function command(op: Command['op']): MemberOp {
  return { case: 'command', value: toBinary(CommandSchema, create(CommandSchema, { op })) };
}
