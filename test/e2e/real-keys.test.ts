/**
 * The main job on real input: ten thousand real paths of this machine with the hash of what they
 * hold, loaded in transactions, then read back in pages at one revision while writers go on changing
 * the same keys. What comes back is compared byte for byte.
 *
 *   REAL_KEYS  10000
 */
import { createHash } from 'node:crypto';
import { existsSync, globSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const keysWanted = numberFromEnvironment('REAL_KEYS', 10_000);
const operationsPerTransaction = 128;
const pageSize = 500;
const writersMeanwhile = 4;
/** Hashing larger files would measure the disk. */
const hashedBytesMax = 256 * 1024;
const debianLists = '/var/lib/dpkg/info';

type Pair = readonly [key: Buffer, value: Buffer];

it(`${keysWanted} real keys read back at an old revision, byte for byte, while writes go on`, async () => {
  const pairs = realPairs();
  expect(pairs.length).toBe(keysWanted);
  await withServer({ members: 3 }, async ({ url }) => {
    const gateway = new Gateway(url);
    const loadedAt = await load(gateway, pairs);

    const meanwhile = startWriters(gateway, pairs);
    const found = await gateway.all('/', pageSize, loadedAt);
    const counted = await gateway.range({
      key: '/',
      end: '0',
      revision: loadedAt,
      countOnly: true,
    });
    const changes = await meanwhile.stop();

    const expected = pairs.toSorted(([a], [b]) => Buffer.compare(a, b));
    expect(counted.count).toBe(expected.length);
    expect(found.length).toBe(expected.length);
    const firstWrong = found.findIndex(({ key, value }, index) => {
      const pair = expected[index];
      return pair === undefined || !key.equals(pair[0]) || !value.equals(pair[1]);
    });
    expect(firstWrong).toBe(-1);
    for (const { modRevision } of found) expect(modRevision).toBeLessThanOrEqual(loadedAt);
    expect(changes).toBeGreaterThan(0);
    const now = await gateway.range({ key: 'x', limit: 1 });
    expect(now.revision).toBeGreaterThanOrEqual(loadedAt + changes);
    console.log(`${found.length} keys as of revision ${loadedAt}, ${changes} changes meanwhile`);
    gateway.close();
  });
});

/** The revision at which all of them are there. */
async function load(gateway: Gateway, pairs: readonly Pair[]): Promise<number> {
  let revision = 0;
  for (let start = 0; start < pairs.length; start += operationsPerTransaction) {
    const outcome = await gateway.putAll(pairs.slice(start, start + operationsPerTransaction));
    if (!outcome.acknowledged) throw new Error(outcome.reason);
    expect(outcome.revision).toBeGreaterThan(revision);
    revision = outcome.revision;
  }
  return revision;
}

/** Overwrite, delete and add keys in the very range that is being read. */
function startWriters(gateway: Gateway, pairs: readonly Pair[]) {
  let isRunning = true;
  let changes = 0;
  const writer = async (name: number) => {
    for (let index = name; isRunning; index += writersMeanwhile) {
      const key = pairs[index % pairs.length]?.[0] ?? Buffer.from('/');
      const outcome = await [
        () => gateway.put(key, `changed by ${name}`),
        () => gateway.delete(key),
        () => gateway.put(Buffer.concat([key, Buffer.from('.new')]), 'new'),
      ][((index / writersMeanwhile) % 3) | 0]?.();
      expect(outcome).toMatchObject({ acknowledged: true });
      changes += 1;
    }
  };
  const running = Array.from({ length: writersMeanwhile }, (_, name) => writer(name));
  return {
    async stop(): Promise<number> {
      isRunning = false;
      await Promise.all(running);
      return changes;
    },
  };
}

/** The first paths, in the order of the lists, each once. */
function realPairs(): Pair[] {
  const pairs = new Map<string, Pair>();
  for (const path of realPaths()) {
    // Paths are bytes; latin1 keeps every one of them apart.
    const name = path.toString('latin1');
    if (!pairs.has(name)) pairs.set(name, [path, describe(path)]);
    if (pairs.size === keysWanted) break;
  }
  return [...pairs.values()];
}

function* realPaths(): Generator<Buffer> {
  if (existsSync(debianLists)) {
    for (const list of globSync('*.list', { cwd: debianLists }).sort()) {
      yield* lines(readFileSync(join(debianLists, list)));
    }
  }
  // Fewer packages than keys, or no Debian: our own packages have paths enough.
  const root = join(import.meta.dirname, '..', '..');
  for (const path of globSync('node_modules/**/*', { cwd: root })) {
    yield Buffer.from(join(root, path));
  }
}

function* lines(content: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, start)) {
    if (end > start) yield content.subarray(start, end);
    start = end + 1;
  }
}

/** The SHA-256 of the file, or what else stands at that path. */
function describe(path: Buffer): Buffer {
  const facts = lstatSync(path, { throwIfNoEntry: false });
  if (facts === undefined) return Buffer.from('nothing');
  if (!facts.isFile()) return Buffer.from(facts.isDirectory() ? 'directory' : 'neither');
  if (facts.size > hashedBytesMax) return Buffer.from(`${facts.size} bytes`);
  return createHash('sha256').update(readFileSync(path)).digest();
}
