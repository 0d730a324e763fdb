/** The catalogue of `npm run mutants` fits the source as it is now. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { mutants } from './catalogue.ts';
import { mutate } from './mutant.ts';

const root = join(import.meta.dirname, '../..');
const files = new Set(mutants.map(({ file }) => file));

describe('the catalogue of mutants', () => {
  it.each(mutants)('finds the place of $name exactly once, and changes it', (mutant) => {
    const source = readFileSync(join(root, mutant.file), 'utf8');
    expect(mutate(source, mutant)).not.toBe(source);
  });

  it('names each once', () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  });

  it('has a bug in every file of the core, and in every file of the host that decides something', () => {
    const core = readdirSync(join(root, 'src/raft'))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `src/raft/${name}`);
    const host = ['group-member', 'member-storage', 'member', 'identity', 'log-store', 'proposals'];
    host.push('reads', 'peers', 'alarms', 'versions', 'membership', 'client', 'raft-node');
    host.push('keep-alives', 'lease-clock', 'lease-deadlines', 'lease-rows', 'lease-service');
    host.push('lease-watchdog', 'leases', 'backups', 'restore');
    const wanted = [...core, ...host.map((name) => `src/node-do/${name}.ts`)];
    expect(wanted.filter((file) => !files.has(file))).toEqual([]);
  });

  it('takes out every rule of consensus-rules.md', () => {
    const rules = new Set(mutants.map(({ rule }) => rule));
    const missing = Array.from({ length: 14 }, (_, at) => at + 1).filter(
      (rule) => !rules.has(rule),
    );
    expect(missing).toEqual([]);
  });
});
