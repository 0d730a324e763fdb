/**
 * examples/config-store without a browser: the page's own modules on Node's EventSource, against the
 * service while it is killed and its members are aborted; and the command that serves the page.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type Change, LiveKeys } from '../../examples/config-store/page/live-keys.js';
import { Service } from '../../examples/config-store/page/service.js';
import { Program } from '../support/program.ts';
import { type Server, withServer } from '../support/server.ts';

const prefix = 'config/';
const keyCount = 5;
const writesPerFault = 40;

/** The page's watch, and every message that it was told, as it came. */
function watchKeys(url: string) {
  const changes: Change[] = [];
  const connections: string[] = [];
  class Recording extends EventSource {
    constructor(address: string) {
      super(address);
      connections.push(address);
      this.addEventListener('change', (event) => {
        changes.push(JSON.parse(String((event as MessageEvent).data)));
      });
    }
  }
  const service = new Service(url, '', '');
  const pause = (ms: number) => sleep(Math.min(ms, 100));
  const live = new LiveKeys(service, prefix, { EventSource: Recording, pause });
  const running = live.run();
  return { service, live, running, changes, connections };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 600; turn++) {
    if (holds()) return;
    await sleep(100);
  }
  throw new Error(`never: ${what}`);
}

/** However often it takes: what became of a write does not matter, as the keys' versions tell it. */
async function write(server: Server, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await fetch(`${server.url}/v1/kv/${prefix}${n % keyCount}`, { method: 'PUT', body: String(n) })
      .then((response) => response.arrayBuffer())
      .catch(() => sleep(50));
  }
}

const faults: Readonly<Record<string, (server: Server) => Promise<void>>> = {
  'kill -9 of the service': async (server) => {
    await server.kill9();
    await server.restart();
  },
  'abort of every member': async ({ url }) => {
    for (const place of [1, 2, 3]) {
      const path = `/chaos/abort?tenant=default&place=${place}`;
      expect((await fetch(url + path, { method: 'POST' })).status).toBe(200);
    }
  },
};

it('is told every change once and in order, through kills and aborts, without reading anew', async () => {
  await withServer({ chaos: true }, async (server) => {
    await write(server, keyCount);
    const { service, live, running, changes, connections } = watchKeys(server.url);
    await until('live', () => live.state.phase === 'live');
    for (const fault of Object.values(faults)) {
      // So that there is a revision for EventSource to go on after.
      const told = changes.length;
      await write(server, keyCount);
      await until('told', () => changes.length >= told + keyCount);
      const writing = write(server, writesPerFault);
      await fault(server);
      await writing;
      await until('live again', () => live.state.phase === 'live');
    }
    await write(server, 1);

    const truth = await service.list(
      prefix,
      { keysMax: 100, charsMax: 1e6 },
      new AbortController().signal,
    );
    await until('the last change', () => live.revision >= truth.revision);
    live.close();
    await running;
    expect(
      [...live.items.values()]
        .map(({ key, value, mod_revision }) => [key, value, mod_revision])
        .sort(),
    ).toEqual(truth.items.map(({ key, value, mod_revision }) => [key, value, mod_revision]).sort());
    const revisions = changes.map(({ revision }) => revision);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
    // A version counts the writes of its key; one was there before.
    for (const { key, version } of truth.items) {
      const told = changes.flatMap(({ events }) => events).filter((event) => event.key === key);
      expect({ key, told: told.length }).toEqual({ key, told: version - 1 });
    }
    expect(connections.length).toBe(1);
  });
});

it('reads anew when the history that it asks for is gone', async () => {
  await withServer({}, async (server) => {
    await write(server, 20);
    const compact = { method: 'POST', body: JSON.stringify({ revision: 15 }) };
    expect((await fetch(`${server.url}/v1/compact`, compact)).status).toBe(200);
    let count = 0;
    class LateAtFirst extends EventSource {
      constructor(address: string) {
        count += 1;
        super(count === 1 ? address.replace(/from=\d+/, 'from=2') : address);
      }
    }
    const service = new Service(server.url, '', '');
    const live = new LiveKeys(service, prefix, {
      EventSource: LateAtFirst,
      pause: () => sleep(50),
    });
    const phases: string[] = [];
    live.addEventListener('state', () => phases.push(live.state.phase));
    const running = live.run();
    await until('live', () => live.state.phase === 'live');
    expect(phases).toEqual(['reading', 'waiting', 'reading', 'live']);
    expect(live.items.size).toBe(keyCount);
    live.close();
    await running;
  });
});

it('one command serves the page beside a service that lets it in, and ends with both', async () => {
  const program = Program.start('examples/config-store/main.ts', {
    env: { KV_URL: 'http://127.0.0.1:0', PAGE_PORT: '0' },
  });
  try {
    const page = await program.says(/Open (http:\S+)\//);
    const service = await program.says(/Started the service at (http:\S+)/);
    const index = await fetch(`${page}/`);
    expect(await index.text()).toContain('<script type="module" src="app.js">');
    expect(index.headers.get('content-security-policy')).toContain(`connect-src ${service};`);
    expect(await (await fetch(`${page}/settings.js`)).text()).toContain(service);
    for (const path of ['/tsconfig.json', '/../main.ts', '/%2e%2e/main.ts', '/nothing'])
      expect((await fetch(page + path)).status).toBe(404);
    const watch = await fetch(`${service}/v1/kv?prefix=x`, { headers: { origin: page } });
    expect(watch.headers.get('access-control-allow-origin')).toBe(page);
    const { pid } = JSON.parse(readFileSync(`${program.dataDir}/workerd.json`, 'utf8'));
    expect(await program.end('SIGTERM')).toBe(0);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  } finally {
    await program.end('SIGKILL');
  }
});
