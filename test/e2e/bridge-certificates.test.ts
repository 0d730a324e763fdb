/** Who is let in by a gRPC bridge with TLS and --client-cert-auth, and what the others are told. */
import { readFileSync } from 'node:fs';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { RangeRequestSchema, RangeResponseSchema } from '../../src/api/gen/rpc_pb.js';
import { splitAddress } from '../../src/bridge/address.ts';
import { type Bridge, GrpcClient, startBridge } from '../support/bridge.ts';
import { flags, greeting, grpcHeaders, http2Frame } from '../support/http2-frames.ts';
import { openSocket } from '../support/raw-grpc.ts';
import { emptyMessage, type StubService, startStubService } from '../support/stub-service.ts';

const pathOf = (name: string) => new URL(`../support/certs/${name}`, import.meta.url).pathname;
const fileOf = (name: string) => readFileSync(pathOf(name));
const authority = fileOf('authority.pem');
const connectionsMax = 8;
const soon = { timeout: 9_000 };

// Whoever is let in by mistake is not closed.
vi.setConfig({ testTimeout: 20_000 });

let target: StubService;
let bridge: Bridge;
let asked = 0;
let dialled: unknown;

beforeAll(async () => {
  target = await startStubService();
  target.answer = (response, request, body) => {
    asked += 1;
    dialled = request.headers['quorate-client-url'];
    emptyMessage(response, request, body);
  };
  bridge = await startBridge(target.url, [
    ...['--cert', pathOf('server.pem'), '--key', pathOf('server.key')],
    ...['--client-cert-auth', '--trusted-ca', pathOf('authority.pem')],
    ...['--max-connections', String(connectionsMax)],
  ]);
}, 60_000);

afterAll(async () => {
  await bridge.stop();
  await target.stop();
});

const pairOf = (name: string) => ({ key: fileOf(`${name}.key`), cert: fileOf(`${name}.pem`) });

function clientOf(name: string | null): GrpcClient {
  const pair = name === null ? null : pairOf(name);
  const security = credentials.createSsl(authority, pair?.key, pair?.cert);
  return new GrpcClient(bridge.address, { security });
}

const get = (of: GrpcClient) =>
  of.call('etcdserverpb.KV/Range', [RangeRequestSchema, {}], RangeResponseSchema);

async function expectServed(): Promise<void> {
  const client = clientOf('alice');
  expect((await get(client)).count).toBe(0n);
  client.close();
}

/** What it says to somebody who sends a call without waiting to be let in. */
function sayTo(options: ConnectionOptions): Promise<{ heard: string; sessions: Buffer[] }> {
  const sessions: Buffer[] = [];
  let heard = '';
  return new Promise((resolve) => {
    const at = { ...splitAddress(bridge.address), ca: authority, ALPNProtocols: ['h2'] };
    const socket: TLSSocket = connect({ ...at, ...options }, () => {
      const payload = grpcHeaders('etcdserverpb.KV/Range');
      const call = http2Frame('headers', { stream: 1, flag: flags.endHeaders, payload });
      const message = http2Frame('data', {
        stream: 1,
        flag: flags.endStream,
        payload: Buffer.alloc(5),
      });
      socket.write(Buffer.concat([greeting, call, message]));
    });
    socket.on('session', (session: Buffer) => sessions.push(session));
    socket.on('data', (data: Buffer) => {
      heard += data.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve({ heard, sessions }));
  });
}

describe('a client', () => {
  it('whose certificate the authority has signed is served', async () => {
    await expectServed();
    expect(dialled).toBe(`https://${bridge.address}`);
  });

  const refused = [
    ['expired', 'CERT_HAS_EXPIRED'],
    ['future', 'CERT_NOT_YET_VALID'],
    ['mallory', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    [null, 'no certificate is shown'],
  ] as const;

  it.each(refused)('whose certificate is "%s" is refused in words', async (name, why) => {
    const before = asked;
    const client = clientOf(name);
    await expect(get(client)).rejects.toMatchObject({ code: 7 });
    client.close();
    const pair = name === null ? {} : pairOf(name);
    const words = `quorate-grpc: certificate of the client: ${why}`;
    expect((await sayTo(pair)).heard).toContain(words);
    const http1 = await sayTo({ ...pair, ALPNProtocols: ['http/1.1'] });
    expect(http1.heard).toMatch(new RegExp(`^HTTP/1.1 403 .*${words}`, 's'));
    expect(asked).toBe(before);
    expect(bridge.log()).toContain(`refused a connection of 127.0.0.1: ${why}`);
  });

  it('without a certificate is not let in by a session that it resumes', async () => {
    const { sessions } = await sayTo({});
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const)
      for (const session of [...sessions, ...(await sayTo({ maxVersion })).sessions])
        expect((await sayTo({ session, maxVersion })).heard).toContain('no certificate is shown');
  });

  it('that expects another host goes away by itself', async () => {
    const security = credentials.createSsl(authority, ...Object.values(pairOf('alice')));
    const client = new GrpcClient(bridge.address, { security, expectedHost: 'elsewhere' });
    await expect(get(client)).rejects.toMatchObject({ code: 14 });
    client.close();
    await expectServed();
  });

  it('without TLS is closed', async () => {
    const socket = openSocket(bridge.address);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.resume();
    socket.write(greeting);
    await closed;
    expect(bridge.log()).toContain('refused a connection of 127.0.0.1: wrong version number');
    await expectServed();
  });
});

it('connections above the limit are closed, until others have gone', async () => {
  const open = Array.from({ length: 2 * connectionsMax }, () => openSocket(bridge.address));
  let closedCount = 0;
  for (const socket of open)
    socket.resume().on('close', () => {
      closedCount += 1;
    });
  await expect.poll(() => closedCount, soon).toBeGreaterThanOrEqual(connectionsMax);
  expect(bridge.log()).toContain(`refused a connection of 127.0.0.1: ${connectionsMax} are open`);
  for (const socket of open) socket.destroy();
  await expect
    .poll(() => get(clientOf('alice')).then(String, String), soon)
    .toBe('[object Object]');
});
