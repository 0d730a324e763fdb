/**
 * What a reader has not taken yet, and how much that is. Slow readers share an isolate and its memory, so
 * one may be full though it holds less than it might alone.
 */
import type { WatchMessage } from './message.ts';

/** What is kept for all slow readers of an isolate; and each one's part of it. In bytes. */
const allQueuedMax = 48 * 1024 * 1024;
const ownQueuedMin = 256 * 1024;
let allQueued = 0;
const messageOverheadBytes = 128;

export class MessageQueue {
  private readonly bytesMax: number;
  private readonly queue: { readonly message: WatchMessage; readonly bytes: number }[] = [];
  private queuedBytes = 0;
  private isOver = false;
  private wake: (() => void) | null = null;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.queuedBytes;
  }

  get isEmpty(): boolean {
    return this.queue.length === 0;
  }

  /** One message may be larger than all that should be kept. */
  get isFull(): boolean {
    if (this.queuedBytes > this.bytesMax) return true;
    return allQueued > allQueuedMax && this.queuedBytes > ownQueuedMin;
  }

  /** Nothing when the queue has ended: nobody reads any more. */
  push(message: WatchMessage, bytes: number): void {
    if (this.isOver) return;
    this.queue.push({ message, bytes: bytes + messageOverheadBytes });
    this.count(bytes + messageOverheadBytes);
    this.wake?.();
    this.wake = null;
  }

  /** The first message, when there is one; null: there will be none. One reader. */
  async take(): Promise<WatchMessage | null> {
    while (this.queue.length === 0) {
      if (this.isOver) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    const first = this.queue.shift();
    this.count(-(first?.bytes ?? 0));
    return first?.message ?? null;
  }

  /** What is there may still be taken. */
  end(): void {
    this.isOver = true;
    this.wake?.();
  }

  clear(): void {
    this.count(-this.queuedBytes);
    this.queue.length = 0;
  }

  private count(bytes: number): void {
    this.queuedBytes += bytes;
    allQueued += bytes;
  }
}
