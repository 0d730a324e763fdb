/**
 * When a queue of requests leaves as one batch: group commit without a fixed delay.
 *
 * A lone request leaves at once. Under load every batch costs a round of calls and commits whatever
 * its size, so a queue that becomes free to leave lets the requests that are already on their way
 * in first: it waits one turn of the event loop, which is nothing when the loop is idle and gathers
 * what has piled up when it is not. While a batch is under way the queue leaves when that ends, or
 * after `pipelineMs`, so that a far quorum gets a pipeline and a near one few large batches.
 */
const gatherMs = 1;
const pipelineMs = 25;
const underWayMax = 4;

export class Pacing {
  private isBusy = false;
  private freeSince = 0;
  private lastBatch = 1;

  /** When a queue of `queued` requests may leave; null: not before a batch under way ends. */
  leavesAt(queued: number, oldestAt: number, underWay: number, now: number): number | null {
    if (this.isBusy && underWay === 0) this.freeSince = now;
    this.isBusy = underWay > 0;
    if (queued === 0 || underWay >= underWayMax) return null;
    if (underWay > 0) return oldestAt + pipelineMs;
    if (this.lastBatch <= 1 && queued <= 1) return oldestAt;
    return Math.max(oldestAt, this.freeSince) + gatherMs;
  }

  left(count: number): void {
    this.lastBatch = count;
  }
}
