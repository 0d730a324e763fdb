/**
 * A body that is taken piece by piece as it comes. Whoever refuses it in the middle reads on for a while, without
 * looking: a client that is still sending when the connection is closed never sees the answer.
 */
import { TimeIsUp, within } from './deadline.ts';

/** A client that sends nothing for so long has gone. */
const sentWithinMs = 60_000;
const drainedMs = 30_000;
const drainedBytesMax = 256 * 1024 * 1024;

/** The client broke off, or its framing is wrong. */
export class BrokenOff extends Error {
  override readonly name = 'BrokenOff';
}

export class Upload {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  private isOver = false;

  constructor(body: ReadableStream<Uint8Array>) {
    this.reader = body.getReader();
  }

  /** Throws TimeIsUp when nothing comes any more, and BrokenOff. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = await this.next(sentWithinMs);
      if (piece === null) return;
      yield piece;
    }
  }

  async drain(): Promise<void> {
    const endMs = Date.now() + drainedMs;
    try {
      for (let bytes = 0; !this.isOver && bytes < drainedBytesMax; )
        bytes += (await this.next(endMs - Date.now()))?.length ?? 0;
    } catch {
      // It sends nothing any more, or has sent enough.
    }
    if (!this.isOver) this.reader.cancel().catch(() => {});
  }

  /** Null: there is no more. */
  private async next(ms: number): Promise<Uint8Array | null> {
    try {
      const { done, value } = await within(Math.max(0, ms), () => this.reader.read());
      this.isOver = done;
      return done ? null : value;
    } catch (error) {
      this.isOver = true;
      this.reader.cancel().catch(() => {});
      throw error instanceof TimeIsUp ? error : new BrokenOff('the client broke off');
    }
  }
}
