/**
 * Builds src/index.ts into one module, as `wrangler deploy` does: same format, target, conditions
 * and external modules, so that what `npm run serve` runs is what is deployed.
 *
 * Several builds may run at a time (tests do): the file is replaced by rename, never half written.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';

const projectRoot = join(import.meta.dirname, '..', '..');

/** Writes dist/worker.js and returns its text. */
export async function buildWorker(): Promise<string> {
  const result = await build({
    absWorkingDir: projectRoot,
    entryPoints: ['src/index.ts'],
    bundle: true,
    write: false,
    outfile: 'dist/worker.js',
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*', 'workerd:*', 'node:*'],
    logLevel: 'warning',
  });
  const bundle = result.outputFiles[0];
  if (bundle === undefined) throw new Error('esbuild wrote no output file');
  const directory = join(projectRoot, 'dist');
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `.worker-${process.pid}-${nextBuild++}.js`);
  await writeFile(temporary, bundle.contents);
  await rename(temporary, join(directory, 'worker.js'));
  return bundle.text;
}

let nextBuild = 1;

export interface Compatibility {
  readonly date: string;
  readonly flags: readonly string[];
}

/** The compatibility date and flags of the deployed service: wrangler.toml is their only source. */
export async function readCompatibility(): Promise<Compatibility> {
  const toml = await readFile(join(projectRoot, 'wrangler.toml'), 'utf8');
  const date = /^compatibility_date = "(\d{4}-\d\d-\d\d)"$/m.exec(toml)?.[1];
  const flags = /^compatibility_flags = (\[.*\])$/m.exec(toml)?.[1];
  if (date === undefined || flags === undefined) {
    throw new Error('wrangler.toml: compatibility_date and compatibility_flags: one line each');
  }
  return { date, flags: JSON.parse(flags) as string[] };
}
