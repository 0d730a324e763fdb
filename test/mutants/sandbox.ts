/**
 * A copy of the project in which mutants are made, one after the other: nothing of the working tree
 * is ever touched. Dependencies are those of the working tree.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mutant, mutate } from './mutant.ts';
import { runProgram } from './program.ts';

export const projectRoot = join(import.meta.dirname, '../..');

const copied = [
  'src',
  'test',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'worker-configuration.d.ts',
  'wrangler.toml',
];
const typeCheckMs = 120_000;

/** The whole configuration loads the runtime's plugin, which takes longer than most tests. */
export const leanConfig = 'mutants.config.ts';
const leanConfigText = `
import { defineConfig } from 'vitest/config';
export default defineConfig({ test: { include: ['test/**/*.test.ts'], testTimeout: 20_000 } });
`;

export class Sandbox {
  readonly root: string;

  constructor() {
    this.root = mkdtempSync(join(tmpdir(), 'quorate-mutants-'));
    for (const name of copied)
      cpSync(join(projectRoot, name), join(this.root, name), { recursive: true });
    writeFileSync(join(this.root, leanConfig), leanConfigText);
    symlinkSync(join(projectRoot, 'node_modules'), join(this.root, 'node_modules'));
  }

  /** The source with this mutant for as long as `body` runs. */
  async with<Result>(mutant: Mutant, body: () => Promise<Result>): Promise<Result> {
    const path = join(this.root, mutant.file);
    const source = readFileSync(path, 'utf8');
    writeFileSync(path, mutate(source, mutant));
    try {
      return await body();
    } finally {
      writeFileSync(path, source);
    }
  }

  /**
   * Each mutant stands beside its original, so one run of the compiler tells of all of them. Returns
   * the names of those that are no programs.
   */
  async typeErrors(mutants: readonly Mutant[]): Promise<string[]> {
    const paths = mutants.map((mutant, at) => {
      const source = readFileSync(join(this.root, mutant.file), 'utf8');
      const path = join(this.root, mutant.file.replace(/\.ts$/, `.mutant${at}.ts`));
      writeFileSync(path, mutate(source, mutant));
      return path;
    });
    const args = ['--noEmit', '--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
    const program = join(this.root, 'node_modules/.bin/tsc');
    const output = await runProgram(program, args, this.root, typeCheckMs);
    for (const path of paths) rmSync(path);
    const faulty = [...output.matchAll(/\.mutant(\d+)\.ts\(.*$/gm)];
    return faulty.map(([line, at]) => `${mutants[Number(at)]?.name}: ${line}`);
  }

  remove(): void {
    rmSync(this.root, { recursive: true });
  }
}
