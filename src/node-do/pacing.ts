/**
 * When a queue of requests leaves as one batch: group commit without a fixed delay.
 *
 * A lone request leaves at once. Under load the next batch is expected to be about as large as the
 * last one, and a batch that is not yet that large waits a moment, since every batch costs a round
 * of calls and commits whatever its size. While batches are under way the queue waits longer, so
 * that a near quorum gets few large batches and a far one a pipeline of them.
 */
const lingerMs = 2;
const pipelineMs = 5;
const underWayMax = 4;
/** How much of the last batch a new one must reach to leave without waiting. */
const enough = 0.75;

export class Pacing {
  private expected = 1;

  /** When a queue of `queued` requests may leave; null: not before a batch under way ends. */
  leavesAt(queued: number, oldestAt: number, underWay: number): number | null {
    if (queued === 0 || underWay >= underWayMax) return null;
    if (underWay > 0) return oldestAt + pipelineMs;
    return queued >= this.expected * enough ? oldestAt : oldestAt + lingerMs;
  }

  left(count: number): void {
    // Falls slowly, so that one small batch does not end the rhythm of many clients.
    this.expected = Math.max(count, this.expected / 2);
  }
}
