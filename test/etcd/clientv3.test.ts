/**
 * etcd's own Go client through the bridge, over TLS, as a user, while members are aborted. Debian: golang-go,
 * golang-etcd-server-dev.
 *
 *   CLIENTV3_ABORT_MS  700  between two aborted members
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { startBridge } from '../support/bridge.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const gopath = '/usr/share/gocode';
const isMissing =
  spawnSync('go', ['version']).status !== 0 ||
  !existsSync(`${gopath}/src/go.etcd.io/etcd/clientv3`);
if (isMissing) console.log('No clientv3 to build (Debian: golang-go, golang-etcd-server-dev).');

const abortEveryMs = numberFromEnvironment('CLIENTV3_ABORT_MS', 700);
const certPath = (name: string) => new URL(`../support/certs/${name}`, import.meta.url).pathname;
const base64 = (text: string) => Buffer.from(text).toString('base64');

async function guard(url: string): Promise<void> {
  const call = async (rpc: string, body: object) => {
    const response = await fetch(`${url}/v3/${rpc}`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    expect([rpc, response.status, await response.text()]).toEqual([rpc, 200, expect.any(String)]);
  };
  for (const name of ['root', 'app']) {
    await call('auth/user/add', { name, password: `${name}pw` });
    await call('auth/role/add', { name });
    await call('auth/user/grant', { user: name, role: name });
  }
  const perm = { permType: 'READWRITE', key: base64('app/'), range_end: base64('app0') };
  await call('auth/role/grant', { name: 'app', perm });
  await call('auth/enable', {});
}

function run(program: string, args: readonly string[]): Promise<{ out: string; status: number }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  child.stdout.on('data', (data: Buffer) => {
    out += data;
  });
  child.stderr.on('data', (data: Buffer) => {
    out += data;
  });
  return new Promise((resolve) =>
    child.on('close', (status) => resolve({ out, status: status ?? 1 })),
  );
}

it.skipIf(isMissing)(
  'clientv3 finds what it promises: keys, watch, lease, mutex, election, STM',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-go-'));
    const program = join(directory, 'clientv3');
    const env = { ...process.env, GOPATH: gopath, GO111MODULE: 'off' };
    const built = spawnSync('go', ['build', '-o', program, '.'], {
      cwd: 'test/etcd/clientv3',
      env,
    });
    expect([built.status, built.stderr.toString()]).toEqual([0, '']);
    try {
      await withServer({ members: 3, chaos: true }, async ({ url }) => {
        await guard(url);
        const tls = ['--cert', certPath('server.pem'), '--key', certPath('server.key')];
        const bridge = await startBridge(url, tls);
        let aborted = 0;
        const chaos = setInterval(() => {
          aborted += 1;
          void fetch(`${url}/chaos/abort?place=${1 + (aborted % 3)}`, { method: 'POST' });
        }, abortEveryMs);
        try {
          const args = [bridge.address, certPath('authority.pem'), 'app', 'apppw'];
          const { out, status } = await run(program, args);
          console.log(`${aborted} members aborted meanwhile\n${out}`);
          expect([status, out.split('\n').at(-2)]).toEqual([0, 'all passed']);
        } finally {
          clearInterval(chaos);
          await bridge.stop();
        }
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);
