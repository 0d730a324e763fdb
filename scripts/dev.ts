/**
 * `npm run dev` (= `npm start`): the whole service under `wrangler dev`, rebuilt when a source file
 * changes, data kept on disk.
 *
 *   PORT      8787
 *   DATA_DIR  .wrangler/state
 *   MEMBERS   3                members of a group that is created: 1, 3 or 5
 *   CORS_ORIGINS               origins whose pages may use /v1, separated by commas; *: all
 *   QUOTA_BYTES, AUTO_COMPACTION_MODE, AUTO_COMPACTION_RETENTION: as scripts/serve.ts has them
 *
 * Works without a network: everything in wrangler that would ask for one is turned off. Ends
 * wrangler and its workerd on SIGINT and SIGTERM.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const projectRoot = join(import.meta.dirname, '..');
const port = process.env.PORT || '8787';
const dataDirectory = process.env.DATA_DIR || '.wrangler/state';
const members = process.env.MEMBERS || '3';
const url = `http://127.0.0.1:${port}`;
const answerPollMs = 200;
const answerTimeoutMs = 60_000;
const stopGraceMs = 5_000;

const wranglerEnvironment = {
  X_LOCAL_OBSERVABILITY: 'false', // Several times faster without.
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_HIDE_BANNER: 'true', // The banner asks for the newest version first.
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
};

const variables = {
  OPEN_DEFAULT: 'true',
  OPEN_TENANTS: 'true',
  MEMBERS: members,
  CORS_ORIGINS: process.env.CORS_ORIGINS ?? '',
  QUOTA_BYTES: process.env.QUOTA_BYTES ?? '',
  AUTO_COMPACTION_MODE: process.env.AUTO_COMPACTION_MODE ?? '',
  AUTO_COMPACTION_RETENTION: process.env.AUTO_COMPACTION_RETENTION ?? '',
};

const wrangler = spawn(
  process.execPath,
  [
    join(projectRoot, 'node_modules', 'wrangler', 'bin', 'wrangler.js'),
    'dev',
    '--ip=127.0.0.1',
    `--port=${port}`,
    `--persist-to=${dataDirectory}`,
    '--show-interactive-dev-session=false',
    ...Object.entries(variables).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
  ],
  {
    cwd: projectRoot,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...wranglerEnvironment, ...process.env },
    // A group of its own: so that Ctrl-C reaches it through us alone, and that we can end all of it.
    detached: true,
  },
);

const ended = once(wrangler, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
let stopping = false;

function signalGroup(signal: NodeJS.Signals): void {
  if (wrangler.pid === undefined) return;
  try {
    process.kill(-wrangler.pid, signal);
  } catch {
    // Nothing of it is left.
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    stopping = true;
    signalGroup('SIGTERM');
    setTimeout(() => signalGroup('SIGKILL'), stopGraceMs).unref();
  });
}

async function untilAnswering(): Promise<boolean> {
  const deadline = Date.now() + answerTimeoutMs;
  while (Date.now() < deadline && wrangler.exitCode === null && !stopping) {
    try {
      // Answered by the router itself, whatever state a group is in.
      const response = await fetch(`${url}/version`, { signal: AbortSignal.timeout(5_000) });
      if (response.ok) return true;
    } catch {
      // Not yet.
    }
    await sleep(answerPollMs);
  }
  return false;
}

if (await untilAnswering()) {
  // Keys and values are base64: Z3JlZXRpbmc= is "greeting", aGVsbG8= is "hello".
  console.log(`
Quorate is listening on ${url}. Try:

  curl ${url}/v3/kv/put -d '{"key":"Z3JlZXRpbmc=","value":"aGVsbG8="}'
  curl ${url}/v3/kv/range -d '{"key":"Z3JlZXRpbmc="}'
  curl ${url}/v1/status
`);
}
const [code] = await ended;
signalGroup('SIGKILL'); // A workerd that outlived its wrangler.
process.exitCode = stopping ? 0 : (code ?? 1);
