/**
 * Which rules of the state machine a leader may write: the newest that every member has announced,
 * and never less than its log has already (design.md section 5, consensus-rules.md 8).
 */
import type { Configuration } from '../raft/configuration.ts';
import type { MemberId } from '../raft/types.ts';
import type { CodeVersion } from './platform.ts';

/** Code that announces nothing knows the first rules. */
const firstRules = 1;

export class Versions {
  private readonly code: CodeVersion;
  /** What each peer has said in this life, or when the group was born. */
  private readonly announced = new Map<MemberId, number>();

  /** `birth`: what all of these could apply then; 0: the first rules. */
  constructor(
    code: CodeVersion,
    birth: { readonly members: readonly MemberId[]; readonly rules: number },
  ) {
    this.code = code;
    // Or else a founding member that falls silent at once would keep a new group on the first rules.
    for (const id of birth.members) this.hear(id, birth.rules);
  }

  hear(from: MemberId, rulesVersion: number): void {
    this.announced.set(from, Math.max(firstRules, rulesVersion));
  }

  /** `floor` is the newest version in the log of this member, or applied by it. */
  inUse(configuration: Configuration, self: MemberId, floor: number): number {
    let version = this.code.rules;
    const { voters, outgoing, learners } = configuration;
    for (const members of [voters, outgoing, learners])
      for (const id of members)
        if (id !== self) version = Math.min(version, this.announced.get(id) ?? firstRules);
    return Math.max(version, floor);
  }
}
