/**
 * A streamed answer: it is written piece by piece, each piece one chunk on the wire, and no faster than
 * the client reads. Its end, from either side, is known to both.
 */
import { endOfWriter, noteEnd } from './stream-ends.ts';

export interface Lines {
  readonly response: Response;
  /** What was written waits for the client to read. */
  readonly isBlocked: boolean;
  /** Nothing was written since this was last asked, and nothing waits for the client. */
  wasQuiet(): boolean;
  /** Resolves when the client can take more; false: it is gone. */
  write(piece: string | Uint8Array): Promise<boolean>;
  close(): void;
}

const encoder = new TextEncoder();

/** `onGone` is called once when the client is gone, however that becomes known. */
export function streamLines(request: Request, headers: HeadersInit, onGone: () => void): Lines {
  // Of bytes: a JavaScript stream would pass a Durable Object's gate, and costs more (design.md 4).
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const writer = writable.getWriter();
  let open = true;
  let underWay = 0;
  let isQuiet = true;
  const end = () => {
    if (!open) return;
    open = false;
    onGone();
  };
  const ended = endOfWriter(writer);
  void ended.then(end);
  request.signal?.addEventListener('abort', () => {
    writer.abort().catch(() => {});
    end();
  });
  return {
    response: noteEnd(new Response(readable, { headers }), ended),
    get isBlocked() {
      return underWay > 0;
    },
    wasQuiet() {
      const was = isQuiet && underWay === 0;
      isQuiet = true;
      return was;
    },
    async write(piece) {
      if (!open) return false;
      isQuiet = false;
      underWay += 1;
      try {
        await writer.write(typeof piece === 'string' ? encoder.encode(piece) : piece);
        return true;
      } catch {
        end();
        return false;
      } finally {
        underWay -= 1;
      }
    },
    close: () => void writer.close().catch(() => {}),
  };
}
