/**
 * Runs every scenario of this folder against its golden output.
 *
 * REWRITE=1 writes the output anew; the difference is then for a person to read:
 *   REWRITE=1 npx vitest run --project unit test/raft/scenarios && git diff test/raft/scenarios
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runScenario } from './runner/run.ts';
import { parse } from './runner/text.ts';

const folder = import.meta.dirname;
const scenarios = readdirSync(folder)
  .filter((file) => file.endsWith('.txt'))
  .sort()
  .map((file) => ({ file, text: readFileSync(join(folder, file), 'utf8') }));

describe.each(scenarios)('$file', ({ file, text }) => {
  it(parse(file, text).name, () => {
    const rendered = runScenario(file, text);
    if (process.env.REWRITE === '1') writeFileSync(join(folder, file), rendered);
    else expect(rendered, `${file}: read the difference, then REWRITE=1 if it is right`).toBe(text);
  });
});
