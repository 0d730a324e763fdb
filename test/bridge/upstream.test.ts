/** The service, as the bridge asks it: what becomes of a call when it is not there. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { protobufType } from '../../src/api/frames.ts';
import { type Asking, Upstream } from '../../src/bridge/upstream.ts';

const asking: Asking = {
  userToken: '',
  certifiedUser: '',
  requiresLeader: false,
  dialled: null,
  clientAddress: '',
  deadline: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
};

let server: Server | undefined;

async function listen(port: number): Promise<number> {
  server = createServer((_, response) => {
    response.writeHead(200, { 'content-type': protobufType }).end('answer');
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function leave(): Promise<void> {
  const left = server;
  server = undefined;
  if (left === undefined) return;
  left.closeAllConnections();
  left.close();
  await once(left, 'close');
}

afterEach(leave);

function upstreamTo(port: number): Upstream {
  return new Upstream({ url: `http://127.0.0.1:${port}`, tenant: null, token: null });
}

describe('a call to a service that is not there', () => {
  it('is sent when it comes back in a moment', async () => {
    const port = await listen(0);
    await leave();
    const upstream = upstreamTo(port);
    const answer = upstream.call('kv/put', new Uint8Array(), asking);
    setTimeout(() => void listen(port), 200);
    expect(Buffer.from(await answer).toString()).toBe('answer');
    await upstream.close();
  });

  it('fails with the words by which clientv3 knows that nothing was sent', async () => {
    const port = await listen(0);
    await leave();
    const upstream = upstreamTo(port);
    await expect(upstream.call('kv/put', new Uint8Array(), asking)).rejects.toMatchObject({
      code: 14,
      message: 'there is no connection available',
    });
    await upstream.close();
  });

  it('is waited for no longer than its client waits', async () => {
    const port = await listen(0);
    await leave();
    const upstream = upstreamTo(port);
    const gone = new AbortController();
    const answer = upstream.call('kv/put', new Uint8Array(), { ...asking, signal: gone.signal });
    gone.abort();
    await expect(answer).rejects.toMatchObject({ code: 1, message: 'context canceled' });
    await upstream.close();
  });
});
