/**
 * A streamed answer of bytes, made at the pace at which the client takes them: the next piece is asked for
 * when the one before is taken, so whatever makes them holds one.
 */
import { within } from './deadline.ts';
import { endOfWriter, noteEnd } from './stream-ends.ts';

/** A client that takes nothing for so long has gone, or might as well have. */
export const takenWithinMs = 60_000;

export interface ByteStream {
  readonly response: Response;
  /** Resolves when all is sent, or the client has gone; never rejects. `pieces` has ended then. */
  readonly done: Promise<void>;
}

/** An error of `pieces` breaks the answer off, which the client can tell from its end. */
export function streamBytes(
  request: Request,
  headers: HeadersInit,
  pieces: AsyncIterable<Uint8Array>,
): ByteStream {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  request.signal?.addEventListener('abort', () => void writer.abort().catch(() => {}));
  const run = async () => {
    try {
      for await (const piece of pieces) await within(takenWithinMs, () => writer.write(piece));
      await within(takenWithinMs, () => writer.close());
    } catch (error) {
      // Not waited for: it may wait for a client that reads no more.
      writer.abort(error).catch(() => {});
    }
  };
  const ended = endOfWriter(writer);
  return { response: noteEnd(new Response(readable, { headers }), ended), done: run() };
}
