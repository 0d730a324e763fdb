/** The gRPC bridge in front of a service, as a gRPC client sees it. (test/etcd has etcd's own clients.) */
import { readFileSync } from 'node:fs';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
} from '../../src/api/gen/health_pb.js';
import {
  AuthEnableRequestSchema,
  AuthEnableResponseSchema,
  AuthenticateRequestSchema,
  AuthenticateResponseSchema,
  AuthUserAddRequestSchema,
  AuthUserAddResponseSchema,
  AuthUserGrantRoleRequestSchema,
  AuthUserGrantRoleResponseSchema,
  LeaseGrantRequestSchema,
  LeaseGrantResponseSchema,
  LeaseKeepAliveRequestSchema,
  LeaseKeepAliveResponseSchema,
  PutRequestSchema,
  PutResponseSchema,
  RangeRequestSchema,
  RangeResponseSchema,
  TxnRequestSchema,
  TxnResponseSchema,
  WatchRequestSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '../../src/api/gen/rpc_pb.js';
import {
  CampaignRequestSchema,
  CampaignResponseSchema,
  LeaderRequestSchema,
  LeaderResponseSchema,
} from '../../src/api/gen/v3election_pb.js';
import { LockRequestSchema, LockResponseSchema } from '../../src/api/gen/v3lock_pb.js';
import { type Bridge, GrpcClient, startBridge } from '../support/bridge.ts';
import { type Server, startServer, withServer } from '../support/server.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array | undefined) => new TextDecoder().decode(data);
const certPath = (name: string) => new URL(`../support/certs/${name}`, import.meta.url).pathname;
const certs = (name: string) => readFileSync(certPath(name));

let server: Server;
let bridge: Bridge;
let client: GrpcClient;

beforeAll(async () => {
  server = await startServer({ members: 3, chaos: true });
  bridge = await startBridge(server.url);
  client = new GrpcClient(bridge.address);
}, 60_000);

afterAll(async () => {
  client.close();
  await bridge.stop();
  await server.stop();
});

const put = (of: GrpcClient, key: string, value: string) =>
  of.call(
    'etcdserverpb.KV/Put',
    [PutRequestSchema, { key: bytes(key), value: bytes(value) }],
    PutResponseSchema,
  );
const get = (of: GrpcClient, key: string) =>
  of.call('etcdserverpb.KV/Range', [RangeRequestSchema, { key: bytes(key) }], RangeResponseSchema);
const grant = (ttl: bigint) =>
  client.call(
    'etcdserverpb.Lease/LeaseGrant',
    [LeaseGrantRequestSchema, { TTL: ttl }],
    LeaseGrantResponseSchema,
  );

/** What a watch stream hears, in order. */
function watching(of: GrpcClient) {
  const stream = of.duplex('etcdserverpb.Watch/Watch');
  const heard: (WatchResponse | { code: number; details: string })[] = [];
  let wake = () => {};
  stream.on('data', (data: Uint8Array) => {
    heard.push(fromBinary(WatchResponseSchema, data));
    wake();
  });
  stream.on('error', ({ code, details }: Error & { code: number; details: string }) => {
    heard.push({ code, details });
    wake();
  });
  const ask = (requestUnion: MessageInitShape<typeof WatchRequestSchema>['requestUnion']) =>
    stream.write(
      toBinary(WatchRequestSchema, create(WatchRequestSchema, { requestUnion } as never)),
    );
  const next = async () => {
    while (heard.length === 0)
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    return heard.shift();
  };
  return {
    ask,
    next,
    askNoMore: () => stream.end(),
    end: () => stream.cancel(),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
  };
}

describe('a unary call', () => {
  it('is answered as the service answers it', async () => {
    const { header } = await put(client, 'a', '1');
    const range = await get(client, 'a');
    expect(range.kvs.map(({ value }) => text(value))).toEqual(['1']);
    expect(range.header?.revision).toBe(header?.revision);
    const txn = await client.call('etcdserverpb.KV/Txn', [TxnRequestSchema, {}], TxnResponseSchema);
    expect(txn.succeeded).toBe(true);
  });

  it.each([
    ['etcdserverpb.KV/Put', PutRequestSchema, 3, 'etcdserver: key is not provided'],
    [
      'etcdserverpb.Lease/LeaseRevoke',
      PutRequestSchema,
      5,
      'etcdserver: requested lease not found',
    ],
  ] as const)('%s fails with the code and the text of etcd', async (rpc, schema, code, details) => {
    await expect(client.call(rpc, [schema, {}], PutResponseSchema)).rejects.toMatchObject({
      code,
      details,
    });
  });

  it('above the limit of the service is refused in its words', async () => {
    const value = new Uint8Array(3 * 1024 * 1024);
    const call = client.call(
      'etcdserverpb.KV/Put',
      [PutRequestSchema, { key: bytes('a'), value }],
      PutResponseSchema,
    );
    await expect(call).rejects.toMatchObject({
      code: 8,
      details: expect.stringContaining('grpc: received message larger than max'),
    });
  });

  it('to a method that etcd has not is unimplemented', async () => {
    const call = client.call(
      'etcdserverpb.KV/Nothing',
      [RangeRequestSchema, {}],
      RangeResponseSchema,
    );
    await expect(call).rejects.toMatchObject({ code: 12 });
  });

  it('that waits for a lock ends with the deadline, and leaves nothing behind', async () => {
    const lock = (lease: bigint, deadlineMs?: number) =>
      client.call(
        'v3lockpb.Lock/Lock',
        [LockRequestSchema, { name: bytes('l'), lease }],
        LockResponseSchema,
        deadlineMs,
      );
    const [first, second] = [await grant(60n), await grant(60n)];
    expect(text((await lock(first.ID)).key)).toBe(`l/${first.ID.toString(16)}`);
    await expect(lock(second.ID, 500)).rejects.toMatchObject({ code: 4 });
    await expect
      .poll(async () => {
        const all = { key: bytes('l/'), rangeEnd: bytes('l0') };
        return (
          await client.call('etcdserverpb.KV/Range', [RangeRequestSchema, all], RangeResponseSchema)
        ).count;
      })
      .toBe(1n);
  });
});

describe('a watch stream', () => {
  it('carries many watches, and goes on while members die', async () => {
    const { ask, next, end } = watching(client);
    ask({ case: 'createRequest', value: { key: bytes('w/1') } as never });
    ask({ case: 'createRequest', value: { key: bytes('w/2') } as never });
    expect(await next()).toMatchObject({ created: true, watchId: 0n });
    expect(await next()).toMatchObject({ created: true, watchId: 1n });
    for (let n = 0; n < 6; n += 1) {
      await fetch(`${server.url}/chaos/abort?place=${1 + (n % 3)}`, { method: 'POST' });
      const key = `w/${1 + (n % 2)}`;
      let acknowledged = false;
      while (!acknowledged)
        acknowledged = await put(client, key, String(n)).then(
          () => true,
          () => false,
        );
      const told = (await next()) as WatchResponse;
      expect(told.watchId).toBe(BigInt(n % 2));
      expect(text(told.events.at(-1)?.kv?.value)).toBe(String(n));
    }
    ask({ case: 'cancelRequest', value: { watchId: 1n } as never });
    expect(await next()).toMatchObject({ canceled: true, watchId: 1n });
    end();
  });

  it('that is not read for a while goes on where it was, however much there is', async () => {
    const reader = new GrpcClient(bridge.address, { 'grpc.max_receive_message_length': -1 });
    const { ask, next, end, pause, resume } = watching(reader);
    const watches = 8;
    for (let n = 0; n < watches; n += 1)
      ask({ case: 'createRequest', value: { key: bytes('large') } as never });
    for (let n = 0; n < watches; n += 1) expect(await next()).toMatchObject({ created: true });
    pause();
    // More than gRPC keeps at both ends, and the service sends without a word.
    const puts = 16;
    for (let n = 0; n < puts; n += 1) await put(client, 'large', String(n).padEnd(1_000_000));
    resume();
    const told = Array.from({ length: watches }, (): number[] => []);
    while (told.some(({ length }) => length < puts)) {
      const heard = await next();
      expect(heard).toHaveProperty('events');
      const { watchId, events } = heard as WatchResponse;
      for (const { kv } of events) told[Number(watchId)]?.push(Number(text(kv?.value)));
    }
    const all = Array.from({ length: puts }, (_, n) => n);
    expect(told).toEqual(Array(watches).fill(all));
    end();
    reader.close();
  });

  it('goes on when its client has no more to ask', async () => {
    const { ask, next, askNoMore, end } = watching(client);
    ask({ case: 'createRequest', value: { key: bytes('half') } });
    askNoMore();
    expect(await next()).toMatchObject({ created: true });
    await put(client, 'half', '1');
    const { events } = (await next()) as WatchResponse;
    expect(text(events[0]?.kv?.value)).toBe('1');
    end();
  });

  it('is told why a request is none, in a status', async () => {
    const stream = client.duplex('etcdserverpb.Watch/Watch');
    const failed = new Promise((resolve) => stream.on('error', resolve));
    stream.on('data', () => {});
    stream.write(new Uint8Array([0x0a, 0xff]));
    expect(await failed).toMatchObject({ code: 2 });
  });
});

describe('keep-alives', () => {
  it('are answered in the order in which they came, of leases that are gone too', async () => {
    const { ID } = await grant(60n);
    const stream = client.duplex('etcdserverpb.Lease/LeaseKeepAlive');
    const asked = Array.from({ length: 300 }, (_, n) => (n % 3 === 0 ? BigInt(n + 5) : ID));
    const ids: bigint[] = [];
    const all = new Promise<void>((resolve) =>
      stream.on('data', (data: Uint8Array) => {
        const answer = fromBinary(LeaseKeepAliveResponseSchema, data);
        expect(answer.TTL).toBe(answer.ID === ID ? 60n : 0n);
        ids.push(answer.ID);
        if (ids.length === asked.length) resolve();
      }),
    );
    for (const id of asked)
      stream.write(
        toBinary(LeaseKeepAliveRequestSchema, create(LeaseKeepAliveRequestSchema, { ID: id })),
      );
    await all;
    expect(ids).toEqual(asked);
    const ended = new Promise((resolve) => stream.on('end', resolve));
    stream.end();
    await ended;
  });
});

describe('an observer of an election', () => {
  it('is told each leader', async () => {
    const { ID } = await grant(60n);
    const stream = client.serverStream('v3electionpb.Election/Observe', [
      LeaderRequestSchema,
      { name: bytes('e') },
    ]);
    stream.on('error', () => {});
    const first = new Promise<Uint8Array>((resolve) => stream.once('data', resolve));
    await client.call(
      'v3electionpb.Election/Campaign',
      [CampaignRequestSchema, { name: bytes('e'), lease: ID, value: bytes('me') }],
      CampaignResponseSchema,
    );
    expect(text(fromBinary(LeaderResponseSchema, await first).kv?.value)).toBe('me');
    stream.cancel();
  });
});

describe('the bridge', () => {
  it('says of itself whether the service is there', async () => {
    const check = (of: GrpcClient, service = '') =>
      of.call(
        'grpc.health.v1.Health/Check',
        [HealthCheckRequestSchema, { service }],
        HealthCheckResponseSchema,
      );
    expect((await check(client, 'etcdserverpb.KV')).status).toBe(1);
    await expect(check(client, 'no.Such')).rejects.toMatchObject({ code: 5 });
    const lost = await startBridge('http://127.0.0.1:9');
    const other = new GrpcClient(lost.address);
    expect((await check(other)).status).toBe(2);
    await expect(get(other, 'a')).rejects.toMatchObject({
      code: 14,
      // clientv3 compares these words, and sends a write again for them alone (its retry.go).
      details: 'there is no connection available',
    });
    other.close();
    await lost.stop();
  });

  it('counts its calls, and says whether the service is there, over HTTP', async () => {
    const own = await startBridge(server.url, ['--metrics', '127.0.0.1:0']);
    const other = new GrpcClient(own.address);
    await put(other, 'a', '1');
    await expect(put(other, '', '1')).rejects.toMatchObject({ code: 3 });
    await expect.poll(() => own.log()).toMatch(/on port \d+/);
    const url = `http://127.0.0.1:${/on port (\d+)/.exec(own.log())?.[1]}`;
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const labels = 'grpc_service="etcdserverpb.KV",grpc_method="Put",grpc_type="unary"';
    expect(metrics).toContain(`grpc_server_started_total{${labels}} 2`);
    expect(metrics).toContain(`grpc_server_handled_total{${labels},grpc_code="InvalidArgument"} 1`);
    expect(metrics).toContain(`quorate_bridge_open_calls{${labels}} 0`);
    expect(await (await fetch(`${url}/health`)).json()).toMatchObject({ health: 'true' });
    other.close();
    await own.stop();
  });

  it('ends on SIGTERM with 0, though a watch is open', async () => {
    const own = await startBridge(server.url);
    const watcher = new GrpcClient(own.address);
    const { ask, next } = watching(watcher);
    ask({ case: 'createRequest', value: { key: bytes('k') } as never });
    expect(await next()).toMatchObject({ created: true });
    const ended = own.stop();
    expect(await next()).toMatchObject({ code: 14 });
    expect(await ended).toBe(0);
    watcher.close();
  }, 20_000);

  it('says what is wrong with its options, and does not start', async () => {
    await expect(startBridge(server.url, ['--colour'])).rejects.toThrow(
      /Unknown option '--colour'.*--target URL/s,
    );
  });
});

const tls = ['--cert', certPath('server.pem'), '--key', certPath('server.key')];
const mutual = [...tls, '--client-cert-auth', '--trusted-ca', certPath('authority.pem')];

function withCertificate({ address }: Bridge, name: string | null): GrpcClient {
  const pair = name === null ? [] : [certs(`${name}.key`), certs(`${name}.pem`)];
  return new GrpcClient(address, {
    security: credentials.createSsl(certs('authority.pem'), ...pair),
  });
}

describe('over TLS', () => {
  it('serves who trusts the authority', async () => {
    const own = await startBridge(server.url, tls);
    const secure = new GrpcClient(own.address, {
      security: credentials.createSsl(certs('authority.pem')),
    });
    await put(secure, 'tls', '1');
    expect((await get(secure, 'tls')).count).toBe(1n);
    secure.close();
    await own.stop();
  });
});

describe('in front of a deployment with a secret', () => {
  it(
    'a client is the user whom its token or its certificate names, or nobody, and never the operator',
    () =>
      withServer({ members: 1, env: { API_TOKEN: 's3cret' } }, async ({ url }) => {
        const own = await startBridge(url, ['--token', 's3cret']);
        const nobody = new GrpcClient(own.address);
        await put(nobody, 'a', '1');
        const add = { name: 'root', password: 'pw' };
        await nobody.call(
          'etcdserverpb.Auth/UserAdd',
          [AuthUserAddRequestSchema, add],
          AuthUserAddResponseSchema,
        );
        await nobody.call(
          'etcdserverpb.Auth/UserGrantRole',
          [AuthUserGrantRoleRequestSchema, { user: 'root', role: 'root' }],
          AuthUserGrantRoleResponseSchema,
        );
        await nobody.call(
          'etcdserverpb.Auth/AuthEnable',
          [AuthEnableRequestSchema, {}],
          AuthEnableResponseSchema,
        );
        await expect(get(nobody, 'a')).rejects.toMatchObject({
          code: 3,
          details: 'etcdserver: user name is empty',
        });
        const { token } = await nobody.call(
          'etcdserverpb.Auth/Authenticate',
          [AuthenticateRequestSchema, add],
          AuthenticateResponseSchema,
        );
        const root = new GrpcClient(own.address, { token });
        expect((await get(root, 'a')).count).toBe(1n);
        const without = await startBridge(url);
        const closed = new GrpcClient(without.address, { token });
        await expect(get(closed, 'a')).rejects.toMatchObject({ code: 16 });
        const certified = await startBridge(url, [...mutual, '--token', 's3cret']);
        for (const [name, code] of [
          ['alice', 7],
          ['server', 7],
        ] as const)
          await expect(get(withCertificate(certified, name), 'a')).rejects.toMatchObject({ code });
        await root.call(
          'etcdserverpb.Auth/UserAdd',
          [AuthUserAddRequestSchema, { name: 'alice', options: { noPassword: true } }],
          AuthUserAddResponseSchema,
        );
        await root.call(
          'etcdserverpb.Auth/UserGrantRole',
          [AuthUserGrantRoleRequestSchema, { user: 'alice', role: 'root' }],
          AuthUserGrantRoleResponseSchema,
        );
        const alice = withCertificate(certified, 'alice');
        expect((await get(alice, 'a')).count).toBe(1n);
        expect((await put(alice, 'a', '2')).header?.revision).toBeGreaterThan(2n);
        const { ask, next, end } = watching(alice);
        ask({ case: 'createRequest', value: { key: bytes('a') } as never });
        expect(await next()).toMatchObject({ created: true, canceled: false });
        end();
        for (const one of [nobody, root, closed, alice]) one.close();
        for (const one of [own, without, certified]) await one.stop();
      }),
    60_000,
  );
});
