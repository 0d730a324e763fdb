/** Calls of /v3 over a WebSocket, as etcd's gateway takes all of them (asked of 3.4.23). */
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { type Server, withServer } from '../support/server.ts';

interface Heard {
  readonly said: unknown[];
  readonly closed: Promise<number>;
  send(message: string | Buffer): void;
  close(): void;
  /** Resolves when it has said so many messages. */
  until(count: number): Promise<void>;
}

async function open(url: string, path: string): Promise<Heard> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v3/${path}`);
  const said: unknown[] = [];
  socket.addEventListener('message', ({ data }) => {
    const { header: _, ...rest } = JSON.parse(String(data)) as {
      header?: unknown;
      result?: object;
    };
    said.push(rest);
  });
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener('close', ({ code }) => resolve(code));
  });
  await once(socket as unknown as NodeJS.EventEmitter, 'open');
  return {
    said,
    closed,
    send: (message) => socket.send(message),
    close: () => socket.close(),
    until: (count) => expect.poll(() => said.length, { timeout: 10_000 }).toBe(count),
  };
}

const server = { members: 1 } as const;
const use = (run: (at: Server, gateway: Gateway) => Promise<void>) =>
  withServer(server, async (at) => {
    const gateway = new Gateway(at.url);
    await gateway.put('foo', 'bar');
    await run(at, gateway);
    gateway.close();
  });

it('a keep-alive takes one message after another, text or bytes, and several in one', async () => {
  await use(async ({ url }, gateway) => {
    await gateway.send('POST', '/v3/lease/grant', '{"TTL":100,"ID":77}');
    const socket = await open(url, 'lease/keepalive');
    socket.send('{"ID":77}');
    socket.send('{"ID":78}{"ID":77}');
    socket.send(Buffer.from('{"ID":77}'));
    await socket.until(4);
    const ttls = socket.said.map((one) => (one as { result: { TTL?: string } }).result.TTL);
    expect(ttls).toEqual(['100', undefined, '100', '100']);
    socket.send('nonsense');
    expect(await socket.closed).toBe(1000);
    expect(socket.said[4]).toMatchObject({ code: 2 });
  });
});

it('any other call takes one message, and is closed when it is answered', async () => {
  await use(async ({ url }) => {
    const range = await open(url, 'kv/range');
    range.send('{"key":"Zm9v","count_only":true}');
    range.send('{"key":"Zm9v"}');
    expect(await range.closed).toBe(1000);
    expect(range.said).toEqual([{ count: '1' }]);
    const refused = await open(url, 'kv/range');
    refused.send('{}');
    expect(await refused.closed).toBe(1000);
    expect(refused.said).toMatchObject([{ code: 3, message: 'etcdserver: key is not provided' }]);
  });
});

it('a stream says one message a line, until the client goes', async () => {
  await use(async ({ url }, gateway) => {
    const observer = await open(url, 'election/observe');
    observer.send('{"name":"ZQ=="}');
    await gateway.send('POST', '/v3/lease/grant', '{"TTL":100,"ID":77}');
    await gateway.send(
      'POST',
      '/v3/election/campaign',
      '{"name":"ZQ==","lease":77,"value":"YQ=="}',
    );
    await observer.until(1);
    expect(observer.said[0]).toMatchObject({ result: { kv: { value: 'YQ==' } } });
    observer.close();
    await observer.closed;
  });
});

it('who waits for a lock and closes the socket leaves the queue', async () => {
  await use(async ({ url }, gateway) => {
    for (const id of [77, 78])
      await gateway.send('POST', '/v3/lease/grant', `{"TTL":100,"ID":${id}}`);
    await gateway.send('POST', '/v3/lock/lock', '{"name":"bA==","lease":77}');
    const waiter = await open(url, 'lock/lock');
    waiter.send('{"name":"bA==","lease":78}');
    const queue = async () => (await gateway.range({ key: 'l/', end: 'l0' })).count;
    await expect.poll(queue, { timeout: 10_000 }).toBe(2);
    waiter.close();
    await expect.poll(queue, { timeout: 10_000 }).toBe(1);
  });
});
