/**
 * How long a member that is awake has been looking for a leader. One at rest has a leader as far as it knows, and
 * nobody has asked for another.
 */
import type { RaftCore } from '../raft/core.ts';

/** etcd's: three election timeouts, after which it ends the streams of clients that require a leader. */
const patienceMs = 1_500;

export class Leaderless {
  private since: number | null = null;
  private isSaid = false;

  /** True once for each time that nobody is found. */
  look({ isSuspecting, role }: Pick<RaftCore, 'isSuspecting' | 'role'>, now: number): boolean {
    const isLooking = isSuspecting || role === 'preCandidate' || role === 'candidate';
    if (!isLooking) {
      this.since = null;
      this.isSaid = false;
      return false;
    }
    this.since ??= now;
    if (this.isSaid || now - this.since < patienceMs) return false;
    this.isSaid = true;
    return true;
  }
}
