/**
 * A tenant is saved while it is written to, and becomes another tenant that is the same at the revision of the
 * snapshot. BACKUP_KEYS=500000 for the size that docs/decisions/backup.md reports.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hashOfFile, restoreSnapshot, storedStates, takeSnapshot } from '../support/backup.ts';
import { Gateway } from '../support/gateway.ts';
import { memoryOf } from '../support/memory.ts';
import { type Server, withServer } from '../support/server.ts';

const keyCount = Number(process.env.BACKUP_KEYS ?? 20_000);
const keysPerTxn = 128;
const writers = 4;
const value = 'v'.repeat(200);
const MiB = 1024 * 1024;

it(`a tenant of ${keyCount} keys is saved under load and restored as it was`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'quorate-backup-'));
  try {
    await withServer({ members: 3 }, (server) => saveAndRestore(server, folder));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 3_600_000);

async function saveAndRestore(server: Server, folder: string): Promise<void> {
  const gateway = new Gateway(server.url);
  await fill(gateway);
  const file = join(folder, 'a.snapshot');
  const load = new Load(gateway);
  const before = memoryOf(server.pid);
  const saved = await timed('save', () => takeSnapshot(server.url, file));
  const between = memoryOf(server.pid);
  const restored = await timed('restore', () => restoreSnapshot(`${server.url}/t/copy`, file));
  const after = memoryOf(server.pid);
  const writes = await load.end();
  if (restored.status !== 201) console.log(restored.body.detail);
  report({ file: statSync(file).size / MiB, before, between, after, writes });

  expect(restored).toMatchObject({ status: 201, body: { revision: saved, voters: [1, 2, 3] } });
  expect(writes).toBeGreaterThan(0);
  const copy = new Gateway(server.url, 'copy');
  // Through the API alone: the same keys, values and revisions as the tenant had at that moment.
  expect(await contentAt(copy, saved)).toBe(await contentAt(gateway, saved));
  expect(await hashKvAt(copy, saved)).toEqual(await hashKvAt(gateway, saved));
  gateway.close();
  copy.close();
  await server.kill9();
  const hash = await hashOfFile(file, join(folder, 'scratch.sqlite'));
  const states = storedStates(server.dataDir, restored.body.group ?? '');
  expect(states).toEqual(Array(3).fill({ revision: saved, hash }));
}

async function fill(gateway: Gateway): Promise<void> {
  let next = 0;
  const writer = async () => {
    while (next < keyCount) {
      const from = next;
      next += keysPerTxn;
      const pairs = Array.from({ length: Math.min(keysPerTxn, keyCount - from) }, (_, at) => {
        const key = `key/${String(from + at).padStart(8, '0')}`;
        return [key, `${from + at} ${value}`] as const;
      });
      expect(await gateway.putAll(pairs)).toMatchObject({ acknowledged: true });
    }
  };
  await Promise.all(Array.from({ length: writers }, writer));
}

/** Overwrites, deletes and adds keys until it is ended. */
class Load {
  private ended = false;
  private readonly done: Promise<number[]>;

  constructor(gateway: Gateway) {
    this.done = Promise.all(Array.from({ length: writers }, (_, name) => this.run(gateway, name)));
  }

  /** How many writes were acknowledged. */
  async end(): Promise<number> {
    this.ended = true;
    return (await this.done).reduce((sum, count) => sum + count, 0);
  }

  private async run(gateway: Gateway, name: number): Promise<number> {
    let count = 0;
    for (let n = 0; !this.ended; n += 1) {
      const key = `key/${String((n * 7919 + name) % keyCount).padStart(8, '0')}`;
      const outcome =
        n % 5 === 4
          ? await gateway.delete(key)
          : await gateway.put(n % 5 === 3 ? `new/${name}/${n}` : key, `changed ${n}`);
      if (outcome.acknowledged) count += 1;
    }
    return count;
  }
}

/** Of all keys as they are at this revision, page by page. */
async function contentAt(gateway: Gateway, revision: number): Promise<string> {
  const hash = createHash('sha256');
  const end = Buffer.from([0xff]);
  let key: Buffer = Buffer.from([0]);
  for (;;) {
    const page = await gateway.range({ key, end, revision, limit: 5_000 });
    for (const kv of page.kvs)
      hash
        .update(`${kv.key.length} ${kv.value.length} ${kv.modRevision} `)
        .update(kv.key)
        .update(kv.value);
    const last = page.kvs.at(-1);
    if (!page.more || !last) return hash.digest('hex');
    key = Buffer.concat([last.key, Buffer.from([0])]);
  }
}

/** etcd's own hash of the history up to this revision. */
async function hashKvAt(gateway: Gateway, revision: number): Promise<object> {
  const body = JSON.stringify({ revision });
  const { status, text } = await gateway.send('POST', '/v3/maintenance/hashkv', body);
  if (status !== 200) throw new Error(`hashkv: ${status} ${text}`);
  const { hash, compact_revision } = JSON.parse(text);
  expect(hash).toBeGreaterThan(0);
  return { hash, compact_revision };
}

async function timed<T>(what: string, run: () => Promise<T>): Promise<T> {
  const startedMs = Date.now();
  const result = await run();
  console.log(`${what}: ${((Date.now() - startedMs) / 1_000).toFixed(1)} s`);
  return result;
}

function report(measured: Record<string, unknown>): void {
  console.log(`MiB, and writes meanwhile: ${JSON.stringify(measured)}`);
}
