/**
 * Members are aborted while clients write with keys, and send again what got no answer. Each write takes
 * effect once: its own key has version 1 in the end, and the answer names the revision of that.
 *
 *   ONCE_SECONDS  10  length of the load
 *   ONCE_SEED     1   order of the faults
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Random } from '../support/random.ts';
import { withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const loadSeconds = numberFromEnvironment('ONCE_SECONDS', 10);
const seed = numberFromEnvironment('ONCE_SEED', 1);
const writers = 16;
const faultEveryMs = 500;

interface Written {
  readonly key: string;
  readonly revision: number;
  readonly attempts: number;
}

it(
  `members die during ${loadSeconds} s of writes with keys (ONCE_SEED=${seed}): each takes effect once`,
  async () => {
    await withServer({ members: 3, chaos: true }, async ({ url }) => {
      const until = Date.now() + loadSeconds * 1_000;
      const [faults, ...written] = await Promise.all([
        abortMembers(url, new Random(seed), until),
        ...Array.from({ length: writers }, (_, name) => writeOn(url, name, until)),
      ]);
      const writes = written.flat();
      const versions = await readAll(url);
      expect(versions).toEqual(
        new Map(writes.map(({ key, revision }) => [key, { version: 1, revision }])),
      );
      const again = writes.filter(({ attempts }) => attempts > 1).length;
      console.log(
        `${writes.length} writes, ${faults} aborts, ${again} sent again by their clients`,
      );
      expect(faults).toBeGreaterThan(0);
    });
  },
  60_000 + loadSeconds * 5_000,
);

async function abortMembers(url: string, random: Random, until: number): Promise<number> {
  let faults = 0;
  for (; Date.now() < until; faults += 1) {
    await sleep(faultEveryMs);
    const place = random.integer(1, 3);
    await fetch(`${url}/chaos/abort?tenant=default&place=${place}`, { method: 'POST' });
  }
  return faults;
}

/** One write after the other, each until it is acknowledged. */
async function writeOn(url: string, name: number, until: number): Promise<Written[]> {
  const written: Written[] = [];
  for (let count = 0; Date.now() < until; count += 1) {
    const key = `once/${name}/${count}`;
    for (let attempts = 1; ; attempts += 1) {
      const answer = await send(url, key, count % 2 === 0);
      if (answer !== null) {
        written.push({ key, revision: answer, attempts });
        break;
      }
      // Nothing is concluded from a failure: all that a client has to do is to send it again.
      expect(attempts).toBeLessThan(100);
    }
  }
  return written;
}

/** The revision; null: no answer that says so. */
async function send(url: string, key: string, isPut: boolean): Promise<number | null> {
  const headers = { 'idempotency-key': `"${key}"` };
  const then = [{ type: 'put', key, value: 'x' }];
  const [path, init] = isPut
    ? [`/v1/kv/${key}?timeout=2s`, { method: 'PUT', body: 'x' }]
    : ['/v1/txn?timeout=2s', { method: 'POST', body: JSON.stringify({ then }) }];
  try {
    const answer = await fetch(url + path, { ...init, headers });
    if (!answer.ok) return null;
    return ((await answer.json()) as { revision: number }).revision;
  } catch {
    return null;
  }
}

async function readAll(url: string): Promise<Map<string, { version: number; revision: number }>> {
  const found = new Map<string, { version: number; revision: number }>();
  for (let cursor: string | null = ''; cursor !== null; ) {
    const more = cursor === '' ? '' : `&cursor=${cursor}`;
    const answer = await fetch(`${url}/v1/kv?prefix=once/&keys_only=1&limit=1000${more}`);
    const page = (await answer.json()) as {
      items: { key: string; version: number; mod_revision: number }[];
      next_cursor: string | null;
    };
    for (const { key, version, mod_revision } of page.items)
      found.set(key, { version, revision: mod_revision });
    cursor = page.next_cursor;
  }
  return found;
}
