/**
 * The log as the core sees it: a cached tail in memory over the durable rows.
 *
 * Entries above `stable` have not been handed out for persisting yet. The cache is bounded; what
 * is not in it is read through LogReader, so a cold start needs no entry at all.
 */

import type { BootState, Entry, LogIndex, LogReader, Term } from './types.ts';
import { invariant } from './types.ts';

const cacheBytesMax = 4 * 1024 * 1024;
const cacheEntriesMax = 1024;

export function payloadBytes(entry: Entry): number {
  return entry.payload.type === 'data' ? entry.payload.data.length : 0;
}

export class RaftLog {
  /** Index and term just before the first stored entry. */
  start: { index: LogIndex; term: Term };
  lastIndex: LogIndex;
  lastTerm: Term;
  /** Handed out for persisting up to here. */
  stable: LogIndex;
  /** Set when entries below or at `stable` were replaced since the last take(). */
  truncatedFrom: LogIndex | null = null;
  /** Contiguous, ends at lastIndex. */
  private cache: Entry[] = [];
  private cacheBytes = 0;
  private readonly reader: LogReader;

  constructor(boot: BootState, reader: LogReader) {
    this.reader = reader;
    this.start = { ...boot.logStart };
    this.lastIndex = boot.last.index;
    this.lastTerm = boot.last.term;
    this.stable = boot.last.index;
  }

  /** Term at `index`; undefined when compacted away or beyond the end. */
  term(index: LogIndex): Term | undefined {
    if (index === this.lastIndex) return this.lastTerm;
    if (index === this.start.index) return this.start.term;
    if (index < this.start.index || index > this.lastIndex) return undefined;
    return this.cached(index)?.term ?? this.reader.term(index);
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.term(index) === term;
  }

  /** Section 5.4.1: the later term wins, with equal terms the longer log. */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.lastIndex + 1, 'log: entries are contiguous');
      invariant(entry.term >= this.lastTerm, 'log: terms do not decrease');
      this.cache.push(entry);
      this.cacheBytes += payloadBytes(entry);
      this.lastIndex = entry.index;
      this.lastTerm = entry.term;
    }
  }

  /** Removes `from` and everything after it. */
  truncate(from: LogIndex): void {
    invariant(from > this.start.index && from <= this.lastIndex, 'log: truncation in range');
    const term = this.term(from - 1);
    invariant(term !== undefined, 'log: the entry before a truncation is known');
    const keep = Math.max(0, this.cache.length - (this.lastIndex - from + 1));
    for (const entry of this.cache.splice(keep)) this.cacheBytes -= payloadBytes(entry);
    this.lastIndex = from - 1;
    this.lastTerm = term;
    if (from <= this.stable) {
      this.truncatedFrom = Math.min(from, this.truncatedFrom ?? from);
      this.stable = from - 1;
    }
  }

  /** A snapshot takes the place of the whole log (consensus-rules.md 5). */
  reset(index: LogIndex, term: Term): void {
    this.start = { index, term };
    this.lastIndex = index;
    this.lastTerm = term;
    this.stable = index;
    this.truncatedFrom = null;
    this.cache = [];
    this.cacheBytes = 0;
  }

  /** Forgets the entries up to `index`; the caller knows that nobody here needs them. */
  compact(index: LogIndex): void {
    const term = this.term(index);
    invariant(index <= this.stable && term !== undefined, 'log: compacts what it holds');
    this.start = { index, term };
    const drop = Math.max(0, this.cache.length - (this.lastIndex - index));
    for (const entry of this.cache.splice(0, drop)) this.cacheBytes -= payloadBytes(entry);
  }

  /** Entries not yet handed out; marks them as handed out. */
  takeUnstable(): Entry[] {
    if (this.stable === this.lastIndex) return [];
    const entries = this.cache.slice(this.cache.length - (this.lastIndex - this.stable));
    invariant(entries.length === this.lastIndex - this.stable, 'log: unstable tail is cached');
    // Before the mark moves: storage does not hold yet what is handed out here, so until the next
    // take() it can be read from the cache only.
    this.trim();
    this.stable = this.lastIndex;
    return entries;
  }

  /** Entries from `from` to `to`: at least one if there is one, bounded in bytes and number. */
  slice(from: LogIndex, to: LogIndex, maxBytes: number, maxCount: number): Entry[] {
    const end = Math.min(to, this.lastIndex);
    if (from > end) return [];
    invariant(from > this.start.index, 'log: slice is not compacted away');
    const firstCached = this.lastIndex - this.cache.length + 1;
    if (from < firstCached) {
      const stored = this.reader.entries(from, Math.min(end, firstCached - 1), maxBytes, maxCount);
      invariant(stored[0]?.index === from, 'log: storage holds what the log claims');
      return stored;
    }
    const result: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= end && result.length < maxCount; index += 1) {
      const entry = this.cached(index);
      invariant(entry !== undefined, 'log: cache is contiguous');
      bytes += payloadBytes(entry);
      if (result.length > 0 && bytes > maxBytes) break;
      result.push(entry);
    }
    return result;
  }

  /**
   * The highest index at or below `index` whose term is at or below `term`: below it the logs of
   * leader and follower may agree, above it they cannot (fast backtracking, thesis 5.3 end). The
   * steps grow, so that a long foreign tail costs few reads; a lower answer only sends more. An
   * answer before the start of the log means that the agreement lies in what is compacted away.
   */
  lastIndexAtOrBelowTerm(index: LogIndex, term: Term): { index: LogIndex; term: Term } {
    let probe = Math.min(index, this.lastIndex);
    if (probe < this.start.index) return { index: probe, term: 0 };
    for (let steps = 1; probe > this.start.index; steps += 1) {
      const at = this.term(probe);
      if (at === undefined || at <= term) return { index: probe, term: at ?? 0 };
      probe -= 2 ** Math.floor(steps / 16);
    }
    if (this.start.term <= term) return { ...this.start };
    return { index: this.start.index - 1, term: 0 };
  }

  private cached(index: LogIndex): Entry | undefined {
    return this.cache[this.cache.length - 1 - (this.lastIndex - index)];
  }

  /** Drops the older half when a bound is passed, so that most appends move nothing. */
  private trim(): void {
    if (this.cache.length <= cacheEntriesMax && this.cacheBytes <= cacheBytesMax) return;
    let drop = 0;
    let bytes = this.cacheBytes;
    while (
      this.cache.length - drop > cacheEntriesMax / 2 ||
      (bytes > cacheBytesMax / 2 && this.cache.length - drop > 1)
    ) {
      const entry = this.cache[drop];
      if (!entry || entry.index > this.stable) break;
      bytes -= payloadBytes(entry);
      drop += 1;
    }
    this.cache.splice(0, drop);
    this.cacheBytes = bytes;
  }
}
