/** A streamed answer: made at the pace of its client, and broken off where it cannot be whole. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { streamBytes, takenWithinMs } from '../../../src/router/http/byte-stream.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const request = new Request('http://quorate/');

/** Ten pieces, or an error after so many. */
class Pieces {
  made = 0;
  ended = false;
  private readonly failsAfter: number;

  constructor(failsAfter = Number.POSITIVE_INFINITY) {
    this.failsAfter = failsAfter;
  }

  async *all(): AsyncGenerator<Uint8Array> {
    try {
      while (this.made < 10) {
        if (this.made >= this.failsAfter) throw new Error('lost');
        this.made += 1;
        yield new Uint8Array(1_000).fill(this.made);
      }
    } finally {
      this.ended = true;
    }
  }
}

function readerOf(response: Response): ReadableStreamDefaultReader<Uint8Array> {
  return (response.body as ReadableStream<Uint8Array>).getReader();
}

describe('a stream of bytes', () => {
  it('has a piece made when the one before is taken', async () => {
    const pieces = new Pieces();
    const { response, done } = streamBytes(request, { 'kv-revision': '7' }, pieces.all());
    expect(response.headers.get('kv-revision')).toBe('7');
    const reader = readerOf(response);
    for (let taken = 0; taken < 10; taken += 1) {
      await vi.advanceTimersByTimeAsync(takenWithinMs / 2);
      // One waits to be taken, one to be written.
      expect(pieces.made).toBeLessThanOrEqual(taken + 2);
      expect((await reader.read()).value?.[0]).toBe(taken + 1);
    }
    expect((await reader.read()).done).toBe(true);
    await done;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('breaks off when its source fails, so that nobody takes a part for the whole', async () => {
    const pieces = new Pieces(3);
    const { response, done } = streamBytes(request, {}, pieces.all());
    await expect(response.arrayBuffer()).rejects.toThrow('lost');
    await done;
  });

  it('ends its source when the client goes, or takes nothing for too long', async () => {
    for (const leave of [
      (response: Response) => readerOf(response).cancel(),
      () => vi.advanceTimersByTimeAsync(2 * takenWithinMs + 1_000),
    ]) {
      const pieces = new Pieces();
      const { response, done } = streamBytes(request, {}, pieces.all());
      await leave(response);
      await done;
      expect(pieces.ended).toBe(true);
      expect(pieces.made).toBeLessThanOrEqual(3);
      expect(vi.getTimerCount()).toBe(0);
    }
  });

  it('ends its source when the request is aborted', async () => {
    const controller = new AbortController();
    const pieces = new Pieces();
    const aborted = new Request('http://quorate/', { signal: controller.signal });
    const { done } = streamBytes(aborted, {}, pieces.all());
    controller.abort();
    await done;
    expect(pieces.ended).toBe(true);
  });
});
