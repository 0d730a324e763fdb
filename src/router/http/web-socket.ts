/** A client's WebSocket: what it is offered and answered with, and what may be sent on it. */

/**
 * Sending within bounds. The runtime keeps what a client does not read, and does
 * not say how much that is (workerd 1.20261102.1 has no `bufferedAmount`). So a client may be sent so
 * much since it was last heard of; beyond that it has to say something, or come back.
 */
export class BoundedSocket {
  readonly socket: WebSocket;
  private readonly unheardBytesMax: number;
  private unheardBytes = 0;

  constructor(socket: WebSocket, unheardBytesMax: number) {
    this.socket = socket;
    this.unheardBytesMax = unheardBytesMax;
  }

  /** The client has sent something: it is there, and reads. */
  heard(): void {
    this.unheardBytes = 0;
  }

  /** False: the client is gone, or this would be too much. */
  send(data: string | Uint8Array): boolean {
    this.unheardBytes += data.length;
    if (this.unheardBytes > this.unheardBytesMax && this.unheardBytes > data.length) return false;
    return this.sendAnyway(data);
  }

  /** The last words. */
  sendAnyway(data: string | Uint8Array): boolean {
    return isSent(this.socket, data);
  }
}

/**
 * Sending at the pace of a client that acknowledges what it has taken: no more than a window is on its way to it, and
 * who takes nothing is sent nothing, but never closed for that.
 */
export class PacedSocket {
  readonly socket: WebSocket;
  private readonly windowBytes: number;
  private untakenBytes = 0;
  private isGone = false;
  private wake = () => {};

  constructor(socket: WebSocket, windowBytes: number) {
    this.socket = socket;
    this.windowBytes = windowBytes;
  }

  /** The client has taken so much more. */
  taken(bytes: number): void {
    this.untakenBytes = Math.max(0, this.untakenBytes - bytes);
    this.wake();
  }

  /** Whoever waits to send waits no more. */
  gone(): void {
    this.isGone = true;
    this.wake();
  }

  /** When there is room; one message may be larger than the window. False: the client is gone. One sender. */
  async send(data: string | Uint8Array): Promise<boolean> {
    while (this.untakenBytes >= this.windowBytes && !this.isGone)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    if (this.isGone) return false;
    this.untakenBytes += data.length;
    return isSent(this.socket, data);
  }
}

/** False: the client is gone. */
function isSent(socket: WebSocket, data: string | Uint8Array): boolean {
  try {
    socket.send(data);
    return true;
  } catch {
    return false;
  }
}

/** The subprotocols that a client offers, in its order. */
export function offeredProtocols(request: Request): string[] {
  const offered = request.headers.get('sec-websocket-protocol')?.split(',') ?? [];
  return offered.map((name) => name.trim());
}

/** The answer that makes a request a WebSocket; `protocol`: the one that is spoken, if any was offered. */
export function upgraded(webSocket: WebSocket, protocol: string | undefined): Response {
  const headers: HeadersInit = protocol ? { 'sec-websocket-protocol': protocol } : {};
  return new Response(null, { status: 101, webSocket, headers });
}
