/** Sending on a WebSocket no faster than its client says that it takes. */
import { describe, expect, it } from 'vitest';
import { PacedSocket } from '../../../src/router/http/web-socket.ts';

const windowBytes = 10;

function paced() {
  const sent: number[] = [];
  const socket = { send: (data: Uint8Array) => sent.push(data.length) } as unknown as WebSocket;
  const to = new PacedSocket(socket, windowBytes);
  return { sent, to, send: (bytes: number) => to.send(new Uint8Array(bytes)) };
}

const settled = () => new Promise<void>((resolve) => setTimeout(resolve));

describe('a socket at the pace of its client', () => {
  it('has no more on its way than the window, and goes on with what has been taken', async () => {
    const { sent, to, send } = paced();
    const all = (async () => {
      for (const bytes of [6, 5, 1, 30, 2]) await send(bytes);
    })();
    await settled();
    expect(sent).toEqual([6, 5]);
    to.taken(1);
    await settled();
    expect(sent).toEqual([6, 5]);
    to.taken(4);
    await settled();
    // There was room for some of it.
    expect(sent).toEqual([6, 5, 1, 30]);
    to.taken(36);
    await all;
    expect(sent).toEqual([6, 5, 1, 30, 2]);
  });

  it('gives no credit for what was never sent', async () => {
    const { sent, to, send } = paced();
    to.taken(1_000);
    await send(10);
    const next = send(1);
    await settled();
    expect(sent).toEqual([10]);
    to.taken(10);
    expect(await next).toBe(true);
  });

  it('lets go who waits when the client is gone', async () => {
    const { sent, to, send } = paced();
    await send(10);
    const next = send(1);
    to.gone();
    expect(await next).toBe(false);
    expect(await send(1)).toBe(false);
    expect(sent).toEqual([10]);
  });
});
