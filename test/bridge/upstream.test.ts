/** The service, as the bridge asks it: what becomes of a call when it is not there. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { protobufType } from '../../src/api/frames.ts';
import { type Asking, Upstream } from '../../src/bridge/upstream.ts';
import { startStubService } from '../support/stub-service.ts';

const asking: Asking = {
  userToken: '',
  certifiedUser: '',
  requiresLeader: false,
  dialled: null,
  clientAddress: '',
  deadline: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
};

/** Where a service was a moment ago. */
async function deserted(): Promise<{ readonly upstream: Upstream; readonly port: number }> {
  const stub = await startStubService();
  await stub.stop();
  const upstream = new Upstream({ url: stub.url, tenant: null, token: null });
  return { upstream, port: Number(new URL(stub.url).port) };
}

describe('a call to a service that is not there', () => {
  it('is sent when it comes back in a moment', async () => {
    const { upstream, port } = await deserted();
    const answer = upstream.call('kv/put', new Uint8Array(), asking);
    await sleep(200);
    const stub = await startStubService(port);
    stub.answer = (response) =>
      response.writeHead(200, { 'content-type': protobufType }).end('answer');
    expect(Buffer.from(await answer).toString()).toBe('answer');
    await upstream.close();
    await stub.stop();
  });

  it('fails with the words by which clientv3 knows that nothing was sent', async () => {
    const { upstream } = await deserted();
    await expect(upstream.call('kv/put', new Uint8Array(), asking)).rejects.toMatchObject({
      code: 14,
      message: 'there is no connection available',
    });
    await upstream.close();
  });

  it('is waited for no longer than its client waits', async () => {
    const { upstream } = await deserted();
    const gone = new AbortController();
    const answer = upstream.call('kv/put', new Uint8Array(), { ...asking, signal: gone.signal });
    gone.abort();
    await expect(answer).rejects.toMatchObject({ code: 1, message: 'context canceled' });
    await upstream.close();
  });
});
