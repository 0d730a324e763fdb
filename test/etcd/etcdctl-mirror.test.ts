/**
 * etcdctl make-mirror, both ways between a real etcd and Quorate, while keys are written, changed and deleted at the source:
 * the destination is equal to the source afterwards.
 *
 *   MIRROR_CHANGES  400  changes made while mirrors run, some 100 a second
 *   MIRROR_SEED     1
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { startBridge } from '../support/bridge.ts';
import { withEtcd } from '../support/etcd.ts';
import { Gateway, type RangeAnswer } from '../support/gateway.ts';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';
import { certPath, isEtcdctlMissing, tlsFiles } from './etcdctl/run.ts';

const isMissing = isEtcdctlMissing();
const changes = numberFromEnvironment('MIRROR_CHANGES', 400);
const seed = numberFromEnvironment('MIRROR_SEED', 1);
/** More than one page of make-mirror's first reading. */
const keysBeforeAll = 1_050;
const keysBefore = 150;
const writers = 4;
/** Of each writer, between two changes. */
const pauseMs = 30;
/** A mirror puts one key after another. One that has put nothing for so long is not about to. */
const standstillMs = 30_000;
const testMs = 600_000;

/** One cluster: its gRPC addresses, and its keys over HTTP. */
interface Side {
  readonly address: string;
  readonly tlsAddress: string;
  readonly keys: Gateway;
}

interface Mirror {
  readonly args: (destination: Side) => readonly string[];
  /** What a key of the source is called at the destination; null: it is not mirrored. */
  readonly nameOf: (key: string) => string | null;
}

const below = (prefix: string, other: string) => (key: string) =>
  key.startsWith(prefix) ? other + key.slice(prefix.length) : null;

const everything: Mirror = { args: ({ address }) => [address], nameOf: (key) => key };
const overTls: Mirror = {
  args: ({ tlsAddress }) => [
    ...['--dest-insecure-transport=false', '--dest-cacert', certPath('authority.pem')],
    ...['--dest-cert', certPath('alice.pem'), '--dest-key', certPath('alice.key')],
    tlsAddress,
  ],
  nameOf: (key) => key,
};
const byPrefix: readonly Mirror[] = [
  { args: ({ address }) => ['--prefix', 'a/', address], nameOf: below('a/', 'a/') },
  {
    args: ({ address }) => ['--prefix', 'b/', '--dest-prefix', 'copy/', address],
    nameOf: below('b/', 'copy/'),
  },
  {
    args: ({ address }) => ['--prefix', 'c/', '--no-dest-prefix', address],
    nameOf: below('c/', ''),
  },
];

async function withBoth(use: (etcd: Side, quorate: Side) => Promise<void>): Promise<void> {
  const host = (url: string) => url.replace(/^https?:\/\//, '');
  const { cert, key, authority } = tlsFiles;
  const tlsArgs = ['--cert', cert, '--key', key, '--trusted-ca', authority, '--client-cert-auth'];
  await withEtcd(
    (etcdUrl, { tlsUrl }) =>
      withServer({ members: 3 }, async ({ url }) => {
        const bridges = [await startBridge(url), await startBridge(url, tlsArgs)] as const;
        const sides: readonly [Side, Side] = [
          { address: host(etcdUrl), tlsAddress: host(tlsUrl), keys: new Gateway(etcdUrl) },
          { address: bridges[0].address, tlsAddress: bridges[1].address, keys: new Gateway(url) },
        ];
        try {
          await use(...sides);
        } finally {
          for (const { keys } of sides) keys.close();
          for (const bridge of bridges) await bridge.stop();
        }
      }),
    { tls: tlsFiles },
  );
}

/** Keys under a/, b/ and c/, of which few are often changed; beyond the prefixes too. */
const keyAt = (random: Random) =>
  `${random.pick(['a', 'b', 'c', 'other'])}/${random.integer(0, 400)}`;

async function change({ keys }: Side, random: Random): Promise<void> {
  const kind = random.integer(0, 9);
  if (kind < 6) return done(keys, 'put', put(keyAt(random), random));
  if (kind < 8) return done(keys, 'deleterange', { key: base64(keyAt(random)) });
  if (kind === 8) {
    // A few keys at once: fewer than the operations that a transaction may have, which is what a mirror makes of it.
    const key = keyAt(random);
    return done(keys, 'deleterange', { key: base64(key), range_end: base64(`${key}:`) });
  }
  const several = new Map(Array.from({ length: 5 }, () => [keyAt(random), random] as const));
  const success = [...several].map(([key]) => ({ request_put: put(key, random) }));
  return done(keys, 'txn', { success });
}

const base64 = (text: string) => Buffer.from(text).toString('base64');

function put(key: string, random: Random): { key: string; value: string } {
  return { key: base64(key), value: random.bytes(random.integer(0, 40)).toString('base64') };
}

async function done(keys: Gateway, call: string, body: object): Promise<void> {
  const { status, text } = await keys.send('POST', `/v3/kv/${call}`, JSON.stringify(body));
  expect([status, text]).toEqual([200, expect.any(String)]);
}

async function contents({ keys }: Side): Promise<Map<string, string>> {
  return named(await keys.range({ key: '\0', end: '\0' }));
}

function named({ kvs }: RangeAnswer): Map<string, string> {
  return new Map(kvs.map(({ key, value }) => [key.toString(), value.toString('base64')]));
}

async function wanted(source: Side, mirrors: readonly Mirror[]): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const [key, value] of await contents(source))
    for (const { nameOf } of mirrors) {
      const name = nameOf(key);
      if (name !== null) all.set(name, value);
    }
  return all;
}

const sorted = (all: Map<string, string>) => [...all].sort(([a], [b]) => (a < b ? -1 : 1));

/** Mirrors while `changes` are made at the source; then both are equal. */
async function mirrored(
  source: Side,
  destination: Side,
  mirrors: readonly Mirror[],
): Promise<void> {
  const env = { ...process.env, ETCDCTL_API: '3', ETCDCTL_ENDPOINTS: source.address };
  const running = mirrors.map(({ args }) =>
    spawn('etcdctl', ['make-mirror', ...args(destination)], { env, stdio: 'inherit' }),
  );
  try {
    await Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        const random = new Random(seed + writer);
        for (let n = 0; n < changes; n += writers) {
          await change(source, random);
          await sleep(pauseMs);
        }
      }),
    );
    const expected = sorted(await wanted(source, mirrors));
    await untilEqual(destination, expected);
    expect(sorted(await contents(destination))).toEqual(expected);
    expect(running.map(({ exitCode }) => exitCode)).toEqual(mirrors.map(() => null));
  } finally {
    for (const child of running) {
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
  }
}

/** Or until nothing has been changed there for a while. */
async function untilEqual(
  { keys }: Side,
  expected: readonly (readonly [string, string])[],
): Promise<void> {
  const wantedText = JSON.stringify(expected);
  let revision = 0;
  for (let deadline = Date.now() + standstillMs; Date.now() < deadline; await sleep(100)) {
    const answer = await keys.range({ key: '\0', end: '\0' });
    if (JSON.stringify(sorted(named(answer))) === wantedText) return;
    if (answer.revision !== revision) deadline = Date.now() + standstillMs;
    revision = answer.revision;
  }
}

async function fill({ keys }: Side, count: number): Promise<void> {
  const random = new Random(seed);
  for (let n = 0; n < count; n += 50) {
    const success = Array.from({ length: 50 }, (_, at) => ({
      request_put: put(`${'abc'[at % 3]}/before/${n + at}`, random),
    }));
    await done(keys, 'txn', { success });
  }
}

async function clear({ keys }: Side): Promise<void> {
  await done(keys, 'deleterange', { key: base64('\0'), range_end: base64('\0') });
}

describe.skipIf(isMissing)('make-mirror under writes leaves equal keys and values', () => {
  it.each(['from etcd to Quorate', 'from Quorate to etcd'])(
    '%s',
    async (way) => {
      await withBoth(async (etcd, quorate) => {
        const [source, destination] = way.startsWith('from etcd')
          ? [etcd, quorate]
          : [quorate, etcd];
        for (const mirrors of [[everything], [overTls], byPrefix]) {
          await clear(destination);
          await clear(source);
          await fill(source, mirrors[0] === everything ? keysBeforeAll : keysBefore);
          await mirrored(source, destination, mirrors);
        }
      });
    },
    testMs,
  );
});
