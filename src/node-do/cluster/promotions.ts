/**
 * Members that were added as voters and are learners until they hold the log: the leader makes them voters when
 * they do. Nothing is kept of it but the records, so that any leader can take it up: it does with the next
 * request about members. A life gives up after a while, soon if it hears nothing of them, so that a place that is
 * gone keeps nobody awake.
 */
import { type Configuration, isVoter } from '../../raft/configuration.ts';
import type { MemberId } from '../../raft/types.ts';
import type { GroupMember } from '../group-member.ts';
import type { Membership, TargetOf } from '../membership.ts';
import type { Platform } from '../platform.ts';

const pursuedForMs = 600_000;
const silentForMs = 15_000;
const attemptWithinMs = 5_000;
const pauseFirstMs = 100;
const pauseMaxMs = 2_000;

export class Promotions {
  private readonly platform: Platform;
  private readonly group: GroupMember;
  private readonly membership: Membership;
  private isPursuing = false;

  constructor(platform: Platform, group: GroupMember, membership: Membership) {
    this.platform = platform;
    this.group = group;
    this.membership = membership;
  }

  /** Resolves when nothing is left to wait for, or at the deadline. */
  async settled(id: bigint, deadline: number): Promise<void> {
    this.pursue();
    const { group } = this;
    const isPending = () => this.pending.some((member) => group.roster.idOf(member) === id);
    await group.until(() => !isPending() || group.core.role !== 'leader', deadline);
  }

  /** Goes on without whoever asked. */
  pursue(): void {
    if (this.isPursuing || this.group.core.role !== 'leader' || this.pending.length === 0) return;
    this.isPursuing = true;
    void this.promoteAll().finally(() => {
      this.isPursuing = false;
    });
  }

  private async promoteAll(): Promise<void> {
    const until = this.platform.now() + pursuedForMs;
    let heard = this.heard;
    let heardAt = this.platform.now();
    for (let pauseMs = pauseFirstMs; ; pauseMs = Math.min(2 * pauseMs, pauseMaxMs)) {
      for (const member of this.pending) {
        const now = this.platform.now();
        // Whoever added it was allowed to; nobody waits for this attempt.
        await this.membership.persist(promoted(member), () => null, now + attemptWithinMs, now);
      }
      const { role } = this.group.core;
      const now = this.platform.now();
      if (role !== 'leader' || this.pending.length === 0 || now > until) return;
      if (this.heard !== heard) [heard, heardAt] = [this.heard, now];
      if (now - heardAt > silentForMs) return;
      await this.group.until(() => this.group.core.role !== 'leader', now + pauseMs);
    }
  }

  /** Bytes of their answers. */
  private get heard(): number {
    const { pending } = this;
    const theirs = this.group.peers.traffic.filter(([id]) => pending.includes(id));
    return theirs.reduce((sum, [, { bytesReceived }]) => sum + bytesReceived, 0);
  }

  private get pending(): MemberId[] {
    return this.group.roster.toPromote(this.group.core.configuration);
  }
}

/** The configuration in which this learner votes; of a member that is none, the present one. */
export function promoted(member: MemberId): TargetOf {
  return (present: Configuration) => {
    const { voters, learners } = present;
    if (isVoter(present, member) || !learners.includes(member)) return { voters, learners };
    return { voters: [...voters, member], learners: learners.filter((id) => id !== member) };
  };
}
