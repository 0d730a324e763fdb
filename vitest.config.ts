/**
 * What `npm test` runs: three projects with an environment each.
 *
 * unit     pure code and simulations, in Node
 * workerd  the member in the real runtime, through the Workers Vitest plugin
 * e2e      black box: the built Worker on plain workerd, over HTTP, two files at a time (they wait
 *          more than they work; each has servers, ports and storage of its own)
 */
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';

const unitFolders = [
  'api',
  'architecture',
  'bench',
  'bridge',
  'conformance',
  'examples',
  'explore',
  'kv',
  'mutants',
  'raft',
  'router',
  'sim',
  'support',
];

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          environment: 'node',
          include: unitFolders.map((folder) => `test/${folder}/**/*.test.ts`),
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        plugins: [
          cloudflareTest({
            main: './src/index.ts',
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                OPEN_DEFAULT: 'true',
                OPEN_TENANTS: 'true',
                MEMBERS: '3',
                CHAOS: 'false',
              },
            },
          }),
        ],
        test: {
          name: 'workerd',
          include: ['test/node-do/**/*.test.ts'],
          testTimeout: 20_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          environment: 'node',
          include: ['test/e2e/**/*.test.ts'],
          maxWorkers: 2,
          // The warnings are of node:sqlite, and of type stripping; EventSource is what a browser has.
          execArgv: ['--disable-warning=ExperimentalWarning', '--experimental-eventsource'],
          testTimeout: 180_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
