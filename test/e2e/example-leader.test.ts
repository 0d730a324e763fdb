/**
 * examples/leader-worker: one of the workers works at a time; the next one goes on where it stopped, whether it
 * resigned, was killed or was away; and what it writes after that is refused.
 */
import { afterEach, expect, it } from 'vitest';
import type { Report } from '../../examples/leader-worker/report.ts';
import { Program } from '../support/program.ts';
import { withServer } from '../support/server.ts';

const started: Program[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((worker) => worker.end('SIGKILL')));
});

function startWorker(url: string, name: string, ...args: string[]): Program {
  const worker = Program.start('examples/leader-worker/worker.ts', {
    env: { KV_URL: url },
    args: ['--name', name, '--ttl', '3', ...args],
  });
  started.push(worker);
  return worker;
}

/** Every report that was ever written, in order. */
async function history(url: string): Promise<Report[]> {
  const newest = await fetch(`${url}/v1/kv/example/report`);
  await newest.arrayBuffer();
  const last = Number(newest.headers.get('etag')?.replaceAll('"', ''));
  const response = await fetch(`${url}/v1/watch?key=example/report&from=1`);
  const reports: Report[] = [];
  let text = '';
  for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.filter((one) => one !== '')) {
      const { event, events, revision } = JSON.parse(line);
      if (event === 'change') reports.push(JSON.parse(events[0].value));
      if (revision >= last) return reports;
    }
  }
  throw new Error('the watch ended');
}

/** Nothing was counted twice or left out, and no earlier leader wrote after a later one. */
function assertOneAtATime(reports: readonly Report[]): void {
  expect(reports.map(({ count }) => count)).toEqual(reports.map((_, index) => index + 1));
  const tokens = reports.map(({ token }) => token);
  expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  for (const token of new Set(tokens))
    expect(new Set(reports.filter((one) => one.token === token).map(({ by }) => by)).size).toBe(1);
}

it('a leader that resigns or is killed is followed by another one, which goes on where it stopped', async () => {
  await withServer({}, async ({ url }) => {
    const a = startWorker(url, 'a');
    await a.says(/a writes (\d+)/);
    const b = startWorker(url, 'b');
    expect(await a.end('SIGTERM')).toBe(0);
    expect(a.said()).toContain('a has resigned');
    await b.says(/b leads/);
    await b.says(/b writes (\d+)/);
    const c = startWorker(url, 'c');
    await b.end('SIGKILL');
    await c.says(/c writes (\d+)/);
    const reports = await history(url);
    assertOneAtATime(reports);
    expect([...new Set(reports.map(({ by }) => by))]).toEqual(['a', 'b', 'c']);
  });
});

it('a leader that was away for longer than its lease is refused, and another one has gone on', async () => {
  await withServer({}, async ({ url }) => {
    const a = startWorker(url, 'a', '--stall', '9');
    await a.says(/a writes (\d+)/);
    const b = startWorker(url, 'b');
    await a.says(/a is back/);
    expect(b.said()).toMatch(/b writes \d+/);
    await a.says(/a does not write: 412 fenced-out/);
    const reports = await history(url);
    assertOneAtATime(reports);
    expect(reports.at(-1)?.by).toBe('b');
  });
});

it('a leader that hears nothing of its lease stops before it ends, and works again with the service', async () => {
  await withServer({}, async (server) => {
    const a = startWorker(server.url, 'a');
    await a.says(/a writes (\d+)/);
    await server.kill9();
    await a.says(/a stops, since its lease may have ended/);
    await server.restart();
    await a.says(/stops, since[\s\S]*a leads[\s\S]*a writes (\d+)/);
    assertOneAtATime(await history(server.url));
  });
});
