/**
 * The time of one life: it goes on from where it was when the wall clock is set back.
 *
 * What a life waits for (an answer, its turn, a deadline of a client) it waits for as long as it means
 * to. By the wall clock a member would send nothing again, replace no leader and let no queue leave
 * until the clock has come back to where it stood, which may be hours.
 */
export class SteadyClock {
  private readonly wallTime: () => number;
  private seen = Number.NEGATIVE_INFINITY;
  private setBackMs = 0;

  constructor(wallTime: () => number) {
    this.wallTime = wallTime;
  }

  /** Milliseconds; never less than before. */
  now(): number {
    const wall = this.wallTime();
    if (wall < this.seen) this.setBackMs += this.seen - wall;
    this.seen = wall;
    return wall + this.setBackMs;
  }
}
