/**
 * The promise of a 200: what was acknowledged survives `kill -9` of the whole process. And what was
 * not acknowledged is there once, with a revision of its own, or not at all.
 *
 *   CRASH_ROUNDS  20  kills (a long run: 200)
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Gateway, prefixEnd } from '../support/gateway.ts';
import { History, isAnswered, put, range } from '../support/history/history.ts';
import { assertRevisions } from '../support/history/revisions.ts';
import { Random } from '../support/random.ts';
import { type Server, withServer } from '../support/server.ts';
import { numberFromEnvironment } from '../support/settings.ts';

const rounds = numberFromEnvironment('CRASH_ROUNDS', 20);
const writers = 32;
const shortestLoadMs = 300;
const longestLoadMs = 1_200;

it.each([
  { members: 3 as const, rounds },
  { members: 1 as const, rounds: Math.ceil(rounds / 5) },
])(
  'every acknowledged write survives kill -9 (members $members, $rounds kills)',
  { timeout: 60_000 + rounds * 8_000 },
  async (setting) => {
    await withServer({ members: setting.members }, async (server) => {
      const random = new Random(setting.members);
      const history = new History(() => performance.now());
      for (let round = 0; round < setting.rounds; round++) {
        const prefix = `crash/${round}/`;
        const loadMs = random.integer(shortestLoadMs, longestLoadMs);
        const acknowledged = await writeUntilKilled(server, history, prefix, loadMs);
        expect(acknowledged).toBeGreaterThan(0);
        await server.restart();
        await readAll(server, history, prefix);
      }
      await readAll(server, history, 'crash/');
      const { acknowledged, explained } = assertRevisions(history);
      console.log(
        `${acknowledged} acknowledged writes, ${setting.rounds} kills, none lost; ` +
          `${explained} more were there that the kills had left without an answer`,
      );
    });
  },
);

/** Resolves to the number of acknowledged writes. */
async function writeUntilKilled(
  server: Server,
  history: History,
  prefix: string,
  loadMs: number,
): Promise<number> {
  const gateway = new Gateway(server.url);
  const begun = history.operations.length;
  let isUp = true;
  const writer = async (name: number) => {
    for (let count = 0; isUp; count++) {
      const [key, value] = [`${prefix}${name}/${count}`, `${name}-${count}`];
      const call = history.begin(`${prefix}${name}`, put(key, value));
      const outcome = await gateway.put(key, value);
      if (outcome.acknowledged) call.acknowledge(outcome.revision);
      else if (outcome.reason.includes('ECONNREFUSED')) call.failed();
      else call.unknown();
    }
  };
  const running = Array.from({ length: writers }, (_, name) => writer(name));
  await sleep(loadMs);
  await server.kill9();
  isUp = false;
  await Promise.all(running);
  gateway.close();
  return history.operations.slice(begun).filter(isAnswered).length;
}

async function readAll(server: Server, history: History, prefix: string): Promise<void> {
  const gateway = new Gateway(server.url);
  const end = prefixEnd(prefix);
  const call = history.begin('reader', range(prefix, end.toString()));
  const { revision } = await gateway.range({ key: prefix, end, limit: 1 });
  const kvs = await gateway.all(prefix, 1_000, revision);
  gateway.close();
  call.found(
    revision,
    kvs.map(({ key, value, modRevision }) => {
      return { key: key.toString(), value: value.toString(), modRevision };
    }),
  );
}
