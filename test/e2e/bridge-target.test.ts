/** What a gRPC client is told when the bridge's target is not there, is not the service, or will not have it. */
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { protobufType } from '../../src/api/frames.ts';
import { RangeRequestSchema, RangeResponseSchema } from '../../src/api/gen/rpc_pb.js';
import { type Bridge, GrpcClient, startBridge } from '../support/bridge.ts';
import {
  type Answerer,
  emptyMessage,
  type StubService,
  startStubService,
} from '../support/stub-service.ts';

let target: StubService;
let bridge: Bridge;
let client: GrpcClient;

beforeAll(async () => {
  target = await startStubService();
  bridge = await startBridge(target.url, ['--token', 's3cret']);
  client = new GrpcClient(bridge.address);
}, 60_000);

afterAll(async () => {
  client.close();
  await bridge.stop();
  await target.stop();
});

const get = (of: GrpcClient, deadlineMs?: number) =>
  of.call('etcdserverpb.KV/Range', [RangeRequestSchema, {}], RangeResponseSchema, deadlineMs);

function endOf(of: GrpcClient, kind: 'watch' | 'serverStream') {
  const stream =
    kind === 'watch'
      ? of.duplex('etcdserverpb.Watch/Watch')
      : of.serverStream('etcdserverpb.Maintenance/Snapshot', [RangeRequestSchema, {}]);
  stream.on('data', () => {});
  return new Promise((resolve) => stream.on('error', resolve));
}

const soon = { timeout: 10_000 };
const page = '<html>Welcome</html>';
const wrong = { code: 2, details: expect.stringContaining('is --target the URL of a Quorate') };
const unauthenticated = JSON.stringify({ error: 'x', code: 16, message: 'x' });

const targets: readonly (readonly [string, Answerer, object])[] = [
  [
    'shows a page',
    (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page),
    wrong,
  ],
  ['knows no such page', (response) => response.writeHead(404).end(page), wrong],
  ['sends elsewhere', (response) => response.writeHead(302, { location: '/' }).end(), wrong],
  [
    'is overloaded',
    (response) => response.writeHead(503).end(page),
    { code: 14, details: expect.stringContaining('target answered with status 503') },
  ],
  [
    'refuses the secret',
    (response) => response.writeHead(401).end(unauthenticated),
    { code: 16, details: "the target refuses this bridge's --token" },
  ],
];

describe.each(targets)('a target that %s', (_, answer, expected) => {
  it('fails a call in words', async () => {
    target.answer = answer;
    await expect(get(client)).rejects.toMatchObject(expected);
  });

  it.each(['watch', 'serverStream'] as const)('ends a stream in words (%s)', async (kind) => {
    target.answer = answer;
    expect(await endOf(client, kind)).toMatchObject(expected);
  });
});

it('a page without end is not read to its end', async () => {
  target.answer = (response) => {
    const more = () => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 'x')));
    };
    response.writeHead(404);
    response.on('drain', more);
    more();
  };
  await expect(get(client)).rejects.toMatchObject(wrong);
  expect(await endOf(client, 'watch')).toMatchObject(wrong);
});

it('an answer that is cut off may have taken effect', async () => {
  target.answer = (response) => {
    response.writeHead(200, { 'content-type': protobufType, 'content-length': '10' });
    response.write('12345', () => response.destroy());
  };
  await expect(get(client)).rejects.toMatchObject({
    code: 14,
    details: 'etcdserver: request timed out, possibly due to connection lost',
  });
});

it('the deadline and the end of a call reach the target', async () => {
  const timeouts: unknown[] = [];
  let gone = 0;
  target.answer = (response, request) => {
    timeouts.push(request.headers['grpc-timeout']);
    response.on('close', () => {
      gone += 1;
    });
  };
  await expect(get(client, 300)).rejects.toMatchObject({ code: 4 });
  expect(timeouts).toEqual([expect.stringMatching(/^\d{1,3}m$/)]);
  await expect.poll(() => gone, soon).toBe(1);
  const stream = client.serverStream('etcdserverpb.Maintenance/Snapshot', [RangeRequestSchema, {}]);
  stream.on('error', () => {});
  await expect.poll(() => timeouts.length, soon).toBe(2);
  stream.cancel();
  await expect.poll(() => gone, soon).toBe(2);
});

it('a target that speaks no HTTP is none', async () => {
  const garbage = createServer((socket) => {
    socket.on('error', () => {});
    socket.end('\0\x01nothing that anybody speaks\r\n\r\n');
  });
  await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
  const { port } = garbage.address() as { port: number };
  const own = await startBridge(`http://127.0.0.1:${port}`);
  const other = new GrpcClient(own.address);
  await expect(get(other)).rejects.toMatchObject(wrong);
  other.close();
  await own.stop();
  garbage.close();
});

it('a target that comes back is asked again', async () => {
  target.answer = emptyMessage;
  expect((await get(client)).count).toBe(0n);
});
