/**
 * What answers say about versions of keys, before anybody replays anything: which version existed,
 * and for how long it was certainly the newest of its key.
 */
import {
  type Answered,
  hasChanged,
  isAnswered,
  type Operation,
  stepsOf,
  type Version,
} from './history.ts';
import { firstAtLeast, keysBetween } from './keys.ts';

/** What is known of one key at the revision that wrote it. undefined: it was there, unseen. */
export interface Sighting {
  readonly key: string;
  readonly value: string | undefined;
}

/** One version of a key: its value, and the last revision at which it was still the newest. */
interface Seen {
  value: string | undefined;
  until: number;
}

export class Observations {
  /** Newest revision in any header. */
  newestRevision = 0;
  private readonly versions = new Map<string, Map<number, Seen>>();
  private readonly sightings = new Map<number, Sighting[]>();
  private readonly absentUntil = new Map<string, number>();
  private readonly revisionsOf = new Map<string, number[]>();

  /** `keys`: all of them, sorted. Keys in `deletable` may have been written before an absence. */
  constructor(
    operations: readonly Operation[],
    keys: readonly string[],
    deletable: ReadonlySet<string>,
  ) {
    for (const operation of operations)
      if (isAnswered(operation)) this.observe(operation, keys, deletable);
    for (const [key, versions] of this.versions) {
      this.revisionsOf.set(
        key,
        [...versions.keys()].sort((a, b) => a - b),
      );
      for (const [revision, { value }] of versions) {
        const sighting = { key, value };
        const known = this.sightings.get(revision);
        if (known) known.push(sighting);
        else this.sightings.set(revision, [sighting]);
      }
    }
  }

  /** Every revision that some version names. */
  get writtenRevisions(): Iterable<number> {
    return this.sightings.keys();
  }

  /** The versions that were written at this revision, one for each key. */
  writtenAt(revision: number): readonly Sighting[] {
    return this.sightings.get(revision) ?? [];
  }

  /** Whether an answer shows that this key was not written at this revision. */
  excludesWrite(key: string, revision: number): boolean {
    if (revision <= (this.absentUntil.get(key) ?? 0)) return true;
    const revisions = this.revisionsOf.get(key);
    if (revisions === undefined) return false;
    const before = revisions[firstAtLeast(revisions, revision) - 1];
    if (before === undefined) return false;
    return (this.versions.get(key)?.get(before)?.until ?? 0) >= revision;
  }

  private observe(
    operation: Answered,
    keys: readonly string[],
    deletable: ReadonlySet<string>,
  ): void {
    const { call, outcome } = operation;
    const changed = hasChanged(outcome);
    this.newestRevision = Math.max(this.newestRevision, outcome.revision);
    // What a transaction saw before its own writes was so at the revision before its own.
    const seenAt = changed ? outcome.revision - 1 : outcome.revision;
    for (const { key, target, relation, operand } of outcome.succeeded ? call.compares : []) {
      if (target !== 'modRevision' || relation !== '=') continue;
      if (operand > 0) this.sawVersion(key, undefined, operand, seenAt);
    }
    for (const { step, answer } of stepsOf(operation)) {
      if (step.kind !== 'get' && step.kind !== 'range') continue;
      const found = answer.kind === 'get' || answer.kind === 'range' ? answer.found : [];
      for (const { key, value, modRevision } of found)
        this.sawVersion(key, value, modRevision, step.at ?? seenAt);
      if (changed && step.at === undefined) continue; // It may be absent by its own delete.
      const asked = step.kind === 'get' ? [step.key] : keysBetween(keys, step.start, step.end);
      this.sawAbsence(asked, found, deletable, step.at ?? seenAt);
    }
  }

  private sawVersion(
    key: string,
    value: string | undefined,
    modRevision: number,
    until: number,
  ): void {
    const versions = this.versions.get(key) ?? new Map<number, Seen>();
    this.versions.set(key, versions);
    const seen = versions.get(modRevision);
    if (seen === undefined) {
      versions.set(modRevision, { value, until: Math.max(until, modRevision) });
      return;
    }
    seen.until = Math.max(seen.until, until);
    seen.value ??= value;
  }

  private sawAbsence(
    asked: readonly string[],
    found: readonly Version[],
    deletable: ReadonlySet<string>,
    until: number,
  ): void {
    let at = 0;
    for (const key of asked) {
      while (at < found.length && (found[at] as Version).key < key) at += 1;
      if (found[at]?.key === key || deletable.has(key)) continue;
      this.absentUntil.set(key, Math.max(until, this.absentUntil.get(key) ?? 0));
    }
  }
}
