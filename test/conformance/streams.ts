/**
 * The exchanges that are streams: `open` sends a request and reads messages, `ws` does so on a WebSocket,
 * `wait` reads on (and may send on a WebSocket), `close` reads on and ends.
 *
 * Each reads until `count` messages have come, or `timeout` has passed; then what comes within `quiet`
 * belongs to the answer too. One message is one chunk on the wire, which is part of what is judged.
 */
import { request } from 'node:http';
import type { Answer, Exchange, Json } from './exchange.ts';
import { bodyOf, headersOf, outline, parseJson } from './send.ts';
import { substitute, type Variables } from './variables.ts';

const defaultTimeoutSeconds = 5;
const defaultQuietSeconds = 0.1;

interface Stream {
  status: number | null;
  ended: boolean;
  readonly unread: Json[];
  send(text: string): void;
  close(): void;
  /** Called when a message has come, or the end. */
  onChange: () => void;
}

export class Streams {
  private readonly base: URL;
  private readonly byId = new Map<string, Stream>();

  constructor(baseUrl: string) {
    this.base = new URL(baseUrl);
  }

  async perform(exchange: Exchange, variables: Variables): Promise<Answer> {
    const id = exchange.id ?? '';
    if (exchange.op === 'open') this.byId.set(id, this.post(exchange, variables));
    if (exchange.op === 'ws') this.byId.set(id, await this.socket(exchange, variables));
    const stream = this.byId.get(id);
    if (!stream) throw new Error(`${exchange.name}: no stream is called ${id}`);
    if (exchange.send !== undefined) stream.send(substitute(exchange.send, variables));
    await this.read(stream, exchange);
    const response = stream.unread.splice(0);
    if (exchange.op === 'close') {
      stream.close();
      this.byId.delete(id);
    }
    return {
      status: stream.status,
      response: exchange.no_body_len === true ? outline(response) : response,
    };
  }

  closeAll(): void {
    for (const stream of this.byId.values()) stream.close();
    this.byId.clear();
  }

  private async read(stream: Stream, { count = 0, timeout, quiet }: Exchange): Promise<void> {
    const until = Date.now() + (timeout ?? defaultTimeoutSeconds) * 1_000;
    while (stream.unread.length < count && !stream.ended && Date.now() < until)
      await change(stream, until - Date.now());
    await new Promise((resolve) => setTimeout(resolve, (quiet ?? defaultQuietSeconds) * 1_000));
  }

  private post(exchange: Exchange, variables: Variables): Stream {
    const body = bodyOf(exchange, variables) ?? Buffer.alloc(0);
    const outgoing = request({
      host: this.base.hostname,
      port: this.base.port,
      method: exchange.method,
      path: this.base.pathname.replace(/\/$/, '') + substitute(exchange.path, variables),
      headers: { ...headersOf(exchange, variables), 'Content-Length': body.length },
      agent: false,
    });
    const stream = newStream(() => outgoing.destroy());
    const end = () => {
      stream.ended = true;
      stream.onChange();
    };
    outgoing.on('error', end);
    outgoing.on('response', (incoming) => {
      stream.status = incoming.statusCode ?? null;
      let rest = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        rest += chunk;
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        stream.unread.push(...lines.filter((line) => line !== '').map(parseJson));
        stream.onChange();
      });
      incoming.on('error', end);
      incoming.on('end', () => {
        if (rest !== '') stream.unread.push(parseJson(rest));
        end();
      });
    });
    outgoing.end(body);
    return stream;
  }

  private socket(exchange: Exchange, variables: Variables): Promise<Stream> {
    const { host, pathname } = this.base;
    const path = pathname.replace(/\/$/, '') + substitute(exchange.path, variables);
    const socket = new WebSocket(`ws://${host}${path}`);
    const stream = newStream(() => socket.close());
    stream.send = (text) => socket.send(text);
    return new Promise((resolve) => {
      socket.addEventListener('open', () => {
        stream.status = 101;
        resolve(stream);
      });
      socket.addEventListener('message', ({ data }) => {
        stream.unread.push(parseJson(String(data)));
        stream.onChange();
      });
      socket.addEventListener('error', () => resolve(stream));
      socket.addEventListener('close', () => {
        stream.ended = true;
        stream.onChange();
      });
    });
  }
}

function newStream(close: () => void): Stream {
  return { status: null, ended: false, unread: [], send: () => {}, close, onChange: () => {} };
}

function change(stream: Stream, timeoutMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    stream.onChange = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}
