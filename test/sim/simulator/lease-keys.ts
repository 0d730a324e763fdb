/**
 * Keys that hang on leases, and what their readers are promised: while the lease lives all of them are
 * there, and they go with it, all at once.
 *
 * Each key belongs to one lease of one client, who puts them one after the other. What ends a lease writes a
 * revision that no client has asked for: the history gets a write of unknown outcome for each.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { CommandSchema } from '../../../src/api/gen/command_pb.js';
import { PutRequestSchema } from '../../../src/api/gen/rpc_pb.js';
import type { MemberOp } from '../../../src/router/members/call.ts';
import { put, range, txn } from '../../support/history/history.ts';
import type { Client } from './clients.ts';
import type { LeaseOp } from './plan.ts';
import type { Simulation } from './simulation.ts';

interface Attached {
  /** Everything that was ever put with it, in order. */
  readonly keys: string[];
  /** Of these, what was acknowledged. */
  readonly acknowledged: Set<string>;
  /** Somebody has asked for its end. */
  isRevoked: boolean;
  /** Some answer shows that it is over. */
  isOver: boolean;
}

const encoder = new TextEncoder();

export class LeaseKeys {
  private readonly simulation: Simulation;
  private readonly sureMs: (id: bigint) => number;
  private readonly leases = new Map<bigint, Attached>();

  /** `sureMs`: for how long a lease is sure to last yet, unless it is revoked. */
  constructor(simulation: Simulation, sureMs: (id: bigint) => number) {
    this.simulation = simulation;
    this.sureMs = sureMs;
  }

  async attach(client: Client, id: bigint): Promise<string> {
    const { keys, acknowledged } = this.of(id);
    const key = `${prefixOf(id)}${String(keys.length).padStart(3, '0')}`;
    this.hangs(id, key);
    const done = await client.record(put(key, key), 'router', 0, leasedPut(key, id));
    if (typeof done === 'string') return `key ${done}`;
    acknowledged.add(key);
    if (this.of(id).isOver) this.fail(`a key was attached to lease ${id}, which is over`);
    return 'key attached';
  }

  async look(client: Client, id: bigint, { via, place }: LeaseOp & { op: 'look' }) {
    const attached = this.of(id);
    const known = [...attached.acknowledged];
    const isSerializable = via === 'serializable';
    const call = range(prefixOf(id), `l${id}0`, { serializable: isSerializable });
    const done = await client.record(call, via, place);
    if (typeof done === 'string') return `look ${done}`;
    const [answer] = done.answers;
    const found = new Set(answer?.kind === 'range' ? answer.found.map(({ key }) => key) : []);
    const newest = [...found].sort().at(-1) ?? '';
    const missing = known.filter((key) => !found.has(key));
    const isGone = found.size === 0 && known.length > 0;
    // An old state may end earlier, but not have a later key without an earlier one.
    const lost = isSerializable ? missing.filter((key) => key < newest) : missing;
    if (!isGone && lost.length > 0)
      this.fail(`of the keys of lease ${id} ${lost.join()} are gone and ${newest} is there`);
    if (isSerializable) return 'look';
    if (attached.isOver && found.size > 0) this.fail(`lease ${id} is over, and ${newest} is there`);
    if (!isGone) return 'look';
    const sureMs = this.sureMs(id);
    if (!attached.isRevoked && sureMs > 0)
      this.fail(`the keys of lease ${id} are gone, which lives for ${sureMs} ms more`);
    this.ended(id);
    return 'look at nothing';
  }

  /** Somebody else puts this key with the lease, once. */
  hangs(id: bigint, key: string): void {
    const { keys, isRevoked } = this.of(id);
    keys.push(key);
    // What was asked for before this key may come about after it.
    if (isRevoked) this.mayEnd(id, 'revoked');
  }

  /** It may end from now on, once, for this reason. */
  mayEnd(id: bigint, why: string): void {
    const attached = this.of(id);
    if (why === 'revoked') attached.isRevoked = true;
    if (attached.keys.length === 0) return;
    const success = attached.keys.map((key) => ({ kind: 'delete' as const, key }));
    const { history } = this.simulation;
    history.begin(`lease ${id} ${why} ${history.operations.length}`, txn({ success }));
  }

  ended(id: bigint): void {
    this.of(id).isOver = true;
  }

  private of(id: bigint): Attached {
    const known = this.leases.get(id);
    if (known) return known;
    const fresh = { keys: [], acknowledged: new Set<string>(), isRevoked: false, isOver: false };
    this.leases.set(id, fresh);
    return fresh;
  }

  /** What a survivor did not hold is lost: after a recovery nothing is certain any more. */
  private fail(what: string): void {
    const { groups, recovery } = this.simulation;
    if (!groups.isRecovered && !recovery.isPending) this.simulation.fail(what);
  }
}

function prefixOf(id: bigint): string {
  return `l${id}/`;
}

function leasedPut(text: string, lease: bigint): MemberOp {
  const key = encoder.encode(text);
  const value = create(PutRequestSchema, { key, value: key, lease });
  const op = { case: 'put', value } as const;
  return { case: 'command', value: toBinary(CommandSchema, create(CommandSchema, { op })) };
}
