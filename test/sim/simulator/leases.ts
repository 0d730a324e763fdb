/**
 * Leases of simulated clients, and what they are promised (docs/decisions/leases.md).
 *
 * Never early: between the moment at which a grant was in a log, or a keep-alive was asked for that got
 * a TTL, and the moment at which an expiry that was committed stood in a log, its TTL and the allowance for
 * skew have passed, but for what clocks were set ahead meanwhile. No keep-alive gets a TTL once the
 * revocation is acknowledged. And in the end no lease is left, though nobody asks.
 *
 * Each grant has an id of its own and no keys: the judges of histories know every revision.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Command, CommandSchema } from '../../../src/api/gen/command_pb.js';
import {
  LeaseKeepAliveRepliesSchema,
  LeaseKeepAliveSchema,
} from '../../../src/api/gen/member_pb.js';
import { decodeBatch } from '../../../src/kv/batch.ts';
import { skewAllowanceMs } from '../../../src/node-do/lease-clock.ts';
import type { Entry } from '../../../src/raft/types.ts';
import type { MemberOp } from '../../../src/router/members/call.ts';
import type { Client } from './clients.ts';
import type { LeaseOp } from './plan.ts';
import type { Simulation } from './simulation.ts';

/** A moment, and by how much all clocks together had been set ahead until then. */
interface Moment {
  readonly at: number;
  readonly ahead: number;
}

interface Expiry extends Moment {
  readonly index: number;
  readonly term: number;
  readonly id: bigint;
  readonly grant: bigint;
}

interface Renewal extends Moment {
  readonly ttl: number;
}

export class Leases {
  /** By how much the clocks of all places together have been set ahead. */
  aheadMs = 0;
  private readonly simulation: Simulation;
  /** Of each client, those that it has asked for. */
  private readonly asked = new Map<number, bigint[]>();
  private readonly grants = new Map<string, Renewal>();
  private readonly renewals = new Map<bigint, Renewal[]>();
  private expiries: Expiry[] = [];
  /** Of each entry, by its index and term: what stood there last. */
  private readonly contents = new Map<string, Uint8Array>();
  private nextId = 1n;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  async perform(client: Client, op: LeaseOp): Promise<void> {
    const own = this.asked.get(client.number) ?? [];
    const id = own.at(-1 - (op.dice % Math.max(1, Math.min(own.length, 3))));
    const count = (what: string) => this.simulation.count(`lease: ${what}`);
    if (op.op === 'grant' || id === undefined) {
      const fresh = this.nextId;
      this.nextId += 1n;
      this.asked.set(client.number, [...own, fresh]);
      const ttl = op.op === 'grant' ? op.ttl : 2;
      const value = { ID: fresh, TTL: BigInt(ttl) } as never;
      const outcome = await client.ask('write', command({ case: 'leaseGrant', value }));
      count(typeof outcome === 'string' ? `grant ${outcome}` : 'granted');
    } else if (op.op === 'revoke') {
      const value = { ID: id } as never;
      const outcome = await client.ask('write', command({ case: 'leaseRevoke', value }));
      if (typeof outcome === 'string') return;
      count('revoked');
      // A client does one thing after the other, and nobody else knows this lease.
      if ((await this.keepAlive(client, id)) > 0)
        this.simulation.fail(`lease ${id} was kept alive after it was revoked`);
    } else count((await this.keepAlive(client, id)) > 0 ? 'kept alive' : 'not kept alive');
  }

  private async keepAlive(client: Client, id: bigint): Promise<number> {
    const moment = this.now();
    const value = create(LeaseKeepAliveSchema, { ids: [id] });
    const outcome = await client.ask('read', { case: 'leaseKeepAlive', value });
    if (typeof outcome === 'string') return 0;
    const { responses } = fromBinary(LeaseKeepAliveRepliesSchema, outcome);
    const ttl = Number(responses[0]?.TTL ?? 0n);
    if (ttl > 0) this.renewals.set(id, [...(this.renewals.get(id) ?? []), { ...moment, ttl }]);
    return ttl;
  }

  /** These entries stand in some log from now on, unless this life ends before they are durable. */
  appended(entries: readonly Entry[]): void {
    for (const { index, term, payload } of entries) {
      if (payload.type !== 'data') continue;
      const name = `${index}/${term}`;
      const known = this.contents.get(name);
      if (known && Buffer.compare(known, payload.data) === 0) continue;
      this.contents.set(name, payload.data);
      // A crash took what stood there, and the leader that resumed has written something else.
      if (known) this.forget(index, term);
      for (const bytes of decodeBatch(payload.data).commands) {
        const { op } = fromBinary(CommandSchema, bytes);
        const moment = this.now();
        if (op.case === 'leaseGrant') {
          const ttl = Math.max(2, Number(op.value.TTL));
          this.grants.set(`${op.value.ID}/${index}/${term}`, { ...moment, ttl });
        } else if (op.case === 'leaseExpire')
          this.expiries.push({ ...op.value, ...moment, index, term });
      }
    }
  }

  private forget(index: number, term: number): void {
    this.expiries = this.expiries.filter((at) => at.index !== index || at.term !== term);
    for (const name of this.grants.keys())
      if (name.endsWith(`/${index}/${term}`)) this.grants.delete(name);
  }

  private now(): Moment {
    return { at: this.simulation.world.now, ahead: this.aheadMs };
  }

  /** Of what is committed, at the end: did any lease end before its time? */
  judge(termAt: (index: number) => number | undefined): void {
    for (const expiry of this.expiries) {
      if (termAt(expiry.index) !== expiry.term) continue;
      this.simulation.count('lease: expired');
      const grant = this.grants.get(`${expiry.id}/${expiry.grant}/${termAt(Number(expiry.grant))}`);
      if (grant) this.judgeOne(expiry, grant, 'was granted');
      for (const renewal of this.renewals.get(expiry.id) ?? [])
        this.judgeOne(expiry, renewal, 'was kept alive');
    }
  }

  private judgeOne(expiry: Expiry, begin: Renewal, how: string): void {
    const lastedMs = expiry.at - begin.at + (expiry.ahead - begin.ahead);
    // Clocks are read in whole milliseconds.
    const owedMs = begin.ttl * 1_000 + skewAllowanceMs - 2;
    if (lastedMs < owedMs)
      this.simulation.fail(
        `lease ${expiry.id} ${how} for ${begin.ttl} s and ended ${Math.round(owedMs - lastedMs)} ms early`,
      );
  }
}

function command(op: Command['op']): MemberOp {
  return { case: 'command', value: toBinary(CommandSchema, create(CommandSchema, { op })) };
}
