/** Many watchers of one key by POST /v3/watch. */
import { connect, type Socket } from 'node:net';

const everybodyWithinMs = 60_000;

/** Bare connections: a client library would measure itself. A line with `"events"` is a put's. */
export class Crowd {
  readonly key: string;
  private readonly url: URL;
  private readonly sockets: Socket[] = [];
  private watchers = 0;
  private heard = 0;
  private first = 0;
  private done: (times: { first: number; last: number }) => void = () => {};

  constructor(url: string, key: string) {
    this.url = new URL(url);
    this.key = btoa(key);
  }

  /** One connection with so many watches; resolves when they exist. */
  join(watches: number): Promise<void> {
    const body = JSON.stringify({ create_request: { key: this.key } }).repeat(watches);
    this.watchers += watches;
    const { hostname, port } = this.url;
    const socket = connect(Number(port), hostname);
    this.sockets.push(socket);
    socket.write(
      `POST /v3/watch HTTP/1.1\r\nHost: ${hostname}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    return new Promise((resolve, reject) => {
      let text = '';
      let created = 0;
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('a watcher was disconnected')));
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
        // A line is whole when its chunk has ended.
        if (!text.endsWith('\n')) return;
        created += occurrences(text, '"created":true');
        if (created >= watches) resolve();
        for (let n = occurrences(text, '"events"'); n > 0; n -= 1) this.hear();
        text = '';
      });
    });
  }

  /** When the first and when the last of all has heard of the next put. */
  expect(): Promise<{ first: number; last: number }> {
    this.heard = 0;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.heard} of ${this.watchers} watchers heard of a put`));
      }, everybodyWithinMs);
      this.done = (times) => {
        clearTimeout(timer);
        resolve(times);
      };
    });
  }

  private hear(): void {
    this.heard += 1;
    if (this.heard === 1) this.first = performance.now();
    if (this.heard === this.watchers) this.done({ first: this.first, last: performance.now() });
  }

  close(): void {
    for (const socket of this.sockets) {
      socket.removeAllListeners('close');
      socket.destroy();
    }
  }
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}
