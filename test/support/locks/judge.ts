/**
 * Whether a lock kept one holder at a time, and what it fences never went back: the whole history of the
 * lock's keys and of the fenced register, in the order of revisions, held against what clients were told.
 *
 * The first key by create revision is the holder's (docs/decisions/locks.md); its create revision is the
 * token. Every write of the register has a value of its own that begins with the token it was fenced by
 * (`registerValue`), so that nothing has to be known of a write whose outcome is unknown: if it is there, it has to
 * have been its turn.
 */
import type { Change } from '../changes.ts';

/** A client was told that it holds. */
export interface Claim {
  readonly who: string;
  readonly key: string;
  /** Of the answer that said so: it held at that revision. */
  readonly revision: number;
  readonly fromMs: number;
  /** It gave up then, or its lease may have ended: one TTL after it sent the last keep-alive that was confirmed. */
  untilMs: number;
}

/** Refused: the state machine said that it is not the holder's. Unknown: nobody knows. */
export type WriteOutcome = 'done' | 'refused' | 'unknown';

const violationsMax = 20;

export function registerValue(token: number, who: string, n: number): string {
  return `${token}/${who}/${n}`;
}

export class LockJudge {
  readonly violations: string[] = [];
  readonly claims: Claim[] = [];
  /** Hand-overs in the order of revisions: who held. */
  handOvers = 0;
  /** Writes of the register that are there. */
  registerWrites = 0;
  readonly writes = new Map<string, WriteOutcome>();
  private readonly register: string;

  /** All other keys that it is told of are the lock's. */
  constructor(register: string) {
    this.register = register;
  }

  complain(what: string): void {
    if (this.violations.length < violationsMax) this.violations.push(what);
  }

  claim(claim: Claim): Claim {
    this.claims.push(claim);
    return claim;
  }

  wrote(value: string, outcome: WriteOutcome): void {
    this.writes.set(value, outcome);
  }

  /** The history is over: this is all of it. */
  judge(changes: readonly Change[]): void {
    this.replay(changes);
    this.judgeTimes();
  }

  private replay(changes: readonly Change[]): void {
    const state = new Map<string, Change>();
    const claims = [...this.claims].sort((a, b) => a.revision - b.revision);
    const found = new Set<string>();
    let newestToken = 0;
    let holder: Change | null = null;
    const told = (before: number) => {
      for (let next = claims[0]; next && next.revision < before; next = claims[0]) {
        claims.shift();
        if (next.key !== holder?.key)
          this.complain(
            `${next.who} was told that it holds ${next.key} at revision ${next.revision}, where ${holder?.key ?? 'nobody'} does`,
          );
      }
    };
    for (let at = 0; at < changes.length; ) {
      const { revision } = changes[at] as Change;
      told(revision);
      const before = holder;
      const values: string[] = [];
      for (; changes[at]?.revision === revision; at += 1) {
        const change = changes[at] as Change;
        this.follows(change, state.get(change.key));
        if (change.value === null) state.delete(change.key);
        else state.set(change.key, change);
        if (change.key === this.register && change.value !== null) values.push(change.value);
      }
      holder = this.firstOf(state);
      if (holder !== null && holder.createRevision !== before?.createRevision) this.handOvers += 1;
      for (const value of values) {
        const token = Number(value.split('/')[0]);
        this.registerWrites += 1;
        // The state before decides; the register's own write moves no key of the lock.
        if (token !== before?.createRevision)
          this.complain(
            `${value} was written at revision ${revision}, where ${before ? `${before.key} held with ${before.createRevision}` : 'nobody held'}`,
          );
        if (token < newestToken)
          this.complain(
            `the register went back at revision ${revision}: ${value} after ${newestToken}`,
          );
        newestToken = Math.max(newestToken, token);
        if (found.has(value)) this.complain(`${value} was written twice`);
        found.add(value);
        const outcome = this.writes.get(value);
        if (outcome === undefined) this.complain(`nobody wrote ${value}`);
        if (outcome === 'refused') this.complain(`${value} is there, and was refused`);
      }
    }
    told(Number.POSITIVE_INFINITY);
    for (const [value, outcome] of this.writes)
      if (outcome === 'done' && !found.has(value))
        this.complain(`${value} was acknowledged and is not there`);
  }

  /** The history has no holes: each version of a key comes after the one before it. */
  private follows(change: Change, before: Change | undefined): void {
    const { key, revision, value, version, createRevision } = change;
    const isNext =
      value === null
        ? before !== undefined
        : before === undefined
          ? version === 1 && createRevision === revision
          : version === before.version + 1 && createRevision === before.createRevision;
    if (!isNext)
      this.complain(
        `the history of ${key} has a hole: version ${version} at ${revision} after ${before?.version ?? 'none'}`,
      );
  }

  private firstOf(state: ReadonlyMap<string, Change>): Change | null {
    let first: Change | null = null;
    for (const change of state.values()) {
      if (change.key === this.register) continue;
      if (first === null || change.createRevision < first.createRevision) first = change;
    }
    return first;
  }

  /** No two clients are entitled to believe at one moment that they hold: a lease never ends early. */
  private judgeTimes(): void {
    const claims = [...this.claims].sort((a, b) => a.fromMs - b.fromMs);
    let last: Claim | null = null;
    for (const claim of claims) {
      if (last !== null && last.key !== claim.key && claim.fromMs < last.untilMs)
        this.complain(
          `${claim.who} was told that it holds at ${Math.round(claim.fromMs)} ms, ` +
            `${Math.round(last.untilMs - claim.fromMs)} ms before the claim of ${last.who} ended`,
        );
      if (last === null || claim.untilMs > last.untilMs) last = claim;
    }
  }

  /** After each of these moments (ms) somebody has to be told within that time that it holds. */
  judgeProgress(faultsMs: readonly number[], endMs: number, withinMs: number): void {
    const told = this.claims.map(({ fromMs }) => fromMs).sort((a, b) => a - b);
    let at = 0;
    for (const faultMs of faultsMs) {
      while (at < told.length && (told[at] as number) < faultMs) at += 1;
      const nextMs = told[at] ?? endMs;
      if (nextMs - faultMs > withinMs)
        this.complain(`nobody got the lock for ${Math.round(nextMs - faultMs)} ms after a fault`);
    }
  }
}
