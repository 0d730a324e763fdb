/** When streamed answers end, for whoever counts them. */
export type StreamEnd = 'closed' | 'gone';

const ends = new WeakMap<Response, Promise<StreamEnd>>();

/** `end`: closed by us, or the client is gone. Must not reject. */
export function noteEnd(response: Response, end: Promise<StreamEnd>): Response {
  ends.set(response, end);
  return response;
}

/** Of the client's side of what this writes. */
export function endOfWriter(writer: WritableStreamDefaultWriter): Promise<StreamEnd> {
  return writer.closed.then(
    () => 'closed' as const,
    () => 'gone' as const,
  );
}

/** Undefined: it is no stream, and over when it is made. */
export function endOf(response: Response): Promise<StreamEnd> | undefined {
  return ends.get(response);
}
