/**
 * What clients asked and were told, in a form that the checkers beside this file can judge.
 *
 * Every operation is a transaction in etcd's sense; a put, a get, a range and a delete are
 * transactions of one step. Events (an operation begins, an operation ends) are totally ordered by
 * sequence number; times are for people only. This folder knows neither the simulator nor a server.
 *
 *   const history = new History(() => world.now);
 *   const call = history.begin('client 1', put('a', '1'));
 *   call.acknowledge(2);  // or call.failed(), or call.unknown()
 *
 * Give every write a value of its own: what happened to a write of unknown outcome is then certain
 * as soon as one read shows its value.
 */

/** A key that exists, as a read shows it. */
export interface Version {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
}

/** A mod revision of 0 stands for absence. An absent key has no value: no comparison of it holds. */
export type Compare = { readonly key: string; readonly relation: '=' | '!=' } & (
  | { readonly target: 'value'; readonly operand: string }
  | { readonly target: 'modRevision'; readonly operand: number }
);

/** `end` is exclusive. `at` asks history: the state at that revision instead of the newest. */
export type Step =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'get'; readonly key: string; readonly at?: number }
  | { readonly kind: 'range'; readonly start: string; readonly end: string; readonly at?: number };

export interface Call {
  readonly compares: readonly Compare[];
  /** Run in order when all compares hold, or else `failure`. */
  readonly success: readonly Step[];
  readonly failure: readonly Step[];
  /** Any member may answer from its own state, however old. Only for calls that write nothing. */
  readonly serializable: boolean;
}

/** The answer to one step. `found` is in order of keys; a get finds one key or none. */
export type Answer =
  | { readonly kind: 'put' }
  | { readonly kind: 'delete'; readonly deleted: boolean }
  | { readonly kind: 'get' | 'range'; readonly found: readonly Version[] };

export interface Success {
  readonly type: 'ok';
  /** header.revision: that of its own change, or the one at which it was served. */
  readonly revision: number;
  readonly succeeded: boolean;
  /** One for each step of the branch that ran. */
  readonly answers: readonly Answer[];
  /** Who answered, where it is known: what one member shows never goes back. */
  readonly servedBy?: string;
}

/** Failed: certainly never applied. Unknown: applied at any time after it began, or never. */
export type Outcome = Success | { readonly type: 'failed' } | { readonly type: 'unknown' };

export interface Operation {
  readonly id: number;
  /** A process: it has one operation at a time. */
  readonly client: string;
  readonly call: Call;
  /** Sequence numbers. `completed` is Infinity unless the outcome is known. */
  readonly invoked: number;
  readonly completed: number;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly outcome: Outcome;
}

/** An operation with an answer. */
export type Answered = Operation & { readonly outcome: Success };

export function put(key: string, value: string): Call {
  return txn({ success: [{ kind: 'put', key, value }] });
}

export function remove(key: string): Call {
  return txn({ success: [{ kind: 'delete', key }] });
}

export interface ReadOptions {
  readonly serializable?: boolean;
  readonly at?: number;
}

export function get(key: string, { serializable = false, ...at }: ReadOptions = {}): Call {
  return txn({ success: [{ kind: 'get', key, ...at }], serializable });
}

export function range(
  start: string,
  end: string,
  { serializable = false, ...at }: ReadOptions = {},
): Call {
  return txn({ success: [{ kind: 'range', start, end, ...at }], serializable });
}

export function txn(call: Partial<Call>): Call {
  return { compares: [], success: [], failure: [], serializable: false, ...call };
}

export class History {
  readonly operations: Operation[] = [];
  private readonly busy = new Set<string>();
  private sequence = 0;
  private readonly nowMs: () => number;

  constructor(nowMs: () => number) {
    this.nowMs = nowMs;
  }

  /** Until it is told otherwise, the outcome is unknown. Throws when the client is busy. */
  begin(client: string | number, call: Call): Pending {
    const name = String(client);
    if (this.busy.has(name)) throw new Error(`client ${name} has an operation already`);
    if (call.serializable && isWrite(call)) throw new Error('a write cannot be serializable');
    this.busy.add(name);
    const operation: Operation = {
      id: this.operations.length,
      client: name,
      call,
      invoked: this.sequence++,
      completed: Number.POSITIVE_INFINITY,
      invokedMs: this.nowMs(),
      completedMs: Number.POSITIVE_INFINITY,
      outcome: { type: 'unknown' },
    };
    this.operations.push(operation);
    return new Pending(operation, (outcome) => {
      this.busy.delete(name);
      if (outcome.type === 'unknown') return;
      const ended = { completed: this.sequence++, completedMs: this.nowMs() };
      this.operations[operation.id] = { ...operation, ...ended, outcome };
    });
  }
}

/** An operation under way. Exactly one of its methods is called, once, or none of them ever. */
export class Pending {
  private readonly operation: Operation;
  private end: ((outcome: Outcome) => void) | null;

  constructor(operation: Operation, end: (outcome: Outcome) => void) {
    this.operation = operation;
    this.end = end;
  }

  /** Every step of it is a put, and they are done. */
  acknowledge(revision: number): void {
    const { success } = this.operation.call;
    this.answer({ revision, succeeded: true, answers: success.map(() => ({ kind: 'put' })) });
  }

  deleted(revision: number, deleted: boolean): void {
    this.answer({ revision, succeeded: true, answers: [{ kind: 'delete', deleted }] });
  }

  /** What a get or a range found. */
  found(revision: number, found: readonly Version[], servedBy?: string): void {
    const kind = this.operation.call.success[0]?.kind === 'range' ? 'range' : 'get';
    const answers = [{ kind, found }] as const;
    this.answer({ revision, succeeded: true, answers, ...(servedBy ? { servedBy } : {}) });
  }

  /** Throws unless there is one answer of the right kind for each step of the branch. */
  answer(success: Omit<Success, 'type'>): void {
    const { call } = this.operation;
    const steps = branchOf(call, success.succeeded);
    const asked = steps.map(({ kind }) => kind).join();
    const answered = success.answers.map(({ kind }) => kind).join();
    if (asked !== answered) throw new Error(`answers (${answered}) to (${asked})`);
    this.finish({ type: 'ok', ...success });
  }

  failed(): void {
    this.finish({ type: 'failed' });
  }

  unknown(): void {
    this.finish({ type: 'unknown' });
  }

  private finish(outcome: Outcome): void {
    if (this.end === null) throw new Error('the operation has ended already');
    this.end(outcome);
    this.end = null;
  }
}

export function isAnswered(operation: Operation): operation is Answered {
  return operation.outcome.type === 'ok';
}

export function branchOf(call: Call, succeeded: boolean): readonly Step[] {
  return succeeded ? call.success : call.failure;
}

/** Whether it may change something. */
export function isWrite({ success, failure }: Call): boolean {
  return [...success, ...failure].some(({ kind }) => kind === 'put' || kind === 'delete');
}

/** Whether it did change something: only then it has a revision of its own. */
export function hasChanged({ answers }: Success): boolean {
  return answers.some(
    (answer) => answer.kind === 'put' || (answer.kind === 'delete' && answer.deleted),
  );
}

/** Every step beside its answer. */
export function stepsOf({ call, outcome }: Answered): { step: Step; answer: Answer }[] {
  return branchOf(call, outcome.succeeded).map((step, index) => {
    const answer = outcome.answers[index];
    if (answer === undefined) throw new Error('a step without an answer');
    return { step, answer };
  });
}
