/** Clients that break off in the middle of a snapshot, either way, and a service that is killed there. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type ClientRequest, get, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { restoreSnapshot, takeSnapshot } from '../support/backup.ts';
import { Gateway } from '../support/gateway.ts';
import { type Server, withServer } from '../support/server.ts';

const value = 'x'.repeat(500_000);
const keys = 60;

/** A tenant of 30 MB, more than sockets hold, and its snapshot in a file. */
async function withSnapshot(
  use: (server: Server, gateway: Gateway, file: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-backup-'));
  try {
    await withServer({ members: 3 }, async (server) => {
      const gateway = new Gateway(server.url);
      for (let n = 0; n < keys; n += 1)
        expect(await gateway.put(`k${n}`, `${n} ${value}`)).toMatchObject({ acknowledged: true });
      const file = join(folder, 'a.snapshot');
      await takeSnapshot(server.url, file);
      await use(server, gateway, file);
      gateway.close();
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Gets the first piece and reads no more. */
function beginReading(url: string): Promise<ClientRequest> {
  return new Promise((resolve, reject) => {
    const reading = get(`${url}/v1/snapshot`, (response) => {
      response.once('data', () => {
        response.pause();
        resolve(reading);
      });
      response.on('error', () => {});
    });
    reading.on('error', reject);
  });
}

/** Sends `share` of the file, and no more. */
async function beginRestoring(url: string, file: string, share: number): Promise<ClientRequest> {
  const bytes = readFileSync(file);
  const headers = { 'content-length': String(bytes.length) };
  const sending = request(`${url}/v1/restore`, { method: 'POST', headers });
  sending.on('error', () => {});
  await new Promise((resolve) =>
    sending.write(bytes.subarray(0, Math.floor(share * bytes.length)), resolve),
  );
  await sleep(500);
  return sending;
}

async function isBorn(gateway: Gateway): Promise<boolean> {
  return (await gateway.status()).members.some(({ born }) => born);
}

it('clients that stop reading and go away do not keep others from a snapshot', async () => {
  await withSnapshot(async ({ url }, gateway, file) => {
    for (let round = 0; round < 3; round += 1) {
      const readers = await Promise.all([1, 2, 3, 4].map(() => beginReading(url)));
      const fifth = await gateway.send('GET', '/v1/snapshot');
      expect(fifth.status).toBe(503);
      for (const reader of readers) reader.destroy();
      await sleep(1_000);
    }
    await takeSnapshot(url, file);
  });
});

it('a client that breaks off its restoration leaves no tenant, and nothing in the way', async () => {
  await withSnapshot(async ({ url }, _, file) => {
    const copy = new Gateway(url, 'copy');
    for (const share of [0, 0.1, 0.9]) {
      const sending = await beginRestoring(`${url}/t/copy`, file, share);
      sending.destroy();
      await sleep(500);
      expect(await isBorn(copy)).toBe(false);
    }
    expect(await restoreSnapshot(`${url}/t/copy`, file)).toMatchObject({ status: 201 });
    expect((await copy.range({ key: 'k59' })).kvs[0]?.value.toString()).toBe(`59 ${value}`);
    copy.close();
  });
});

it('a service that is killed while a tenant is restored has no half of it', async () => {
  await withSnapshot(async (server, _, file) => {
    const copy = new Gateway(server.url, 'copy');
    const sending = await beginRestoring(`${server.url}/t/copy`, file, 0.7);
    await server.kill9();
    sending.destroy();
    await server.restart();
    expect(await isBorn(copy)).toBe(false);
    // Whoever comes first founds the tenant: here an empty one.
    expect((await copy.range({ key: 'k1' })).kvs).toEqual([]);
    expect(await restoreSnapshot(`${server.url}/t/copy`, file)).toMatchObject({ status: 409 });
    const other = await restoreSnapshot(`${server.url}/t/other`, file);
    expect(other).toMatchObject({ status: 201, body: { voters: [1, 2, 3] } });
    copy.close();
  });
});
