/**
 * When a queue of requests leaves as one batch: group commit without a fixed delay.
 *
 * A lone request leaves at once. Under load every batch costs a round of calls and commits whatever
 * its size, so a queue that becomes free to leave lets the requests that are already on their way
 * in first: it waits one turn of the event loop, which is nothing when the loop is idle and gathers
 * what has piled up when it is not. While a batch is under way the queue leaves when that ends, or
 * after a while, so that a far quorum gets a pipeline and a near one few large batches.
 */
const gatherMs = 1;

interface Pipeline {
  readonly intervalMs: number;
  readonly underWayMax: number;
}

/**
 * Of a quorum that is near: what makes a batch slow is work, and more batches are more work. (With
 * 5 ms a busy workerd had four small batches under way instead of one large one.)
 */
const nearPipeline: Pipeline = { intervalMs: 25, underWayMax: 4 };
/** A quorum or a peer is far if it was never quicker. */
export const farMs = 15;
const farIntervalMinMs = 5;
const farUnderWayMax = 8;

export class Pacing {
  private isBusy = false;
  private freeSince = 0;
  private lastBatch = 1;
  /** The way to the quorum and back, without the work: no batch can be quicker. */
  private quickestMs: number | null = null;

  /** When a queue of `queued` requests may leave; null: not before a batch under way ends. */
  leavesAt(queued: number, oldestAt: number, underWay: number, now: number): number | null {
    if (this.isBusy && underWay === 0) this.freeSince = now;
    this.isBusy = underWay > 0;
    const { intervalMs, underWayMax } = this.pipeline;
    if (queued === 0 || underWay >= underWayMax) return null;
    if (underWay > 0) return oldestAt + intervalMs;
    if (this.lastBatch <= 1 && queued <= 1) return oldestAt;
    return Math.max(oldestAt, this.freeSince) + gatherMs;
  }

  left(count: number): void {
    this.lastBatch = count;
  }

  ended(tookMs: number): void {
    this.quickestMs = Math.min(this.quickestMs ?? tookMs, tookMs);
  }

  private get pipeline(): Pipeline {
    const { quickestMs } = this;
    if (quickestMs === null || quickestMs < farMs) return nearPipeline;
    const intervalMs = Math.max(farIntervalMinMs, Math.ceil(quickestMs / farUnderWayMax));
    return { intervalMs, underWayMax: farUnderWayMax };
  }
}
