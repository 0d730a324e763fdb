/**
 * Linearizability of a history, key by key: the search of Wing and Gong with the cache of Lowe
 * ("Testing for linearizability", 2017). Values, mod revisions and compares must fit a register with
 * etcd's semantics (register.ts).
 *
 * Writes that are certain to have a revision are placed in its order, what changes nothing as soon as
 * it fits, and a write of unknown outcome only where the next one needs it: so the search goes
 * astray where many such writes are alike, and hardly elsewhere.
 *
 * What is atomic over several keys it cannot see: checkRevisions (revisions.ts) is the authority for
 * that, and for what serializable reads and reads of history show.
 */

import type { Operation } from './history.ts';
import { entriesByKey } from './project.ts';
import {
  type Attempt,
  absent,
  applyAttempt,
  type Entry,
  hidden,
  type Register,
} from './register.ts';
import { textOf } from './text.ts';

export type Verdict =
  | { readonly verdict: 'linearizable' }
  | ({ readonly verdict: 'not linearizable' } & DeadEnd)
  /** The bound on steps was reached: a failure as well. */
  | ({ readonly verdict: 'undecided'; readonly steps: number } & DeadEnd);

interface DeadEnd {
  readonly key: string;
  /** The longest order that was found, up to where it could not go on. */
  readonly placed: readonly Operation[];
  readonly register: Register;
  /** It had its answer before whatever else could come next, and it does not fit here. */
  readonly blocked: Operation;
}

export interface SearchOptions {
  /** Attempts to place an operation, for each key. */
  readonly stepsMax?: number;
}

const stepsMaxDefault = 1_000_000;

/** Operations of the longest order that a message shows. */
const placedShown = 12;

interface Recorded {
  readonly operations: readonly Operation[];
}

export function checkLinearizability(
  { operations }: Recorded,
  { stepsMax = stepsMaxDefault }: SearchOptions = {},
): Verdict {
  for (const [key, entries] of entriesByKey(operations)) {
    const verdict = new Search(key, entries, stepsMax).run();
    if (verdict.verdict !== 'linearizable') return verdict;
  }
  return { verdict: 'linearizable' };
}

/** Throws unless it is certain that every key of the history is linearizable: undecided is a failure. */
export function assertLinearizable(history: Recorded, options: SearchOptions = {}): void {
  const verdict = checkLinearizability(history, options);
  switch (verdict.verdict) {
    case 'linearizable':
      return;
    case 'not linearizable':
      throw new Error(`key ${verdict.key} is not linearizable. ${explanation(verdict)}`);
    case 'undecided':
      throw new Error(
        `key ${verdict.key} is undecided: raise stepsMax above ${verdict.steps}, or look at what ` +
          `has no answer before the last operation. ${explanation(verdict)}`,
      );
  }
}

function explanation({ key, placed, register, blocked }: DeadEnd): string {
  const shown = placed.slice(-placedShown).map((operation) => `  ${textOf(operation)}`);
  if (shown.length < placed.length) shown.unshift(`  (${placed.length - shown.length} before)`);
  const state = register.value === null ? 'absent' : `${register.value}@${register.modRevision}`;
  return [
    'The longest order that fits:',
    ...shown,
    `then ${key} is ${state}, and this cannot be placed:`,
    `  ${textOf(blocked)}`,
  ].join('\n');
}

/** A choice of the search: which entry comes next, and the register before it. */
interface Frame {
  readonly candidates: readonly number[];
  readonly before: Register;
  /** The choice to try next. */
  at: number;
  attempt: number;
}

/**
 * Entries with an answer come first, in order of invocation, then those without: an operation that
 * may never have happened is tried only when no other fits.
 */
class Search {
  private readonly entries: readonly Entry[];
  private readonly answeredCount: number;
  /** Of the entries without an answer: alike ones may happen in the same ways. */
  private readonly alike: readonly string[];
  private readonly isPlaced: Uint8Array;
  /** Of the entries with an answer. */
  private readonly isWrite: readonly boolean[];
  /** The entries with an answer that are not placed, as a list in order of invocation. */
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /**
   * By revision, the writes that are certain to have happened at one: the order in which they must
   * be placed. Those are the acknowledged ones, and the only possible writers of what reads saw.
   */
  private readonly writes: readonly number[];
  private writesPlaced = 0;
  private answeredPlaced = 0;
  private readonly seen = new Set<string>();
  private readonly stack: Frame[] = [];
  private readonly order: number[] = [];
  private longest: { order: number[]; register: Register; blocked: number } | null = null;
  private steps = 0;
  private readonly key: string;
  private readonly stepsMax: number;

  constructor(key: string, entries: readonly Entry[], stepsMax: number) {
    this.key = key;
    this.stepsMax = stepsMax;
    const isUnknown = ({ operation }: Entry) => operation.outcome.type === 'unknown';
    const byInvocation = [...entries].sort((a, b) => a.operation.invoked - b.operation.invoked);
    const answered = byInvocation.filter((entry) => !isUnknown(entry));
    this.entries = [...answered, ...byInvocation.filter(isUnknown)];
    this.answeredCount = answered.length;
    this.alike = this.entries.map((entry) =>
      isUnknown(entry) ? JSON.stringify(entry.attempts) : '',
    );
    this.isPlaced = new Uint8Array(this.entries.length);
    this.isWrite = answered.map(hasWritten);
    // The last place of both is the list's head.
    this.next = Int32Array.from({ length: answered.length + 1 }, (_, index) => index + 1);
    this.previous = Int32Array.from({ length: answered.length + 1 }, (_, index) => index - 1);
    this.next[answered.length] = 0;
    this.previous[0] = answered.length;
    this.writes = [...this.entries.keys()]
      .filter((index) => this.isWrite[index] ?? this.hasHappened(index))
      .sort((a, b) => this.revisionOf(a) - this.revisionOf(b));
  }

  run(): Verdict {
    let register: Register | null = absent;
    while (this.answeredPlaced < this.answeredCount) {
      if (this.steps >= this.stepsMax) {
        if (register !== null) this.noteDeadEnd(register);
        return { verdict: 'undecided', steps: this.steps, ...this.deadEnd() };
      }
      if (register !== null) this.stack.push(this.frame(register));
      register = this.advance();
      if (register !== null) continue;
      this.stack.pop();
      if (this.stack.length === 0) return { verdict: 'not linearizable', ...this.deadEnd() };
      this.takeBack();
    }
    return { verdict: 'linearizable' };
  }

  /** Places the next candidate of the newest frame that fits; null when none does. */
  private advance(): Register | null {
    const frame = this.stack.at(-1);
    if (frame === undefined) throw new Error('no frame');
    for (; frame.at < frame.candidates.length; frame.at += 1, frame.attempt = 0) {
      const index = frame.candidates[frame.at] as number;
      const attempts = this.attemptsOf(index);
      while (frame.attempt < attempts.length) {
        const attempt = attempts[frame.attempt] as Attempt;
        frame.attempt += 1;
        this.steps += 1;
        if (!this.isInOrder(index, attempt)) continue;
        const after = applyAttempt(attempt, frame.before);
        if (after === null || this.isNeedless(index, attempt, frame.before, after)) continue;
        // What leaves the register as it is may as well come now: nothing else need be tried.
        if (after === frame.before) frame.at = frame.candidates.length;
        this.place(index);
        const state = this.fingerprint(after);
        if (!this.seen.has(state)) {
          this.seen.add(state);
          return after;
        }
        this.takeBack();
      }
    }
    this.noteDeadEnd(frame.before);
    return null;
  }

  /**
   * Whether the order would be one with fewer writes of unknown outcome without this, or without
   * the one just before it. Where there is an order there is one with the fewest.
   */
  private isNeedless(index: number, attempt: Attempt, before: Register, after: Register): boolean {
    if (index >= this.answeredCount && isAsGood(before, after)) return true;
    const beforeThat = this.stack.at(-2)?.before;
    if (beforeThat === undefined || (this.order.at(-1) as number) < this.answeredCount)
      return false;
    const without = applyAttempt(attempt, beforeThat);
    return without !== null && isAsGood(without, after);
  }

  private frame(before: Register): Frame {
    return { candidates: this.candidates().list, before, at: 0, attempt: 0 };
  }

  /** What may come next: everything that began before the first end among what is not placed. */
  private candidates(): { list: number[]; firstToEnd: number } {
    const [reads, writes]: [number[], number[]] = [[], []];
    let [end, firstToEnd] = [Number.POSITIVE_INFINITY, -1];
    const head = this.answeredCount;
    for (let index = this.next[head] as number; index < head; index = this.next[index] as number) {
      const { invoked, completed } = this.operationOf(index);
      if (invoked > end) break;
      (this.isWrite[index] ? writes : reads).push(index);
      if (completed < end) [end, firstToEnd] = [completed, index];
    }
    const list = [...reads, ...writes];
    // Among alike ones the first to begin can stand for all: it may happen wherever another may.
    const met = new Set<string>();
    for (let index = head; index < this.entries.length; index += 1) {
      if (this.operationOf(index).invoked > end) break;
      const kind = this.alike[index] as string;
      if (this.isPlaced[index] === 1 || met.has(kind)) continue;
      met.add(kind);
      list.push(index);
    }
    return { list, firstToEnd };
  }

  /** Revisions of one key grow: a write before one with a lower revision leads nowhere. */
  private isInOrder(index: number, { revision }: Attempt): boolean {
    const expected = this.writes[this.writesPlaced];
    if (expected === undefined || expected === index) return true;
    if (index >= this.answeredCount) return revision < this.revisionOf(expected);
    return !this.isWrite[index];
  }

  private place(index: number): void {
    this.order.push(index);
    this.isPlaced[index] = 1;
    if (this.writes[this.writesPlaced] === index) this.writesPlaced += 1;
    if (index >= this.answeredCount) return;
    this.answeredPlaced += 1;
    const [before, after] = [this.previous[index] as number, this.next[index] as number];
    this.next[before] = after;
    this.previous[after] = before;
  }

  private takeBack(): void {
    const index = this.order.pop();
    if (index === undefined) throw new Error('nothing is placed');
    this.isPlaced[index] = 0;
    if (this.writes[this.writesPlaced - 1] === index) this.writesPlaced -= 1;
    if (index >= this.answeredCount) return;
    this.answeredPlaced -= 1;
    this.next[this.previous[index] as number] = index;
    this.previous[this.next[index] as number] = index;
  }

  /** What is placed, and the register: what can follow depends on nothing else. */
  private fingerprint({ value, modRevision, floor }: Register): string {
    const first = this.next[this.answeredCount] as number;
    const parts: (number | string | null)[] = [first];
    // All before the first that is not placed are placed; few are behind it.
    for (let index = first, left = this.answeredPlaced - first; left > 0; index += 1) {
      if (this.isPlaced[index] === 0) continue;
      parts.push(index);
      left -= 1;
    }
    for (let index = this.answeredCount; index < this.entries.length; index += 1)
      if (this.isPlaced[index] === 1) parts.push(index);
    parts.push(modRevision, floor, value === null ? 'absent' : `=${value}`);
    return parts.join();
  }

  private noteDeadEnd(register: Register): void {
    if (this.longest !== null && this.order.length <= this.longest.order.length) return;
    const { firstToEnd } = this.candidates();
    this.longest = { order: [...this.order], register, blocked: firstToEnd };
  }

  private deadEnd(): DeadEnd {
    if (this.longest === null) throw new Error('a search ended without a dead end');
    const { order, register, blocked } = this.longest;
    return {
      key: this.key,
      placed: order.map((index) => this.operationOf(index)),
      register,
      blocked: this.operationOf(blocked),
    };
  }

  /** Whether a write without an answer must have happened (mentions.ts), at a known revision. */
  private hasHappened(index: number): boolean {
    const attempts = this.attemptsOf(index);
    return attempts.length === 1 && attempts[0]?.revision !== hidden;
  }

  private attemptsOf(index: number): readonly Attempt[] {
    return (this.entries[index] as Entry).attempts;
  }

  private operationOf(index: number): Operation {
    return (this.entries[index] as Entry).operation;
  }

  private revisionOf(index: number): number {
    return this.attemptsOf(index)[0]?.revision ?? 0;
  }
}

/** Whether whatever can follow the other register can follow this one. */
function isAsGood(register: Register, other: Register): boolean {
  const { value, modRevision, floor } = register;
  return value === other.value && modRevision === other.modRevision && floor <= other.floor;
}

/** Whether an operation with an answer did write this key. */
function hasWritten({ attempts }: Entry): boolean {
  return attempts.some(({ steps }) =>
    steps.some((step) => step.kind === 'put' || (step.kind === 'delete' && step.deleted === true)),
  );
}
