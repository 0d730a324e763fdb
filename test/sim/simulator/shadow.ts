/**
 * What a member must hold durably, as its turns have said it: the oracle's own copy, kept apart from
 * the storage so that the two can be compared. A log compaction forgets nothing here.
 */
import { rulesVersionOf } from '../../../src/kv/batch.ts';
import type { Configuration } from '../../../src/raft/configuration.ts';
import type { Effects, Entry, LogIndex, MemberId, Term } from '../../../src/raft/types.ts';

export interface Placed {
  readonly index: LogIndex;
  readonly configuration: Configuration;
}

export class Shadow {
  readonly id: MemberId;
  term: Term = 0;
  vote: MemberId | null = null;
  /** Its storage was set back: what it holds is not known any more. */
  isUnreliable = false;
  fate: 'removed' | 'lost' | 'wiped' | 'recovered' | null = null;
  configurations: Placed[];
  private start: LogIndex = 0;
  private startTerm: Term = 0;
  /** Of the entries after `start`. */
  private entries: { readonly term: Term; readonly rules: number }[] = [];

  constructor(id: MemberId, founding: Configuration) {
    this.id = id;
    this.configurations = [{ index: 0, configuration: founding }];
  }

  /** Out of what this one holds, and `more` that it has written since: the first of another group. */
  recoveredAs(id: MemberId, more: readonly Effects[]): Shadow {
    const next = new Shadow(id, { voters: [id], outgoing: [], learners: [] });
    next.term = this.term;
    next.start = this.start;
    next.startTerm = this.startTerm;
    next.entries = [...this.entries];
    for (const effects of more) next.persist(effects);
    const configuration: Configuration = { voters: [id], outgoing: [], learners: [] };
    next.term = Math.max(next.term, next.termAt(next.last) ?? 0) + 1;
    next.vote = null;
    next.configurations = [];
    const payload = { type: 'configuration', configuration } as const;
    next.append({ index: next.last + 1, term: next.term, payload });
    return next;
  }

  get last(): LogIndex {
    return this.start + this.entries.length;
  }

  termAt(index: LogIndex): Term | undefined {
    return index === this.start ? this.startTerm : this.entries[index - this.start - 1]?.term;
  }

  holds(index: LogIndex, term: Term): boolean {
    return this.isUnreliable || index < this.start || this.termAt(index) === term;
  }

  /** The newest rules of any entry in the log; 0: not known, of a log that was set back. */
  get newestRules(): number {
    if (this.isUnreliable) return 0;
    return this.entries.findLast(({ rules }) => rules > 0)?.rules ?? 0;
  }

  persist({ hardState, chunks, truncateFrom, append }: Effects): void {
    if (hardState) {
      this.term = hardState.term;
      this.vote = hardState.vote;
    }
    const installed = chunks.findLast(({ install }) => install)?.install;
    if (installed) {
      this.start = installed.index;
      this.startTerm = installed.term;
      this.entries = [];
      this.configurations = [installed];
    }
    if (truncateFrom !== null) {
      this.entries.length = Math.max(0, truncateFrom - this.start - 1);
      this.configurations = this.configurations.filter(({ index }) => index < truncateFrom);
    }
    for (const entry of append) this.append(entry);
  }

  private append({ index, term, payload }: Entry): void {
    const rules = payload.type === 'data' ? rulesVersionOf(payload.data) : 0;
    this.entries.push({ term, rules });
    if (payload.type === 'configuration')
      this.configurations.push({ index, configuration: payload.configuration });
  }
}
