/**
 * What is committed, as cores have given it out to be applied.
 *
 * What was merely appended may not be it, even at the same index and term: a crash loses what has not left,
 * and the same office goes on with something else in its place; a superseded life appends to nothing.
 */
import type { Entry } from '../../../src/raft/types.ts';

export class Committed {
  private readonly entries = new Map<number, Entry>();

  took(entries: readonly Entry[]): void {
    for (const entry of entries) this.entries.set(entry.index, entry);
  }

  /** Empty: of another kind. */
  dataAt(index: number): Uint8Array {
    const payload = this.entries.get(index)?.payload;
    return payload?.type === 'data' ? payload.data : new Uint8Array();
  }

  has({ index, term, payload }: Entry): boolean {
    if (this.entries.get(index)?.term !== term || payload.type !== 'data') return false;
    return Buffer.compare(this.dataAt(index), payload.data) === 0;
  }
}
