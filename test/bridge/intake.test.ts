/** What all clients of a bridge together may have under way. */
import { EventEmitter } from 'node:events';
import type { ServerHttp2Stream } from 'node:http2';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { frame } from '../../src/api/frames.ts';
import { Intake } from '../../src/bridge/intake.ts';

const codes = { cancel: 8, refused: 7, calm: 11 };
const range = '/etcdserverpb.KV/Range';
const watch = '/etcdserverpb.Watch/Watch';

class Stream extends EventEmitter {
  readonly closedWith: number[] = [];
  close(code: number): void {
    this.closedWith.push(code);
    this.emit('close');
  }
}

const limits = { calls: 3, bytes: 1_000, requestMs: 60_000 };
let intake: Intake;

beforeEach(() => {
  vi.useFakeTimers();
  intake = new Intake(limits);
});
afterEach(() => {
  vi.useRealTimers();
});

function begin(path = range): Stream {
  const stream = new Stream();
  intake.take(stream as unknown as ServerHttp2Stream, { ':path': path });
  return stream;
}

it('calls above the limit are refused as not begun, until others have ended', () => {
  const [first] = [begin(), begin(), begin()];
  expect(begin().closedWith).toEqual([codes.refused]);
  expect(begin().closedWith).toEqual([codes.refused]);
  first.emit('close');
  expect(begin().closedWith).toEqual([]);
  expect(begin().closedWith).toEqual([codes.refused]);
});

it('bytes of requests count until their calls have ended', () => {
  const [first, second] = [begin(), begin()];
  first.emit('data', frame(0, new Uint8Array(700)));
  first.emit('end');
  second.emit('data', Buffer.alloc(295));
  expect(second.closedWith).toEqual([]);
  second.emit('data', Buffer.alloc(1));
  expect(second.closedWith).toEqual([codes.calm]);
  expect(first.closedWith).toEqual([]);
  first.emit('close');
  const third = begin();
  third.emit('data', Buffer.alloc(1_000));
  expect(third.closedWith).toEqual([]);
});

it('bytes of a stream of messages count until a message is whole, however it is cut', () => {
  const stream = begin(watch);
  const message = frame(0, new Uint8Array(600));
  for (let n = 0; n < 20; n += 1)
    for (let at = 0; at < message.length; at += 7)
      stream.emit('data', message.subarray(at, at + 7));
  stream.emit('data', Buffer.concat([message, message, message.subarray(0, 500)]));
  expect(stream.closedWith).toEqual([]);
  const other = begin(watch);
  other.emit('data', Buffer.concat([message, message.subarray(0, 500)]));
  expect(other.closedWith).toEqual([]);
  other.emit('data', message.subarray(500, 504));
  expect(other.closedWith).toEqual([codes.calm]);
});

it('a request of which the end never comes is cancelled, but for those that are streams', () => {
  const [halfOpen, whole, stream] = [begin(), begin(), begin(watch)];
  whole.emit('end');
  vi.advanceTimersByTime(limits.requestMs + 1);
  expect(halfOpen.closedWith).toEqual([codes.cancel]);
  expect(whole.closedWith).toEqual([]);
  expect(stream.closedWith).toEqual([]);
});
