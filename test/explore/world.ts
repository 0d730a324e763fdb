/**
 * A state of the whole group as numbers of its parts, and its hash in canonical form.
 */
import type { Catalogue } from './catalogue.ts';
import { mix } from './catalogue.ts';
import { renamings } from './codec.ts';

export interface World {
  /** By place: numbers in the catalogue of members. */
  readonly members: readonly number[];
  readonly history: number;
  /** What was used of the scope. */
  readonly used: number;
  /** Under way, in no order; twice when a message was duplicated. */
  readonly messages: readonly number[];
}

type Parts = Catalogue<never, unknown>;

/** Hashes worlds; the result stands in `low` and `high`. */
export class Fingerprint {
  low = 0;
  high = 0;
  private readonly members: Parts;
  private readonly messages: Parts;
  private readonly histories: Parts;

  constructor(members: unknown, messages: unknown, histories: unknown) {
    this.members = members as Parts;
    this.messages = messages as Parts;
    this.histories = histories as Parts;
  }

  /**
   * The least hash over all renamings. Each part names its place itself, so the sum of the hashes
   * of the parts stands for the multiset of them.
   */
  of({ members, history, used, messages }: World): void {
    const usedHash = mix(used + 1);
    for (let at = 0; at < renamings.length; at += 1) {
      const past = history * renamings.length + at;
      let low = usedHash + (this.histories.low[past] ?? 0);
      let high = (usedHash ^ 0x5bd1e995) + (this.histories.high[past] ?? 0);
      for (const number of members) {
        const part = number * renamings.length + at;
        low += this.members.low[part] ?? 0;
        high += this.members.high[part] ?? 0;
      }
      for (const number of messages) {
        const part = number * renamings.length + at;
        low += this.messages.low[part] ?? 0;
        high += this.messages.high[part] ?? 0;
      }
      low |= 0;
      high |= 0;
      if (at > 0 && (low > this.low || (low === this.low && high >= this.high))) continue;
      this.low = low;
      this.high = high;
    }
  }
}
