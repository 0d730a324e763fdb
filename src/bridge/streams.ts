/**
 * The streams that are open: they have no end of their own, so a bridge that is to stop ends them, with the code by
 * which clients know that they may go on elsewhere.
 */
import { type CallFailed, unreachable } from './status.ts';

type End = (why: CallFailed) => void;

export class Streams {
  private readonly ends = new Set<End>();
  private isStopping = false;

  /** `end` is called at most once, until what is returned has been. */
  add(end: End): () => void {
    if (this.isStopping) queueMicrotask(() => end(stopping()));
    else this.ends.add(end);
    return () => this.ends.delete(end);
  }

  stop(): void {
    this.isStopping = true;
    const ends = [...this.ends];
    this.ends.clear();
    for (const end of ends) end(stopping());
  }
}

const stopping = () => unreachable('this bridge is stopping');
