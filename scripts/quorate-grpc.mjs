#!/usr/bin/env node
/**
 * `quorate-grpc`, however it is started: the bridge is TypeScript, which needs the project's own Node.
 * Plain JavaScript, for whatever Node the machine has.
 */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, 'node_modules', 'node', 'bin', 'node');
const main = join(root, 'src', 'bridge', 'main.ts');
const args = ['--disable-warning=ExperimentalWarning', main, ...process.argv.slice(2)];
const child = spawn(node, args, { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`quorate-grpc: ${error.message}; run npm install in ${root}`);
  process.exit(1);
});
child.on('exit', (code) => process.exit(code ?? 1));
