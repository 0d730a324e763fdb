/** What `npm run test:etcd` runs: comparisons that need a real etcd beside ours (test/etcd). */
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    name: 'etcd',
    environment: 'node',
    include: ['test/etcd/**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 30_000,
    passWithNoTests: true,
  },
});
