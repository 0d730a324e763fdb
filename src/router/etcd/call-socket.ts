/**
 * Any call of /v3 but watch as a WebSocket, as etcd's gateway offers all of them: a message is what a body
 * would be, each line of the answer is a message. A keep-alive takes one message after another; the others
 * take one, and are closed when it is answered.
 */
import { maxMessageBytes } from '../../api/limits.ts';
import { BoundedSocket, offeredProtocols, upgraded } from '../http/web-socket.ts';
import { BadMessage } from './bad-message.ts';
import { badStreamBody } from './errors.ts';
import { type Sent, SentJson } from './form.ts';
import { decodeText } from './json-text.ts';

/** Serves what one message asks for; the Request tells who asks, and ends with the socket. */
export type Serve = (sent: Sent, request: Request) => Promise<Response>;

/** Messages that may wait for those before them, and their size together, which is that of a body. */
const waitingMax = 1_000;
const waitingBytesMax = 4 * maxMessageBytes;
const unheardBytesMax = 32 * 1024 * 1024;
const closeCodes = { done: 1000, notUnderstood: 1007, tooMuch: 1009, tryAgainLater: 1013 } as const;

export function serveCallSocket(request: Request, takesMany: boolean, serve: Serve): Response {
  const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
  new CallSocket(server, request, takesMany, serve).accept();
  return upgraded(client, offeredProtocols(request)[0]);
}

class CallSocket {
  private readonly socket: WebSocket;
  private readonly bounded: BoundedSocket;
  private readonly asking: Request;
  private readonly takesMany: boolean;
  private readonly serve: Serve;
  private readonly over = new AbortController();
  private turn: Promise<void> = Promise.resolve();
  private waiting = 0;
  private waitingBytes = 0;
  private taken = 0;

  constructor(socket: WebSocket, request: Request, takesMany: boolean, serve: Serve) {
    this.socket = socket;
    this.bounded = new BoundedSocket(socket, unheardBytesMax);
    const { headers } = request;
    this.asking = new Request(request.url, { method: 'POST', headers, signal: this.over.signal });
    this.takesMany = takesMany;
    this.serve = serve;
  }

  accept(): void {
    this.socket.binaryType = 'arraybuffer';
    this.socket.accept();
    this.socket.addEventListener('message', ({ data }) => this.hear(data as string | ArrayBuffer));
    this.socket.addEventListener('close', () => this.over.abort());
    this.socket.addEventListener('error', () => this.over.abort());
  }

  private hear(data: string | ArrayBuffer): void {
    this.bounded.heard();
    // As etcd, which reads no second request of a call that has one.
    if (this.over.signal.aborted || (this.taken > 0 && !this.takesMany)) return;
    this.taken += 1;
    this.waiting += 1;
    const size = typeof data === 'string' ? data.length : data.byteLength;
    this.waitingBytes += size;
    if (this.waitingBytes > waitingBytesMax) this.close('tooMuch', 'too large');
    else if (this.waiting > waitingMax) this.close('tryAgainLater', 'too many requests wait');
    else this.turn = this.turn.then(() => this.answer(data, size));
  }

  private async answer(data: string | ArrayBuffer, size: number): Promise<void> {
    if (this.over.signal.aborted) return;
    try {
      const text = typeof data === 'string' ? data : decodeText(new Uint8Array(data));
      const response = await this.serve(new SentJson(text), this.asking);
      await this.passOn(response);
      this.waiting -= 1;
      this.waitingBytes -= size;
      if (!this.takesMany || response.status >= 400) this.close('done', '');
    } catch (error) {
      if (!(error instanceof BadMessage)) console.error(error);
      this.bounded.sendAnyway(
        badStreamBody(error instanceof BadMessage ? error.message : 'internal error'),
      );
      this.close('notUnderstood', 'not understood');
    }
  }

  /** Line by line, as they come. */
  private async passOn({ body }: Response): Promise<void> {
    if (body === null) return;
    let rest = '';
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const cancel = () => void reader.cancel().catch(() => {});
    this.over.signal.addEventListener('abort', cancel, { once: true });
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.say(line);
    }
    this.over.signal.removeEventListener('abort', cancel);
    this.say(rest);
  }

  private say(line: string): void {
    if (line === '' || this.bounded.send(line)) return;
    this.close('tryAgainLater', 'too much was sent since the last request');
  }

  private close(code: keyof typeof closeCodes, reason: string): void {
    this.over.abort();
    try {
      this.socket.close(closeCodes[code], reason);
    } catch {
      // Closed already.
    }
  }
}
