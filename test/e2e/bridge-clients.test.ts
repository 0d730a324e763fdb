/** Who the clients of a gRPC bridge are to the service. */
import { create, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AuthenticateRequestSchema } from '../../src/api/gen/rpc_pb.js';
import { type Bridge, startBridge } from '../support/bridge.ts';
import { openSession, rawCall } from '../support/raw-grpc.ts';
import { type Server, startServer } from '../support/server.ts';

let server: Server;
const bridges: Bridge[] = [];

beforeAll(async () => {
  server = await startServer({ members: 1, env: { API_TOKEN: 's3cret' } });
  const post = async (path: string, body: object) => {
    const headers = { authorization: 'Bearer s3cret' };
    const init = { method: 'POST', headers, body: JSON.stringify(body) };
    expect((await fetch(`${server.url}/v3/auth/${path}`, init)).status).toBe(200);
  };
  await post('user/add', { name: 'root', password: 'right' });
  await post('user/grant', { user: 'root', role: 'root' });
  await post('enable', {});
}, 60_000);

afterAll(async () => {
  for (const bridge of bridges) await bridge.stop();
  await server.stop();
});

/** Guesses until the service will hear no more of it. Returns how another address then fares. */
async function guessFromTwo(bridge: Bridge): Promise<string> {
  const guessFrom = async (address: string) => {
    const session = openSession(bridge.address, address);
    const init = { name: 'root', password: 'wrong' };
    const request = toBinary(AuthenticateRequestSchema, create(AuthenticateRequestSchema, init));
    const { details } = await rawCall(session, 'etcdserverpb.Auth/Authenticate', request);
    session.close();
    return details;
  };
  await expect
    .poll(() => guessFrom('127.0.0.1'), { interval: 0, timeout: 20_000 })
    .toContain('too many requests');
  return guessFrom('127.0.0.2');
}

it('a client of a bridge with the secret that guesses at a password slows down no other', async () => {
  const bridge = await startBridge(server.url, ['--token', 's3cret']);
  bridges.push(bridge);
  expect(await guessFromTwo(bridge)).toContain('authentication failed');
});
