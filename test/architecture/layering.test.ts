/** Who may import whom, and what keeps raft and kv the same on every member and in every replay. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, layers, violations } from './rules.ts';

const sourceRoot = join(import.meta.dirname, '..', '..', 'src');

function sources(): string[] {
  return globSync('**/*.ts', { cwd: sourceRoot })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !path.startsWith('api/gen/'));
}

describe('src', () => {
  it('has sources to look at, in every layer that is built', () => {
    const built = new Set(sources().map((path) => path.split('/')[0]));
    for (const layer of ['api', 'raft', 'kv', 'node-do', 'router']) expect(built).toContain(layer);
  });

  it('imports along the layers only, and raft and kv name no source of chance or time', () => {
    const found = sources().flatMap((path) =>
      violations(path, readFileSync(join(sourceRoot, path), 'utf8')),
    );
    expect(found).toEqual([]);
  });
});

describe('the rules themselves', () => {
  it.each([
    ['raft/core.ts', `import { x } from '../api/limits.ts';`],
    ['raft/core.ts', `import type { X } from '../kv/sql.ts';`],
    ['raft/core.ts', `import { create } from '@bufbuild/protobuf';`],
    ['raft/core.ts', `import assert from 'node:assert';`],
    ['kv/store.ts', `import { x } from '../raft/types.ts';`],
    ['kv/store.ts', `import { x } from '../node-do/member.ts';`],
    ['kv/deep/store.ts', `export * from '../../router/app.ts';`],
    ['kv/store.ts', `import { Hono } from 'hono';`],
    ['kv/store.ts', `const x = await import('cloudflare:workers');`],
    ['node-do/member.ts', `import { x } from '../router/app.ts';`],
    ['node-do/member.ts', `import { Hono } from 'hono';`],
    ['router/app.ts', `import { RaftNode } from '../node-do/raft-node.ts';`],
    ['router/app.ts', `import {\n  x,\n  y,\n} from '../kv/sql.ts';`],
    ['router/app.ts', `import { z } from 'zod';`],
    ['api/limits.ts', `import { x } from '../kv/sql.ts';`],
    ['api/limits.ts', `import x from '../../test/support/server.ts';\nimport '../../../x.ts';`],
    ['index.ts', `import { RaftCore } from './raft/core.ts';`],
    ['surprise/x.ts', `export {};`],
  ])('refuse in %s: %s', (path, source) => {
    expect(violations(path, source)).not.toEqual([]);
  });

  it.each([
    ['raft', 'const at = Date.now();'],
    ['raft', 'const at = new Date;'],
    ['raft', 'if (Math.random() < 0.5) flip();'],
    ['raft', 'crypto.getRandomValues(x);'],
    ['raft', 'console.log(x);'],
    ['raft', 'setTimeout(tick, 1);'],
    ['raft', 'async function f() { await g(); }'],
    ['kv', 'keys.sort((a, b) => a.localeCompare(b));'],
    ['kv', 'new Intl.Collator();'],
    ['kv', 'const t = performance.now();'],
    ['kv', 'setInterval(f, 1);'],
    ['kv', 'const s = `at ${Date.now()}`;'],
    ['kv', `const url = 'http://x'; const at = Date.now();`],
  ])('refuse in %s: %s', (layer, source) => {
    expect(violations(`${layer}/x.ts`, source)).not.toEqual([]);
  });

  it.each([
    ['raft/core.ts', `import { x } from './log.ts';\n// No Date, no Math.random().`],
    ['raft/core.ts', `/* crypto and console are for others */ const text = 'a Promise';`],
    [
      'kv/store.ts',
      `import { x } from '../api/gen/rpc_pb.js';\nimport { create } from '@bufbuild/protobuf';`,
    ],
    ['kv/deep/x.ts', `import { x } from '../sql.ts';`],
    ['node-do/member.ts', `import { DurableObject } from 'cloudflare:workers';\nDate.now();`],
    ['router/app.ts', `import { Hono } from 'hono';\nimport { x } from '../api/errors.ts';`],
    [
      'index.ts',
      `import { x } from './router/app.ts';\nexport { RaftNode } from './node-do/raft-node.ts';`,
    ],
  ])('accept in %s: %s', (path, source) => {
    expect(violations(path, source)).toEqual([]);
  });

  it('see every form of import', () => {
    const source = `
      import a from 'a'; import * as b from "b"; import { c } from 'c'; import type { D } from 'd';
      import 'e'; export * from 'f'; export { g } from 'g'; const h = import('h');
      type I = typeof import('i'); // import no from 'no';
      import j, {
        type K,
      } from 'j';`;
    expect(importsOf(source).sort()).toEqual([...'abcdefghij']);
  });

  it('know every layer of the layout', () => {
    expect(Object.keys(layers).sort()).toEqual([
      'api',
      'bridge',
      'kv',
      'node-do',
      'raft',
      'router',
    ]);
  });
});
