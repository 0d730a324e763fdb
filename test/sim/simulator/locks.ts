/**
 * Clients that contend for one lock and write the register that it protects, each write fenced: with the
 * router's own code for locks (src/router/locks) and for KV-Fence (src/router/rest/fence.ts).
 *
 * No two are entitled to believe at one moment that they hold, each for as long as its lease is sure to
 * live. And the committed log, applied once more, is what the judge of locks sees: every write of the
 * register was its holder's turn, and every answer "you hold it" was true at the revision that it names.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { checkTxn } from '../../../src/api/checks.ts';
import { CommandSchema } from '../../../src/api/gen/command_pb.js';
import {
  CompareSchema,
  PutRequestSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  RequestOpSchema,
  Compare_CompareTarget as Target,
  type TxnRequest,
  TxnRequestSchema,
  TxnResponseSchema,
} from '../../../src/api/gen/rpc_pb.js';
import { endOf } from '../../../src/kv/events.ts';
import { StateMachine } from '../../../src/kv/state-machine.ts';
import { startDeadline } from '../../../src/router/http/deadline.ts';
import { Unanswered, WaitOver } from '../../../src/router/locks/caller.ts';
import { keyOf, prefixOf } from '../../../src/router/locks/keys.ts';
import { acquire, acquireFree, leave, type Place } from '../../../src/router/locks/queue.ts';
import { askWrite } from '../../../src/router/rest/fence.ts';
import type { Change } from '../../support/changes.ts';
import { type Pending, put, remove } from '../../support/history/history.ts';
import { LockJudge, registerValue } from '../../support/locks/judge.ts';
import { NodeSql } from '../../support/node-sql.ts';
import type { Client } from './clients.ts';
import { firstCode, type LockOp } from './plan.ts';
import type { Simulation } from './simulation.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const lock = 'k';
const register = 'r';
const prefix = prefixOf(encoder.encode(lock));
const requestMs = 3_000;
const pauseMs = 50;
const earlyAfterMs = 200;
const pageBytes = 1 << 24;

/** Who was told that it holds, and has not given up. */
interface Holding {
  readonly who: string;
  readonly lease: bigint;
}

export class Locks {
  private readonly simulation: Simulation;
  private readonly judge = new LockJudge(register);
  private readonly holdings = new Set<Holding>();
  private writes = 0;

  constructor(simulation: Simulation) {
    this.simulation = simulation;
  }

  async perform(client: Client, op: LockOp): Promise<void> {
    const { leases } = this.simulation;
    const lease = await leases.grant(client, op.ttl);
    if (typeof lease === 'string') return;
    const beat = setInterval(() => void leases.keepAlive(client, lease), (op.ttl * 1_000) / 3);
    const stop = () => clearInterval(beat);
    try {
      const place = await this.acquire(client, op, lease);
      this.simulation.count(place ? 'lock: held' : 'lock: not held');
      if (place) await this.hold(client, op, place, stop);
    } finally {
      stop();
    }
  }

  private async acquire(client: Client, op: LockOp, lease: bigint): Promise<Place | null> {
    const { history, leases } = this.simulation;
    const key = decoder.decode(keyOf(prefix, lease));
    const wanted = { prefix, lease, value: encoder.encode(key) };
    leases.keys.hangs(lease, key);
    const entering = history.begin(`lock ${key}`, put(key, key));
    // It leaves its place when it gives up, whether it is told of it or not.
    history.begin(`unlock ${key}`, remove(key));
    const caller = {
      ...client.router(),
      signal: undefined,
      untilMs: Date.now() + op.waitMs,
    };
    if (op.early) setTimeout(() => void this.writeEarly(client, key), earlyAfterMs);
    try {
      const place =
        op.waitMs === 0 ? await acquireFree(caller, wanted) : await acquire(caller, wanted);
      if (place === null) entering.failed();
      else if (place.createRevision === place.entered.revision)
        this.acknowledge(entering, Number(place.createRevision));
      return place;
    } catch (error) {
      if (error instanceof Unanswered || error instanceof WaitOver) return null;
      throw error;
    }
  }

  private async hold(client: Client, op: LockOp, place: Place, stop: () => void): Promise<void> {
    const { leases } = this.simulation;
    const { key, createRevision, lease, header } = place;
    const who = `client ${client.number}`;
    const name = decoder.decode(key);
    this.judge.claim({
      ...{ who, key: name, revision: Number(header.revision), fromMs: 0, untilMs: 0 },
    });
    const holding = { who, lease };
    this.begins(holding);
    const write = () =>
      this.writes % 2 === 0
        ? this.writeFenced(client, createRevision)
        : this.writeAsOwner(client, name, createRevision);
    for (let n = 0; n < op.writes; n += 1) {
      await write();
      await pause(pauseMs);
    }
    const caller = { ...client.router(), signal: undefined, untilMs: Date.now() };
    switch (op.end) {
      case 'release':
        this.holdings.delete(holding);
        stop();
        await Promise.all([leave(caller, place).catch(ignoreUnanswered), write()]);
        await write();
        return;
      case 'revoke':
        this.holdings.delete(holding);
        stop();
        await Promise.all([leases.revoke(client, lease), write()]);
        await write();
        return;
      case 'stall':
        stop();
        await pause(op.ttl * 1_000 + op.lateMs);
        this.simulation.count('lock: stalled');
        await Promise.all([write(), write()]);
        return;
      case 'vanish':
        stop();
    }
  }

  /**
   * What others believe is over, or their leases are by now. So may its own be, which ran while the answer
   * was on its way: then it knows that it may not believe it (the judge asks whether it was true when it was given).
   */
  private begins(holding: Holding): void {
    const { leases } = this.simulation;
    if (leases.sureMs(holding.lease) <= 0) {
      this.simulation.count('lock: told too late');
      return;
    }
    for (const other of this.holdings) {
      const sureMs = leases.sureMs(other.lease);
      if (sureMs <= 0) this.holdings.delete(other);
      else if (this.isCertain)
        this.simulation.fail(
          `${holding.who} was told that it holds, as was ${other.who}, whose lease lives ${sureMs} ms more`,
        );
    }
    this.holdings.add(holding);
  }

  /** Who waits has a key, too, and may take it for the lock. */
  private async writeEarly(client: Client, key: string): Promise<void> {
    const value = create(RangeRequestSchema, { key: encoder.encode(key) });
    const outcome = await client.ask('read', { case: 'range', value });
    if (typeof outcome === 'string') return;
    const [kv] = fromBinary(RangeResponseSchema, outcome).kvs;
    if (kv) await this.writeFenced(client, kv.createRevision);
  }

  private async writeFenced(client: Client, token: bigint): Promise<void> {
    const request = new Request('http://x/', { headers: { 'kv-fence': `${lock}=${token}` } });
    const startedMs = Date.now();
    const deadline = startDeadline(requestMs, startedMs);
    const call = { request, ...client.router(), startedMs, deadline };
    await this.write(client, token, async (value) => {
      const txn = create(TxnRequestSchema, { success: [putRegister(value)] });
      const op = { case: 'txn', value: txn } as const;
      const data = await askWrite(call, op, () => checkTxn(txn), TxnResponseSchema, null);
      if (data instanceof Response) return data.status === 412 ? 'refused' : 'unknown';
      return data.revision;
    });
  }

  private async writeAsOwner(client: Client, key: string, token: bigint): Promise<void> {
    await this.write(client, token, async (value) => {
      const targetUnion = { case: 'createRevision', value: token } as const;
      const own = { key: encoder.encode(key), target: Target.CREATE, targetUnion };
      const txn = create(TxnRequestSchema, {
        compare: [create(CompareSchema, own)],
        success: [putRegister(value)],
      });
      const outcome = await client.ask('write', commandOf(txn));
      if (typeof outcome === 'string') return 'unknown';
      const { succeeded, header } = fromBinary(TxnResponseSchema, outcome);
      return succeeded ? Number(header?.revision) : 'refused';
    });
  }

  private async write(
    client: Client,
    token: bigint,
    ask: (value: string) => Promise<number | 'refused' | 'unknown'>,
  ): Promise<void> {
    this.writes += 1;
    const value = registerValue(Number(token), String(client.number), this.writes);
    const pending = this.simulation.history.begin(`register ${value}`, put(register, value));
    // Until it is answered nobody knows.
    this.judge.wrote(value, 'unknown');
    const outcome = await ask(value);
    const told = typeof outcome === 'string' ? outcome : 'done';
    this.judge.wrote(value, told);
    this.simulation.count(`lock: write ${told}`);
    if (outcome === 'unknown') pending.unknown();
    else if (outcome === 'refused') pending.failed();
    else this.acknowledge(pending, outcome);
  }

  /** A put that is done. Nobody has said in which group, which matters once there are two. */
  private acknowledge(pending: Pending, revision: number): void {
    if (this.isCertain) pending.acknowledge(revision);
    else pending.unknown();
  }

  /** What a survivor did not hold is lost: after a recovery nothing is certain any more. */
  private get isCertain(): boolean {
    const { groups, recovery } = this.simulation;
    return !groups.isRecovered && !recovery.isPending;
  }

  /** At the end, of all that is committed. */
  judgeAll(committedIndex: number): void {
    if (this.judge.claims.length === 0) return;
    this.judge.judge(this.replay(committedIndex));
    const [first] = this.judge.violations;
    if (first !== undefined) this.simulation.fail(`lock: ${first}`);
  }

  private replay(committedIndex: number): readonly Change[] {
    const sql = new NodeSql();
    StateMachine.create(sql);
    // Newer rules than any code here has change nothing that it knows.
    const machine = StateMachine.open(sql, {}, firstCode.rules + 1);
    const changes: Change[] = [];
    // Nobody reads it but this, and one transaction costs less than one for each statement.
    sql.run('BEGIN');
    for (let index = 1; index <= committedIndex; index += 1) {
      const before = machine.revision;
      machine.apply(index, this.simulation.committed.dataAt(index));
      if (machine.revision === before) continue;
      const page = machine.changes(endOf(before), machine.revision, pageBytes);
      for (const { rev, key, value, created, version } of page.changes) {
        const name = decoder.decode(key);
        if (name !== register && !name.startsWith(`${lock}/`)) continue;
        const text = value && decoder.decode(value);
        const createRevision = value === null ? 0 : created;
        changes.push({ revision: rev, key: name, value: text, createRevision, version });
      }
    }
    sql.close();
    return changes;
  }
}

function putRegister(value: string) {
  const key = encoder.encode(register);
  const put = create(PutRequestSchema, { key, value: encoder.encode(value) });
  return create(RequestOpSchema, { request: { case: 'requestPut', value: put } });
}

function commandOf(value: TxnRequest) {
  const op = { case: 'txn', value } as const;
  const bytes = toBinary(CommandSchema, create(CommandSchema, { op }));
  return { case: 'command' as const, value: bytes };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function ignoreUnanswered(error: unknown): void {
  if (!(error instanceof Unanswered)) throw error;
}
