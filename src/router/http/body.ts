/**
 * Reads a request's body into memory up to a bound, and never past it: an isolate's 128 MB are
 * shared by every request in it.
 */
import { type Deadline, remainingMs, TimeIsUp, within } from './deadline.ts';

export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** `size` is what the client announced, or what had come when we stopped reading. */
  | { readonly kind: 'tooLarge'; readonly size: number }
  | { readonly kind: 'late' }
  /** The client broke off, or its framing is wrong. */
  | { readonly kind: 'broken' };

const empty = new Uint8Array(0);

export async function readBody(
  request: Request,
  maxBytes: number,
  deadline: Deadline,
): Promise<Body> {
  if (request.body === null) return { kind: 'bytes', bytes: empty };
  const announced = request.headers.get('content-length');
  const length = announced === null ? Number.NaN : Number(announced);
  if (length > maxBytes) return { kind: 'tooLarge', size: length };
  try {
    // A timer for every body (7 us in workerd): a small one may stop half-way just as well.
    return await within(Math.max(0, remainingMs(deadline)), () =>
      Number.isNaN(length)
        ? readStream(request.body as ReadableStream<Uint8Array>, maxBytes)
        : readWhole(request, maxBytes),
    );
  } catch (error) {
    return { kind: error instanceof TimeIsUp ? 'late' : 'broken' };
  }
}

async function readWhole(request: Request, maxBytes: number): Promise<Body> {
  const bytes = new Uint8Array(await request.arrayBuffer());
  return bytes.length > maxBytes
    ? { kind: 'tooLarge', size: bytes.length }
    : { kind: 'bytes', bytes };
}

async function readStream(stream: ReadableStream<Uint8Array>, maxBytes: number): Promise<Body> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    // Leaving the loop cancels the stream.
    if (size > maxBytes) return { kind: 'tooLarge', size };
    chunks.push(chunk);
  }
  const only = chunks[0];
  if (only !== undefined && chunks.length === 1) return { kind: 'bytes', bytes: only };
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return { kind: 'bytes', bytes };
}
