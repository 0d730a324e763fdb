/**
 * Runs before every npm script that needs the tool chain, so that each of them works as the first
 * command on a fresh clone. Says nothing and takes milliseconds when nothing is missing.
 *
 * Plain JavaScript without dependencies: it is run by whatever Node the machine has (18 or later).
 * It never runs anything but `npm ci` and the `prepare` script (which writes src/api/gen).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** npm writes node_modules/.package-lock.json: what it has really installed. */
function packagesAreInstalled() {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const wanted = readPackages(join(root, 'package-lock.json'));
  const installed = readPackages(installedFile);
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const found = installed[path];
    // Optional packages of other platforms are in the lock file and never on the disk.
    if (found === undefined && entry.optional !== true) return false;
    if (found !== undefined && found.version !== entry.version) return false;
  }
  return Object.keys(installed).every((path) => wanted[path] !== undefined);
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages;
}

/** The generated messages exist and none of their sources is newer. */
function messagesAreGenerated() {
  const sources = join(root, 'src', 'api', 'proto');
  const generated = join(root, 'src', 'api', 'gen');
  if (!existsSync(generated)) return false;
  for (const name of readdirSync(sources)) {
    if (!name.endsWith('.proto')) continue;
    const output = join(generated, name.replace(/\.proto$/, '_pb.js'));
    if (!existsSync(output)) return false;
    if (statSync(output).mtimeMs < statSync(join(sources, name)).mtimeMs) return false;
  }
  return true;
}

function npm(...args) {
  const result = spawnSync('npm', args, { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) {
    console.error(`npm ${args.join(' ')} failed; nothing was started.`);
    process.exit(result.status ?? 1);
  }
}

if (!packagesAreInstalled()) {
  npm('ci');
}
if (!messagesAreGenerated()) {
  npm('run', '--silent', 'prepare');
}
