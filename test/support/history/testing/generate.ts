/**
 * Correct histories: clients that overlap at random, on a store that runs one call at a time. A call
 * takes effect somewhere between its two ends; one of unknown outcome there, later, or never.
 */
import type { Random } from '../../random.ts';
import {
  type Call,
  type Compare,
  get,
  History,
  isWrite,
  type Pending,
  put,
  range,
  remove,
  type Step,
  txn,
} from '../history.ts';
import { type Answers, Store } from './store.ts';

export interface GenerateOptions {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Values to choose from. Default: each write has one of its own. */
  readonly values?: number;
  /** Share of the calls with that outcome. */
  readonly unknownRate: number;
  readonly failedRate: number;
  /** Calls on one key at a time, and on its newest state. */
  readonly isSimple?: boolean;
}

interface Active {
  readonly pending: Pending;
  readonly call: Call;
  readonly member: number;
  readonly fate: number;
  answers: Answers | null;
}

const members = 3;

export function generate(random: Random, options: GenerateOptions): History {
  return new Generator(random, options).run();
}

class Generator {
  private readonly random: Random;
  private readonly options: GenerateOptions;
  private readonly store = new Store();
  private readonly history: History;
  private readonly active = new Map<number, Active>();
  /** Calls that nobody waits for any more. */
  private readonly adrift: Call[] = [];
  private readonly memberRevisions = new Map<number, number>();
  private clock = 0;
  private values = 0;

  constructor(random: Random, options: GenerateOptions) {
    this.random = random;
    this.options = options;
    this.history = new History(() => this.clock);
  }

  run(): History {
    const { operations, clients } = this.options;
    while (this.history.operations.length < operations || this.active.size > 0) {
      this.clock += 1;
      const client = this.random.integer(1, clients);
      const active = this.active.get(client);
      if (active) this.proceed(client, active);
      else if (this.history.operations.length < operations) this.begin(client);
      if (this.adrift.length > 0 && this.random.next() < 0.1) {
        const call = this.random.pick(this.adrift);
        this.adrift.splice(this.adrift.indexOf(call), 1);
        this.store.run(call);
      }
    }
    return this.history;
  }

  private begin(client: number): void {
    const call = this.options.isSimple ? this.simpleCall() : this.anyCall();
    const pending = this.history.begin(client, call);
    const member = this.random.integer(1, members);
    this.active.set(client, { pending, call, member, fate: this.random.next(), answers: null });
  }

  private proceed(client: number, active: Active): void {
    const { pending, call, member, fate, answers } = active;
    const { failedRate, unknownRate } = this.options;
    if (answers === null && fate >= failedRate + unknownRate) {
      active.answers = call.serializable ? this.readFrom(member, call) : this.store.run(call);
      return;
    }
    this.active.delete(client);
    if (answers) {
      pending.answer(call.serializable ? { ...answers, servedBy: `member ${member}` } : answers);
    } else if (fate < failedRate) {
      pending.failed();
    } else {
      pending.unknown();
      const share = (fate - failedRate) / unknownRate;
      if (!isWrite(call) || share < 0.3) return;
      if (share < 0.6) this.store.run(call);
      else this.adrift.push(call);
    }
  }

  /** A member may be behind by any amount, but it never goes back. */
  private readFrom(member: number, call: Call): Answers {
    const last = this.memberRevisions.get(member) ?? 1;
    const revision = this.random.integer(last, this.store.revision);
    this.memberRevisions.set(member, revision);
    return this.store.run(call, revision);
  }

  private simpleCall(): Call {
    const key = this.key();
    const roll = this.random.next();
    if (roll < 0.35) return put(key, this.value());
    if (roll < 0.7) return get(key);
    if (roll < 0.8) return remove(key);
    const failure: Step[] = this.random.next() < 0.5 ? [{ kind: 'get', key }] : [];
    return txn({
      compares: [this.compare(key)],
      success: [this.write(key), { kind: 'get', key }],
      failure,
    });
  }

  private anyCall(): Call {
    const roll = this.random.next();
    if (roll < 0.5) return this.simpleCall();
    const [one, other] = [this.key(), this.key()];
    const serializable = this.random.next() < 0.5;
    if (roll < 0.6) return range(one, 'z', { serializable });
    if (roll < 0.65) return get(one, { serializable: true });
    if (roll < 0.7) return get(one, { at: this.random.integer(1, this.store.revision) });
    if (roll < 0.75) return range('a', 'z', { at: this.random.integer(1, this.store.revision) });
    const reads: Step[] = [...new Set([one, other])].map((key) => ({ kind: 'get', key }));
    if (roll < 0.8) return txn({ success: reads, serializable });
    const writes = [...new Set([one, other])].map((key) => this.write(key));
    if (roll < 0.9) return txn({ success: writes });
    const compares = [this.compare(one), this.compare(other)];
    return txn({ compares, success: [...reads, ...writes], failure: reads });
  }

  private write(key: string): Step {
    if (this.random.next() < 0.2) return { kind: 'delete', key };
    return { kind: 'put', key, value: this.value() };
  }

  /** Mostly with what the key has now, which holds if nobody comes between. */
  private compare(key: string): Compare {
    const now = this.store.stateAt(this.store.revision)?.get(key);
    const relation = this.random.next() < 0.8 ? '=' : '!=';
    if (now && this.random.next() < 0.5)
      return { key, relation, target: 'value', operand: now.value };
    return { key, relation, target: 'modRevision', operand: now?.modRevision ?? 0 };
  }

  private key(): string {
    return `k${this.random.integer(1, this.options.keys)}`;
  }

  private value(): string {
    const { values } = this.options;
    this.values += 1;
    return `v${values === undefined ? this.values : this.random.integer(1, values)}`;
  }
}
