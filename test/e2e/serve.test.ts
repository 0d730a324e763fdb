/** `npm run serve` as a program: what it prints, how it ends, and that one data directory has one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { identifyProcess, isAlive, type ProcessIdentity } from '../../scripts/serving/processes.ts';
import { Gateway } from '../support/gateway.ts';

const root = join(import.meta.dirname, '..', '..');

let dataDir: string;
const started: Program[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'quorate-serve-'));
});

afterEach(async () => {
  for (const program of started.splice(0)) {
    program.child.kill('SIGKILL');
    await program.ended;
  }
  await sleep(100); // For the guard to end workerd.
  rmSync(dataDir, { recursive: true, force: true });
});

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>;
  stdout(): string;
}

function serve(env: Record<string, string> = {}): Program {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join('scripts', 'serve.ts')],
    {
      cwd: root,
      env: { ...process.env, PORT: '0', DATA_DIR: dataDir, MEMBERS: '3', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    stderr += String(chunk);
  });
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    stdout,
    stderr,
  }));
  const program = { child, ended, stdout: () => stdout };
  started.push(program);
  return program;
}

/** The URL that it prints, once it has. */
async function urlOf(program: Program): Promise<string> {
  const ended = program.ended.then(({ stderr }) => {
    throw new Error(`serve ended: ${stderr}`);
  });
  const printed = async () => {
    while (!program.stdout().includes('\n')) await sleep(20);
    return /http:\/\/\S+/.exec(program.stdout())?.[0] ?? '';
  };
  return Promise.race([printed(), ended]);
}

function workerd(): ProcessIdentity {
  return JSON.parse(readFileSync(join(dataDir, 'workerd.json'), 'utf8')) as ProcessIdentity;
}

async function put(url: string, key: string): Promise<void> {
  const gateway = new Gateway(url);
  expect(await gateway.put(key, 'value')).toMatchObject({ acknowledged: true });
  gateway.close();
}

async function keysAt(url: string): Promise<string[]> {
  const gateway = new Gateway(url);
  const found = await gateway.range({ key: Buffer.of(0), end: Buffer.of(0) });
  gateway.close();
  return found.kvs.map(({ key }) => key.toString());
}

it('prints one line with the URL, ends with 0 on SIGTERM, and keeps the data', async () => {
  const first = serve();
  const url = await urlOf(first);
  await put(url, 'first');
  const running = workerd();
  first.child.kill('SIGTERM');
  const { code, stdout, stderr } = await first.ended;
  expect({ code, stdout, stderr }).toEqual({
    code: 0,
    stdout: `Quorate is listening on ${url}\n`,
    stderr: '',
  });
  expect(isAlive(running)).toBe(false);

  const second = serve();
  expect(await keysAt(await urlOf(second))).toEqual(['first']);
  second.child.kill('SIGINT');
  expect((await second.ended).code).toBe(0);
});

it('starts without asking any group, so that a sick one keeps no other from being served', async () => {
  await urlOf(serve());
  const objects = readdirSync(join(dataDir, 'objects'), { recursive: true });
  expect(objects.filter((name) => /[0-9a-f]{64}\.sqlite$/.test(String(name)))).toEqual([]);
});

it('is refused on a data directory that another one is using', async () => {
  const first = serve();
  const url = await urlOf(first);
  const { code, stdout, stderr } = await serve().ended;
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('another Quorate is using the data directory');
  await put(url, 'still here');
});

it('killed with SIGKILL takes its workerd with it and leaves nothing that refuses the next', async () => {
  const first = serve();
  await put(await urlOf(first), 'kept');
  const running = workerd();
  first.child.kill('SIGKILL');
  await first.ended;
  for (let waitedMs = 0; isAlive(running) && waitedMs < 2_000; waitedMs += 20) await sleep(20);
  expect(isAlive(running)).toBe(false);
  expect(await keysAt(await urlOf(serve()))).toEqual(['kept']);
});

it('ends when the npm that runs it is killed', async () => {
  const npm = spawn('npm', ['run', '--silent', 'serve'], {
    cwd: root,
    env: { ...process.env, PORT: '0', DATA_DIR: dataDir },
    stdio: 'ignore',
  });
  for (let waitedMs = 0; !existsSync(join(dataDir, 'workerd.json')); waitedMs += 20) {
    if (waitedMs > 20_000) throw new Error('npm run serve does not start');
    await sleep(20);
  }
  await sleep(500); // The file is there before it is written.
  const running = workerd();
  npm.kill('SIGKILL');
  await once(npm, 'exit');
  await put(await urlOf(serve()), 'next');
  expect(isAlive(running)).toBe(false);
});

it('ends with another status than 0 when workerd ends by itself', async () => {
  const program = serve();
  await urlOf(program);
  const { pid } = workerd();
  expect(identifyProcess(pid)).not.toBeNull();
  process.kill(pid, 'SIGKILL');
  const { code, stderr } = await program.ended;
  expect(code).toBe(1);
  expect(stderr).toContain('workerd ended (SIGKILL)');
});

it('is closed to strangers when API_TOKEN is set', async () => {
  const url = await urlOf(serve({ API_TOKEN: 'sesame' }));
  const ask = (headers: Record<string, string>) =>
    fetch(`${url}/v3/kv/range`, { method: 'POST', headers, body: '{"key":"YQ=="}' });
  expect((await ask({})).status).toBe(401);
  expect((await ask({ authorization: 'Bearer wrong' })).status).toBe(401);
  expect((await ask({ authorization: 'Bearer sesame' })).status).toBe(200);
});

it.each([{ MEMBERS: '4' }, { PORT: 'x' }, { CHAOS: 'maybe' }])('refuses %o', async (env) => {
  const { code, stderr } = await serve(env).ended;
  expect(code).toBe(1);
  expect(stderr).toContain(Object.keys(env)[0]);
});
