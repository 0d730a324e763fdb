/**
 * A simulated client behind a router of its own: the real one (src/router/members/ask.ts) over the
 * simulated network. It does one thing at a time, and everything it asks and hears is recorded.
 *
 * Reads at a follower, a learner or without a quorum go straight to a member.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { MemberReplySchema, MemberRequestSchema } from '../../../src/api/gen/member_pb.js';
import { protocolVersion } from '../../../src/api/limits.ts';
import { memberPaths } from '../../../src/api/member.ts';
import { type Credentials, nobody } from '../../../src/router/auth/credentials.ts';
import type { RouterEnv } from '../../../src/router/env.ts';
import { startDeadline } from '../../../src/router/http/deadline.ts';
import { askGroup } from '../../../src/router/members/ask.ts';
import type { AskKind, MemberOp } from '../../../src/router/members/call.ts';
import { remember } from '../../../src/router/members/hints.ts';
import {
  type Call,
  get,
  isWrite,
  type Pending,
  put,
  range,
  remove,
  txn,
} from '../../support/history/history.ts';
import { Random } from '../../support/random.ts';
import type { ClientOp, LeaseOp, LockOp, ReadVia } from './plan.ts';
import { compactionAt, outcomeOf, requestOf } from './requests.ts';
import type { Simulation } from './simulation.ts';

/** What came of a request: its response; nothing, for certain; or nobody knows. */
export type Outcome = Uint8Array | 'failed' | 'unknown';

/** What it said, in the words of a history. */
type Answered = ReturnType<typeof outcomeOf>;

const patienceMs = [400, 1_500, 3_000];
const allKeys = ['a', 'z'] as const;

export class Client {
  readonly number: number;
  private readonly simulation: Simulation;
  private readonly random: Random;
  private readonly queue: ClientOp[] = [];
  private isBusy = false;
  private isolate = 0;
  private writes = 0;
  /** Newest revision that any answer named, and of each key the last one seen. */
  private revision = 1;
  private readonly seen = new Map<string, number>();

  constructor(simulation: Simulation, number: number) {
    this.simulation = simulation;
    this.number = number;
    this.random = new Random(simulation.plan.shape.seed * 13 + number);
  }

  get isIdle(): boolean {
    return !this.isBusy && this.queue.length === 0;
  }

  enqueue(op: ClientOp): void {
    this.queue.push(op);
    if (!this.isBusy) this.goOn();
  }

  /** What it has not begun it does not do any more. */
  giveUp(): void {
    this.queue.length = 0;
  }

  /** The router's isolate is a new one: it knows nothing of the group. */
  forget(): void {
    this.isolate += 1;
  }

  /** Its router has heard of these members. */
  know(places: readonly number[]): void {
    const place = places[0] ?? 1;
    const tenant = `${this.number}-${this.isolate}`;
    remember(tenant, { place, term: 0n, places, suspect: true, avoid: null });
  }

  private goOn(): void {
    const next = this.queue.shift();
    if (!next) return;
    this.isBusy = true;
    this.perform(next)
      .catch((error) => this.simulation.fail(`client ${this.number}: ${String(error)}`))
      .finally(() => {
        this.isBusy = false;
        this.goOn();
      });
  }

  private async perform(op: ClientOp): Promise<void> {
    if (isOfLease(op)) return this.simulation.leases.perform(this, op);
    if (op.op === 'lock') return this.simulation.locks.perform(this, op);
    if (op.op === 'compact') {
      const outcome = await this.ask('write', compactionAt(Math.max(1, this.revision - op.back)));
      if (typeof outcome !== 'string') this.simulation.count('compactions');
      return;
    }
    const via = op.op === 'get' || op.op === 'range' ? op.via : 'router';
    const place = 'place' in op ? op.place : 0;
    const done = await this.record(this.callOf(op), via, place);
    this.simulation.count(`operation: ${op.op}${via === 'router' ? '' : ` ${via}`}`);
    this.simulation.count(`outcome: ${typeof done === 'string' ? done : 'ok'}`);
  }

  private callOf(op: Exclude<ClientOp, LeaseOp | LockOp | { op: 'compact' }>): Call {
    const { key } = op;
    switch (op.op) {
      case 'put':
        return put(key, this.value());
      case 'delete':
        return remove(key);
      case 'increment':
        return txn({
          compares: [
            { key, target: 'modRevision', relation: '=', operand: this.seen.get(key) ?? 0 },
          ],
          success: [{ kind: 'put', key, value: this.value() }],
          failure: [{ kind: 'get', key }],
        });
      case 'move':
        if (op.other === key) return put(key, this.value());
        return txn({
          success: [
            { kind: 'get', key },
            { kind: 'put', key: op.other, value: this.value() },
            { kind: 'delete', key },
          ],
        });
      case 'history':
        return get(key, { at: Math.max(1, this.revision - op.back) });
      case 'get':
        return get(key, { serializable: op.via === 'serializable' });
      case 'range':
        return range(...allKeys, { serializable: op.via === 'serializable' });
    }
  }

  private value(): string {
    this.writes += 1;
    return `${this.number}.${this.writes}`;
  }

  /** `op`: if the request says more than the call. */
  async record(
    call: Call,
    via: ReadVia,
    place: number,
    op = requestOf(call),
  ): Promise<Answered | 'failed' | 'unknown'> {
    const pending = this.simulation.history.begin(this.number, call);
    const { generations } = this.simulation;
    const outcome =
      via === 'router'
        ? await this.ask(isWrite(call) ? 'write' : 'read', op)
        : await this.askPlace(place, op, via === 'serializable');
    this.simulation.trace(() => `client ${this.number}: ${JSON.stringify(call)} ${shown(outcome)}`);
    return this.conclude(call, pending, outcome, generations);
  }

  private conclude(
    call: Call,
    pending: Pending,
    outcome: Outcome,
    generations: number,
  ): Answered | 'failed' | 'unknown' {
    if (outcome === 'failed') pending.failed();
    else if (outcome === 'unknown') pending.unknown();
    else {
      const success = outcomeOf(call, outcome, (...ids) =>
        this.simulation.serverOf(...ids, generations),
      );
      this.learn(success);
      pending.answer(success);
      return success;
    }
    return outcome;
  }

  private learn({ revision, answers }: Answered): void {
    this.revision = Math.max(this.revision, revision);
    for (const answer of answers)
      if (answer.kind === 'get' || answer.kind === 'range')
        for (const { key, modRevision } of answer.found) this.seen.set(key, modRevision);
  }

  /** Through the router, wherever the leader may be. */
  async ask(kind: AskKind, op: MemberOp, timeoutMs = this.random.pick(patienceMs)) {
    const answer = await askGroup({
      ...this.router(),
      kind,
      op,
      deadline: startDeadline(timeoutMs, Date.now()),
    });
    if (answer.ok) return answer.response;
    this.simulation.trace(() => `client ${this.number}: ${answer.error} ${answer.detail}`);
    return answer.outcomeUnknown ? 'unknown' : 'failed';
  }

  /** As whom its router asks. */
  router(): {
    readonly env: RouterEnv;
    readonly tenant: string;
    readonly credentials: Credentials;
  } {
    return { env: this.env(), tenant: `${this.number}-${this.isolate}`, credentials: nobody };
  }

  private env(): RouterEnv {
    const fetch =
      (place: number) =>
      async (path: string, { body }: { body: Uint8Array }) => {
        if (path === memberPaths.watch)
          return { webSocket: await this.simulation.openSocket(this.number, place) };
        const asked = this.simulation.callOfClient(this.number, place, body);
        this.simulation.leases.overhear(body, asked);
        const bytes = await asked;
        return { status: 200, arrayBuffer: async () => bytes };
      };
    const namespace = {
      idFromName: (name: string) => Number(name.slice(name.lastIndexOf('/') + 1)),
      get: (place: number) => ({ fetch: fetch(place) }),
    };
    return {
      RAFT_NODE: namespace as unknown as DurableObjectNamespace,
      MEMBERS: String(this.simulation.plan.shape.size),
    };
  }

  /** A read that this very member is to serve. */
  private async askPlace(place: number, op: MemberOp, serializable: boolean): Promise<Outcome> {
    const timeoutMs = this.random.pick(patienceMs);
    const request = create(MemberRequestSchema, {
      protocol: protocolVersion,
      op,
      timeoutMs,
      groupSize: this.simulation.plan.shape.size,
      serializable,
      readHere: !serializable,
    });
    const body = toBinary(MemberRequestSchema, request);
    const silence = new Promise<'failed'>((resolve) => {
      this.simulation.world.schedule(timeoutMs, () => resolve('failed'));
    });
    const reply = this.simulation.callOfClient(this.number, place, body).then(
      (bytes) => {
        const { outcome } = fromBinary(MemberReplySchema, bytes);
        return outcome.case === 'response' ? outcome.value : 'failed';
      },
      () => 'failed' as const,
    );
    return Promise.race([reply, silence]);
  }
}

function isOfLease(op: ClientOp): op is LeaseOp {
  return ['grant', 'keepAlive', 'revoke', 'attach', 'look'].includes(op.op);
}

function shown(outcome: Outcome): string {
  return typeof outcome === 'string' ? outcome : 'ok';
}
