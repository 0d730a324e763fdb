/**
 * The promise of a 200: what was acknowledged survives `kill -9` of the whole process.
 *
 *   CRASH_ROUNDS  20  kills (a long run: 200)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway } from '../support/gateway.ts';
import { Random } from '../support/random.ts';
import { type Server, withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const rounds = numberFromEnvironment('CRASH_ROUNDS', 20);
const writers = 32;
const shortestLoadMs = 300;
const longestLoadMs = 1_200;

interface Acknowledged {
  readonly value: string;
  readonly revision: number;
}

it.each([
  { members: 3 as const, rounds },
  { members: 1 as const, rounds: Math.ceil(rounds / 5) },
])(
  'every acknowledged write survives kill -9 (members $members, $rounds kills)',
  { timeout: 60_000 + rounds * 8_000 },
  async (setting) => {
    await withServer({ members: setting.members }, async (server) => {
      const random = new Random(setting.members);
      const acknowledged = new Map<string, Acknowledged>();
      for (let round = 0; round < setting.rounds; round++) {
        const loadMs = random.integer(shortestLoadMs, longestLoadMs);
        const written = await writeUntilKilled(server, `crash/${round}/`, loadMs);
        expect(written.size).toBeGreaterThan(0);
        await server.restart();
        await expectPresent(server, `crash/${round}/`, written);
        for (const [key, value] of written) acknowledged.set(key, value);
      }
      await expectPresent(server, 'crash/', acknowledged);
      console.log(`${acknowledged.size} acknowledged writes, ${setting.rounds} kills, none lost`);
    });
  },
);

async function writeUntilKilled(
  server: Server,
  prefix: string,
  loadMs: number,
): Promise<Map<string, Acknowledged>> {
  const gateway = new Gateway(server.url);
  const acknowledged = new Map<string, Acknowledged>();
  let isUp = true;
  const writer = async (name: number) => {
    for (let count = 0; isUp; count++) {
      const [key, value] = [`${prefix}${name}/${count}`, `${name}-${count}`];
      const outcome = await gateway.put(key, value);
      if (!outcome.acknowledged) continue;
      acknowledged.set(key, { value, revision: outcome.revision });
    }
  };
  const running = Array.from({ length: writers }, (_, name) => writer(name));
  await sleep(loadMs);
  await server.kill9();
  isUp = false;
  await Promise.all(running);
  gateway.close();
  return acknowledged;
}

async function expectPresent(
  server: Server,
  prefix: string,
  acknowledged: ReadonlyMap<string, Acknowledged>,
): Promise<void> {
  const gateway = new Gateway(server.url);
  const found = new Map<string, Acknowledged>();
  for (const { key, value, modRevision } of await gateway.all(prefix)) {
    found.set(key.toString(), { value: value.toString(), revision: modRevision });
  }
  gateway.close();
  const wrong = [...acknowledged]
    .filter(([key, { value, revision }]) => {
      const stored = found.get(key);
      return stored?.value !== value || stored.revision !== revision;
    })
    .map(([key, expected]) => ({ key, expected, found: found.get(key) }));
  expect(wrong).toEqual([]);
}
